# SPDX-License-Identifier: Apache-2.0
"""A ruler's folder: what is written comes back, and nothing in a folder from elsewhere is trusted."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bidsqa.errors import InputError
from bidsqa.rulers import Ruler, Threshold, read_ruler, write_ruler, write_threshold
from bidsqa.rulers.folder import FACTS, IMAGES, LARGEST_ARRAY, PICTURE
from bidsqa.rulers.ruler import PERSON


@pytest.fixture
def folder(tmp_path: Path, ruler: Ruler) -> Path:
    write_ruler(ruler, tmp_path / "our")
    return tmp_path / "our"


def change(folder: Path, **values: Any) -> None:
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps(facts | values))


def put_images(folder: Path, data: bytes) -> None:
    """Other images with a right checksum."""
    (folder / IMAGES).write_bytes(data)
    facts = json.loads((folder / FACTS).read_text())
    facts["images"]["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / FACTS).write_text(json.dumps(facts))


def packed(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def test_what_is_written_comes_back(tmp_path: Path, ruler: Ruler) -> None:
    written = write_ruler(ruler, tmp_path / "our")
    found = read_ruler(tmp_path / "our")
    assert np.array_equal(found.versions, ruler.versions)
    assert found.versions.dtype == ruler.versions.dtype
    assert (found.name, found.kind, found.threshold) == (ruler.name, ruler.kind, ruler.threshold)
    assert found.snr_db == pytest.approx(ruler.snr_db)
    assert found.provenance == ruler.provenance
    assert found.sha256 == written.sha256 == hashlib.sha256((tmp_path / "our" / IMAGES).read_bytes()).hexdigest()
    assert Image.open(tmp_path / "our" / PICTURE).size[0] > 100


def test_the_same_ruler_gives_the_same_file(tmp_path: Path, ruler: Ruler) -> None:
    first, second = (write_ruler(ruler, tmp_path / name) for name in ("a", "b"))
    assert first.sha256 == second.sha256


def test_a_threshold_changes_nothing_else(folder: Path) -> None:
    before = (folder / IMAGES).read_bytes(), (folder / PICTURE).read_bytes(), json.loads((folder / FACTS).read_text())
    write_threshold(folder, Threshold(4.5, PERSON, "AB", "2026-01-31"))
    after = json.loads((folder / FACTS).read_text())
    assert ((folder / IMAGES).read_bytes(), (folder / PICTURE).read_bytes()) == before[:2]
    assert after.pop("threshold") == {"value": 4.5, "label_source": PERSON, "set_by": "AB", "set_on": "2026-01-31"}
    del before[2]["threshold"]
    assert after == before[2]
    assert read_ruler(folder).threshold.by_person


def test_a_threshold_of_no_step_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"steps of 0\.5"):
        write_threshold(folder, Threshold(4.2, PERSON))
    assert read_ruler(folder).threshold.value == 3.0


def test_a_new_threshold_is_marked_as_no_human(folder: Path) -> None:
    facts = json.loads((folder / FACTS).read_text())
    assert facts["threshold"]["label_source"] == "automatic rule, no human"


def test_changed_images_are_noticed(folder: Path) -> None:
    data = bytearray((folder / IMAGES).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / IMAGES).write_bytes(data)
    with pytest.raises(InputError, match="checksum differs"):
        read_ruler(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"suffix": "../T1w"},
        {"suffix": 7},
        {"dimension": "4D"},
        {"name": "../../etc"},
        {"name": ""},
        {"name": "a" * 65},
        {"threshold": None},
        {"threshold": {"value": "4"}},
        {"threshold": {"value": 4.25}},
        {"threshold": {"value": 1e400}},
        {"threshold": {"value": 3.0, "label_source": "the radiologist"}},
        {"field_strength": -3},
        {"pixel": 1e9},
        {"format": "other"},
        {"format_version": 2},
        {"images": []},
        {"images": {"sha256": None}},
    ],
    ids=str,
)
def test_facts_that_make_no_ruler(folder: Path, values: dict[str, Any]) -> None:
    change(folder, **values)
    with pytest.raises(InputError) as caught:
        read_ruler(folder)
    assert caught.value.hint


def test_another_shape_than_the_facts_say(folder: Path) -> None:
    facts = json.loads((folder / FACTS).read_text())
    facts["images"]["shape"] = [8, 48, 40]
    (folder / FACTS).write_text(json.dumps(facts))
    with pytest.raises(InputError, match="another shape"):
        read_ruler(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": NaN}', "[" * 50_000, "\x00\xff", '"bidsqa-ruler"'])
def test_no_json(folder: Path, text: str) -> None:
    (folder / FACTS).write_text(text, encoding="latin-1")
    with pytest.raises(InputError):
        read_ruler(folder)


def test_texts_are_bounded_and_printable(folder: Path) -> None:
    change(folder, provenance={"source": "\x1b[31mred\n" + "x" * 5000, "list": [1], "deep": {"a": 1}, "seed": 4})
    notes = read_ruler(folder).provenance
    assert set(notes) == {"source", "seed"}
    assert notes["source"].startswith("[31mred")
    assert len(notes["source"]) == 300


def versions(**kind: Any) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 200, kind.pop("shape", (8, 40, 48))).astype(kind.pop("dtype", np.uint8))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: packed(versions=versions(shape=(7, 40, 48))), "8 images"),
        (lambda: packed(versions=versions(shape=(8, 40))), "8 images"),
        (lambda: packed(versions=versions(shape=(8, 8, 8))), "32 to 1024"),
        (lambda: packed(versions=versions(shape=(8, 40, 1100))), "32 to 1024"),
        (lambda: packed(versions=versions(dtype=np.float64)), "one of uint8"),
        (lambda: packed(versions=versions(dtype=np.complex64)), "no plain array"),
        (lambda: packed(versions=np.zeros((8, 40, 48), np.uint8)), "is empty"),
        (lambda: packed(versions=np.full((8, 40, 48), np.nan, np.float32)), "finite"),
        (lambda: packed(versions=versions().astype(np.float32) - 100), "negative"),
        (lambda: packed(other=versions()), "named versions"),
        (lambda: packed(versions=versions(), more=versions()), "named versions"),
        (lambda: b"", "damaged"),
        (lambda: b"PK\x03\x04 not an archive", "damaged"),
        (lambda: packed(versions=versions())[:-200], "damaged"),
    ],
)
def test_images_that_make_no_ruler(folder: Path, make: Callable[[], bytes], words: str) -> None:
    data = make()
    put_images(folder, data)
    content = json.loads((folder / FACTS).read_text())
    with np.errstate(all="ignore"):
        try:
            content["images"]["shape"] = list(np.load(io.BytesIO(data))["versions"].shape)
        except Exception:
            content["images"]["shape"] = []
    (folder / FACTS).write_text(json.dumps(content))
    with pytest.raises(InputError, match=words):
        read_ruler(folder)


class Trap:
    """Unpickling it leaves a mark."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["TRAP"],)


def test_nothing_is_unpickled(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAP", str(tmp_path / "sprung"))
    put_images(folder, packed(versions=np.array([Trap()] * 8, dtype=object)))
    with pytest.raises(InputError, match="can't be used"):
        read_ruler(folder)
    put_images(folder, pickle.dumps(Trap()))
    with pytest.raises(InputError, match="damaged"):
        read_ruler(folder)
    assert not (tmp_path / "sprung").exists()


def test_an_archive_that_unpacks_to_much_is_left(folder: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("versions.npy", bytes(LARGEST_ARRAY + 10))
    put_images(folder, stream.getvalue())
    with pytest.raises(InputError, match="unpacks to more"):
        read_ruler(folder)


def test_a_header_is_not_believed(folder: Path) -> None:
    inner = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (8, 1000, 1000)}
    np.lib.format.write_array_header_1_0(inner, header)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("versions.npy", inner.getvalue() + bytes(100))
    put_images(folder, stream.getvalue())
    with pytest.raises(InputError, match="no plain array"):
        read_ruler(folder)


def test_files_that_are_none(folder: Path) -> None:
    (folder / IMAGES).unlink()
    with pytest.raises(InputError, match=r"no versions\.npz"):
        read_ruler(folder)
    os.mkfifo(folder / IMAGES)
    with pytest.raises(InputError, match="no regular file"):
        read_ruler(folder)
    with pytest.raises(InputError, match="holds no ruler"):
        read_ruler(folder / "nowhere")


def test_a_ruler_that_is_none_is_not_written(tmp_path: Path, ruler: Ruler) -> None:
    with pytest.raises(InputError, match="can't have the name"):
        write_ruler(replace(ruler, name="a/b"), tmp_path / "our")
    assert not (tmp_path / "our").exists()


def test_any_kind_of_number_is_kept(tmp_path: Path, ruler: Ruler) -> None:
    for kind in ("uint8", "float16", "float32"):
        made = replace(ruler, versions=ruler.versions.astype(kind))
        assert np.array_equal(write_ruler(made, tmp_path / kind).versions, made.versions)
