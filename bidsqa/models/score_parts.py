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

NOISE_MOTION_PARTS = {
    "uncertainty": "Standard error of the place on the ruler, from the spread over slices and planes",
    "median": "Place on the ruler of the middle slice when the scored slices are put in order",
    "p10": "Place on the ruler that one in ten of the scored slices stays below",
    "sd": "Standard deviation of the noise output over the scored slices, on the scale of the ruler around the value",
    "n_slices": "Number of slices scored, over all planes",
    **{f"planes_{plane}": f"Place on the ruler of the median {plane} slice" for plane in PLANES},
    "raw": "Noise output of the network before it is read against the ruler; higher is less noise",
    "raw_uncertainty": "Standard error of the noise output",
    "ruler_name": "The ruler that the scan was read against",
    "ruler_sha256": "Checksum of the ruler's images",
    "ruler_version_score": "Version of the ruler nearest to the scan, 0 (worst) to 7 (original); Eq. 5 of the paper",
    "ruler_place": "Place on the ruler, going on beyond its ends: below 0 is worse than the worst version",
    "ruler_threshold": "From which version on scans are accepted; 4.5 lies half way between 4 and 5",
    "ruler_threshold_set_by": "Whether a person set the threshold, or an automatic rule, which is no standard",
    "ruler_passes": "Whether the scan reaches the threshold; Eq. 6 of the paper",
    "ruler_outside": "below where the scan is worse than the worst version, above where it is better than the original",
    "cause": "What keeps the scan from being good: noise (below the threshold), motion (probable), both or none",
    "p_motion": "Probability that a slice was acquired during motion, median over the scored slices",
    "moved_share": "Share of the scored slices that more likely than not were acquired during motion",
    "motion": "moved where the probability of motion is above 0.5, else still",
    **{f"p_motion_planes_{plane}": f"Median probability of motion of the {plane} slices" for plane in PLANES},
}

RANKING_PARTS = {
    "uncertainty": "Standard error of the utility, from its spread over slices and planes",
    "median": "Utility of the middle slice when the scored slices are put in order",
    "p10": "Utility that one in ten of the scored slices stays below",
    "sd": "Standard deviation of the utility over the scored slices",
    **{f"planes_{plane}": f"Mean utility of the {plane} slices" for plane in PLANES},
    "n_slices": "Number of slices scored, over all planes",
    "p_better": "Chance that a reader calls the scan better than the study's median scan of its suffix (ties apart); "
    "known at the group level",
    "p_better_than_clean": "Chance that a reader calls the scan better than a typical clean scan (ties apart)",
    "tie": "How readily two scans are called similar (the parameter of Davidson's model of ties)",
    "label_source": "Whose opinion the network learned: synthetic (a formula, no person) or the readers of a site",
}

DIAGNOSTIC_PARTS = {
    "uncertainty": "Standard error of the mean class, from its spread over slices and planes",
    "median": "Expected class of the middle slice when the scored slices are put in order",
    **{f"probabilities_{number}": f"Mean probability of class {number} over the slices" for number in range(3)},
    "class": "The most probable class: 0 non-diagnostic, 1 diagnostic, 2 excellent (where there are three)",
    "share_non_diagnostic": "Share of the slices that are more likely non-diagnostic than not",
    "n_slices": "Number of slices scored, over all planes",
    "label_source": "Whose opinion the network learned: synthetic (a formula, no person) or the readers of a site",
}
