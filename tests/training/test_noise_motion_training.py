# SPDX-License-Identifier: Apache-2.0
"""The noise and motion network's training: steps of one task leave the other alone, sets, export, warm start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from bidsqa.models.loading import load_network  # noqa: E402
from bidsqa.models.networks_noise_motion import NoiseMotionNet  # noqa: E402
from bidsqa.simulation.coil_noise import bright_part, snr_db  # noqa: E402
from bidsqa.training import noise_motion, noise_motion_batches  # noqa: E402
from bidsqa.training.curve import Curve  # noqa: E402
from bidsqa.training.loop import Training, fit  # noqa: E402
from bidsqa.training.machine import choose_machine  # noqa: E402
from bidsqa.training.networks_meon import KINDS, MeonShaped, meon_batch, meon_loss, noise_quality  # noqa: E402
from bidsqa.training.noise_motion import NoiseMotionTask, loss_of, plan_of, ruler_errors  # noqa: E402
from bidsqa.training.noise_motion_batches import Batch, Recipe, Reserve, labels_of  # noqa: E402
from bidsqa.training.noise_motion_export import exported  # noqa: E402
from bidsqa.training.noise_motion_sets import (  # noqa: E402
    LOWEST,
    ORIGINAL,
    Windows,
    draw_clean,
    load_windows,
    motion_pair,
    noise_set,
    refiltered,
    save_windows,
    stripped,
    versions_at,
)

SIZE = 256


@pytest.fixture(scope="module")
def windows() -> Windows:
    rows, columns = np.meshgrid(np.linspace(-1.4, 1.4, SIZE), np.linspace(-1.4, 1.4, SIZE), indexing="ij")
    head = np.hypot(rows, 1.2 * columns) < 1
    images = [np.where(head, 0.6 + 0.3 * np.sin((11 + n) * rows) * np.cos(9 * columns), 0) for n in range(3)]
    about = np.array([[f"{n}", "site-A", "T1w", "axial"] for n in range(3)])
    return Windows(np.stack(images).astype(np.float16), np.full(3, 1 / 3), about)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_motion_batches, "MEAN_SETS", 2)
    for name, value in (("WATCHED_SETS", 2), ("WATCHED_PAIRS", 10)):
        monkeypatch.setattr(noise_motion, name, value)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(steps=4, noise_slices=1, motion_slices=2, rate=1e-3)


def values(part: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in part.state_dict().items()}


@pytest.mark.parametrize(("first", "untouched"), [(0, "motion"), (1, "noise")])
def test_a_step_leaves_the_other_branch_alone(
    windows: Windows, recipe: Recipe, tmp_path: Path, first: int, untouched: str
) -> None:
    """Also its batch norms' statistics, though the optimiser has moments of earlier steps for it."""
    task = NoiseMotionTask(recipe, windows, windows)
    training = Training(task, plan_of(recipe), tmp_path / "c", Curve(tmp_path / "curve.csv"), choose_machine("cpu"))
    for _ in range(2):  # both branches have moments now
        training.step(1e-3, 0.0)
    training.state.step = 2 + first
    branch, trunk = training.network.branches[untouched], training.network.trunk
    before, trunk_before = values(branch), values(trunk)
    other = training.network.branches["noise" if untouched == "motion" else "motion"]
    other_before = values(other)
    training.step(1e-3, 0.0)
    assert all(torch.equal(value, before[name]) for name, value in values(branch).items())
    assert any(not torch.equal(value, trunk_before[name]) for name, value in values(trunk).items())
    assert any(not torch.equal(value, other_before[name]) for name, value in values(other).items())


def test_a_stopped_training_goes_on_as_if_it_had_not(windows: Windows, recipe: Recipe, tmp_path: Path) -> None:
    def run(name: str, stop_at: int | None = None) -> dict[str, torch.Tensor]:
        counted = [0]

        def stop() -> bool:
            counted[0] += 1
            return stop_at is not None and counted[0] > stop_at

        task = NoiseMotionTask(recipe, windows, windows)
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        curve = Curve(folder / "curve.csv")
        machine = choose_machine("cpu")
        return values(fit(task, plan_of(recipe), folder / "checkpoint.safetensors", curve, machine, stop=stop).network)

    whole = run("whole")
    run("parts", stop_at=2)
    again = run("parts")
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_one_task_networks_get_their_own_batches(windows: Windows) -> None:
    for architecture, task in (("noise", "noise"), ("motion_relu_bn", "motion")):
        made = NoiseMotionTask(Recipe(architecture=architecture, noise_slices=1, motion_slices=1), windows, windows)
        assert [made.batch(step, 0.0).task for step in range(2)] == [task, task]
        assert set(made.watch(made.network(), made.watched)) >= {"watch_loss"}


def test_motion_may_have_more_turns_than_noise(windows: Windows) -> None:
    recipe = Recipe(noise_slices=1, motion_slices=1, motion_turns=2, largest_moves=3.0)
    made = NoiseMotionTask(recipe, windows, windows)
    batches = [made.batch(step, 0.9) for step in range(6)]
    assert [batch.task for batch in batches] == ["noise", "motion", "motion"] * 2
    assert not torch.equal(batches[1].slices, batches[2].slices)
    assert not torch.equal(batches[2].slices, batches[4].slices)


def test_levels_are_equal_steps_up_to_the_original(windows: Windows) -> None:
    rng = np.random.default_rng(0)
    versions, levels = noise_set(windows, rng)
    assert LOWEST[0] <= levels[0] <= LOWEST[1]
    assert levels[-1] == ORIGINAL == pytest.approx(2 * levels[-2] - levels[-3])
    clean, blank = draw_clean(windows, rng, augment=False)
    versions = versions_at((clean, np.zeros_like(blank)), np.array([12.0, 20.0]), rng, filled=False)
    found = [snr_db(versions[-1], version, bright_part(clean)) for version in versions[:-1]]
    assert found == pytest.approx([12, 20], abs=0.05)
    assert np.allclose(versions[-1], clean, atol=1e-3)


def test_blanked_air_stays_blank(windows: Windows) -> None:
    rng = np.random.default_rng(1)
    clean, _ = draw_clean(windows, rng, augment=False)
    versions = versions_at((clean, clean == 0), np.array([12.0]), rng)
    assert (versions[:, clean == 0] == 0).all()


def test_a_pair_differs_by_motion_alone(windows: Windows) -> None:
    rng = np.random.default_rng(2)
    pairs = [motion_pair(windows, rng, augment=False) for _ in range(4)]
    change = [float(np.abs(still - moved).mean() / still.mean()) for still, moved in pairs]
    assert max(change) > 0.01
    assert all(value < 0.5 for value in change)


def test_batches_hold_all_versions_of_a_slice(windows: Windows) -> None:
    reserve = Reserve(windows, Recipe(noise_slices=2, motion_slices=3), 20.0)
    noise, motion = reserve.batch("noise", 3), reserve.batch("motion", 3)
    assert noise.slices.shape == (10, 1, SIZE, SIZE)
    assert (noise.target.reshape(2, 5).diff(dim=1) > 0).all()
    assert motion.target.tolist() == [1, 0] * 3
    again = Reserve(windows, Recipe(noise_slices=2, motion_slices=3), 20.0).batch("noise", 3)
    assert torch.equal(again.slices, noise.slices)
    cut = reserve.batch("noise", 3, 128)
    assert cut.slices.shape == (10, 1, 128, 128)
    assert torch.equal(cut.target, noise.target)


def test_loss_is_a_root_mean_square_in_units_of_6_db() -> None:
    class Fixed(NoiseMotionNet):
        def task_output(self, slices, task):
            return torch.zeros(2)

    batch = Batch(torch.zeros(2, 1, 8, 8), torch.tensor([6.0, 18.0]), "noise")
    assert float(loss_of(Fixed(), batch)) == pytest.approx(np.sqrt((1 + 9) / 2))
    motion = Batch(torch.zeros(2, 1, 8, 8), torch.tensor([1.0, 0.0]), "motion")
    assert float(loss_of(Fixed(), motion)) == pytest.approx(np.log(2))


def test_labels_with_and_without_calibration() -> None:
    levels, iedd = np.array([12.0, 17, 22, 27, 32]), np.array([12.0, 16, 20, 24, 25])
    assert labels_of(levels, iedd, Recipe(labels="snr"), 0.0).tolist() == levels.tolist()
    assert labels_of(levels, iedd, Recipe(), 0.0).tolist() == iedd.tolist()
    # 22 dB by IEDD is half way between the third and the fourth version: a target of 24.5
    assert labels_of(levels, iedd, Recipe(labels="snr", eta=1.0), 20.0).tolist() == pytest.approx(
        (levels - 4.5).tolist()
    )


def test_ruler_errors_on_paper() -> None:
    levels = np.arange(8.0)
    assert ruler_errors([levels, levels]).tolist() == [0] * 16
    shifted = ruler_errors([levels, levels + 1])
    # read on the lower ruler all look one better, but the best, which can't; and the reverse
    assert shifted.sum() == 14


def test_windows_come_back(windows: Windows, tmp_path: Path) -> None:
    save_windows(windows, tmp_path / "pool.npz")
    again = load_windows(tmp_path / "pool.npz")
    assert np.array_equal(again.image, windows.image)
    assert again.about.tolist() == windows.about.tolist()


def test_exported_weights_give_what_the_network_gives_and_start_another(windows: Windows, tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = NoiseMotionNet()
    for parameter in network.parameters():  # equal tensors would be stored once, under one name
        parameter.data += 0.01 * torch.randn_like(parameter)
    slices = Reserve(windows, Recipe(), 20.0).batch("noise", 0).slices
    network.train()(slices)  # statistics that are not those of a new network
    path = tmp_path / "noise_motion.onnx"
    path.write_bytes(exported(network.eval(), "dual", "test"))
    outputs = load_network("noise_motion", weights=path).run({"slices": slices.numpy()})
    with torch.no_grad():
        wanted = network(slices)
    for found, true in zip(outputs[:2], wanted, strict=True):
        assert np.allclose(found, true.numpy(), atol=0.02)
    assert [part.shape for part in outputs[2:]] == [(10, 1, 8, 8)] * 2
    task = NoiseMotionTask(Recipe(noise_slices=1, motion_slices=2, start=path), windows, windows)
    started = task.network()
    task.warm(started)
    with torch.no_grad():
        again = started.eval()(slices)
    for found, true in zip(again, wanted, strict=True):
        assert torch.allclose(found, true, atol=0.1)


def test_the_network_shaped_like_meon_learns_from_three_kinds(windows: Windows) -> None:
    rng = np.random.default_rng(3)
    versions, levels = noise_set(windows, rng)
    slices, kind, quality = meon_batch(versions, levels, rng)
    assert slices.shape == (12, 1, SIZE, SIZE)
    assert kind.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert ((quality >= 9) & (quality <= 32)).all()
    torch.manual_seed(0)
    network = MeonShaped()
    logits, qualities = network(slices)
    assert logits.shape == qualities.shape == (12, len(KINDS))
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(6):
        loss = meon_loss(network, slices, kind, quality)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert noise_quality(network, slices).shape == (12,)


def test_stripping_leaves_what_lies_deep_and_its_edge_is_shared(windows: Windows) -> None:
    rng = np.random.default_rng(4)
    image, _ = draw_clean(windows, rng, augment=False)
    kept = stripped(image, rng)
    assert 0.05 < kept.mean() < (image > 0).mean()
    # nothing outside the head, nor of its edge
    head = ndimage.binary_fill_holes(image > 0.12)
    assert head[kept].all()
    assert not kept[head & ~ndimage.binary_erosion(head)].any()
    # an empty slice is left as it is
    assert stripped(np.zeros_like(image), rng).all()


def test_reconstruction_filters_keep_air_and_level(windows: Windows) -> None:
    rng = np.random.default_rng(5)
    image, _ = draw_clean(windows, rng, augment=False)
    for _ in range(5):
        filtered = refiltered(image, rng)
        assert (filtered[image == 0] == 0).all()
        # the centre of k-space is not changed
        assert filtered.sum() == pytest.approx(image.sum(), rel=0.05)
