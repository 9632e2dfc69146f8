# SPDX-License-Identifier: Apache-2.0
"""Where a training runs and with which precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from bidsqa.errors import UsageError

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Machine:
    """A device and the precision of the network's arithmetic on it.

    Parameters
    ----------
    device : torch.device
    precision : str
        ``float32``; ``bfloat16`` or ``float16``: mixed, the weights stay in float32.
    """

    device: torch.device
    precision: str = "float32"

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Mixed precision for what runs inside; nothing for float32."""
        if self.precision == "float32":
            yield
            return
        with torch.autocast(self.device.type, dtype=getattr(torch, self.precision)):
            yield

    def scaler(self) -> torch.amp.GradScaler:
        """Keeps small gradients of float16 from vanishing; does nothing for the others."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "float16")

    def moved(self, batch: Any) -> Any:
        """A dataclass of tensors on this device; other fields stay."""
        if self.device.type == "cpu":
            return batch
        values = {part.name: getattr(batch, part.name) for part in fields(batch)}
        return replace(
            batch, **{name: value.to(self.device) for name, value in values.items() if isinstance(value, Tensor)}
        )

    def words(self) -> str:
        """``CPU, float32``, for people."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        return f"{name}, {self.precision}"


def choose_machine(device: str = "auto", precision: str = "auto") -> Machine:
    """The device and precision that are asked for, or those that suit this computer.

    Parameters
    ----------
    device : str
        ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.
    precision : str
        ``auto`` (float32 on a CPU; on CUDA bfloat16, or float16 where the card has no bfloat16), ``float32``,
        ``bfloat16`` or ``float16`` (CUDA only).

    Raises
    ------
    UsageError
        CUDA or a precision that isn't there.
    """
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise UsageError(
            "--device cuda: torch finds no CUDA device here.",
            "Install a torch build that fits the graphics driver, or: --device cpu",
        )
    kind = "cuda" if cuda and device != "cpu" else "cpu"
    if precision == "auto":
        precision = "float32"
        if kind == "cuda":
            precision = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if precision == "float16" and kind == "cpu":
        raise UsageError("--precision float16 needs CUDA.", "On a CPU: --precision bfloat16, or float32")
    return Machine(torch.device(kind), precision)
