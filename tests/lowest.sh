#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the lowest version of every requirement that setup.cfg allows and runs the core's tests with them.
#     bash tests/lowest.sh [FOLDER for the environment] [pytest's arguments]
# torch stays at the tested version: it is large, and only a user's own safetensors and the training need it.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-$(mktemp -d)}
[ $# -eq 0 ] || shift
lowest=$venv/lowest.txt
python3 -m venv "$venv"
"$venv/bin/python" - >"$lowest" <<'PY'
import configparser
import re

setup = configparser.ConfigParser(interpolation=None)
setup.read("setup.cfg", encoding="utf-8")
extras = setup["options.extras_require"]
wanted = setup["options"]["install_requires"] + extras["tests"] + extras["training"]
needed = ("hypothesis", "jsonschema", "psutil", "pytest", "onnx", "onnxscript")
tested = dict(line.strip().split("==") for line in open("constraints.txt") if "==" in line)
for line in wanted.splitlines():
    found = re.fullmatch(r"([\w-]+) >= ([\d.]+)", line.strip())
    core = line in setup["options"]["install_requires"].splitlines()
    if found and (core or found[1] in needed):
        version = tested["torch"] if found[1] == "torch" else found[2]
        parts = version.split(".")
        print(f"{found[1]}=={'.'.join(parts + ['0'] * (3 - len(parts)))}")
PY
cat "$lowest"
rm -rf build
"$venv/bin/python" -m pip install -q -r "$lowest"
"$venv/bin/python" -m pip install -q --no-deps .
"$venv/bin/python" -m pip check
export PYTHONSAFEPATH=1 OMP_NUM_THREADS=1
"$venv/bin/python" -m pytest -q -m "not slow" tests/bids tests/image tests/metrics tests/verdict tests/group tests/report \
    tests/models tests/anatomy tests/workflows tests/test_record.py "$@"
