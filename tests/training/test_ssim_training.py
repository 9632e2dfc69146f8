# SPDX-License-Identifier: Apache-2.0
"""The recipe of the SSIM network in small: it learns, resumes, weighs its sources; its export is what was trained."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bidsqa import models
from bidsqa.models.networks_ssim import ARCHITECTURES, SsimMap
from bidsqa.training import ssim
from bidsqa.training.checkpoints import averaged_weights, read_checkpoint
from bidsqa.training.curve import read_curve
from bidsqa.training.export import half_rounded, last_row, printed_tables, ship, to_onnx
from bidsqa.training.plan import Plan
from bidsqa.training.ssim import LEARNING, Recipe, Reserve, loss_of, part_chances, run_network, train
from bidsqa.training.ssim_pairs import Pairs, make_pairs
from bidsqa.training.ssim_pool import Slices
from bidsqa.validation.tables import Table

SIDE = 224
CLASSES = np.zeros(256, dtype=np.uint8)


def slices(subject: str, site: str, count: int = 3, plane: str = "axial", labels: bool = False) -> Slices:
    generator = np.random.default_rng(len(subject))
    axis = np.linspace(-1, 1, SIDE)
    head = np.broadcast_to(np.hypot(axis[:, None], axis[None]) < 0.7, (count, SIDE, SIDE)).copy()
    values = generator.random((count, SIDE // 4, SIDE // 4)).repeat(4, 1).repeat(4, 2)
    images = (head * 2).astype(np.uint8) if labels else (head * (0.3 + values)).astype(np.float16)
    return Slices(subject, site, "T1w", plane, images, head)


@pytest.fixture
def parts() -> list[Slices]:
    return [slices("a01", "a"), slices("a02", "a"), slices("b01", "b"), slices("map1", "maps", labels=True)]


def test_sites_weigh_by_the_root_of_their_scans_and_sources_by_the_mix(parts: list[Slices]) -> None:
    chances = part_chances(parts)
    assert chances.sum() == pytest.approx(1)
    real = ssim.MIX["real"] / (ssim.MIX["real"] + ssim.MIX["maps"])
    assert chances[3] == pytest.approx(1 - real)
    assert chances[0] == pytest.approx(chances[1])
    assert chances[2] / (chances[0] + chances[1]) == pytest.approx(1 / np.sqrt(2))


def test_planes_of_a_scan_share_its_weight() -> None:
    chances = part_chances([slices("a01", "a"), slices("a01", "a", plane="coronal"), slices("b01", "b")])
    assert chances[0] + chances[1] == pytest.approx(chances[2])


def test_the_loss_is_zero_for_the_truth_and_pulls_towards_it(parts: list[Slices]) -> None:
    clean = torch.from_numpy(parts[0].images.astype(np.float32))[:, None]
    pairs = make_pairs(clean, torch.from_numpy(parts[0].heads)[:, None], clean == 0, seed=0)
    assert float(loss_of((pairs.score, pairs.target), pairs)[0]) == pytest.approx(0, abs=1e-10)
    low = (pairs.score - 0.2).requires_grad_()
    loss_of(low, pairs)[0].backward()
    assert low.grad is not None
    assert bool((low.grad < 0).all())


def test_rate_warms_up_then_falls() -> None:
    plan = Plan(seed=1, rate=1.0, seconds=100.0, **LEARNING)
    rates = [plan.rate_at(0, share) for share in np.linspace(0, 1, 101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates[-1] == pytest.approx(0.01)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[3:]))


def test_a_reserve_that_goes_on_draws_what_an_unbroken_one_draws(parts: list[Slices]) -> None:
    recipe = Recipe(batch=6)
    seeds = [11, 12, 13, 14]
    unbroken, resumed = (Reserve(parts, part_chances(parts), CLASSES, recipe) for _ in range(2))
    for count in range(1, 4):
        unbroken.draw(seeds[:count], 96)
    first, second = (reserve.draw(seeds, 96) for reserve in (unbroken, resumed))
    assert first.kind == second.kind
    torch.testing.assert_close(first.degraded, second.degraded, rtol=0, atol=0)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setattr(ssim, "ARCHITECTURES", {**ARCHITECTURES, "tiny": lambda: SsimMap((4, 8, 8, 16))})
    return Recipe(architecture="tiny", steps=3, batch=4, cut=96, phantoms=(), drawn=0)


def test_training_stops_when_its_budget_is_spent_resumes_and_leaves_its_files(
    parts: list[Slices], small: Recipe, tmp_path: Path
) -> None:
    clean = torch.from_numpy(parts[0].images.astype(np.float32))[:, None]
    watched = [make_pairs(clean, torch.from_numpy(parts[0].heads)[:, None], clean == 0, seed=0)]
    trained = train(small, parts, CLASSES, watched, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.safetensors", "curve.csv"]
    checkpoint = tmp_path / "checkpoint.safetensors"
    tensors, facts = averaged_weights(checkpoint)
    assert facts["step"] == 3
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(tensors[name], value)
    train(replace(small, steps=5), parts, CLASSES, watched, tmp_path)
    assert read_checkpoint(checkpoint)[1]["step"] == 5
    assert len(read_curve(tmp_path / "curve.csv")) == 2


@pytest.mark.slow
def test_a_network_learns_to_tell_motion(parts: list[Slices]) -> None:
    torch.manual_seed(0)
    network = SsimMap((8, 8, 16, 16))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    clean = torch.from_numpy(np.concatenate([part.images for part in parts[:3]]).astype(np.float32))[:, None]
    head = torch.from_numpy(np.concatenate([part.heads for part in parts[:3]]))[:, None]
    pairs = make_pairs(clean, head, clean == 0, seed=0, plain=True)
    errors = []
    for _ in range(60):
        loss, error = loss_of(run_network(network.train(), pairs), pairs)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(float(error))
    assert errors[-1] < 0.3 * errors[0]


def test_export_equals_torch_and_rounding_costs_little(tmp_path: Path) -> None:
    torch.manual_seed(1)
    plain = SsimMap()
    with torch.no_grad():  # batch norms with a past, as after training
        for _ in range(2):
            plain.train()(torch.rand(4, 1, 64, 64), torch.ones(4, 1, 8, 8))
    plain.eval()
    rounded = half_rounded(plain)
    inputs = {
        "slices": np.random.default_rng(0).random((3, 1, SIDE, SIDE)).astype(np.float32),
        "head": np.random.default_rng(1).random((3, 1, 28, 28)).astype(np.float32),
    }
    tensors = [torch.from_numpy(value) for value in inputs.values()]
    settings = {"bidsqa_model": "ssim", "architecture": "ssim_map", "version": "test"}
    with torch.inference_mode():
        before, after = plain(*tensors), rounded(*tensors)
    assert float((before[0] - after[0]).abs().max()) < 1e-3
    sizes = []
    examples = {name: value[:2] for name, value in inputs.items()}
    cases = ((rounded, True, after, 1e-5), (plain, False, before, 1e-5), (plain, True, before, 1e-3))
    for network, half, wanted, tolerance in cases:
        content = to_onnx(network, examples, SsimMap.output_names, settings, half)
        sizes.append(len(content))
        path = tmp_path / "net.onnx"
        path.write_bytes(content)
        outputs = models.load_network("ssim", weights=path).run(inputs)
        for found, expected in zip(outputs, wanted, strict=True):
            np.testing.assert_allclose(found, expected.numpy(), atol=tolerance)
    assert sizes[0] < 0.6 * sizes[1]


def test_exports_repeat_byte_for_byte_and_name_no_machine() -> None:
    inputs = {"slices": np.zeros((2, 1, 64, 64), np.float32), "head": np.ones((2, 1, 8, 8), np.float32)}
    torch.manual_seed(2)
    network = half_rounded(SsimMap((4, 4, 8, 8)))
    first, second = (to_onnx(network, inputs, SsimMap.output_names, {"bidsqa_model": "ssim"}) for _ in range(2))
    assert first == second
    for trace in (b"/work", b"/home", b"site-packages", str(Path.cwd()).encode()):
        assert trace not in first


def test_shipping_adds_to_the_checksums(tmp_path: Path) -> None:
    one = ship("one.onnx", b"first", "# One\n", folder=tmp_path)
    two = ship("two.onnx", b"second", "# Two\n", folder=tmp_path)
    assert (tmp_path / "SHA256SUMS").read_text() == f"{one}  one.onnx\n{two}  two.onnx\n"
    assert (tmp_path / "two.md").read_text() == "# Two\n"
    newer = ship("one.onnx", b"third", "# One\n", folder=tmp_path)
    assert newer != one
    assert (tmp_path / "SHA256SUMS").read_text() == f"{newer}  one.onnx\n{two}  two.onnx\n"


def test_cards_hold_the_tables_and_the_curve_of_their_weights(tmp_path: Path) -> None:
    digest = "0123456789abcdef" * 4
    for name, known in (("ours", digest[:12]), ("others", "f" * 12)):
        Table(f"Of {name}", ("a|b", "c"), [["1|2", 3.0]], note=f"Weights {known}.").write(tmp_path / f"{name}.json")
    text = printed_tables([tmp_path / f"{name}.json" for name in ("ours", "others", "none")], digest)
    assert text == f"Of ours. Weights {digest[:12]}.\n\n| a/b | c |\n| --- | --- |\n| 1/2 | 3 |"
    assert printed_tables([], digest).startswith("Not yet measured")
    (tmp_path / "curve.csv").write_text("step,seconds,late\n1,2.5,\n8,9.5,\n")
    assert last_row(tmp_path / "curve.csv") == {"step": 8.0, "seconds": 9.5}
    ship("one.onnx", b"first", "# One\n", tmp_path / "curve.csv", folder=tmp_path)
    assert (tmp_path / "one_curve.csv").read_text().startswith("step")


def test_pairs_are_plain_data() -> None:
    empty = torch.zeros(0)
    assert Pairs(empty, empty, empty, empty, ()).kind == ()
