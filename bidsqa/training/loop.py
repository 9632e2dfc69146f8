# SPDX-License-Identifier: Apache-2.0
"""The training loop of all networks: rate, averaged weights, watching, early stopping, checkpoints, time left.

A batch depends on the seed and the number of the step alone, and a checkpoint holds everything else that the next step
depends on, so that on a CPU a training that was stopped goes on bit for bit as if it hadn't been. The exception is a
budget of time: there the learning rate follows the clock.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bidsqa.errors import BidsqaError
from bidsqa.training.checkpoints import optimiser_tensors, read_checkpoint, restore_optimiser, write_checkpoint
from bidsqa.training.curve import Curve, Row
from bidsqa.training.machine import Machine
from bidsqa.training.plan import Plan

WATCHED = "watch_loss"
SAVE_SECONDS = 300.0


class Task(Protocol):
    """What is learned from what."""

    watched: list[Any]
    """Batches (dataclasses of tensors) to watch the training by."""

    def network(self) -> nn.Module:
        """A network with random weights; chance is seeded by the loop."""

    def warm(self, network: nn.Module) -> None:
        """Put other weights in place of the random ones, where the training starts from some."""

    def batch(self, step: int, share: float) -> Any:
        """The batch (a dataclass of tensors) of a step, ``share`` of the budget being spent."""

    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and numbers for the curve."""

    def watch(self, network: nn.Module, batches: list[Any]) -> dict[str, float]:
        """Numbers of a network on the watched batches; ``watch_loss`` is what early stopping goes by."""


@dataclass(frozen=True)
class Event:
    """After each step, and with a row after each look.

    Parameters
    ----------
    step : int
    seconds, left : float
        Spent and left; ``left`` is None while it can't be told.
    loss : float
        Mean since the last row.
    row : dict, optional
        Of the curve, where one was just written.
    best : (int, float), optional
        Step and ``watch_loss`` of the best look.
    """

    step: int
    seconds: float
    left: float | None
    loss: float
    row: Row | None = None
    best: tuple[int, float] | None = None


@dataclass
class Outcome:
    """How a training ended.

    Parameters
    ----------
    network : torch.nn.Module
        On the CPU, in evaluation mode: the averaged weights, last or best.
    step, seconds
        Done.
    ended : str
        ``budget``, ``patience`` or ``stopped``.
    best : (int, float), optional
        Step and ``watch_loss`` of the best look.
    rows : list of dict
        The curve.
    machines : list of str
        Where it ran, in words.
    """

    network: nn.Module
    step: int
    seconds: float
    ended: str
    best: tuple[int, float] | None
    rows: list[Row]
    machines: list[str]


@dataclass
class State:
    """What a checkpoint holds besides tensors; plain values only."""

    step: int = 0
    seconds: float = 0.0
    looked_step: int = 0
    looked_seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    best_step: int = -1
    best_loss: float = math.inf
    stale: int = 0
    scale: dict[str, Any] = field(default_factory=dict)
    machines: list[str] = field(default_factory=list)


def fit(
    task: Task,
    plan: Plan,
    checkpoint: Path,
    curve: Curve,
    machine: Machine,
    notice: Callable[[Event], None] = lambda event: None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train, from the checkpoint where there is one, until the budget or the patience is spent.

    Parameters
    ----------
    task : Task
    plan : Plan
    checkpoint : Path
        Written at each look, every five minutes, and when the training is stopped.
    curve : Curve
    machine : Machine
    notice : callable
        Told after each step.
    stop : callable
        Asked before each step; True ends the training with its checkpoint written.

    Raises
    ------
    BidsqaError
        The loss is no number any more.
    """
    training = Training(task, plan, checkpoint, curve, machine)
    began = time.monotonic() - training.state.seconds
    saved = training.state.seconds
    state = training.state
    if plan.look_first and not state.step and not curve.rows:
        notice(training.event(training.look(0.0)))
        training.save()
    ended = "patience" if training.out_of_patience() else "budget"
    while ended != "patience" and (share := plan.share(state.step, state.seconds)) < 1:
        if stop():
            ended = "stopped"
            training.save()
            break
        rate = plan.rate_at(state.step, share)
        training.step(rate, share)
        state.seconds = time.monotonic() - began
        row = None
        if training.look_due():
            row = training.look(rate)
            ended = "patience" if training.out_of_patience() else ended
        state.seconds = time.monotonic() - began
        if row is not None or state.seconds - saved > SAVE_SECONDS:
            saved = state.seconds
            training.save()
        notice(training.event(row))
    curve.close()
    return training.outcome(ended)


class Training:
    """A training between two steps.

    Parameters
    ----------
    task, plan, checkpoint, curve, machine
        As for :func:`fit`.
    """

    def __init__(self, task: Task, plan: Plan, checkpoint: Path, curve: Curve, machine: Machine) -> None:
        self.task, self.plan, self.machine = task, plan, machine
        self.state = State()
        self._path, self._curve = checkpoint, curve
        torch.manual_seed(plan.seed)
        self.network = task.network()
        kept = read_checkpoint(checkpoint) if checkpoint.is_file() else None
        if kept is None:
            task.warm(self.network)
        self.network.to(machine.device)
        self.average = copy.deepcopy(self.network)
        self._best: dict[str, Tensor] | None = None
        self._optimiser = torch.optim.AdamW(self.network.parameters(), lr=plan.rate, weight_decay=plan.decay)
        self._scaler = machine.scaler()
        if kept is not None:
            self._restore(*kept)
        if machine.words() not in self.state.machines:
            self.state.machines.append(machine.words())

    def _restore(self, groups: dict[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
        self.state = State(**{**facts, "best_loss": math.inf if facts["best_step"] < 0 else facts["best_loss"]})
        self.network.load_state_dict(groups["network"])
        self.average.load_state_dict(groups["average"])
        self._best = groups.get("best")
        restore_optimiser(self._optimiser, groups.get("optimiser", {}))
        if self.state.scale:
            self._scaler.load_state_dict(self.state.scale)
        chance = groups.get("chance", {})
        if "cpu" in chance:
            torch.set_rng_state(chance["cpu"])
        if self.machine.device.type == "cuda" and "cuda" in chance:
            torch.cuda.set_rng_state(chance["cuda"], self.machine.device)
        self._curve.resume(self.state.step)

    def save(self) -> None:
        """Write the checkpoint."""
        chance = {"cpu": torch.get_rng_state()}
        if self.machine.device.type == "cuda":
            chance["cuda"] = torch.cuda.get_rng_state(self.machine.device)
        groups = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": optimiser_tensors(self._optimiser),
            "chance": chance,
            **({"best": self._best} if self._best is not None else {}),
        }
        self.state.scale = self._scaler.state_dict()
        facts = {**self.state.__dict__}
        if self.state.best_step < 0:
            facts["best_loss"] = None
        write_checkpoint(self._path, groups, facts)

    def step(self, rate: float, share: float) -> None:
        """Learn from one batch."""
        state, plan = self.state, self.plan
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        batch = self.machine.moved(self.task.batch(state.step, share))
        self.network.train()
        with self.machine.autocast():
            loss, numbers = self.task.loss(self.network, batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise BidsqaError(
                f"The loss of step {state.step + 1} is no number any more.",
                "Start anew with a lower --rate, or: --precision float32",
            )
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimiser)
        nn.utils.clip_grad_norm_(self.network.parameters(), plan.clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        state.step += 1
        update_average(self.average, self.network, min(plan.average, state.step / (state.step + plan.average_lag)))
        for name, number in {"loss": value, **{name: float(part.detach()) for name, part in numbers.items()}}.items():
            state.sums[name] = state.sums.get(name, 0.0) + number

    def look_due(self) -> bool:
        """Whether it is time to look at the watched batches: as often as planned, and at the end."""
        state, plan = self.state, self.plan
        if plan.share(state.step, state.seconds) >= 1:
            return True
        by_steps = plan.look_steps is not None and state.step - state.looked_step >= plan.look_steps
        by_time = plan.look_seconds is not None and state.seconds - state.looked_seconds >= plan.look_seconds
        return by_steps or by_time

    def look(self, rate: float) -> Row:
        """Watch the averaged network, write a row of the curve, keep the best."""
        state = self.state
        count = max(state.step - state.looked_step, 1)
        seen = self.task.watch(self.average, [self.machine.moved(batch) for batch in self.task.watched])
        row = {"step": float(state.step), "seconds": round(state.seconds, 1), "rate": rate}
        row |= {name: total / count for name, total in state.sums.items()} | seen
        state.looked_step, state.looked_seconds, state.sums = state.step, state.seconds, {}
        loss = seen.get(WATCHED, math.inf)
        if loss < state.best_loss:
            state.best_step, state.best_loss, state.stale = state.step, loss, 0
            if self.plan.keep_best:
                self._best = {name: value.detach().cpu().clone() for name, value in self.average.state_dict().items()}
        else:
            state.stale += 1
        self._curve.add(row)
        return row

    def out_of_patience(self) -> bool:
        """Whether too many looks brought nothing."""
        return self.plan.patience is not None and self.state.stale >= self.plan.patience

    def event(self, row: Row | None) -> Event:
        """What to tell after a step."""
        state = self.state
        count = state.step - state.looked_step
        loss = state.sums["loss"] / count if count else (row or {}).get("loss", math.nan)
        left = self.plan.seconds_left(state.step, state.seconds)
        return Event(state.step, state.seconds, left, loss, row, self._best_look())

    def _best_look(self) -> tuple[int, float] | None:
        return (self.state.best_step, self.state.best_loss) if self.state.best_step >= 0 else None

    def outcome(self, ended: str) -> Outcome:
        """How it ended."""
        if self._best is not None:
            self.average.load_state_dict(self._best)
        return Outcome(
            network=self.average.cpu().eval(),
            step=self.state.step,
            seconds=self.state.seconds,
            ended=ended,
            best=self._best_look(),
            rows=self._curve.rows,
            machines=self.state.machines,
        )


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Move averaged weights towards the present ones by 1 - ``keep``; counters are copied."""
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.mul_(keep).add_(value, alpha=1 - keep)
        else:
            mean.copy_(value)


def print_row(event: Event) -> None:
    """A line for each row of the curve: what the recipes of the shipped networks tell."""
    if event.row is not None:
        print(" ".join(f"{key}={value:.6g}" for key, value in event.row.items()), flush=True)
