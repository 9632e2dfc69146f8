# SPDX-License-Identifier: Apache-2.0
"""Settings of the documentation: sphinx-build -W docs docs/_build. Needs no network."""

import sys
from pathlib import Path

import bidsqa

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "bidsqa"
author = "The bidsqa developers"
project_copyright = "The bidsqa developers, Apache-2.0"
version = release = bidsqa.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "myst_parser",
    "tables",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "_ext"]
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["myst.header"]

napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False

html_theme = "furo"
html_title = f"bidsqa {bidsqa.__version__}"
html_show_sphinx = False
html_copy_source = False
