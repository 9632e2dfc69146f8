# SPDX-License-Identifier: Apache-2.0
"""What the further numbers and words of each score tell: texts for data dictionaries, by the keys of ``Score.extra``.

Where a key holds several values, ``<key>_<name>`` stands for each.
"""

from __future__ import annotations

from bidsqa.image import PLANES
from bidsqa.models.severity_scale import FAMILIES

NOUNS = {"noise": "noise", "motion": "motion", "ghosting": "ghosting", "bias": "a bias field", "blur": "blur"}

SEVERITY_PARTS = {
    "uncertainty": "Standard error of the severity, from the spread of its readings over slices and planes joined with "
    "the score's own error between scans",
    "median": "Severity of the middle slice when the scored slices are put in order",
    "p90": "Severity that nine in ten of the scored slices stay below",
    "sd": "Standard deviation of the severity over the scored slices",
    "n_slices": "Number of slices scored, over all planes",
    **{f"planes_{plane}": f"Mean severity of the {plane} slices" for plane in PLANES},
    **{
        f"families_{name}": f"Severity that {NOUNS[name]} alone would give the scan, on the scale of the score"
        for name in FAMILIES
    },
    "probabilities_none": "Probability that the scan has no artifact, by a model of the kinds (all kinds sum to 1)",
    **{
        f"probabilities_{name}": f"Probability that the scan's chief artifact is {NOUNS[name]} (all kinds sum to 1)"
        for name in FAMILIES
    },
    "family": "The most probable kind of artifact; none where the severity is below 0.5",
    "readings_overall": "The network's raw reading of the whole damage, (1 - SSIM) + NRMSE, mean over the slices",
    **{
        f"readings_{name}": f"The network's raw reading of the strength of {NOUNS[name]}, mean over the slices"
        for name in FAMILIES
    },
    **{
        f"readings_{name}_presence": f"The network's raw probability that a slice has {NOUNS[name]}, mean of the slices"
        for name in FAMILIES
    },
    "readings_field": "Range (98th less 2nd percentile) of the logarithm of the head's smooth brightness field; "
    "0.7 is a field that doubles the brightness",
    "model_error": "How far severities of different scans with the same artifact lie apart beyond standard errors; "
    "part of the uncertainty",
    "readings_echo": "Strength of the strongest echo of the head along an image axis, which a ghost leaves in the "
    "spectrum (cepstrum); 0 is none",
    "readings_grain": "Standard deviation of the noise of the pixels over the mean brightness of the head",
}

SSIM_PARTS = {
    "uncertainty": "Standard error of the predicted SSIM, from the spread over slices and planes joined with the "
    "network's own error",
    "median": "Predicted SSIM of the middle slice when the scored slices are put in order",
    "p10": "Predicted SSIM that one in ten of the scored slices stays below",
    "sd": "Standard deviation of the predicted SSIM over the scored slices",
    "share_below_060": "Share of the scored slices with a predicted SSIM below 0.60, where a scan should be repeated",
    "share_below_085": "Share of the scored slices with a predicted SSIM below 0.85, where motion is visible",
    "clinical_class": "Sciarra's clinical class: good (0.85 and above), usable (0.60 to 0.85) or rescan",
    **{
        f"class_{count}": f"Which of {count} equal ranges of SSIM the scan falls in, 1 (worst) to {count} (best)"
        for count in (3, 5, 10)
    },
    **{f"planes_{plane}": f"Median of the predicted SSIM of the {plane} slices" for plane in PLANES},
    "n_slices": "Number of slices scored, over all planes",
    "model_error": "The network's own error on whole scans that it was not trained on, part of the uncertainty",
}
