# SPDX-License-Identifier: Apache-2.0
"""The noise and motion network on a user's own scans: its weights, and what their card shows."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from bidsqa.cli.main import main  # noqa: E402
from bidsqa.errors import InputError, UsageError  # noqa: E402
from bidsqa.image import Volume  # noqa: E402
from bidsqa.models import MODELS  # noqa: E402
from bidsqa.models.loading import load_network  # noqa: E402
from bidsqa.models.networks_noise_motion import ARCHITECTURES  # noqa: E402
from bidsqa.training import own_noise_motion  # noqa: E402
from bidsqa.training.own_card import use_of  # noqa: E402
from bidsqa.training.own_noise_motion import OwnNoiseMotion  # noqa: E402
from bidsqa.training.own_recipe import Recipe  # noqa: E402
from bidsqa.training.pool import Clean  # noqa: E402


def recipe(artifacts: tuple[str, ...] = ()) -> Recipe:
    return Recipe("noise_motion", "none", 0, 10, 1e-3, "float32", artifacts, "site-B", {"04": "watch"}, "0" * 64)


def test_weights_and_tables(t1w: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_noise_motion, "JUDGED_SETS", 2)
    monkeypatch.setattr(own_noise_motion, "JUDGED_PAIRS", 2)
    own = OwnNoiseMotion()

    def read(side: str, most: int) -> Iterator[Clean]:
        yield Clean(f"sub-{side}_T1w", side, "site-A", "T1w", side, t1w)

    watch = own.cut(read("watch", 1), 3, 0)
    own.save(watch, tmp_path / "watch.npz")
    torch.manual_seed(0)
    about = {"version": "own-test", "learned_from": "0123456789abcdef"}
    network = ARCHITECTURES[own.architecture]().eval()
    finished = own.finish(network, None, own.load(tmp_path / "watch.npz"), read, recipe(), about)
    path = tmp_path / "noise_motion.onnx"
    path.write_bytes(finished.content)
    loaded = load_network("noise_motion", weights=path)
    assert loaded.settings["learned_from"] == "0123456789abcdef"
    assert loaded.version == "own-test"
    assert [table.title.split(":")[0] for table in finished.tables] == [
        "Watched subjects",
        "Watched subjects",
        "The site held out (site-B)",
        "The site held out (site-B)",
    ]
    judged, clean = finished.tables[:2]
    assert judged.rows[0][0] == "own"
    assert clean.rows[0][:3] == ["T1w", 1, 1]
    assert "no reader's" in finished.notes[0]


def test_there_are_no_artifacts_to_choose_and_heads_are_needed() -> None:
    OwnNoiseMotion().check(recipe())
    with pytest.raises(UsageError, match="--artifacts is for the severity"):
        OwnNoiseMotion().check(recipe(("noise",)))
    with pytest.raises(InputError, match="no slice"):
        OwnNoiseMotion().cut(iter(()), 3, 0)


@pytest.mark.parametrize("model", ["severity", "noise_motion"])
def test_the_command_that_uses_the_weights_can_be_pasted(
    model: str, bids_dataset: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "my own" / f"{model}.onnx"
    weights.parent.mkdir()
    shutil.copy(MODELS[model].path, weights)
    words = shlex.split(use_of(model, str(weights)))
    assert words.pop(0) == "bidsqa"
    words[:2] = [str(bids_dataset("sub-01_T1w")), str(tmp_path / "out")]
    assert main([*words, "--dry-run"]) == 0, capsys.readouterr().err
