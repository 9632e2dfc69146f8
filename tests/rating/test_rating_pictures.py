# SPDX-License-Identifier: Apache-2.0
"""Pictures of items: made again the same, in one grey scale, telling nothing about whose they are."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bidsqa.bids import acquisition, collect_scans
from bidsqa.errors import InputError, UsageError
from bidsqa.image import Volume, load_volume
from bidsqa.rating.items import RULER_DB, SERIES_DB, Settings, make_pool, plan_items
from bidsqa.rating.pictures import CLEAN, Gallery, degrade_slices, encode, noise_series
from bidsqa.rating.ruler_images import RulerImages
from bidsqa.rating.store import Store
from bidsqa.rulers import kind_of_scan, match_ruler, shipped_rulers, write_ruler
from bidsqa.simulation import ARTIFACTS
from bidsqa.simulation.coil_noise import bright_part, snr_db


def contents(tmp_path: Path, scans, task: str, **settings) -> list[dict]:
    store = Store(tmp_path / "ratings.sqlite", create=True)
    return [item.content for item in make_pool(store, task, scans, Settings(**settings)).main]


def test_a_pair_can_be_made_again_from_what_is_stored(tmp_path: Path, scans) -> None:
    content = contents(tmp_path, scans, "pairwise")[0]
    one, other = Gallery(scans[0].root), Gallery(scans[0].root)
    shown = one.look(content, (0, 3, CLEAN))
    assert set(shown["image"]["versions"]) == {"0", "3"}
    assert [part["name"] for part in shown["image"]["versions"]["3"]] == [
        part["name"] for part in content["versions"][3]
    ]
    assert np.array_equal(one.floats(content, 3), other.floats(content, 3))
    assert not np.array_equal(one.floats(content, 3), one.floats(content, 0))
    volume = load_volume(scans[0].path)
    assert shown["image"]["sha256"] == volume.facts.sha256
    clean = one.floats(content, CLEAN)
    expected = volume.data[:, :, shown["image"]["slices"][0]].T[::-1]
    assert np.array_equal(clean[0], expected), "the clean image is the scan's own slice, no voxel changed"


def test_a_stack_is_paged_through_and_degraded_slice_by_slice(tmp_path: Path, scans) -> None:
    content = contents(tmp_path, scans, "pairwise", unit="volume", artifacts=("coil_noise",))[0]
    gallery = Gallery(scans[0].root)
    shown = gallery.look(content, (0,))
    stack, clean = gallery.floats(content, 0), gallery.floats(content, CLEAN)
    assert stack.shape == clean.shape
    assert len(stack) == len(shown["image"]["slices"]) > 10
    noise = stack - clean
    # in the air the magnitude's noise has a mean, which slices share
    bright = (clean[10] > np.percentile(clean[10], 70)) & (clean[11] > np.percentile(clean[11], 70))
    alike = np.corrcoef(noise[10][bright], noise[11][bright])[0, 1]
    assert abs(alike) < 0.3, "each slice has noise of its own"


def test_one_grey_scale_for_all_versions_and_no_text_in_the_file(tmp_path: Path, scans) -> None:
    content = contents(tmp_path, scans, "min_acceptable")[0]
    gallery = Gallery(scans[0].root)
    shown = gallery.look(content)
    low, high = shown["series"]["window"]
    for version in range(5):
        data = gallery.png(content, shown, "series", version, 0)
        picture = Image.open(io.BytesIO(data))
        assert picture.mode == "L"
        assert not picture.info
        assert b"sub-" not in data
        values = gallery.series_floats(content)[version, 0]
        expected = np.clip(np.rint((values - low) * 255 / (high - low)), 0, 255)
        assert np.abs(np.asarray(picture).astype(float) - expected).max() <= 1
    for version, index in ((7, 0), (0, 5), (-3, 0)):
        with pytest.raises(IndexError):
            gallery.png(content, shown, "series", version, index)


def test_sides_of_the_head(tmp_path: Path, scans) -> None:
    content = contents(tmp_path, scans, "likert")[0]
    plain, turned = Gallery(scans[0].root), Gallery(scans[0].root, radiological=True)
    assert plain.marks("axial") == ["L", "R"]
    assert turned.marks("axial") == ["R", "L"]
    assert turned.marks("sagittal") == ["P", "A"]
    pictures = []
    for gallery in (plain, turned):
        shown = gallery.look(content, (0,))
        pictures.append(np.asarray(Image.open(io.BytesIO(gallery.png(content, shown, "image", 0, 0)))))
    assert np.array_equal(pictures[0], pictures[1][:, ::-1])
    assert not np.array_equal(pictures[0], pictures[1])


@pytest.mark.parametrize("steps", [SERIES_DB, RULER_DB])
def test_a_series_is_equal_in_decibel(t1w: Volume, steps: tuple[float, ...]) -> None:
    stack = np.ascontiguousarray(t1w.data[:, :, 40].T[::-1])[None]
    versions, strengths = noise_series(stack, steps, coils=8, seed=3)
    clean = stack.astype(float)
    found = [10 * np.log10((clean**2).sum() / ((clean - version) ** 2).sum()) for version in versions[:-1]]
    assert np.diff(found) == pytest.approx(np.diff(steps), abs=0.05)
    assert found == pytest.approx(steps, abs=0.05)
    assert np.array_equal(versions[-1], stack)
    noises = [(version - clean) / np.linalg.norm(version - clean) for version in versions[:-1]]
    assert (noises[0] * noises[-1]).sum() > 0.8, "one draw, scaled"
    assert strengths[-1] == (None, 0.0)
    drawn = torch.from_numpy(stack)[:, None]
    parameters = ARTIFACTS["coil_noise"].sample(torch.Generator().manual_seed(0), strengths[1][1], coils=8)
    parameters["noise_seed"] = torch.tensor([3])
    expected = ARTIFACTS["coil_noise"].apply(drawn, parameters)[0, 0].numpy()
    assert np.allclose(versions[1][0], expected, rtol=1e-4, atol=1e-3 * stack.max()), "as the simulation puts it on"
    assert [value for _, value in strengths] == sorted((value for _, value in strengths), reverse=True)


def test_the_decibels_of_a_readers_series_are_those_of_the_head(tmp_path: Path, scans) -> None:
    content = contents(tmp_path, scans, "min_acceptable")[0]
    versions = Gallery(scans[0].root).series_floats(content)[:, 0]
    assert len(versions) == 5
    bright = bright_part(versions[-1])
    found = [snr_db(versions[-1], version, bright) for version in versions[:-1]]
    assert found == pytest.approx(SERIES_DB, abs=0.05)
    # air with noise counts for most of the error over all pixels: there the same versions have fewer decibels
    assert all(snr_db(versions[-1], version) < level for version, level in zip(versions, SERIES_DB, strict=False))
    # as recipes of before have it
    before = {**content, "series": {key: content["series"][key] for key in ("db", "coils", "seed")}}
    older = Gallery(scans[0].root).series_floats(before)[:, 0]
    assert snr_db(older[-1], older[0]) == pytest.approx(SERIES_DB[0], abs=0.05)


def test_an_image_that_no_noise_can_spoil_is_refused() -> None:
    # a head of which the median is dark but a few pixels very bright
    stack = np.ones((1, 32, 32), dtype=np.float32)
    stack[0, :2, :2] = 1e6
    with pytest.raises(InputError, match="dB"):
        noise_series(stack * 1e-3, (-90.0,), coils=8, seed=0)


def test_artifacts_come_one_after_the_other(t1w: Volume) -> None:
    stack = np.ascontiguousarray(t1w.data[:, :, 40].T[::-1])[None]
    recipe = [{"name": "blur", "strength": 0.5, "seed": 1}, {"name": "coil_noise", "strength": 0.3, "seed": 2}]
    both, told = degrade_slices(stack, recipe, (2.0, 2.0))
    blurred, _ = degrade_slices(stack, recipe[:1], (2.0, 2.0))
    again, _ = degrade_slices(blurred, recipe[1:], (2.0, 2.0))
    assert np.array_equal(both, again)
    assert [part["name"] for part in told] == ["blur", "coil_noise"]
    assert told[1]["sigma"] == pytest.approx(0.06)
    nothing, _ = degrade_slices(stack, [{"name": "motion", "strength": 0.0, "seed": 1}], (2.0, 2.0))
    assert np.array_equal(nothing, stack)


def test_flat_windows_dont_divide_by_zero() -> None:
    assert np.asarray(Image.open(io.BytesIO(encode(np.zeros((4, 4)), (0.0, 1.0))))).max() == 0


def test_rulers_of_a_folder(tmp_path: Path, scans) -> None:
    rulers = tmp_path / "rulers"
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (8, 40, 30)).astype(np.uint8)
    (rulers / "arrays").mkdir(parents=True)
    np.savez_compressed(rulers / "arrays" / "versions.npz", versions=images.astype(np.float32))
    (rulers / "pictures").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(rulers / "pictures" / f"v{number}.png")
    (rulers / "empty").mkdir()
    found = RulerImages(rulers)
    assert found.names == ["arrays", "pictures"]
    for name in found.names:
        assert np.array_equal(found.read(name), images)
    content = {"series": {"ruler": "arrays"}, "versions": [[]], "unit": "slice"}
    gallery = Gallery(scans[0].root, found)
    shown = gallery.look(content)
    picture = np.asarray(Image.open(io.BytesIO(gallery.png(content, shown, "series", 7, 0))))
    assert picture.shape == (40, 30)
    with pytest.raises(InputError, match="no ruler"):
        found.read("../arrays")
    with pytest.raises(InputError, match="not at hand"):
        Gallery(scans[0].root).look(content)


def test_without_a_folder_the_rulers_are_those_that_ship(tmp_path: Path, scans) -> None:
    shipped = RulerImages(suffixes={"T1w", "T2w"})
    assert shipped.suffixes == {"T1w-2D": "T1w", "T1w-3D": "T1w", "T2w-2D": "T2w", "T2w-3D": "T2w"}
    assert len(RulerImages().names) == 8
    store = Store(tmp_path / "store.sqlite", create=True)
    asked = make_pool(store, "ruler_threshold", scans, Settings(), shipped.suffixes).main
    assert [item.content["series"]["ruler"] for item in asked] == shipped.names
    read = make_pool(store, "ruler_score", scans, Settings(per_scan=8), shipped.suffixes).main
    assert len(read) == 8 * len(scans)
    for item in read:
        assert shipped.suffixes[item.content["series"]["ruler"]] == item.content["suffix"]
    assert len({item.content["series"]["ruler"] for item in read}) == 4, "not told which is nearest"
    ruler = next(one for one in shipped_rulers() if one.name == "T1w-3D")
    content = next(item.content for item in asked if item.content["series"]["ruler"] == "T1w-3D")
    gallery = Gallery(scans[0].root, shipped)
    assert gallery.look(content)["series"]["sha256"] == ruler.sha256
    assert np.array_equal(gallery.series_floats(content)[:, 0], ruler.versions)


def test_an_image_is_shown_with_the_ruler_that_the_main_job_reads_it_against(
    tmp_path: Path, bids_dataset: Callable[..., Path]
) -> None:
    about = {"sub-02_T1w": {"MRAcquisitionType": "2D"}, "sub-03_T1w": {"BodyPartExamined": "KNEE"}}
    names = ("sub-01_T1w", "sub-02_T1w", "sub-03_T1w")
    scans = list(collect_scans(bids_dataset(*names, sidecars=about)).scans)
    (scans[0].path.parent / "sub-01_T2w.nii.gz").write_bytes(b"damaged")
    damaged = replace(scans[0], path=scans[0].path.parent / "sub-01_T2w.nii.gz", suffix="T2w")
    shipped = RulerImages()
    nearest = {scan.relative_path: shipped.nearest(scan) for scan in (*scans, damaged)}
    assert list(nearest.values()) == [["T1w-3D"], ["T1w-2D"], [], ["T2w-2D", "T2w-3D"]]
    for scan in scans[:2]:
        volume = load_volume(scan.path)
        kind = kind_of_scan(scan.suffix, acquisition(scan.sidecar), volume.spacing)
        assert [match_ruler(kind, shipped_rulers()).ruler.name] == nearest[scan.relative_path]
    plan = plan_items("ruler_score", scans, Settings(per_scan=4), shipped.suffixes, nearest)
    asked = {(item["subject"], item["series"]["ruler"]) for item in (*plan.main, *plan.practice)}
    assert asked == {("01", "T1w-3D"), ("02", "T1w-2D")}
    folder = tmp_path / "rulers"
    write_ruler(next(one for one in shipped_rulers() if one.name == "T1w-2D"), folder / "ours")
    (folder / "plain").mkdir()
    np.savez_compressed(folder / "plain" / "versions.npz", versions=np.ones((8, 40, 30)))
    assert RulerImages(folder).nearest(scans[0]) == ["ours"]
    assert RulerImages(folder).nearest(scans[2]) == ["plain"], "what tells no kind serves where nothing else fits"


def test_images_for_which_there_is_no_ruler_are_not_asked_about(tmp_path: Path, scans) -> None:
    store = Store(tmp_path / "store.sqlite", create=True)
    pool = make_pool(store, "ruler_score", scans, Settings(practice=4), {"ours": "T2w"})
    assert [item.content["suffix"] for item in (*pool.main, *pool.practice)] == ["T2w", "T2w"]
    with pytest.raises(UsageError, match="kind of image"):
        make_pool(store, "ruler_score", scans, Settings(), {"ours": "FLAIR"})


def test_a_ruler_of_ones_own_with_changed_images_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "rulers" / "ours"
    write_ruler(shipped_rulers()[0], folder)
    assert RulerImages(folder.parent).suffixes == {"ours": "FLAIR"}
    assert RulerImages(folder).names == ["ours"]
    np.savez_compressed(folder / "versions.npz", versions=np.ones((8, 40, 30), dtype=np.uint8))
    with pytest.raises(InputError, match="checksum"):
        RulerImages(folder.parent)


@pytest.mark.parametrize("content", [b"not an archive", None])
def test_a_damaged_ruler_is_told(tmp_path: Path, content: bytes | None) -> None:
    folder = tmp_path / "rulers" / "one"
    folder.mkdir(parents=True)
    if content is None:
        np.savez_compressed(folder / "versions.npz", versions=np.zeros((3, 40, 30)))
    else:
        (folder / "versions.npz").write_bytes(content)
    with pytest.raises(InputError, match="ruler one"):
        RulerImages(folder.parent).read("one")


def test_a_folder_without_rulers_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no ruler"):
        RulerImages(tmp_path)


def test_rulers_come_from_another_participant_of_the_same_contrast(tmp_path: Path, scans) -> None:
    for content in contents(tmp_path, scans, "ruler_score"):
        assert content["series"]["suffix"] == content["suffix"]
        alone = content["suffix"] == "T2w"
        assert (content["series"]["subject"] == content["subject"]) == alone
