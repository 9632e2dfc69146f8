#!/bin/bash
# A study on Slurm with Apptainer, from the login node: bash slurm_apptainer.sh /data/study /data/study-qa bidsqa.sif
# The container writes the scripts (it reads image headers, nothing else); the nodes run it, one task a participant.
set -euo pipefail
study=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
image=$(realpath "$3")
jobs=$out-jobs/$(date +%Y%m%dT%H%M%S)
mkdir -p "$jobs"

# the same paths inside and outside, since they go into the scripts
apptainer exec --containall --no-home -B "$study:$study:ro" -B "$out" -B "$jobs" -B "$image:$image:ro" "$image" \
    bidsqa-hpc sbatch "$study" "$out" --container "$image" --job-dir "$jobs" --partition normal
bash "$jobs/submit.sh"
