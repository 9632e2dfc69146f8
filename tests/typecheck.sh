#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mypy over the package as it is installed: both source folders under the name bidsqa. They are copied together, because
# in the checkout mypy finds bidsqa/ without bidsqa.workflows, and it cannot follow an editable install.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R "$root/bidsqa" "$copy/bidsqa"
cp -R "$root/workflows" "$copy/bidsqa/workflows"
mkdir "$copy/empty"
cd "$copy/empty"
MYPYPATH=$copy "${PYTHON:-python3}" -P -m mypy --config-file "$root/setup.cfg" --cache-dir "$root/.mypy_cache" -p bidsqa |
    sed -E -e 's#^[^ ]*/bidsqa/#bidsqa/#' -e 's#^bidsqa/workflows/#workflows/#'
