# SPDX-License-Identifier: Apache-2.0
"""The verdict on a scan: rules, their reading, and the reasons in words."""

from bidsqa.verdict.cohort import OutlierRule, ProtocolRule
from bidsqa.verdict.decide import RANK, decide
from bidsqa.verdict.reading import suffix_of
from bidsqa.verdict.rules import Rule, Rules, load_rules

__all__ = ["RANK", "OutlierRule", "ProtocolRule", "Rule", "Rules", "decide", "load_rules", "suffix_of"]
