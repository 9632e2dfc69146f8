# SPDX-License-Identifier: Apache-2.0
"""Image quality metrics: one table, one module a family, every value a number or a reason."""

from bidsqa.metrics.measuring import measure, measure_row, metric_versions
from bidsqa.metrics.row import Metric
from bidsqa.metrics.samples import Samples
from bidsqa.metrics.table import METRIC_KEYS, METRICS

__all__ = ["METRICS", "METRIC_KEYS", "Metric", "Samples", "measure", "measure_row", "metric_versions"]
