# SPDX-License-Identifier: Apache-2.0
"""bidsqa: which MRI scans of a study can be trusted, and why."""

__version__ = "0.1.0"
