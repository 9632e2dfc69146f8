# SPDX-License-Identifier: Apache-2.0
"""The artifact table: every simulator with its range, meaning and source."""

from __future__ import annotations

from difflib import get_close_matches

from bidsqa.simulation import bias, ghosting, intensity_maps, kspace, motion, motion_iid, multislice, noise, resolution
from bidsqa.simulation.artifact import Artifact

FAMILIES = ("noise", "motion", "ghosting", "bias", "blur")

_ROWS = (
    Artifact(
        name="noise",
        title="Rician noise",
        family="noise",
        strength_meaning="noise SD 0 to 0.2 of the head's median",
        source="Gudbjartsson and Patz 1995, doi 10.1002/mrm.1910340618",
        draw=noise.sample_noise,
        act=noise.apply_rician,
        paper_severity=noise.paper_severity,
    ),
    Artifact(
        name="gaussian_noise",
        title="Gaussian noise",
        family="noise",
        strength_meaning="noise SD 0 to 0.2 of the head's median; values may turn negative",
        source="Hays et al. 2025",
        draw=noise.sample_noise,
        act=noise.apply_gaussian,
        paper_severity=noise.paper_severity,
    ),
    Artifact(
        name="coil_noise",
        title="Noncentral chi noise of several coils",
        family="noise",
        strength_meaning="noise SD 0 to 0.2 of the head's median in each of 2-16 coils",
        source="Constantinides et al. 1997, doi 10.1002/mrm.1910380524",
        draw=noise.sample_coils,
        act=noise.apply_coils,
        paper_severity=noise.paper_severity,
    ),
    Artifact(
        name="ghosting",
        title="Ghosting",
        family="ghosting",
        strength_meaning="modulation amplitude of the phase-encode lines 0 to 0.6 (ghost energy a²/2)",
        source="Hays et al. 2025, with the ghost's energy as strength",
        draw=ghosting.sample_ghosting,
        act=ghosting.apply_ghosting,
        paper_severity=ghosting.paper_severity,
        choices={"kind": ghosting.KINDS},
    ),
    Artifact(
        name="bias",
        title="Bias field",
        family="bias",
        strength_meaning="p95/p5 ratio of the field in the head 1 to 4",
        source="Hays et al. 2025, with signed terms",
        draw=bias.sample_bias,
        act=bias.apply_bias,
        paper_severity=bias.paper_severity,
        choices={"bump": bias.SHAPES},
    ),
    Artifact(
        name="blur",
        title="Blur",
        family="blur",
        strength_meaning="Gaussian full width at half maximum 0 to 4 mm",
        source="Gaussian point spread",
        draw=resolution.sample_blur,
        act=resolution.apply_blur,
    ),
    Artifact(
        name="anisotropy",
        title="Thick slices",
        family="blur",
        strength_meaning="slice thickness 1 to 6 samples along one axis",
        source="Hays et al. 2025, one axis and with a slice profile",
        draw=resolution.sample_thick,
        act=resolution.apply_thick,
        paper_severity=resolution.paper_severity,
    ),
    Artifact(
        name="motion",
        title="Rigid motion",
        family="motion",
        strength_meaning="pose RMS over the scan 0 to 5 degrees and 0 to 5 mm",
        source="line-wise rigid motion in k-space, pose relative to the k-space centre",
        draw=motion.sample_motion,
        act=motion.apply_motion,
        choices={"order": motion.ORDERS},
    ),
    Artifact(
        name="gibbs",
        title="Gibbs ringing",
        family="blur",
        strength_meaning="share of k-space kept 1 to 0.3",
        source="rectangular truncation",
        draw=resolution.sample_gibbs,
        act=resolution.apply_gibbs,
    ),
    Artifact(
        name="spike",
        title="k-space spikes",
        family="other",
        strength_meaning="stripe amplitude 0 to 0.3 of the image's mean",
        source="single corrupted k-space samples",
        draw=kspace.sample_spike,
        act=kspace.apply_spike,
    ),
    Artifact(
        name="wrap",
        title="Wrap-around",
        family="other",
        strength_meaning="field of view 1 to 0.7 of the head's extent",
        source="folding modulo the field of view",
        draw=kspace.sample_wrap,
        act=kspace.apply_wrap,
    ),
    Artifact(
        name="undersampling",
        title="Residual aliasing",
        family="other",
        strength_meaning="share of aliased signal 0 to 0.5, 2-4 fold",
        source="regular undersampling with imperfect unfolding",
        draw=kspace.sample_undersampling,
        act=kspace.apply_undersampling,
    ),
    Artifact(
        name="motion_iid",
        title="In-house motion: each line in a pose of its own",
        family="motion",
        strength_meaning="lines turned by -σ, 0 or σ; σ 0.03 to 5 degrees, in equal ratios",
        source="Sciarra et al. 2022",
        draw=motion_iid.sample_iid,
        act=motion_iid.apply_iid,
    ),
    Artifact(
        name="slice_motion",
        title="Motion between slices",
        family="motion",
        strength_meaning="pose RMS over the scan 0 to 5 degrees and 0 to 5 mm, each slice in its own pose",
        source="2D multi-slice acquisition, with loss by the slice profile",
        draw=multislice.sample_multislice,
        act=multislice.apply_multislice,
        dims=(3,),
        choices={"order": multislice.ORDERS},
    ),
    Artifact(
        name="anisotropy_in_plane",
        title="Large pixels",
        family="blur",
        strength_meaning="pixel edge 1 to 4 samples along both axes of the plane",
        source="Hays et al. 2025, with a pixel profile",
        draw=resolution.sample_pixels,
        act=resolution.apply_pixels,
        paper_severity=resolution.paper_severity,
    ),
    Artifact(
        name="gamma",
        title="Contrast change: gamma",
        family="contrast",
        strength_meaning="exponent 1 to e^0.5 or e^-0.5",
        source="Sciarra et al. 2022",
        draw=intensity_maps.sample_gamma,
        act=intensity_maps.apply_gamma,
    ),
    Artifact(
        name="log",
        title="Contrast change: logarithm",
        family="contrast",
        strength_meaning="bend b of log(1 + bx) 0 to 3; 1 is the paper's curve",
        source="Sciarra et al. 2022",
        draw=intensity_maps.sample_log,
        act=intensity_maps.apply_log,
    ),
    Artifact(
        name="sigmoid",
        title="Contrast change: sigmoid",
        family="contrast",
        strength_meaning="gain 0 to 6, cutoff 0.01 to 0.75",
        source="Sciarra et al. 2022",
        draw=intensity_maps.sample_sigmoid,
        act=intensity_maps.apply_sigmoid,
    ),
    Artifact(
        name="clahe",
        title="Contrast change: local equalisation",
        family="contrast",
        strength_meaning="clip limit 1 to 5.12 of the mean histogram bin",
        source="Sciarra et al. 2022; Zuiderveld 1994, Graphics Gems IV",
        draw=intensity_maps.sample_clahe,
        act=intensity_maps.apply_clahe,
    ),
)

ARTIFACTS: dict[str, Artifact] = {row.name: row for row in _ROWS}


def find_artifact(name: str) -> Artifact:
    """The row of an artifact.

    Raises
    ------
    KeyError
        For a name that isn't in the table; tells the nearest ones.
    """
    if name in ARTIFACTS:
        return ARTIFACTS[name]
    near = get_close_matches(name, ARTIFACTS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise KeyError(f"no artifact {name!r}{hint} There are {', '.join(ARTIFACTS)}.")
