#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs bidsqa itself into a folder of its own, beside its dependencies, so that a new version is a small layer.
#
#   sh package.sh SOURCE VENV APP
#
# VENV was made by dependencies.sh with the same APP. PIP_ARGS as there.
set -eu
source=$1
venv=$2
app=$3
# shellcheck disable=SC2086 # several words
"$venv-pip/bin/pip" --python "$venv/bin/python3" install --no-cache-dir --disable-pip-version-check \
    --no-deps --target "$app" ${PIP_ARGS:-} "$source"
"$app/bin/bidsqa" --version
