# SPDX-License-Identifier: Apache-2.0
"""THE list of metrics: one row each. Records, data dictionaries, pages and docs/metrics are made from it.

The rows under MRIQC's names stand here; those that MRIQC's structural part lacks in ``further_rows.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

from bidsqa.metrics import (
    background,
    contrast,
    field,
    geometry,
    noise,
    smoothness,
    summary,
    template,
    volumes,
)
from bidsqa.metrics.further_rows import FURTHER_ROWS
from bidsqa.metrics.row import Metric

_NAMES = {"csf": "cerebrospinal fluid", "gm": "grey matter", "wm": "white matter"}
_AXES = {"x": "left to right", "y": "back to front", "z": "bottom to top"}
_SAMPLE = "Tissue samples: voxels with posterior > 0.5, weighted by it; intensities divided by the bias field."
_NO_CLIP = "MRIQC (22.0 and later) reads an image clipped and rounded to 256 levels."
_WEIGHTS = "MRIQC since 23.1 weights all voxels by their posterior, which mixes in partial volume."
_SENTINEL = "MRIQC gives -1 where it can't be had."


def _per_tissue(prefix: str, text: str) -> dict[str, str]:
    return {f"{prefix}_{tissue}": text.format(name) for tissue, name in _NAMES.items()}


def _per_axis(prefix: str, text: str, mean: str = "") -> dict[str, str]:
    keys = {f"{prefix}_{axis}": text.format(way) for axis, way in _AXES.items()}
    return keys | ({f"{prefix}_avg": mean} if mean else {})


def _summary_row(region: str, name: str) -> Metric:
    told = {
        "mean": "Mean intensity of {}.",
        "median": "Median intensity of {}.",
        "mad": "Robust spread of {}: 1.4826 x median absolute deviation from the median.",
        "stdv": "Standard deviation of {}.",
        "k": "Peakedness of {}: excess kurtosis, 0 for a normal distribution.",
        "p05": "5th percentile of {}.",
        "p95": "95th percentile of {}.",
        "n": "Voxels in the sample of {}.",
    }
    return Metric(
        name=f"summary_{region}",
        keys={f"summary_{region}_{key}": text.format(name) for key, text in told.items()},
        function=summary.summary_of(region),
        needs=("tissue", "air") if region == "bg" else ("tissue",),
        unit="white matter = 1000",
        units={f"summary_{region}_k": "", f"summary_{region}_n": "voxels"},
        direction="none",
        bounds=(None, None),
        source="Esteban 2017, doi 10.1371/journal.pone.0184661",
        formula="Weighted mean, mid-distribution quantiles, standard deviation, MAD and excess kurtosis of one sample; "
        "scaled so that white matter with posterior >= 0.9 has the median 1000. "
        + ("Sample: stored values of the air mask." if region == "bg" else _SAMPLE),
        mriqc="MRIQC weights mean, quantiles and stdv but takes MAD and k over voxels above half the map's maximum, "
        "and n "
        f"is a sum of probabilities. {_NO_CLIP}",
    )


METRICS: tuple[Metric, ...] = (
    Metric(
        name="cjv",
        keys={"cjv": "Spread of grey and white matter over their distance: rises with noise and motion."},
        function=contrast.coefficient_of_joint_variation,
        needs=("tissue",),
        unit="",
        direction="lower",
        bounds=(0.0, None),
        source="Ganzetti 2016, doi 10.3389/fninf.2016.00010, Eq. 6",
        formula=f"(mad_wm + mad_gm) / |median_wm - median_gm|. {_SAMPLE}",
        mriqc=f"{_NO_CLIP} {_WEIGHTS}",
    ),
    Metric(
        name="cnr",
        keys={"cnr": "How far grey and white matter lie apart, in units of the noise and of their own spread."},
        function=contrast.contrast_to_noise,
        needs=("tissue", "air"),
        unit="",
        direction="higher",
        bounds=(0.0, None),
        source="Magnotta & Friedman 2006, doi 10.1007/s10278-006-0264-x",
        formula=f"|median_wm - median_gm| / sqrt(sd_air^2 + sd_wm^2 + sd_gm^2). {_SAMPLE} Air: stored values, at "
        "most 20 % zeros.",
        mriqc=f"{_NO_CLIP} {_WEIGHTS}",
    ),
    Metric(
        name="wm2max",
        keys={"wm2max": "White matter over the brightest head voxels: low where fat or vessels outshine the brain."},
        function=contrast.white_matter_to_maximum,
        needs=("tissue", "head"),
        unit="",
        direction="none",
        bounds=(0.0, None),
        source="Esteban 2017, doi 10.1371/journal.pone.0184661",
        formula="median_wm / P99.95 of the head's corrected intensities; MRIQC states 0.6-0.8 for a good T1w.",
        mriqc="MRIQC takes P99.95 of the whole grid, so that padding raises it, on an image clipped near P99.9.",
    ),
    Metric(
        name="snr",
        keys={
            **_per_tissue("snr", "Brightness of {} over its own standard deviation."),
            "snr_total": "Mean of the three tissues' signal-to-noise ratios.",
        },
        function=noise.signal_to_noise,
        needs=("tissue",),
        unit="",
        direction="higher",
        bounds=(None, None),
        source="Esteban 2017, doi 10.1371/journal.pone.0184661",
        formula="median / (sd sqrt(n / (n - 1))), n = sum(w)^2 / sum(w^2); total: mean of the three, null if one is. "
        f"{_SAMPLE}",
        mriqc=f"{_NO_CLIP} {_WEIGHTS}",
    ),
    Metric(
        name="snrd",
        keys={
            **_per_tissue("snrd", "Brightness of {} over the thermal noise measured in air."),
            "snrd_total": "Mean of the three tissues' signal-to-air-noise ratios.",
        },
        function=noise.signal_to_air_noise,
        needs=("tissue", "air"),
        unit="",
        direction="higher",
        bounds=(None, None),
        source="Dietrich 2007, doi 10.1002/jmri.20969, Eq. 5",
        formula="median / sigma, sigma = mad_air / 0.6649, or sd_air / 0.6551 where the air's MAD is under four grey "
        "levels; null where sigma is below 1e-5 median_wm. Holds for single-channel magnitude (Rayleigh) noise; too "
        "high "
        f"after filtering, too low or high with many channels or parallel imaging. {_SAMPLE} Air: stored values.",
        mriqc=f"MRIQC uses 0.6551 with the MAD, an absolute threshold of 1, and averages -1 into the total. {_NO_CLIP}",
    ),
    Metric(
        name="efc",
        keys={"efc": "Entropy of the image over its maximum: rises with ghosts and blur."},
        function=background.entropy_focus,
        needs=("head",),
        unit="",
        direction="lower",
        bounds=(0.0, 1.0),
        source="Atkinson 1997, doi 10.1109/42.650886, Eq. 2-3",
        formula="-sum((x / B) ln(x / B)) / (sqrt(N) ln sqrt(N)), B = sqrt(sum(x^2)), over the N voxels outside the "
        "frame; "
        "negative values count as 0; null where over half of the background is filled in.",
        mriqc=f"{_NO_CLIP} Frames of other shapes than its rotation mask enter.",
    ),
    Metric(
        name="fber",
        keys={"fber": "Energy of the head over that of the background: falls with noise and ghosts in air."},
        function=background.foreground_to_background_energy,
        needs=("head",),
        unit="",
        direction="higher",
        bounds=(0.0, None),
        source="Shehzad 2015, doi 10.3389/conf.fnins.2015.91.00047",
        formula="median(x^2) of the head / median(x^2) of all outside head and frame (medians, as MRIQC computes; the "
        "abstract says mean energy, which the rim of the head would rule); null where over half of the background is "
        "filled in.",
        mriqc=f"{_NO_CLIP} That zeroes half of the air and raises the ratio up to 120-fold. {_SENTINEL}",
    ),
    Metric(
        name="qi_1",
        keys={"qi_1": "Share of the background above the face with bright artifacts; faint ghosts leave it at 0."},
        function=background.artifact_share,
        needs=("air",),
        unit="",
        direction="lower",
        bounds=(0.0, 1.0),
        source="Mortamet 2009, doi 10.1002/mrm.21992, Eq. 1",
        formula="(voxels of the hat that are not air) / (voxels of the hat); the frame belongs to neither. No air: "
        "over ten times the median of the hat's positive voxels, further from the head than a tenth of the hat's "
        "depth, opened by a cross.",
        version=2,
        mriqc=f"Always 0 since 23.1 (the distance map is zeroed in the wrong place). {_SENTINEL}",
    ),
    Metric(
        name="qi_2",
        keys={"qi_2": "How little the air looks like pure magnitude noise: rises with faint ghosts and ringing."},
        function=background.noise_misfit,
        needs=("air",),
        unit="density x P99/100",
        direction="lower",
        bounds=(0.0, None),
        source="Mortamet 2009, doi 10.1002/mrm.21992",
        formula="Air scaled to P99 = 100; mean |density - chi density| from the half maximum right of the peak to "
        "110; chi "
        "with location 0 and 2n degrees of freedom, n and sigma from the quartiles; both smoothed by a Gaussian of 4 "
        "(or "
        "of 0.7 grey levels). Without QI1, unlike some readings of the paper.",
        mriqc="MRIQC fits a chi-square with free df, location and scale to the hat with its artifacts, and gives 0 "
        "(perfect) "
        "where it can't be had.",
    ),
    Metric(
        name="fwhm",
        keys=_per_axis(
            "fwhm", "Smoothness of the image {}, in voxels.", "Mean smoothness of the three axes, in voxels."
        ),
        function=smoothness.width_in_voxels,
        needs=("brain",),
        unit="voxels",
        direction="lower",
        bounds=(0.0, None),
        source="Forman 1995, doi 10.1002/mrm.1910330508, Eq. A1",
        formula="sqrt(8 ln 2) sqrt(-1 / (4 ln r)), r = 1 - var(neighbour differences) / (2 var(values)), stored "
        "values in "
        "the brain mask less a second-order trend; avg: arithmetic mean. Blur raises it and noise lowers it: "
        "compare scans of like noise.",
        mriqc="Same estimator from AFNI; its detrending acts on time series only. Group pages print mm for these "
        "voxels.",
    ),
    Metric(
        name="fwhm_mm",
        keys=_per_axis("fwhm_mm", "Smoothness of the image {}, in mm.", "Mean smoothness of the three axes, in mm."),
        function=smoothness.width_in_mm,
        needs=("brain",),
        unit="mm",
        direction="lower",
        bounds=(0.0, None),
        source="Forman 1995, doi 10.1002/mrm.1910330508, Eq. A1",
        formula="fwhm times the voxel edge; avg: arithmetic mean of the three in mm. Noise lowers it as it does fwhm.",
        mriqc="not in MRIQC",
    ),
    Metric(
        name="inu_med",
        keys={"inu_med": "Middle value of the shading in the brain; far from 1 where it is lopsided."},
        function=field.field_median,
        needs=("brain", "bias_field"),
        unit="share of the brain's mean field",
        direction="none",
        bounds=(0.0, None),
        source="Tustison 2010, doi 10.1109/TMI.2010.2046908",
        formula="Median over the brain of the multiplicative field divided by its mean there.",
        mriqc="MRIQC leaves the field on N4's arbitrary scale.",
    ),
    Metric(
        name="inu_range",
        keys={"inu_range": "How much the coil shades the brain: 0 for none."},
        function=field.field_range,
        needs=("brain", "bias_field"),
        unit="share of the brain's mean field",
        direction="lower",
        bounds=(0.0, None),
        source="Tustison 2010, doi 10.1109/TMI.2010.2046908",
        formula="P95 - P05 over the brain of the multiplicative field divided by its mean there.",
        mriqc="MRIQC leaves the field on N4's arbitrary scale.",
    ),
    Metric(
        name="icvs",
        keys=_per_tissue("icvs", "Share of {} in the brain's volume."),
        function=volumes.volume_fractions,
        needs=("tissue",),
        unit="share",
        direction="none",
        bounds=(0.0, 1.0),
        source="Esteban 2017, doi 10.1371/journal.pone.0184661",
        formula="Sum of the tissue's posteriors over the sum of all three tissues'.",
    ),
    Metric(
        name="rpve",
        keys=_per_tissue("rpve", "How much of {} is mixed with another tissue: 0 for crisp, 0.5 at most."),
        function=volumes.residual_partial_volume,
        needs=("tissue",),
        unit="",
        direction="lower",
        bounds=(0.0, 0.5),
        source="Esteban 2017, doi 10.1371/journal.pone.0184661",
        formula="Mean of min(p, 1 - p) over voxels with P2 <= p <= P98 of the posteriors p >= 0.01.",
        mriqc="MRIQC adds 1 for each background voxel and computes the complement: values of 5-12.",
    ),
    Metric(
        name="tpm_overlap",
        keys=_per_tissue("tpm_overlap", "Overlap of {} with the template's tissue map."),
        function=template.template_overlap,
        needs=("tissue", "template"),
        unit="",
        direction="higher",
        bounds=(0.0, 1.0),
        source="Crum 2006, doi 10.1109/TMI.2006.880587, Eq. 4 (fuzzy Jaccard)",
        formula="sum min(p, q) / sum max(p, q), q the MNI152NLin2009cAsym prior brought to the scan by an affine "
        "between "
        "the tissue maps; null without a TemplateFlow home that holds the priors.",
        mriqc="MRIQC registers the intensities with ANTs, with chance in the sampling.",
    ),
    _summary_row("bg", "air"),
    *(_summary_row(tissue, name) for tissue, name in _NAMES.items()),
    Metric(
        name="size",
        keys=_per_axis("size", "Voxels from {}."),
        function=geometry.grid_size,
        needs=(),
        unit="voxels",
        direction="none",
        bounds=(1.0, None),
        source="the file's header, axes in RAS order",
        formula="Grid of the scan.",
    ),
    Metric(
        name="spacing",
        keys=_per_axis("spacing", "Voxel edge from {}."),
        function=geometry.voxel_spacing,
        needs=(),
        unit="mm",
        direction="none",
        bounds=(0.0, None),
        source="the file's header, axes in RAS order",
        formula="Lengths of the affine's columns.",
    ),
    *FURTHER_ROWS,
)

METRIC_KEYS: Mapping[str, Metric] = {key: row for row in METRICS for key in row.keys}
