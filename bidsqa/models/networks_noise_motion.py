# SPDX-License-Identifier: Apache-2.0
"""The dual-task network after Lei et al. 2022: a shared trunk, a branch for noise, one for motion.

The layer sizes of the paper are in a figure only; these follow MEON (5 x 5 convolutions of stride 2, divisive
normalisation, maxima over 2 x 2, two fully connected layers a head). Images are (N, 1, H, W) of mean 0 and variance 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

TASKS = ("noise", "motion")
TRUNK, WIDTH, POOLED, HIDDEN = (16, 32), 64, 4, 64
DROPOUT = 0.15
FLOOR = 1e-6
OFF_DIAGONAL, DIAGONAL = 0.001, 0.1
# scale of the noise output (dB), so that the last layer learns numbers near 1
LEVEL, SPREAD = 26.0, 6.0


class DivisiveNormalization(nn.Module):
    """Each value over the root of the channels' weighted energy at its pixel: a_i = z_i / √(β_i + Σ_j γ_ij z_j²).

    One β a channel and one γ a pair of channels, as in generalised divisive normalisation (Ballé et al. 2016,
    arXiv 1511.06281). Their square roots are learned, so that both stay positive; γ starts at 0.1 on the diagonal and
    0.001 elsewhere, since a root of 0 has no gradient and would never move.

    Parameters
    ----------
    channels : int
        C; there are C + C² parameters.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.root_beta = nn.Parameter(torch.ones(channels))
        self.root_gamma = nn.Parameter(torch.sqrt(DIAGONAL * torch.eye(channels) + OFF_DIAGONAL))

    @property
    def beta(self) -> Tensor:
        """What a channel is divided by where all are silent, squared, shape (C,); at least 1e-6."""
        return self.root_beta.square().clamp(min=FLOOR)

    @property
    def gamma(self) -> Tensor:
        """How much each channel (columns) dampens each (rows), shape (C, C)."""
        return self.root_gamma.square()

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        energy = nn.functional.conv2d(features.square(), self.gamma[:, :, None, None], self.beta)
        return features / torch.sqrt(energy)


ACTIVATIONS: Mapping[str, Callable[[int], Sequence[nn.Module]]] = MappingProxyType(
    {
        "dn": lambda channels: (DivisiveNormalization(channels),),
        "relu_bn": lambda channels: (nn.BatchNorm2d(channels), nn.ReLU()),
        "relu_ln": lambda channels: (nn.GroupNorm(1, channels), nn.ReLU()),
    }
)
"""What follows a convolution, by name; layer normalisation with a scale and an offset a channel, for any image size."""


class Branch(nn.Module):
    """What one task makes of the trunk's features: two convolutions, a 4 x 4 mean, two fully connected layers.

    Parameters
    ----------
    activation : str
        Key of ``ACTIVATIONS``.
    """

    def __init__(self, activation: str) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        self.features = nn.Sequential(
            nn.Conv2d(TRUNK[1], WIDTH, 3, padding=1),
            *act(WIDTH),
            nn.MaxPool2d(2),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            *act(WIDTH),
        )
        self.pool = nn.AdaptiveAvgPool2d(POOLED)
        self.hidden = nn.Linear(WIDTH * POOLED**2, HIDDEN)
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(HIDDEN, 1)

    def forward(self, trunk: Tensor) -> Tensor:
        """(N, 32, H, W) to (N, 1)."""
        pooled = self.pool(self.features(trunk)).flatten(1)
        result: Tensor = self.output(self.dropout(torch.relu(self.hidden(pooled))))
        return result

    def with_map(self, trunk: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, in evaluation, and where the output comes from.

        Behind the 4 x 4 mean the branch is linear as long as the same hidden units are awake, so the output is a
        constant and a sum over the places of the last feature map. That sum is the map; no gradient is run backward.

        Returns
        -------
        output : Tensor, shape (N, 1)
        map : Tensor, shape (N, 1, H / 2, W / 2)
            Each place's part of the output; H and W a multiple of 8.
        """
        features = self.features(trunk)
        before = self.hidden(self.pool(features).flatten(1))
        awake = (before > 0).to(before.dtype) * self.output.weight
        slope = (awake @ self.hidden.weight).reshape(-1, WIDTH, POOLED, POOLED)
        cells = (features.shape[2] // POOLED, features.shape[3] // POOLED)
        spread = slope.repeat_interleave(cells[0], dim=2).repeat_interleave(cells[1], dim=3)
        local = (features * spread).sum(dim=1, keepdim=True) / (cells[0] * cells[1])
        return self.output(torch.relu(before)), local


class NoiseMotionNet(nn.Module):
    """The network with both tasks, or one of them.

    Parameters
    ----------
    tasks : sequence of str
        Of ``"noise"`` and ``"motion"``.
    noise_activation, motion_activation, trunk_activation : str
        Keys of ``ACTIVATIONS``.
    """

    input_names: ClassVar[tuple[str, ...]] = ("slices",)

    def __init__(
        self,
        tasks: Sequence[str] = TASKS,
        noise_activation: str = "dn",
        motion_activation: str = "relu_bn",
        trunk_activation: str = "dn",
    ) -> None:
        super().__init__()
        if not tasks or not set(tasks) <= set(TASKS):
            raise ValueError(f"tasks are of {' and '.join(TASKS)}, not {', '.join(tasks) or 'none'}")
        act = ACTIVATIONS[trunk_activation]
        first, second = TRUNK
        self.tasks = tuple(task for task in TASKS if task in tasks)
        self.trunk = nn.Sequential(
            nn.Conv2d(1, first, 5, 2, padding=2),
            *act(first),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5, 2, padding=2),
            *act(second),
            nn.MaxPool2d(2),
        )
        chosen = {"noise": noise_activation, "motion": motion_activation}
        self.branches = nn.ModuleDict({task: Branch(chosen[task]) for task in self.tasks})

    @property
    def output_names(self) -> tuple[str, ...]:
        """``noise`` and ``clean_logit``, as far as there are branches."""
        return tuple({"noise": "noise", "motion": "clean_logit"}[task] for task in self.tasks)

    def task_output(self, slices: Tensor, task: str) -> Tensor:
        """One branch alone, so that a step of one task touches nothing of the other.

        Parameters
        ----------
        slices : Tensor, shape (N, 1, H, W)
        task : str

        Returns
        -------
        Tensor, shape (N,)
            ``noise``: quality in dB, higher is better. ``motion``: logit of the slice being free of motion.
        """
        output = self.branches[task](self.trunk(slices))[:, 0]
        return LEVEL + SPREAD * output if task == "noise" else output

    def forward(self, slices: Tensor) -> tuple[Tensor, ...]:
        """(N, 1, H, W) to one (N, 1) a task: noise in dB, logit of clean."""
        trunk = self.trunk(slices)
        outputs = {task: self.branches[task](trunk) for task in self.tasks}
        if "noise" in outputs:
            outputs["noise"] = LEVEL + SPREAD * outputs["noise"]
        return tuple(outputs.values())


class WithMaps(nn.Module):
    """The network with a map beside each output, for the weights file.

    Parameters
    ----------
    network : NoiseMotionNet
        With both tasks.
    """

    input_names: ClassVar[tuple[str, ...]] = ("slices",)
    output_names: ClassVar[tuple[str, ...]] = ("noise", "clean_logit", "noise_map", "clean_map")

    def __init__(self, network: NoiseMotionNet) -> None:
        super().__init__()
        # under the names that the network's own tensors have, so that a training can go on from the file
        self.trunk, self.branches = network.trunk, network.branches

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(N, 1, H, W) to noise and logit (N, 1) and their maps (N, 1, H / 32, W / 32)."""
        trunk = self.trunk(slices)
        noise, noise_map = self.branches["noise"].with_map(trunk)  # type: ignore[operator]
        logit, clean_map = self.branches["motion"].with_map(trunk)  # type: ignore[operator]
        return LEVEL + SPREAD * noise, logit, SPREAD * noise_map, clean_map


ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "dual": NoiseMotionNet,
        "dual_dn": partial(NoiseMotionNet, motion_activation="dn"),
        "dual_relu_bn": partial(NoiseMotionNet, noise_activation="relu_bn", trunk_activation="relu_bn"),
        "dual_relu_ln": partial(
            NoiseMotionNet, noise_activation="relu_ln", motion_activation="relu_ln", trunk_activation="relu_ln"
        ),
        "noise": partial(NoiseMotionNet, ("noise",)),
        "motion": partial(NoiseMotionNet, ("motion",)),
        "motion_relu_bn": partial(NoiseMotionNet, ("motion",), trunk_activation="relu_bn"),
    }
)
"""Constructors by name, as weights files name them."""
