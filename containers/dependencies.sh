#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what bidsqa needs into VENV, for an image: the tested versions, and nothing that only tests or compilers read.
#
#   sh dependencies.sh SOURCE VENV APP
#
# SOURCE holds setup.cfg, constraints.txt and containers/; APP is the folder that bidsqa itself will be put into, which
# VENV looks in. The environment says the rest:
#   DEVICE       cpu (default) or cuda: which builds of torch and ONNX Runtime
#   TRAINING     yes (default) or no: with torch and what bidsqa-train needs, or without
#   TORCH_INDEX  package index with the CPU builds of torch; empty for none
#   PIP_ARGS     further arguments of pip, for example --no-index --find-links /mnt
set -eu
source=$1
venv=$2
app=$3
device=${DEVICE:-cpu}
training=${TRAINING:-yes}
index=
if [ "$device" = cpu ] && [ "$training" = yes ] && [ -n "${TORCH_INDEX:-}" ]; then
    # the local label of 2.13.0+cpu makes it newer than the 2.13.0 of the usual index, so pip takes it
    index="--extra-index-url $TORCH_INDEX"
fi

# pip stays outside of the environment that goes into the image
python3 -m venv "$venv-pip"
python3 -m venv --without-pip "$venv"
python3 "$source/containers/requirements.py" "$source/setup.cfg" --device "$device" --training "$training" \
    >"$venv-requirements.txt"
# shellcheck disable=SC2086 # several words each
"$venv-pip/bin/pip" --python "$venv/bin/python3" install --no-cache-dir --disable-pip-version-check \
    --constraint "$source/constraints.txt" --requirement "$venv-requirements.txt" $index ${PIP_ARGS:-}

packages=$("$venv/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$app" >"$packages/bidsqa.pth"
du -sm "$packages"
# tests of other packages, C headers, archives for linking, torch's own test programs: nothing of it is read at run time
find "$packages" -depth -type d -name tests -exec rm -rf {} +
find "$packages" -name '*.a' -delete
rm -rf "$packages/torch/test" "$packages/torch/include" "$packages/torch/share" "$packages/numpy/_core/include"
if [ -d "$packages/torch/bin" ]; then
    find "$packages/torch/bin" -type f ! -name torch_shm_manager -delete
fi
du -sm "$packages"
