# SPDX-License-Identifier: Apache-2.0
"""Which ruler a scan gets, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bidsqa.rulers import Kind, Ruler, Threshold, kind_of_scan, match_ruler
from bidsqa.rulers.ruler import PERSON


def named(name: str, ruler: Ruler, *, shipped: bool = True, threshold: Threshold | None = None, **kind: Any) -> Ruler:
    made = replace(ruler, name=name, shipped=shipped, kind=replace(ruler.kind, **kind))
    return made if threshold is None else made.with_threshold(threshold)


@pytest.mark.parametrize(
    ("acquisition", "spacing", "kind"),
    [
        ({}, (1, 1, 1), Kind("T1w", "3D", pixel=1.0)),
        ({}, (0.9, 0.9, 5), Kind("T1w", "2D", pixel=0.9)),
        ({"MRAcquisitionType": "3D"}, (0.9, 0.9, 2), Kind("T1w", "3D", pixel=0.9)),
        ({"MRAcquisitionType": "5D"}, (0.9, 0.9, 2), Kind("T1w", "2D", pixel=0.9)),
        ({"MagneticFieldStrength": 15000}, (1, 1, 1), Kind("T1w", "3D", 1.5, pixel=1.0)),
        ({"MagneticFieldStrength": "3"}, (1, 1, 1), Kind("T1w", "3D", pixel=1.0)),
        ({"MagneticFieldStrength": True}, (1, 1, 1), Kind("T1w", "3D", pixel=1.0)),
        ({"ScanOptions": "PFP\\FS"}, (1, 1, 1), Kind("T1w", "3D", fat_saturation=True, pixel=1.0)),
        ({"ScanOptions": ["IR", "PFP"]}, (1, 1, 1), Kind("T1w", "3D", fat_saturation=False, pixel=1.0)),
        ({"ScanOptions": [3, None]}, (1, 1, 1), Kind("T1w", "3D", pixel=1.0)),
        ({"BodyPart": "HEAD"}, (1, 1, 1), Kind("T1w", "3D", pixel=1.0)),
        ({"BodyPart": "Knee "}, (1, 1, 1), Kind("T1w", "3D", body_part="knee", pixel=1.0)),
        ({"BodyPart": ["KNEE"]}, (1, 1, 1), Kind("T1w", "3D", pixel=1.0)),
    ],
)
def test_the_kind_of_a_scan(acquisition: dict[str, Any], spacing: tuple[float, float, float], kind: Kind) -> None:
    assert kind_of_scan("T1w", acquisition, spacing) == kind


def test_suffix_and_body_part_must_agree(ruler: Ruler) -> None:
    rulers = [named("T1w-3D", ruler), named("knee", ruler, body_part="knee")]
    assert match_ruler(Kind("T2w", "3D"), rulers) is None
    assert match_ruler(Kind("T1w", "3D", body_part="spine"), rulers) is None
    found = match_ruler(Kind("T1w", "3D", body_part="knee"), rulers)
    assert found
    assert found.ruler.name == "knee"
    assert "knee as the scan" in found.why
    assert match_ruler(Kind("T1w", "3D"), []) is None


def test_the_order_of_what_counts(ruler: Ruler) -> None:
    plain = named("T1w-3D", ruler)
    flat = named("T1w-2D", ruler, dimension="2D")
    low = named("T1w-3D-15", ruler, field_strength=1.5)
    fat = named("T1w-3D-fs", ruler, fat_saturation=True)
    fine = named("T1w-3D-fine", ruler, pixel=0.5)
    person = named("T1w-3D-set", ruler, threshold=Threshold(4.5, PERSON))
    own = named("zz-own", ruler, shipped=False, dimension="2D")

    def chosen(kind: Kind, *rulers: Ruler) -> str:
        found = match_ruler(kind, rulers)
        assert found
        assert match_ruler(kind, rulers[::-1]).ruler is found.ruler  # type: ignore[union-attr]
        return found.ruler.name

    assert chosen(Kind("T1w", "3D", 3.0, pixel=1.0), plain, flat) == "T1w-3D"
    assert chosen(Kind("T1w", "2D", 3.0, pixel=1.0), plain, flat) == "T1w-2D"
    assert chosen(Kind("T1w", "3D", 1.5, pixel=1.0), plain, low) == "T1w-3D-15"
    assert chosen(Kind("T1w", "3D", 3.0, True, pixel=1.0), plain, fat) == "T1w-3D-fs"
    assert chosen(Kind("T1w", "3D", 3.0, pixel=1.0), plain, fat) == "T1w-3D"
    assert chosen(Kind("T1w", "3D", 3.0, pixel=0.6), plain, fine) == "T1w-3D-fine"
    assert chosen(Kind("T1w", "3D", 3.0, pixel=0.6), fine, person) == "T1w-3D-set"
    assert chosen(Kind("T1w", "3D", 1.5, pixel=1.0), low, person) == "T1w-3D-15"
    assert chosen(Kind("T1w", "3D", 3.0, pixel=1.0), plain, own) == "zz-own"


def test_equal_rulers_go_by_name(ruler: Ruler) -> None:
    found = match_ruler(Kind("T1w", "3D"), [named("b", ruler), named("a", ruler)])
    assert found
    assert found.ruler.name == "a"


def test_why_in_words(ruler: Ruler) -> None:
    found = match_ruler(Kind("T1w", "2D", 1.5, False), [named("T1w-3D", ruler, fat_saturation=True)])
    assert found
    assert found.why == (
        "a ruler that ships with bidsqa",
        "T1w as the scan",
        "3D, the scan is 2D",
        "with fat saturation, the scan is without fat saturation",
        "made at 3 T and the scan at 1.5 T",
    )
