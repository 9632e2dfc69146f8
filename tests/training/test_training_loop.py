# SPDX-License-Identifier: Apache-2.0
"""The training loop on a toy: it resumes bit for bit, stops early, keeps the best, tells the time left."""

from __future__ import annotations

import math
import pickletools
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bidsqa.errors import BidsqaError, UsageError
from bidsqa.training.checkpoints import averaged_weights, read_checkpoint, write_checkpoint
from bidsqa.training.curve import Curve, read_curve
from bidsqa.training.loop import Event, Outcome, fit
from bidsqa.training.machine import Machine, choose_machine
from bidsqa.training.plan import Plan

PLAN = Plan(seed=3, rate=0.05, steps=6, look_steps=2, warm_steps=2, keep_best=True)


@dataclass(frozen=True)
class Points:
    x: Tensor
    y: Tensor
    name: str = "points"


class Line:
    """Learns y = x1 - 2 x2 with dropout, so that chance outside the batches counts too."""

    def __init__(self, spoil_from: int | None = None) -> None:
        self.spoil_from = spoil_from
        self.watched = [self.points(-1)]

    @staticmethod
    def points(seed: int) -> Points:
        x = torch.randn((16, 2), generator=torch.Generator().manual_seed(1000 + seed))
        return Points(x, x[:, :1] - 2 * x[:, 1:])

    def network(self) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 1))

    def warm(self, network: nn.Module) -> None:
        with torch.no_grad():
            network[3].bias.fill_(0.5)  # type: ignore[index,operator,union-attr]

    def batch(self, step: int, share: float) -> Points:
        points = self.points(step)
        if self.spoil_from is not None and step >= self.spoil_from:
            return replace(points, y=points.y + 50)
        return points

    def loss(self, network: nn.Module, batch: Points) -> tuple[Tensor, dict[str, Tensor]]:
        error = network(batch.x) - batch.y
        return error.square().mean(), {"size": error.abs().mean()}

    def watch(self, network: nn.Module, batches: list[Points]) -> dict[str, float]:
        network.eval()
        with torch.no_grad():
            return {"watch_loss": float(sum(self.loss(network, batch)[0] for batch in batches))}


def run(folder: Path, plan: Plan = PLAN, task: Line | None = None, **more: object) -> Outcome:
    folder.mkdir(exist_ok=True)
    curve = Curve(folder / "curve.csv")
    return fit(task or Line(), plan, folder / "state.safetensors", curve, choose_machine("cpu"), **more)  # type: ignore[arg-type]


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("stop_at", [1, 3, 4])
def test_six_steps_are_some_and_the_rest(tmp_path: Path, stop_at: int) -> None:
    whole = run(tmp_path / "whole")
    seen: list[int] = []
    first = run(tmp_path / "parts", notice=lambda event: seen.append(event.step), stop=lambda: len(seen) == stop_at)
    assert (first.ended, first.step) == ("stopped", stop_at)
    torch.manual_seed(99)  # whatever happens in between
    rest = run(tmp_path / "parts")
    assert (rest.ended, rest.step) == ("budget", 6)
    assert same(whole.network, rest.network)
    groups = [read_checkpoint(tmp_path / name / "state.safetensors")[0] for name in ("whole", "parts")]
    for name in ("network", "average", "best", "optimiser", "chance"):
        assert groups[0][name].keys() == groups[1][name].keys()
        assert all(torch.equal(groups[0][name][key], groups[1][name][key]) for key in groups[0][name]), name
    without_time = [
        [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in read_curve(tmp_path / name / "curve.csv")
        ]
        for name in ("whole", "parts")
    ]
    assert without_time[0] == without_time[1]
    assert [row["step"] for row in without_time[0]] == [2, 4, 6]


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first = run(tmp_path / "a")
    again = run(tmp_path / "a", notice=lambda event: pytest.fail("no step is left"))
    assert same(first.network, again.network)
    assert again.rows == read_curve(tmp_path / "a" / "curve.csv")


def test_a_longer_budget_goes_on(tmp_path: Path) -> None:
    run(tmp_path / "a")
    assert run(tmp_path / "a", replace(PLAN, steps=9)).step == 9
    assert [row["step"] for row in read_curve(tmp_path / "a" / "curve.csv")] == [2, 4, 6, 8, 9]


def test_patience_ends_the_training_and_the_best_weights_are_kept(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=60, look_steps=1, patience=3)
    kept: dict[int, dict[str, Tensor]] = {}
    outcome = run(tmp_path / "a", plan, Line(spoil_from=8))
    assert outcome.ended == "patience"
    assert outcome.step < 60
    assert outcome.best is not None
    best_step, best_loss = outcome.best
    assert outcome.step == best_step + 3
    losses = [row["watch_loss"] for row in outcome.rows]
    assert min(losses) == pytest.approx(best_loss) == losses[best_step - 1]
    assert Line().watch(outcome.network, Line().watched)["watch_loss"] == pytest.approx(best_loss)
    assert not kept
    # and it stays ended
    assert run(tmp_path / "a", plan, Line(spoil_from=8)).step == outcome.step


def test_without_keep_best_the_last_average_is_the_result(tmp_path: Path) -> None:
    outcome = run(tmp_path / "a", replace(PLAN, keep_best=False))
    tensors, facts = averaged_weights(tmp_path / "a" / "state.safetensors")
    assert facts["step"] == 6
    assert all(torch.equal(value, tensors[name]) for name, value in outcome.network.state_dict().items())


def test_the_first_look_shows_where_it_starts(tmp_path: Path) -> None:
    outcome = run(tmp_path / "a", replace(PLAN, look_first=True))
    assert [row["step"] for row in outcome.rows] == [0, 2, 4, 6]


def test_checkpoints_hold_no_pickle_and_nothing_else_is_opened(tmp_path: Path) -> None:
    run(tmp_path / "a")
    path = tmp_path / "a" / "state.safetensors"
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"opcode|pickle"):
        list(pickletools.genops(content))
    assert content[8:9] == b"{"
    for text in (b"", b"\x80\x04.", content[:200]):
        path.write_bytes(text)
        with pytest.raises(UsageError, match="can't be read"):
            run(tmp_path / "a")
    write_checkpoint(path, {}, {})
    path.write_bytes(path.read_bytes().replace(b"bidsqa-training-1", b"bidsqa-training-9"))
    with pytest.raises(UsageError, match="another format"):
        read_checkpoint(path)


def test_a_loss_that_is_no_number_ends_with_a_hint(tmp_path: Path) -> None:
    task = Line()
    task.batch = lambda step, share: Points(torch.full((16, 2), math.nan), torch.zeros(16, 1))  # type: ignore[method-assign]
    with pytest.raises(BidsqaError, match="--rate"):
        run(tmp_path / "a", task=task)


def test_events_tell_the_time_left(tmp_path: Path) -> None:
    events: list[Event] = []
    run(tmp_path / "a", notice=events.append)
    assert [event.step for event in events] == [1, 2, 3, 4, 5, 6]
    assert all(event.left is not None and event.left >= 0 for event in events)
    assert events[-1].left == 0
    assert [event.row is not None for event in events] == [False, True] * 3
    assert all(math.isfinite(event.loss) for event in events)


def test_time_is_a_budget_too() -> None:
    plan = Plan(seed=1, rate=1.0, seconds=100.0)
    assert plan.share(7, 25.0) == 0.25
    assert plan.seconds_left(7, 25.0) == 75.0
    both = replace(plan, steps=10)
    assert both.share(5, 25.0) == 0.5
    assert both.seconds_left(5, 25.0) == 25.0
    assert both.share(50, 25.0) == 1.0


def test_mixed_precision_learns_as_well(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=80, rate=0.1, look_steps=40)
    folder = tmp_path / "a"
    folder.mkdir()
    machine = choose_machine("cpu", "bfloat16")
    outcome = fit(Line(), plan, folder / "state.safetensors", Curve(folder / "curve.csv"), machine)
    assert outcome.machines == ["CPU, bfloat16"]
    assert all(value.dtype != torch.bfloat16 for value in outcome.network.state_dict().values())
    assert outcome.rows[-1]["watch_loss"] < 0.5 * outcome.rows[0]["watch_loss"] + 0.5


def test_machines_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_machine() == Machine(torch.device("cpu"), "float32")
    with pytest.raises(UsageError, match="CUDA"):
        choose_machine("cuda")
    with pytest.raises(UsageError, match="float16 needs CUDA"):
        choose_machine("cpu", "float16")


def test_batches_move_whole() -> None:
    moved = Machine(torch.device("meta")).moved(Line.points(0))
    assert moved.x.device.type == moved.y.device.type == "meta"
    assert moved.name == "points"


def test_tensorboard_is_asked_for_and_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    monkeypatch.delitem(__import__("sys").modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(UsageError, match="tensorboard"):
        Curve(tmp_path / "curve.csv", tmp_path / "events")
