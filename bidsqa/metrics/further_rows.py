# SPDX-License-Identifier: Apache-2.0
"""Rows of the metric table that MRIQC's structural part lacks: sharpness, ghosts, slices, coverage."""

from __future__ import annotations

from bidsqa.metrics import coverage, ghosts, sharpness, slice_signal
from bidsqa.metrics.row import Metric

_AXES = {"x": "left to right", "y": "back to front", "z": "bottom to top"}

FURTHER_ROWS: tuple[Metric, ...] = (
    Metric(
        name="edge_strength",
        keys={"edge_strength": "Steepness of the brain's strongest edges: falls with blur and motion."},
        function=sharpness.edge_strength,
        needs=("brain",),
        unit="brain medians per mm",
        direction="higher",
        bounds=(0.0, None),
        source="after the average edge strength of Aksoy 2012, doi 10.1002/mrm.23101",
        formula="Mean 3D Sobel gradient of the corrected image over its brain median, over voxels at or above P98 of "
        "the gradients; only voxels whose 26 neighbours are brain.",
        mriqc="not in MRIQC",
    ),
    Metric(
        name="tenengrad",
        keys={"tenengrad": "Mean energy of the brain's edges: falls with blur, but rises with noise."},
        function=sharpness.tenengrad,
        needs=("brain",),
        unit="(brain medians per mm)^2",
        direction="none",
        bounds=(0.0, None),
        source="Krotkov 1988, doi 10.1007/BF00127822",
        formula="Mean squared 3D Sobel gradient of the corrected image over its brain median, inside the brain's "
        "surface.",
        mriqc="not in MRIQC",
    ),
    Metric(
        name="gradient_entropy",
        keys={"gradient_entropy": "How evenly edges are spread over the brain: rises with blur, motion and noise."},
        function=sharpness.gradient_entropy,
        needs=("brain",),
        unit="",
        direction="lower",
        bounds=(0.0, 1.0),
        source="McGee 2000, doi 10.1002/(SICI)1522-2586(200002)11:2<174::AID-JMRI15>3.0.CO;2-3",
        formula="-sum(h ln h) / ln N, h = g / sum(g), g the 3D Sobel gradients of the N voxels inside the brain's "
        "surface.",
        mriqc="not in MRIQC",
    ),
    Metric(
        name="laplacian_variance",
        keys={"laplacian_variance": "Energy of the finest detail in the brain: falls with blur, but rises with noise."},
        function=sharpness.laplacian_variance,
        needs=("brain",),
        unit="(brain medians per mm^2)^2",
        direction="none",
        bounds=(0.0, None),
        source="Pech-Pacheco 2000, doi 10.1109/ICPR.2000.903548",
        formula="Variance of the 7-point Laplacian of the corrected image over its brain median, inside the surface.",
        mriqc="not in MRIQC",
    ),
    Metric(
        name="ringing",
        keys={
            "ringing": "Waviness of the air beside the head: rises with truncation (Gibbs) ringing, and with ghosts."
        },
        function=ghosts.ringing,
        needs=("head", "brain", "air"),
        unit="brain medians",
        direction="lower",
        bounds=(0.0, None),
        source="the sidelobes of a truncated edge, e.g. Kellner 2016, doi 10.1002/mrm.26054; own measure",
        formula="sqrt(max(0, Q_near - Q_far)) / brain median, the largest of three axes; Q: mean square of "
        "(x_(i-1) - 2 x_i + x_(i+1)) / 4 in the hat, 3-8 voxels and more than 14 voxels from the head along the axis; "
        "stored values. Ghosts, motion, folded signal and heavy blur beside the head count too: it says that signal "
        "oscillates, not why. It follows the height of the ringing; a lower cut-off changes the wavelength more than "
        "that, so the value barely says how much was cut.",
        mriqc="not in MRIQC",
    ),
    Metric(
        name="gsr",
        keys={
            f"gsr_{axis}": f"Ghost of the brain half a field away, {way}: near 0 without; trust the phase-encode axis."
            for axis, way in _AXES.items()
        },
        function=ghosts.ghost_to_signal,
        needs=("brain", "air"),
        unit="brain medians",
        direction="none",
        bounds=(None, None),
        source="Giannelli 2010, doi 10.1120/jacmp.v11i4.3237",
        formula="(mean of the background above the face and 5 mm off the head under the brain mask moved by half of "
        "the field of view - mean of its rest) / median of the brain; null where either holds under 1000 voxels. "
        "Signal that folds over into the air counts as well: read it together with wrap_around.",
        mriqc="MRIQC has it for EPI alone, with all that is no brain as background, skull included.",
    ),
    Metric(
        name="slice_jump",
        keys={
            "slice_jump": "Largest jump of one slice out of its neighbours: lost signal, motion if interleaved.",
            "slice_jump_odd_even": "Difference of odd and even slices: interleaved slices that disturb each other.",
        },
        function=slice_signal.slice_jumps,
        needs=("brain",),
        unit="logarithm of a ratio",
        direction="lower",
        bounds=(0.0, None),
        source="motion between slices, e.g. Zaitsev 2015, doi 10.1002/jmri.24850; own measure",
        formula="r_k: median of ln(I_k / I_(k-1)) over voxels that are brain in both; d_k = (r_k - r_(k+1)) / 2. "
        "slice_jump = max |d_k|; slice_jump_odd_even = |mean of (-1)^k (d_k - mean d)|. Across the thick slices, else "
        "from bottom to top; slices with at least 0.4 of the fullest one's brain area; corrected image. The anatomy "
        "alone gives more across thick slices than on 3D scans: compare within a protocol. Motion between slices shows "
        "where they are interleaved; in sequence neighbours move together and it barely does.",
        mriqc="not in MRIQC",
    ),
    Metric(
        name="empty_slices",
        keys={"empty_slices": "Slices in the middle of the brain without signal: lost in acquisition or conversion."},
        function=slice_signal.empty_slices,
        needs=("brain",),
        unit="slices",
        direction="lower",
        bounds=(0.0, None),
        source="own measure",
        formula="Across the thick slices, else from bottom to top: slices in the middle 80 % of the brain's extent "
        "whose P99 is under a tenth of the median P99 there; stored values. slice_jump is null where one parts the "
        "brain.",
        mriqc="not in MRIQC",
    ),
    Metric(
        name="drop_out",
        keys={
            "drop_out": "Share of the outer brain that is dark: signal lost beside metal or air, or wide CSF on T1w."
        },
        function=slice_signal.drop_out,
        needs=("brain", "bias_field"),
        unit="share",
        direction="lower",
        bounds=(0.0, 1.0),
        source="susceptibility drop-out, e.g. Ojemann 1997, doi 10.1006/nimg.1997.0289; own measure",
        formula="Share of brain voxels within 20 mm of the surface whose Gaussian mean (4 mm, in the brain) of the "
        "corrected image is under 0.4 of the brain's median; sulci alone are narrower, so good scans stay near 0. "
        "Atrophy raises it on T1w and FLAIR: compare within a contrast.",
        mriqc="not in MRIQC",
    ),
    Metric(
        name="brain_cut",
        keys={"brain_cut": "Share of the brain's surface on the border of the scan: a field of view that cuts it."},
        function=coverage.brain_cut,
        needs=("brain",),
        unit="share",
        direction="lower",
        bounds=(0.0, 1.0),
        source="coverage, e.g. Provins 2023, doi 10.3389/fnimg.2022.1073734; own measure",
        formula="Area of the brain voxels' faces on the grid's border over the area of all faces between brain and "
        "others and on the border.",
        mriqc="not in MRIQC",
    ),
    Metric(
        name="wrap_around",
        keys={"wrap_around": "Signal that leaves the field of view on one side and comes in on the other: aliasing."},
        function=coverage.wrap_around,
        needs=("head", "brain"),
        unit="share of the head's largest cross-section",
        direction="lower",
        bounds=(0.0, None),
        source="aliasing, e.g. Krupa 2015, doi 10.12659/PJR.892628; own measure",
        formula="First and last plane of the measured field of view (without padding): sum of min(first, last) where "
        "it exceeds a fifth of the brain's median / (that median x voxels of the head's largest cross-section), times "
        "the square of the planes' correlation (0 if negative); the largest of the axes, that across thick slices "
        "left out. A brain cropped to its own surface touches both borders and gives a few hundredths.",
        mriqc="not in MRIQC",
    ),
    Metric(
        name="clipped",
        keys={"clipped": "Share of bright voxels at the highest value: an export that cut intensities off."},
        function=coverage.clipped_share,
        needs=(),
        unit="share",
        direction="lower",
        bounds=(0.0, 1.0),
        source="own measure",
        formula="Voxels at the file's highest value over half of its positive voxels, at most 1; the verdict's rule "
        "reads the same number as image.clipped_fraction.",
        mriqc="not in MRIQC; its own image is clipped",
    ),
)
