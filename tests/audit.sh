#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Asks the Python Packaging Advisory Database about known vulnerabilities of the tested versions (constraints.txt).
#     bash tests/audit.sh
# Needs the network. Exit code 1 if a version is known to be vulnerable, or if one could not be looked up.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/python" -m pip install -q pip-audit
"$venv/bin/pip-audit" --strict --no-deps --disable-pip --progress-spinner off -r constraints.txt
