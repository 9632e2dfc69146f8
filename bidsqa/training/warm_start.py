# SPDX-License-Identifier: Apache-2.0
"""Go on from shipped weights: an exported network, its batch norms folded away, becomes one that can be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray[Any, Any]
HALF = "_half"


def read_tensors(weights: Path) -> dict[str, Tensor]:
    """Tensors of an ONNX file by their names in the network, as float32."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_model_from_string(weights.read_bytes()).graph
    return {
        part.name.removesuffix(HALF): torch.from_numpy(numpy_helper.to_array(part).astype(np.float32))
        for part in graph.initializer
    }


def folded_pairs(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution that the export folds with the batch norm after it, with the convolution's name."""
    for name, chain in network.named_modules():
        if not isinstance(chain, nn.Sequential):
            continue
        for place in range(len(chain) - 1):
            first, second = chain[place], chain[place + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                yield f"{name}.{place}" if name else str(place), first, second


def warm_start(network: nn.Module, weights: Path, run: Callable[[nn.Module], Any]) -> None:
    """Give a network the function of exported weights, with batch norms that can be trained.

    A folded convolution is put back as it is and its batch norm undoes its own normalisation on one batch: scale = SD,
    shift = mean + folded bias, so that the network computes in evaluation mode what the exported one does.

    Parameters
    ----------
    network : torch.nn.Module
        Of the exported architecture; changed in place.
    weights : Path
        ONNX file written by :mod:`bidsqa.training.export`.
    run : callable
        Runs the network, in training mode, once on a batch as the training draws them.

    Raises
    ------
    ValueError
        Where the file holds another network.
    """
    values = read_tensors(weights)
    pairs = list(folded_pairs(network))
    state = network.state_dict()
    norms = {id(norm) for _, _, norm in pairs}
    folded = {
        f"{name}.{key}" for name, part in network.named_modules() if id(part) in norms for key in part.state_dict()
    }
    kept = {key for key in state if not key.endswith("num_batches_tracked")} - folded
    wrong = [key for key in kept if key not in values or values[key].shape != state[key].shape]
    if wrong:
        raise ValueError(f"{weights.name} holds another network: {', '.join(sorted(wrong)[:3])} differ")
    network.load_state_dict({key: values[key] for key in kept}, strict=False)
    handles = [norm.register_forward_pre_hook(_undoing(values[f"{name}.bias"])) for name, _, norm in pairs]
    network.train()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) and id(part) not in norms:
            part.eval()  # one batch must not move the statistics that were learned
    try:
        with torch.no_grad():
            run(network)
    finally:
        for handle in handles:
            handle.remove()
        network.train()


def _undoing(bias: Tensor) -> Callable[[nn.Module, tuple[Tensor]], None]:
    def hook(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        mean = inputs[0].mean(dim=(0, 2, 3))
        variance = inputs[0].var(dim=(0, 2, 3))
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((inputs[0].var(dim=(0, 2, 3), unbiased=False) + norm.eps).sqrt())
        norm.bias.copy_(mean + bias)

    return hook
