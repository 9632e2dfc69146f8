# SPDX-License-Identifier: Apache-2.0
"""Trained networks as ONNX or safetensors files that bidsqa loads, with what they are written into them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bidsqa.models.table import CHECKSUMS_FILE, WEIGHTS_FOLDER, read_checksums
from bidsqa.validation.tables import Table

OPSET = 18
HALF_FROM = 256
SHOWN_DIGITS = 12


def half_rounded(network: Any) -> Any:
    """A copy of the network in evaluation mode whose batch norms are folded and whose weights fit in float16.

    Storing such a network in float16 costs nothing: it is the network that is validated and shipped.

    Parameters
    ----------
    network : torch.nn.Module
        Batch norms are folded where they follow a convolution in a ``Sequential``.

    Returns
    -------
    torch.nn.Module
    """
    import copy

    import torch

    rounded = copy.deepcopy(network).eval()
    for part in rounded.modules():
        if isinstance(part, torch.nn.Sequential):
            _fold(part)
    for parameter in rounded.parameters():
        if parameter.numel() >= HALF_FROM:
            parameter.data = parameter.data.half().float()
    return rounded


def _fold(chain: Any) -> None:
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for place in range(len(chain) - 1):
        first, second = chain[place], chain[place + 1]
        flat = isinstance(first, torch.nn.Conv2d) and isinstance(second, torch.nn.BatchNorm2d)
        if flat or (isinstance(first, torch.nn.Conv3d) and isinstance(second, torch.nn.BatchNorm3d)):
            chain[place] = fuse_conv_bn_eval(first, second)
            chain[place + 1] = torch.nn.Identity()


def to_onnx(
    network: Any,
    examples: Mapping[str, np.ndarray[Any, Any]],
    outputs: tuple[str, ...],
    settings: Mapping[str, str],
    half: bool = True,
    free: Mapping[int, str] = MappingProxyType({0: "batch"}),
    fold: bool = True,
) -> bytes:
    """The network as an ONNX file with a free batch size.

    Parameters
    ----------
    network : torch.nn.Module
    examples : Mapping of name to ndarray
        One float32 example of each input in the order of ``forward``; the first axis is the batch (2 or more).
    outputs : tuple of str
        Names of the outputs.
    settings : Mapping of str
        Metadata: ``bidsqa_model``, ``architecture``, ``version`` at least.
    half : bool
        Store tensors of 256 values and more in float16 (computed in float32); exact for :func:`half_rounded` networks.
    free : Mapping of int to str
        Axes of any length, with their names; the batch alone if not given.
    fold : bool
        Compute what depends on no input at once; else the file holds the network's tensors under their own names.

    Returns
    -------
    bytes
    """
    import onnx
    import torch

    tensors = tuple(torch.from_numpy(np.asarray(value, dtype=np.float32)) for value in examples.values())
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # the older exporter is deprecated; the newer one writes paths of the exporting machine into the file
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval(),
            tensors,
            buffer,  # type: ignore[arg-type]
            input_names=list(examples),
            output_names=list(outputs),
            dynamic_axes={name: dict(free) for name in (*examples, *outputs)},
            opset_version=OPSET,
            do_constant_folding=fold,
            dynamo=False,
        )
    graph = onnx.load_model_from_string(buffer.getvalue())
    if half:
        _store_half(graph)
    # paths and versions of the exporting machine don't belong into a shipped file
    for node in graph.graph.node:
        node.doc_string = ""
    onnx.helper.set_model_props(graph, dict(settings))
    onnx.checker.check_model(graph)
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def _store_half(graph: Any) -> None:
    """Large float32 tensors become float16 ones, each with a cast that the runtime folds when it loads the file."""
    import onnx
    from onnx import numpy_helper

    kept, casts = [], []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < HALF_FROM:
            kept.append(tensor)
            continue
        stored = f"{tensor.name}_half"
        kept.append(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [tensor.name], to=onnx.TensorProto.FLOAT))
    nodes = list(graph.graph.node)
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend([*casts, *nodes])


def to_safetensors(network: Any, settings: Mapping[str, str]) -> bytes:
    """The network's tensors as safetensors with metadata (see :func:`to_onnx`)."""
    from safetensors.torch import save

    content: bytes = save({name: value.contiguous() for name, value in network.state_dict().items()}, dict(settings))
    return content


def printed_tables(paths: Iterable[Path], digest: str) -> str:
    """Validation tables in Markdown for a card: those whose note names the weights' SHA-256, or that there are none."""
    parts = []
    for path in paths:
        table = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"note": ""}
        if digest[:SHOWN_DIGITS] in table["note"]:
            parts.append(printed_table(Table(**table)))
    return "\n\n".join(parts) or "Not yet measured for these weights."


def printed_table(table: Table) -> str:
    """A table in Markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *([str(cell) for cell in row] for row in table.rows)]
    rows = "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)
    return f"{table.title}. {table.note}\n\n{rows}"


def last_row(curve: Path) -> dict[str, float]:
    """Where a training ended: the last row of its curve."""
    with curve.open(encoding="utf-8") as handle:
        return {name: float(value) for name, value in list(csv.DictReader(handle))[-1].items() if value}


def ship(name: str, content: bytes, card: str, curve: Path | None = None, folder: Path = WEIGHTS_FOLDER) -> str:
    """Write shipped weights, their card, their checksum and the curve of their training.

    Parameters
    ----------
    name : str
        File name of the weights, e.g. ``"ssim.onnx"``; the card gets the suffix ``.md``.
    content : bytes
    card : str
        Markdown: data, recipe, seed, validation table, limits, licence.
    curve : Path, optional
        Kept beside the weights as ``<name>_curve.csv``.
    folder : Path

    Returns
    -------
    str
        The weights' SHA-256 (hex).
    """
    digest = hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    (folder / name).with_suffix(".md").write_text(card, encoding="utf-8")
    if curve is not None:
        shutil.copyfile(curve, folder / f"{Path(name).stem}_curve.csv")
    read_checksums.cache_clear()
    listing = {**read_checksums(folder), name: digest}
    lines = [f"{listing[key]}  {key}\n" for key in sorted(listing)]
    (folder / CHECKSUMS_FILE).write_text("".join(lines), encoding="utf-8")
    read_checksums.cache_clear()
    return digest
