#!/bin/bash
# One participant of a DataLad dataset: fetch, judge, drop: bash datalad_participant.sh STUDY OUT 01
# A scan whose content was dropped later stays done.
set -euo pipefail
study=$1 out=$2 label=$3
trap 'datalad drop -d "$study" --reckless availability "$study/sub-$label" || true' EXIT
datalad get -d "$study" "$study/sub-$label"
bidsqa "$study" "$out" participant --participant-label "$label" --nprocs 1
