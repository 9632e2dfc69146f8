# SPDX-License-Identifier: Apache-2.0
"""Weights are checked before they run, wrong ones are refused in words, right ones give the same numbers every time."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bidsqa import models
from bidsqa.errors import UsageError, WeightsError
from bidsqa.models import loading, table
from bidsqa.models.networks_ssim import ARCHITECTURES, SsimMap
from bidsqa.training.export import half_rounded, ship, to_onnx, to_safetensors

SETTINGS = {"bidsqa_model": "ssim", "architecture": "resnet18_narrow", "version": "test"}
SLICES = np.random.default_rng(0).random((3, 1, 224, 224)).astype(np.float32)
HEADS = np.ones((3, 1, 28, 28), dtype=np.float32)
INPUTS = {"slices": SLICES, "head": HEADS}


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(3)
    return half_rounded(ARCHITECTURES["resnet18_narrow"]())


@pytest.fixture(scope="module")
def onnx_bytes(network: torch.nn.Module) -> bytes:
    return to_onnx(network, {"slices": SLICES[:2]}, ("score",), SETTINGS)


@pytest.fixture
def onnx_file(tmp_path: Path, onnx_bytes: bytes) -> Path:
    path = tmp_path / "mine.onnx"
    path.write_bytes(onnx_bytes)
    return path


def expected(network: torch.nn.Module) -> Any:
    with torch.inference_mode():
        return network(torch.from_numpy(SLICES)).numpy()


def test_user_onnx_loads_and_equals_torch(network: torch.nn.Module, onnx_file: Path) -> None:
    loaded = models.load_network("ssim", weights=onnx_file)
    np.testing.assert_allclose(loaded.run(INPUTS)[0], expected(network), atol=1e-5)
    digest = hashlib.sha256(onnx_file.read_bytes()).hexdigest()
    assert loaded.provenance() == {"name": "ssim", "version": "test", "sha256": digest}


def test_user_safetensors_equal_torch(tmp_path: Path) -> None:
    torch.manual_seed(4)
    plain = ARCHITECTURES["resnet18_narrow"]().eval()
    path = tmp_path / "mine.safetensors"
    path.write_bytes(to_safetensors(plain, SETTINGS))
    loaded = models.load_network("ssim", weights=path)
    np.testing.assert_allclose(loaded.run(INPUTS)[0], expected(plain), atol=1e-6)


def test_any_thread_count_and_any_run_give_the_same(onnx_file: Path) -> None:
    one = models.load_network("ssim", weights=onnx_file, threads=1).run(INPUTS)[0]
    again = models.load_network("ssim", weights=onnx_file, threads=1).run(INPUTS)[0]
    two = models.load_network("ssim", weights=onnx_file, threads=2).run(INPUTS)[0]
    np.testing.assert_array_equal(one, again)
    np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.fixture
def shipped(tmp_path: Path, onnx_bytes: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder of our own in place of the package's."""
    monkeypatch.setattr(table, "WEIGHTS_FOLDER", tmp_path)
    ship("ssim.onnx", onnx_bytes, "# Card\n", folder=tmp_path)
    return tmp_path / "ssim.onnx"


def test_shipped_weights_load_with_the_tables_version(shipped: Path) -> None:
    loaded = models.load_network("ssim")
    assert loaded.version == models.MODELS["ssim"].version
    assert loaded.sha256 == models.MODELS["ssim"].sha256


def test_a_changed_byte_is_found_and_both_sums_are_named(shipped: Path) -> None:
    content = bytearray(shipped.read_bytes())
    content[len(content) // 2] ^= 1
    shipped.write_bytes(bytes(content))
    with pytest.raises(WeightsError) as caught:
        models.load("ssim")
    message = str(caught.value)
    assert "ssim.onnx" in message
    assert hashlib.sha256(content).hexdigest()[:12] in message
    assert models.MODELS["ssim"].sha256[:12] in message
    assert models.MODELS["ssim"].sha256 not in message
    assert "install" in message


def test_missing_shipped_weights_are_told(shipped: Path) -> None:
    shipped.unlink()
    with pytest.raises(WeightsError, match="missing"):
        models.load("ssim")


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not a network at all", b"\xff" * 8 + b"{}"])
def test_corrupted_user_files_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"broken{suffix}"):
        models.load("ssim", weights=path)


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_cut_off_files_are_refused(tmp_path: Path, network: torch.nn.Module, onnx_bytes: bytes, suffix: str) -> None:
    content = onnx_bytes if suffix == ".onnx" else to_safetensors(network, SETTINGS)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="cut"):
        models.load("ssim", weights=path)


class Trap:
    """Leaves a trace when unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path(TRACE),))


TRACE = "unpickled"


@pytest.mark.parametrize("suffix", ["pt", "pth", "ckpt", "pkl", "PT", "onnx", "safetensors"])
def test_pickles_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError):
        models.load("ssim", weights=path)
    assert not Path(TRACE).exists()


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(b"1")
    with pytest.raises(WeightsError, match="neither"):
        models.load("ssim", weights=path)


def test_missing_user_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="missing") as caught:
        models.load("ssim", weights=tmp_path / "nowhere.onnx")
    assert "--weights" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "said"), [({"bidsqa_model": "severity"}, "'severity'"), ({}, "don't say")], ids=["another", "none"]
)
def test_weights_of_another_model_are_refused(
    tmp_path: Path, network: torch.nn.Module, settings: dict[str, str], said: str
) -> None:
    for suffix, content in (
        (".onnx", to_onnx(network, {"slices": SLICES[:2]}, ("score",), settings)),
        (".safetensors", to_safetensors(network, settings)),
    ):
        path = tmp_path / f"other{suffix}"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=said):
            models.load("ssim", weights=path)


def test_tensors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "misfit.safetensors"
    path.write_bytes(to_safetensors(SsimMap((4, 4, 8, 8)), SETTINGS))
    with pytest.raises(WeightsError, match=r"misfit\.safetensors doesn't fit"):
        models.load("ssim", weights=path)
    path.write_bytes(to_safetensors(SsimMap((4, 4, 8, 8)), {**SETTINGS, "architecture": "vgg"}))
    with pytest.raises(WeightsError, match="unknown architecture 'vgg'"):
        models.load("ssim", weights=path)


def test_unknown_and_internal_models_and_devices(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no model 'magic'"):
        models.load("magic")
    with pytest.raises(UsageError, match="device"):
        models.load("ssim", device="tpu", weights=onnx_file)
    internal = replace(models.MODELS["ssim"], name="masks", kind="internal", scorer="")
    monkeypatch.setattr(loading, "MODELS", {"masks": internal})
    with pytest.raises(UsageError, match="internal"):
        models.load("masks")


@pytest.mark.parametrize(("device", "loaded"), [("auto", 1), ("cuda", 1), ("cpu", 0)])
def test_cuda_libraries_that_came_as_packages_are_loaded_first(
    device: str, loaded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: providers)
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: calls.append(1))
    assert loading._providers(device) == (providers if loaded else providers[1:])
    assert len(calls) == loaded


def test_inputs_that_the_model_does_not_have_are_told(tmp_path: Path) -> None:
    network = half_rounded(SsimMap((4, 4, 8, 8)))
    content = to_onnx(network, {"slices": SLICES[:2], "mask": HEADS[:2]}, ("score", "map"), SETTINGS)
    path = tmp_path / "odd.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="mask"):
        models.load_network("ssim", weights=path).run(INPUTS)


def test_errors_cross_process_borders() -> None:
    error = WeightsError("cause", "hint")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.cause, copy.hint) == ("cause", "hint")


def test_scoring_does_not_import_torch(onnx_file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bidsqa import models; import numpy as np;"
        "from bidsqa.image import Volume;"
        f"scorer = models.load('ssim', weights=Path({str(onnx_file)!r}));"
        "data = np.pad(np.random.default_rng(0).random((40, 40, 40)) + 1, 10);"
        "scorer.score(Volume.from_array(data));"
        "assert 'torch' not in sys.modules and 'nipype' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_rows_are_frozen() -> None:
    with pytest.raises(AttributeError):
        models.MODELS["ssim"].version = "2"  # type: ignore[misc]
    assert replace(models.MODELS["ssim"], version="2").version == "2"
    assert loading.find_model("ssim").version == models.MODELS["ssim"].version


@pytest.mark.parametrize("name", ["calibration", "severity"])
def test_metadata_that_cannot_be_used_are_told_at_the_start(tmp_path: Path, name: str) -> None:
    shipped = models.MODELS["severity"].path.read_bytes()
    broken = {
        "calibration": shipped.replace(b'{"clean"', b'{;clean"'),
        "severity": shipped.replace(b"severity", b"sever\xff\xfey"),
    }
    path = tmp_path / "mine.onnx"
    path.write_bytes(broken[name])
    assert broken[name] != shipped
    with pytest.raises(WeightsError, match=r"settings can't be used|no UTF-8 text|don't say|are weights of"):
        models.load("severity", weights=path)


def test_a_header_nested_without_end_is_no_safetensors() -> None:
    with pytest.raises(WeightsError, match="not a safetensors file"):
        loading.read_safetensors_header((5000).to_bytes(8, "little") + b"[" * 5000, "mine.safetensors")
