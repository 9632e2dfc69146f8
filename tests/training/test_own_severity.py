# SPDX-License-Identifier: Apache-2.0
"""The severity on a user's own scans: subsets of artifacts, the scale of few scans, the copies that the card shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bidsqa.errors import UsageError  # noqa: E402
from bidsqa.image import Volume  # noqa: E402
from bidsqa.models.loading import load_network  # noqa: E402
from bidsqa.models.severity import SeverityScorer  # noqa: E402
from bidsqa.models.severity_inputs import WINDOW, Prepared  # noqa: E402
from bidsqa.models.severity_scale import READINGS_OF, Scale  # noqa: E402
from bidsqa.simulation import degrade_volume  # noqa: E402
from bidsqa.training.own_severity import compare, families_of, graded, mix_of, own_scale  # noqa: E402
from bidsqa.training.severity_batches import MIX, make_batch  # noqa: E402
from bidsqa.training.severity_data import Slices  # noqa: E402
from bidsqa.validation.severity_cases import Case  # noqa: E402
from bidsqa.validation.severity_judging import Judged  # noqa: E402

READINGS = ("overall", "noise", "motion", "ghosting", "bias", "blur", "field", "echo", "grain")


def judged(count: int, side: str = "watch", spread: float = 0.001) -> list[Judged]:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        case = Case(f"s{number}", f"s{number}", "site-A", "T1w", side, "none", 0.0, 0.0, Prepared((), {}), {})
        rows.append(Judged(case, {name: 0.1 + spread * float(rng.random()) for name in READINGS}))
    return rows


def test_subsets_of_artifacts() -> None:
    assert mix_of(()) == MIX
    assert list(mix_of(("noise", "blur"))) == ["blur", "noise"], "in physical order"
    assert families_of(mix_of(("gibbs", "wrap"))) == ["blur"]
    with pytest.raises(UsageError, match="isn't trained on 'zipper'"):
        mix_of(("zipper",))
    with pytest.raises(UsageError, match="No part of the score"):
        mix_of(("wrap", "spike"))


@pytest.mark.parametrize("names", [("noise",), ("noise", "motion")])
def test_batches_of_few_artifacts_hold_nothing_else(names: tuple[str, ...], pool: Callable[..., Slices]) -> None:
    batch = make_batch(pool(4, 0.8), 4, torch.Generator().manual_seed(0), mix_of(names))
    places = {"noise": 0, "motion": 1}
    others = [place for place in range(5) if place not in [places[name] for name in names]]
    assert float(batch.strength[:, others].max()) == 0
    assert float(batch.strength[4:, [places[name] for name in names]].sum(dim=1).min()) > 0


def test_few_scans_keep_the_shipped_width() -> None:
    shipped = Scale.from_json(load_network("severity").settings["calibration"])
    few, many = own_scale(judged(3), MIX), own_scale(judged(30), MIX)
    for name in few.use:
        assert few.width(name) >= shipped.width(name) - 1e-9
    assert any(many.width(name) < few.width(name) for name in few.use)
    for scale, rows in ((few, judged(3)), (many, judged(30))):
        assert np.percentile([float(scale.joined(row.readings)) for row in rows], 95) <= 1 + 1e-9


def test_kinds_that_were_not_learned_don_t_count() -> None:
    scale = own_scale([*judged(2), *judged(5, "train")], mix_of(("noise", "ghosting")))
    assert scale.kinds is None  # the model of the kinds needs the readings of all
    shipped = Scale.from_json(load_network("severity").settings["calibration"])
    assert own_scale(judged(3), MIX).kinds == own_scale(judged(30), MIX).kinds == shipped.kinds is not None
    assert set(scale.use) == {"noise", "grain", "ghosting", "echo"}
    noisy = {**judged(1)[0].readings, "noise": 2.0}
    blurred = {**judged(1)[0].readings, "blur": 2.0, "motion": 2.0, "field": 3.0}
    assert float(scale.joined(noisy)) > 1 > float(scale.joined(blurred))


@pytest.mark.parametrize("name", MIX)
def test_shown_copies_grow_with_strength_and_stay_blank(name: str, pool: Callable[..., Slices]) -> None:
    weak, strong = (graded(pool(4, 0.8), name, strength, seed=1) for strength in (0.25, 1.0))
    assert weak.image.shape == (8, 1, WINDOW, WINDOW)
    assert float(weak.damage[:4].max()) == 0
    assert float(strong.damage[4:].sum()) > float(weak.damage[4:].sum()) > 0
    clean, copy = strong.image.split(4)
    assert float(copy[(clean == 0) & (strong.head[:4] == 0)].abs().max()) == 0


def test_the_comparison_knows_a_good_network_from_a_blind_one(pool: Callable[..., Slices]) -> None:
    def blind(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:  # type: ignore[type-arg]
        return [np.zeros((len(inputs["image"]), 12), dtype=np.float32)]

    def seeing(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:  # type: ignore[type-arg]
        half = len(inputs["image"]) // 2
        harm = np.abs(inputs["image"] - np.tile(inputs["image"][:half], (2, 1, 1, 1))).mean(axis=(1, 2, 3))
        return [np.column_stack([harm, *[np.zeros_like(harm)] * 11])]

    table = compare(pool(4, 0.8), {"start": blind, "trained": seeing}, mix_of(("noise",)), "Title")
    assert table.rows[0][1] == "0.50 / 0.50 / 0.50"
    assert table.rows[0][3] == "1.00 / 1.00 / 1.00"
    assert "4 slices of 4 scans" in table.note


@pytest.mark.parametrize("names", [(), ("noise",), ("noise", "ghosting"), ("bias", "blur", "motion")])
def test_families_agree_with_the_score_and_hold_only_what_was_learned(names: tuple[str, ...]) -> None:
    mix = mix_of(names)
    scale = own_scale(judged(3), mix)
    spoiled = {name: 0.1 + 0.9 * place for place, name in enumerate(READINGS)}
    for readings in (judged(1)[0].readings, spoiled):
        families = scale.families(readings)
        assert list(families) == families_of(mix)
        # the score joins the families (and the network's estimate of all together, where all were learned)
        value = float(scale.joined(readings))
        assert value >= max(families.values()) - 1e-9
        plain = [float(scale.uncompressed(readings, [n for n in READINGS_OF[f] if n in scale.use])) for f in families]
        rest = float(scale.uncompressed(readings, [n for n in ("overall",) if n in scale.use]))
        whole = float(scale.uncompressed(readings))
        assert whole**6 == pytest.approx(sum(part**6 for part in (*plain, rest)), rel=1e-6)
    # what wasn't learned moves neither
    others = {name: 9.0 for name in READINGS if name not in scale.use}
    assert scale.families({**spoiled, **others}) == scale.families(spoiled)


def test_own_weights_name_no_kind_that_they_have_not_learned(t1w: Volume) -> None:
    """A scorer with the shipped network on the scale of a training with noise alone."""
    shipped = load_network("severity")
    scale = own_scale(judged(3), mix_of(("noise",)))
    scorer = SeverityScorer(replace(shipped, settings={**shipped.settings, "calibration": scale.to_json()}))
    for artifact in ("motion", "noise"):
        extra = scorer.score(degrade_volume(t1w, artifact, 1.0, seed=1)[0]).extra
        assert set(extra["families"]) == {"noise"}
        assert extra["family"] in ("none", "noise")
