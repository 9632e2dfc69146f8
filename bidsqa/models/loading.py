# SPDX-License-Identifier: Apache-2.0
"""From a row of the model table to a running network: checksum, kind of file, deterministic ONNX Runtime session.

Weights are ONNX graphs (shipped, or the user's) or safetensors (the user's). Pickled files (``.pt``, ``.ckpt``) are
never opened: unpickling runs whatever code the file holds.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bidsqa.errors import BidsqaError, UsageError, WeightsError
from bidsqa.image import Volume
from bidsqa.models.score import Score
from bidsqa.models.table import MODELS, Model

if TYPE_CHECKING:
    from bidsqa.models.local_map import LocalMap

Array = np.ndarray[Any, Any]
Run = Callable[[Mapping[str, Array]], list[Array]]
PICKLED = frozenset({".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".th"})
SHORT = 12
USER_VERSION = "user"


class Scorer(Protocol):
    """A loaded model that scores volumes."""

    def score(self, volume: Volume, slice_fraction: float = 0.6, head: Array | None = None) -> Score:
        """Score one conformed volume, whose ``rough_head`` may be given."""

    def local_maps(self, volume: Volume, head: Array, score: Score) -> tuple[LocalMap, ...]:
        """Maps of the worst slices; none where the network gives none."""

    def provenance(self) -> dict[str, str]:
        """``{name, version, sha256}`` of the weights in use."""


@dataclass(frozen=True)
class Network:
    """A network ready to run, whatever runs it.

    Parameters
    ----------
    model : Model
        Row of the table.
    run : callable
        From arrays by input name (float32, first axis the batch) to the list of outputs. Deterministic.
    inputs : tuple of str
        Names that ``run`` reads; others are ignored.
    settings : Mapping of str
        What the file says of itself: ``bidsqa_model``, ``architecture``, ``version`` and the family's own.
    sha256 : str
        Of the weights file.
    version : str
        Of the weights: the table's for shipped ones, else what the file says or ``"user"``.
    """

    model: Model
    run: Run
    inputs: tuple[str, ...]
    settings: Mapping[str, str]
    sha256: str
    version: str

    def provenance(self) -> dict[str, str]:
        """``{name, version, sha256}`` for the record."""
        return {"name": self.model.name, "version": self.version, "sha256": self.sha256}


def load(name: str, device: str = "cpu", weights: Path | None = None, threads: int = 1) -> Scorer:
    """Load a model that scores volumes.

    Parameters
    ----------
    name : str
        Key of :data:`bidsqa.models.MODELS` with kind ``"score"``.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"auto"`` (CUDA where ONNX Runtime has it).
    weights : Path, optional
        The user's own ``.onnx`` or ``.safetensors`` instead of the shipped file.
    threads : int
        Threads of one network run; changes the numbers by less than 1e-5.

    Returns
    -------
    Scorer

    Raises
    ------
    UsageError
        Unknown model, or a device that isn't there.
    WeightsError
        Weights missing, damaged, of another model, or of a kind that is not opened.
    """
    model = find_model(name)
    if not model.scorer:
        scores = ", ".join(row.name for row in MODELS.values() if row.scorer)
        raise UsageError(f"'{name}' is an internal model and gives no score", f"models with a score: {scores}")
    module, _, function = model.scorer.partition(":")
    make: Callable[[Network], Scorer] = getattr(importlib.import_module(module), function)
    network = load_network(name, device, weights, threads)
    try:
        return make(network)
    except BidsqaError:
        raise
    except Exception as error:  # the file's own metadata decide what goes wrong
        file = model.path if weights is None else Path(weights)
        raise WeightsError(
            f"{file.name}: its settings can't be used ({type(error).__name__}: {_first_line(error)})", "export it again"
        ) from error


def find_model(name: str) -> Model:
    """Row of the table; UsageError naming the known ones for an unknown name."""
    if name not in MODELS:
        raise UsageError(f"there is no model '{name}'", f"known models: {', '.join(MODELS)}")
    return MODELS[name]


def load_network(name: str, device: str = "cpu", weights: Path | None = None, threads: int = 1) -> Network:
    """Load the network alone (for internal models, and for scorers to build on).

    Parameters, errors : as :func:`load`.

    Returns
    -------
    Network
    """
    model = find_model(name)
    if weights is None and not model.weights:
        raise WeightsError(
            f"no weights ship for '{name}': it learns from your own readers",
            f"train it (bidsqa-train {name}), then give the file with --weights {name}=FILE",
        )
    path = model.path if weights is None else Path(weights)
    content = read_weights(path, expected=model.sha256 if weights is None else "", model=model)
    digest = hashlib.sha256(content).hexdigest()
    if path.suffix == ".safetensors":
        run, inputs, settings = _torch_network(content, path, model, threads)
    else:
        run, inputs, settings = _onnx_network(content, path, model, device, threads)
    version = model.version if weights is None else settings.get("version", USER_VERSION)
    return Network(model=model, run=run, inputs=inputs, settings=settings, sha256=digest, version=version)


def read_weights(path: Path, expected: str, model: Model) -> bytes:
    """The file's bytes, its kind and (where one is known) its checksum verified.

    Parameters
    ----------
    path : Path
    expected : str
        Checksum of a shipped file (hex); empty for a user's file.
    model : Model
        For the message.

    Raises
    ------
    WeightsError
        Missing, unreadable, empty, pickled or of another kind, or with another checksum (both shortened in the text).
    """
    if path.suffix.lower() in PICKLED:
        raise WeightsError(
            f"the weights file {path.name} is pickled, which can run code when opened, so bidsqa doesn't open it",
            "export the network to .onnx or its tensors to .safetensors",
        )
    if path.suffix not in (".onnx", ".safetensors"):
        raise WeightsError(
            f"the weights file {path.name} is neither .onnx nor .safetensors", "give weights of one of these kinds"
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise WeightsError(f"the weights of '{model.name}' are missing: {path}", _reinstall(expected)) from None
    except OSError as error:
        raise WeightsError(f"the weights of '{model.name}' can't be read: {path} ({error.strerror})", "") from None
    if not content:
        raise WeightsError(f"the weights file {path.name} is empty", _reinstall(expected))
    digest = hashlib.sha256(content).hexdigest()
    if expected and digest != expected:
        raise WeightsError(
            f"the weights file {path.name} of '{model.name}' is damaged or changed: "
            f"its SHA-256 begins with {digest[:SHORT]}, expected {expected[:SHORT]}",
            _reinstall(expected),
        )
    return content


def _reinstall(expected: str) -> str:
    return "install bidsqa again" if expected else "check the path given with --weights"


def check_settings(settings: Mapping[str, str], path: Path, model: Model) -> None:
    """Refuse a file that says it is another model's, or says nothing.

    Raises
    ------
    WeightsError
    """
    said = settings.get("bidsqa_model", "")
    if said == model.name:
        return
    what = f"are weights of '{said}'" if said else "don't say which bidsqa model they belong to"
    raise WeightsError(
        f"{path.name}: these {what}, not of '{model.name}'",
        f"the file's metadata needs bidsqa_model={model.name}; bidsqa's own export writes it",
    )


def _onnx_network(
    content: bytes, path: Path, model: Model, device: str, threads: int
) -> tuple[Run, tuple[str, ...], dict[str, str]]:
    session = open_session(content, path.name, device, threads)
    try:
        settings = {str(key): str(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    except UnicodeDecodeError:
        raise WeightsError(f"the metadata of {path.name} are no UTF-8 text", "export it again") from None
    check_settings(settings, path, model)
    names = tuple(node.name for node in session.get_inputs())

    def run(arrays: Mapping[str, Array]) -> list[Array]:
        missing = [name for name in names if name not in arrays]
        if missing:
            raise WeightsError(
                f"the network in {path.name} wants the inputs {', '.join(missing)}, which '{model.name}' doesn't have",
                "use weights made by this version's export",
            )
        feeds = {name: np.ascontiguousarray(arrays[name], dtype=np.float32) for name in names}
        try:
            outputs: list[Array] = session.run(None, feeds)
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise WeightsError(
                f"the network in {path.name} can't run on these slices: {_first_line(error)}",
                "use weights made by this version's export",
            ) from error
        return outputs

    return run, names, settings


def open_session(content: bytes, name: str, device: str = "cpu", threads: int = 1) -> Any:
    """An ONNX Runtime session with settings that give the same numbers every time.

    Parameters
    ----------
    content : bytes
        The ONNX file.
    name : str
        File name, for the message.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"auto"``.
    threads : int
        Threads within one operation; operations run one after the other.

    Returns
    -------
    onnxruntime.InferenceSession

    Raises
    ------
    WeightsError
        The content is no network that ONNX Runtime can run.
    UsageError
        CUDA asked for and not there.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, threads)
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    # idle threads of one worker must not take the core of another
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    try:
        providers = _providers(device)
        # its own second try prints to the terminal; it makes sense only where another device is left
        return onnxruntime.InferenceSession(
            content, options, providers=providers, enable_fallback=int(len(providers) > 1)
        )
    except UsageError:
        raise
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise WeightsError(
            f"the file {name} is not a network that can be run: {_first_line(error)}", _reinstall("")
        ) from error


def _providers(device: str) -> list[str]:
    import onnxruntime

    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"there is no device '{device}'", "choose auto, cpu or cuda")
    if device == "cuda" and not has_cuda:
        raise UsageError("device 'cuda' was asked for, but ONNX Runtime has no CUDA here", "use --device cpu")
    first = ["CUDAExecutionProvider"] if has_cuda and device != "cpu" else []
    if first and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA's libraries may lie in packages of their own, where the system doesn't look
    return [*first, "CPUExecutionProvider"]


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:200]


def read_safetensors_header(content: bytes, name: str) -> dict[str, str]:
    """The free metadata of a safetensors file.

    Raises
    ------
    WeightsError
        The content isn't safetensors.
    """
    try:
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length]) if length <= len(content) - 8 else None
        settings = header["__metadata__"] if isinstance(header, dict) and "__metadata__" in header else {}
        if header is None or not isinstance(settings, dict):
            raise ValueError
    except (ValueError, RecursionError, struct.error):
        raise WeightsError(f"the file {name} is not a safetensors file, or it is cut off", "export it again") from None
    return {str(key): str(value) for key, value in settings.items()}


def _torch_network(
    content: bytes, path: Path, model: Model, threads: int
) -> tuple[Run, tuple[str, ...], dict[str, str]]:
    """A user's safetensors, run by torch; the only place of the main job that may import it."""
    settings = read_safetensors_header(content, path.name)
    check_settings(settings, path, model)
    try:
        import torch
        from safetensors.torch import load as read_tensors
    except ImportError:
        raise WeightsError(
            f"{path.name}: safetensors weights need torch, which is not installed", "install torch, or give .onnx"
        ) from None
    build = _architectures(model).get(settings.get("architecture", model.architecture))
    if build is None:
        known = ", ".join(_architectures(model))
        raise WeightsError(f"{path.name}: unknown architecture '{settings.get('architecture')}'", f"known: {known}")
    network = build()
    try:
        network.load_state_dict(read_tensors(content), strict=True)
    except Exception as error:  # torch raises RuntimeError, safetensors its own class
        what = f"the file {path.name} doesn't fit its architecture: {_first_line(error)}"
        raise WeightsError(what, "export it again") from error
    network.eval()
    names: tuple[str, ...] = tuple(network.input_names)

    def run(arrays: Mapping[str, Array]) -> list[Array]:
        before = torch.get_num_threads()
        torch.set_num_threads(max(1, threads))
        try:
            with torch.inference_mode():
                tensors = [torch.from_numpy(np.ascontiguousarray(arrays[name], dtype=np.float32)) for name in names]
                outputs = network(*tensors)
        finally:
            torch.set_num_threads(before)
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return run, names, settings


def _architectures(model: Model) -> Mapping[str, Callable[[], Any]]:
    """Constructors by name: ``ARCHITECTURES`` of the family's module ``networks_<name>``."""
    module = importlib.import_module(f"bidsqa.models.networks_{model.name}")
    architectures: Mapping[str, Callable[[], Any]] = module.ARCHITECTURES
    return architectures
