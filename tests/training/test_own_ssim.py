# SPDX-License-Identifier: Apache-2.0
"""The ssim network on a user's own scans: the error that its weights carry, and what their card shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bidsqa.errors import UsageError  # noqa: E402
from bidsqa.image import Volume  # noqa: E402
from bidsqa.models import load  # noqa: E402
from bidsqa.models.loading import load_network  # noqa: E402
from bidsqa.models.networks_ssim import ARCHITECTURES  # noqa: E402
from bidsqa.training import own_ssim  # noqa: E402
from bidsqa.training.own_model import Finished  # noqa: E402
from bidsqa.training.own_recipe import Recipe  # noqa: E402
from bidsqa.training.own_ssim import OwnSsim, compare  # noqa: E402
from bidsqa.training.pool import Clean  # noqa: E402
from bidsqa.training.ssim_pool import Slices  # noqa: E402

SIDE = 224


def slices() -> Slices:
    axis = np.linspace(-1, 1, SIDE)
    head = np.hypot(axis[:, None], axis[None]) < 0.7
    texture = np.random.default_rng(0).random((2, SIDE // 4, SIDE // 4)).repeat(4, 1).repeat(4, 2)
    images = (head * (0.3 + texture)).astype(np.float16)
    return Slices("04", "site-A", "T1w", "axial", images, np.repeat(head[None], 2, axis=0))


def recipe(artifacts: tuple[str, ...] = ()) -> Recipe:
    return Recipe("ssim", "none", 0, 4, 1e-3, "float32", artifacts, "", {"04": "watch"}, "0" * 64)


@pytest.fixture
def finished(t1w: Volume, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """What comes of a network that has learned nothing."""
    monkeypatch.setattr(own_ssim, "ROUNDS", 1)
    torch.manual_seed(0)

    def read(side: str, most: int) -> Iterator[Clean]:
        if side == "watch":
            yield Clean("sub-04_T1w", "04", "site-A", "T1w", "watch", t1w)

    network = ARCHITECTURES[OwnSsim.architecture]().eval()
    about = {"version": "own-test", "learned_from": "0123456789abcdef"}
    return OwnSsim().finish(network, None, [slices()], read, recipe(), about)


def test_own_weights_carry_the_shipped_error(finished: Finished, tmp_path: Path, t1w: Volume) -> None:
    shipped = float(load_network("ssim").settings["error"])
    assert shipped > 0
    path = tmp_path / "ssim.onnx"
    path.write_bytes(finished.content)
    network = load_network("ssim", weights=path)
    assert float(network.settings["error"]) == shipped
    assert network.settings["learned_from"] == "0123456789abcdef"
    score = load("ssim", weights=path).score(t1w)
    assert score.extra["model_error"] == shipped
    assert score.uncertainty >= shipped, "not only the spread of the slices"


def test_the_card_shows_watched_slices_and_clean_scans(finished: Finished) -> None:
    errors, clean = finished.tables
    assert errors.columns[2:] == ["trained: error ± SD", "trained: absolute", "trained: r"]
    assert errors.rows[0][:2] == ["T1w", 2]
    assert clean.rows[0][:3] == ["T1w", 1, 1]


def test_the_error_of_a_known_network() -> None:
    def high(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:  # type: ignore[type-arg]
        return [np.full((len(inputs["slices"]), 1), 2.0)]

    row = compare([slices()], {"high": high}, "Title").rows[0]
    # predictions are held to 0-1, the truth is at most 1
    assert row[2].startswith("+") and row[4] == "nan"
    assert float(row[3]) == pytest.approx(float(row[2].split(" ")[0]), abs=2e-3)


def test_there_are_no_artifacts_to_choose() -> None:
    OwnSsim().check(recipe())
    with pytest.raises(UsageError, match="--artifacts is for the severity"):
        OwnSsim().check(recipe(("noise",)))
