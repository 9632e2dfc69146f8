# SPDX-License-Identifier: Apache-2.0
"""From records to the tables of a study: values, data dictionaries, exclusions, sites, outliers."""

from bidsqa.group.reading import read, read_records, read_rows
from bidsqa.group.rows import Row, row_of
from bidsqa.group.schema import record_schema

__all__ = ["Row", "read", "read_records", "read_rows", "record_schema", "row_of"]
