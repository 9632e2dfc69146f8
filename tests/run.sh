#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes an environment of its own, installs what the tests need and runs every check. Arguments go to pytest:
#     bash tests/run.sh -m "not slow"
# BIDSQA_TEST_VENV names another folder for the environment; with CI set it is always made anew.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${BIDSQA_TEST_VENV:-$PWD/.venv-tests}

have_chromium() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

have_slurm() {
    local program
    for program in sbatch slurmctld slurmd munged; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" || return 1
    done
}

# chromium shows the pages to the browser tests, dot draws --write-graph, shellcheck reads scripts, Slurm runs a small cluster
install_system_packages() {
    local missing=()
    have_chromium >/dev/null || missing+=(chromium)
    command -v dot >/dev/null || missing+=(graphviz)
    command -v shellcheck >/dev/null || missing+=(shellcheck)
    have_slurm >/dev/null || missing+=(slurmctld slurmd slurm-client munge)
    if [ ${#missing[@]} -eq 0 ]; then return; fi
    local root=()
    if [ "$(id -u)" -ne 0 ]; then root=(sudo -n); fi
    if command -v apt-get >/dev/null && "${root[@]}" true 2>/dev/null; then
        "${root[@]}" apt-get update -q
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
    else
        echo "not installed, and this user may not install it: ${missing[*]}; the tests that need it are skipped" >&2
    fi
}

install_system_packages
rm -rf build # an earlier build's modules would be installed again
python3 -m venv ${CI:+--clear} "$venv"
"$venv/bin/pip" install -q -c constraints.txt '.[tests]'
export PATH="$venv/bin:$PATH"
export PYTHON="$venv/bin/python"
# the checkout's bidsqa/ must not hide the installed one, here and in the processes that tests start
export PYTHONSAFEPATH=1
export OMP_NUM_THREADS=1

failed=()
check() {
    echo "== $*"
    "$@" || failed+=("$1")
}
check ruff check .
check ruff format --check .
check bash tests/typecheck.sh
# a file stays with one worker, so that what its tests share is made once
check pytest -n "${BIDSQA_TEST_WORKERS:-2}" --dist loadfile --durations=15 "$@"

if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
