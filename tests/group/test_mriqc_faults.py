# SPDX-License-Identifier: Apache-2.0
"""Which numbers of which version of MRIQC are not taken over."""

from __future__ import annotations

import pytest

from bidsqa.group.mriqc_faults import parse_version, why_not

SNR = {"snr_csf": 1.5, "snr_gm": 8.0, "snr_wm": 12.0, "snr_total": 7.2}


@pytest.mark.parametrize(("version", "mixed_up"), [("22.0.6", True), ("23.1.0", False)])
def test_tissues_of_old_t2w_scans(version: str, mixed_up: bool) -> None:
    assert bool(why_not("snr_wm", SNR, "T2w", parse_version(version))) is mixed_up
    assert why_not("snr_total", SNR, "T2w", parse_version(version)) == ""
    assert why_not("snr_wm", SNR, "T1w", parse_version(version)) == ""
