# SPDX-License-Identifier: Apache-2.0
"""Reading scans: what can't be a scan fails with a cause and a hint, everything else gives the same values."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from bidsqa.errors import InputError
from bidsqa.image import fetch_command, load_volume, read_spacing
from bidsqa.image.nifti import open_nifti


def _ball(dtype: str = "int16", shape: tuple[int, ...] = (24, 20, 16)) -> np.ndarray:
    grid = np.indices(shape[:3]) - (np.array(shape[:3]).reshape(-1, 1, 1, 1) - 1) / 2
    values = 100.0 * ((grid**2).sum(axis=0) < 49) + 10 * np.arange(shape[2])
    return values.astype(dtype)


def _save(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine).to_filename(path)
    return path


def _refused(path: Path, cause: str) -> InputError:
    with pytest.raises(InputError) as caught:
        load_volume(path)
    assert cause in caught.value.cause
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "float32", "float64"])
def test_stored_type_does_not_change_values(tmp_path: Path, dtype: str) -> None:
    data = _ball("float64") * (0.4 if dtype == "int8" else 0.9)
    volume = load_volume(_save(tmp_path / "a.nii.gz", np.rint(data).astype(dtype)))
    np.testing.assert_array_equal(volume.data, np.rint(data).astype(np.float32))
    assert volume.facts.dtype == dtype
    assert volume.data.dtype == np.float32
    assert volume.data.flags.c_contiguous


def test_scaling_of_the_header_is_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(_ball(), np.eye(4))
    image.header.set_slope_inter(0.5, 7)
    path = tmp_path / "scaled.nii"
    # the writer keeps the stored integers when slope and intercept are set on a file map
    image.to_filename(path)
    volume = load_volume(path)
    np.testing.assert_allclose(volume.data, nibabel.load(path).get_fdata(), rtol=1e-6)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "AIL", "SRP"])
def test_orientation_is_undone_without_resampling(tmp_path: Path, codes: str) -> None:
    data = _ball()
    data[3, 5, 7] = 999
    affine = np.diag([1.5, 2.0, 3.0, 1.0])
    reference = load_volume(_save(tmp_path / "ras.nii", data, affine))
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    turned = nibabel.Nifti1Image(data, affine).as_reoriented(turn)
    volume = load_volume(_save(tmp_path / "turned.nii", np.asarray(turned.dataobj), turned.affine))
    np.testing.assert_array_equal(volume.data, reference.data)
    np.testing.assert_allclose(volume.affine, affine)
    assert volume.facts.orientation == codes
    assert volume.spacing == (1.5, 2.0, 3.0)
    assert read_spacing(tmp_path / "turned.nii") == pytest.approx(volume.spacing)
    assert inv_ornt_aff(turn, data.shape).shape == (4, 4)


def test_oblique_angle_is_noted(tmp_path: Path) -> None:
    angle = np.radians(20)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    volume = load_volume(_save(tmp_path / "oblique.nii", _ball(), affine))
    assert volume.facts.oblique_degrees == pytest.approx(20, abs=0.01)
    np.testing.assert_allclose(volume.spacing, (1, 1, 1), rtol=1e-6)


def test_missing_orientation_warns(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(_ball(), None)
    image.header.set_zooms((2, 2, 2))
    image.header["sform_code"] = image.header["qform_code"] = 0
    image.to_filename(tmp_path / "noform.nii")
    volume = load_volume(tmp_path / "noform.nii")
    assert volume.spacing == (2, 2, 2)
    assert any("no orientation" in warning for warning in volume.facts.warnings)


def test_singular_orientation_is_replaced(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(_ball(), np.eye(4))
    image.header["srow_x"] = image.header["srow_y"] = (0, 0, 0, 0)
    image.header["sform_code"] = 1
    raw = image.header.binaryblock + b"\0" * 4 + _ball().tobytes(order="F")
    path = tmp_path / "singular.nii"
    path.write_bytes(raw)
    volume = load_volume(path)
    assert any("unusable" in warning for warning in volume.facts.warnings)


def test_not_finite_and_negative_values_are_noted(tmp_path: Path) -> None:
    data = _ball("float32")
    data[0, 0, :3] = (np.nan, np.inf, -5)
    volume = load_volume(_save(tmp_path / "nan.nii", data))
    assert np.isfinite(volume.data).all()
    assert (volume.facts.nonfinite_voxels, volume.facts.negative_voxels) == (2, 1)
    assert len(volume.facts.warnings) == 2


def test_image_in_memory_equals_its_file(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii.gz", _ball())
    image = nibabel.load(path)
    from_file, in_memory = load_volume(path), load_volume(nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine))
    np.testing.assert_array_equal(from_file.data, in_memory.data)
    assert from_file.facts == in_memory.facts


def test_checksum_is_of_the_values_not_of_the_file(tmp_path: Path) -> None:
    packed = load_volume(_save(tmp_path / "a.nii.gz", _ball()))
    plain = load_volume(_save(tmp_path / "a.nii", _ball()))
    other = load_volume(_save(tmp_path / "b.nii", _ball() + 1))
    assert packed.facts.sha256 == plain.facts.sha256 != other.facts.sha256


def test_trailing_singleton_axis_is_dropped(tmp_path: Path) -> None:
    assert load_volume(_save(tmp_path / "a.nii", _ball()[..., None])).shape == (24, 20, 16)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (np.zeros((9, 9, 9), "int16"), "every voxel is zero"),
        (np.full((9, 9, 9), 7, "int16"), "same value (7)"),
        (np.full((9, 9, 9), np.nan, "float32"), "not finite"),
        (np.arange(81, dtype="int16").reshape(9, 9), "single slice"),
        (np.arange(81, dtype="int16").reshape(9, 9, 1), "axis has only 1 voxel "),
        (np.arange(2187, dtype="int16").reshape(9, 9, 9, 3), "has 3 volumes"),
        (np.ones((9, 9, 9), "complex64"), "complex"),
    ],
)
def test_what_is_no_scan_is_refused(tmp_path: Path, data: np.ndarray, cause: str) -> None:
    _refused(_save(tmp_path / "bad.nii", data), cause)


def test_colour_image_is_refused(tmp_path: Path) -> None:
    colours = np.zeros((9, 9, 9), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    _refused(_save(tmp_path / "rgb.nii", colours), "colour")


@pytest.mark.parametrize("edge", [1e-4, 500.0])
def test_implausible_voxels_are_refused(tmp_path: Path, edge: float) -> None:
    _refused(_save(tmp_path / "voxels.nii", _ball(), np.diag([edge, 1, 1, 1])), "voxel size")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = _save(tmp_path / "whole.nii.gz", np.random.default_rng(0).integers(0, 999, (40, 40, 40)).astype("int16"))
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    _refused(cut, "damaged")
    (tmp_path / "empty.nii.gz").write_bytes(b"")
    _refused(tmp_path / "empty.nii.gz", "empty")
    (tmp_path / "text.nii.gz").write_bytes(gzip.compress(b"not an image" * 100))
    _refused(tmp_path / "text.nii.gz", "not a NIfTI")
    (tmp_path / "raw.nii.gz").write_bytes(b"no gzip at all" * 100)
    assert _refused(tmp_path / "raw.nii.gz", "raw.nii.gz")
    plain = _save(tmp_path / "plain.nii", _ball())
    plain.write_bytes(plain.read_bytes()[:2000])
    _refused(plain, "more than the file can hold")


def test_header_that_promises_a_universe_allocates_nothing(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype("int16")
    header["dim"] = [3, 30000, 30000, 30000, 1, 1, 1, 1]
    header["magic"] = b"n+1"
    header["vox_offset"] = 352
    for name, pack in (("huge.nii", bytes), ("huge.nii.gz", gzip.compress)):
        (tmp_path / name).write_bytes(pack(header.binaryblock + b"\0" * 1000))
        _refused(tmp_path / name, "more than the file can hold")


def test_link_without_content_names_datalad(tmp_path: Path) -> None:
    link = tmp_path / "sub-01_T1w.nii.gz"
    link.symlink_to(tmp_path / ".git" / "annex" / "objects" / "gone")
    assert "datalad get" in _refused(link, "not here").hint


def test_the_command_that_fetches_content_can_be_pasted(tmp_path: Path) -> None:
    link = tmp_path / "my study" / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "gone")
    assert fetch_command(link) == "datalad get sub-01_T1w.nii.gz"
    (tmp_path / ".git").mkdir()
    assert fetch_command(link) == "datalad get 'my study/sub-01/anat/sub-01_T1w.nii.gz'"
    (tmp_path / "my study" / "dataset_description.json").symlink_to(tmp_path / "gone")
    assert _refused(link, "not here").hint.endswith(": datalad get sub-01/anat/sub-01_T1w.nii.gz")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii", _ball())
    path.chmod(0)
    _refused(path, "can't be read")


def test_extensions_are_never_read(tmp_path: Path) -> None:
    image = nibabel.Nifti2Image(_ball(), np.eye(4))
    image.header["intent_code"] = 3006  # CIFTI: its extension would be parsed as XML
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(32, b"<CIFTI" + b"x" * 90))
    path = tmp_path / "scan.nii.gz"
    image.to_filename(path)
    np.testing.assert_array_equal(load_volume(path).data, _ball().astype(np.float32))
    assert open_nifti(path).header.extensions.get_codes() == []


def test_packing_that_is_not_gzip_is_named(tmp_path: Path) -> None:
    _refused(_save(tmp_path / "scan.nii.bz2", _ball()), "packed in another way than gzip")


def test_freesurfer_files_are_packed_by_gzip(tmp_path: Path) -> None:
    path = tmp_path / "scan.mgz"
    nibabel.MGHImage(np.zeros((64, 64, 64), "float32") + np.arange(64, dtype="float32"), np.eye(4)).to_filename(path)
    assert load_volume(path).shape == (64, 64, 64)
