#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the images and runs the demo in them as strictly as a site may: root and home read-only, a user without an entry,
# no network, the data read-only, a small /tmp, little memory. Compares every number with a run outside of a container.
#
#   bash tests/containers/engines.sh                          # once, as root
#   PYTHON=.venv/bin/python bash tests/containers/build_and_run.sh [WORK]
#
# Needs root, 12 GB in WORK, about 30 minutes; PYTHON has bidsqa and the same versions as constraints.txt. Bases come from
# debootstrap and wheels from the machine's pip, since an image registry may not be within reach.
# BIDSQA_CASES="docker apptainer" picks cases.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(realpath -m "${1:-$(mktemp -d)}")
python=$(realpath -s "${PYTHON:-$root/.venv/bin/python}")
cases=${BIDSQA_CASES:-docker no-tmp one-gigabyte lean stop apptainer scratch debootstrap}
version=$(cat "$root/version")
mkdir -p "$work"
chmod 755 "$work"
results=$work/results.tsv
: >"$results"
failed=()

export CONTAINERS_STORAGE_CONF=$work/storage.conf
printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/storage"\nrunroot = "%s/run"\n' "$work" "$work" >"$work/storage.conf"
# the kernels that OpenBLAS picks by the processor decide the last digits: inside and outside must pick alike
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE

wanted() { [[ " $cases " == *" $1 "* ]]; }
note() { printf '%s\t%s\t%s\t%s\n' "$@" | tee -a "$results"; }
megabytes() { awk -v bytes="$1" 'BEGIN { printf "%.0f", bytes / 1e6 }'; }

timed() { # timed COMMAND...: sets $seconds
    local start=$EPOCHSECONDS
    "$@"
    seconds=$((EPOCHSECONDS - start))
}

make_base() {
    BASE=localhost/bidsqa-base:1
    [ -d "$work/rootfs/usr" ] || {
        debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$work/rootfs" \
            "$(bash "$here/mirror.sh")" >"$work/debootstrap.log"
        rm -rf "$work"/rootfs/dev/* "$work"/rootfs/var/cache/apt/archives/*.deb "$work"/rootfs/var/lib/apt/lists/*
    }
    mkdir -p "$work/base"
    tar -C "$work/rootfs" -cf "$work/base/rootfs.tar" .
    printf 'FROM scratch\nADD rootfs.tar /\n' >"$work/base/Dockerfile"
    buildah bud -q --isolation chroot -t "$BASE" "$work/base"
    rm -r "$work/base"
}

make_wheels() {
    [ -d "$work/wheels" ] && return
    python3 "$root/containers/requirements.py" "$root/setup.cfg" >"$work/requirements.txt"
    "$python" -m pip wheel -q -c "$root/constraints.txt" -w "$work/wheels" -r "$work/requirements.txt" 'setuptools>=68'
}

offline=(--build-arg TORCH_INDEX= --build-arg "PIP_ARGS=--no-index --find-links /mnt")

build_image() { # build_image TAG [ARGUMENTS]
    local tag=$1
    shift
    timed buildah bud --layers --no-cache --isolation chroot --pull=never --build-arg "BASE=$BASE" --volume "$work/wheels:/mnt:ro" \
        "${offline[@]}" "$@" -t "localhost/bidsqa:$tag" "$root" >"$work/build-$tag.log" 2>&1
    grep -h 'tpm_overlap\|^Fetched' "$work/build-$tag.log" || true
    rm -f "$work/$tag.tar"
    buildah push -q "localhost/bidsqa:$tag" "oci-archive:$work/$tag.tar:bidsqa"
    note "image $tag" "$seconds" "$(megabytes "$(podman image inspect "localhost/bidsqa:$tag" --format '{{.Size}}')")" \
        "compressed $(megabytes "$(stat -c %s "$work/$tag.tar")") MB"
    # dependencies.sh prints the size of the packages before and after it takes out what nobody reads; absent if cached
    awk '$2 ~ "site-packages$" { print $1 }' "$work/build-$tag.log" | paste -sd' ' | while read -r before after; do
        [ -z "$after" ] || note "packages of image $tag" "" "$after" "before taking out tests and headers: $before MB"
    done
    layers "$tag"
}

layers() { # the layers of an image, smallest first, as the engine stores them
    podman history --format '{{.Size}}\t{{.CreatedBy}}' --no-trunc "localhost/bidsqa:$1" | grep -v '^0 B' | cut -c1-110
}

build_sif() { # build_sif NAME DEFINITION ARGUMENTS...
    local name=$1 definition=$2
    shift 2
    (cd "$root" && apptainer build -F --fakeroot "$@" "$work/$name.sif" "$definition") >"$work/build-$name.log" 2>&1
}

fresh_out() { # fresh_out NAME USER: prints the folder
    rm -rf "$work/out-$1"
    mkdir "$work/out-$1"
    chown "$2" "$work/out-$1"
    echo "$work/out-$1"
}

contained() { # contained NAME TAG OPTIONS... -- ARGUMENTS...: the strictest way to run it with Podman
    local out tag=$2 options=()
    out=$(fresh_out "$1" 12345:23456)
    shift 2
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    # limits are named, since root may lack the right to raise its own
    podman --runtime runc --cgroup-manager cgroupfs run --pull=never --network none --read-only --read-only-tmpfs=false \
        --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 --user 12345:23456 --cap-drop all \
        --security-opt no-new-privileges -v "$work/demo:/data:ro" -v "$out:/out" "${options[@]}" \
        "localhost/bidsqa:$tag" "$@"
}

apptained() { # apptained NAME SIF ARGUMENTS...: the same with Apptainer, as nobody, whose home doesn't exist
    local sif=$2 out
    out=$(fresh_out "$1" nobody)
    shift 2
    unshare -n setpriv --reuid nobody --regid nogroup --clear-groups --no-new-privs apptainer run --containall \
        --cleanenv --no-home -B "$work/demo:/data:ro" -B "$out:/out" "$sif" "$@"
}

check() { # check NAME WORDS COMMAND...: run, compare with the run outside
    local name=$1 words=$2 told
    shift 2
    if ! timed "$@" >"$work/run-$name.log" 2>&1 </dev/null; then
        failed+=("$name")
        tail -n 5 "$work/run-$name.log"
        return
    fi
    told=$("$python" "$here/compare_records.py" "$work/out-outside" "$work/out-$name") || failed+=("$name: other numbers")
    [ -s "$work/out-$name/group.html" ] || failed+=("$name: no page")
    [ -z "$(find "$work/out-$name" -name '.bidsqa-work-*')" ] || failed+=("$name: intermediate files are left")
    note "$words" "$seconds" "" "$told"
}

stopped() { # a stop by the engine ends in time, cleanly, with 143
    contained stop "$version" -d --name bidsqa-stop "${small[@]}" -- /data /out participant
    sleep 12
    timed podman --cgroup-manager cgroupfs stop -t 10 bidsqa-stop
    local code left
    code=$(podman inspect bidsqa-stop --format '{{.State.ExitCode}}')
    podman rm bidsqa-stop
    left=$(find "$work/out-stop" -name '.tmp-*' -o -name '.bidsqa-work-*')
    note "docker stop" "$seconds" "" "exit code $code"
    [ "$code" = 143 ] && [ -z "$left" ] || failed+=(stop)
}

make_base
make_wheels
[ -d "$work/demo" ] || "$python" -P -m bidsqa.cli.demo "$work/demo"
chmod -R a+rX "$work/demo"
levels=(participant group --nprocs 2)
rm -rf "$work/out-outside"
timed "$python" -P -m bidsqa.cli.main "$work/demo" "$work/out-outside" "${levels[@]}" >"$work/run-outside.log" 2>&1
note "outside of a container" "$seconds" "" "4 scans, 2 processes"

# how much the choice of kernels changes; told, not judged
rm -rf "$work/out-kernels"
OPENBLAS_CORETYPE=Haswell "$python" -P -m bidsqa.cli.main "$work/demo" "$work/out-kernels" participant --nprocs 2 \
    >"$work/run-kernels.log" 2>&1
note "outside, OPENBLAS_CORETYPE=Haswell" "" "" \
    "$("$python" "$here/compare_records.py" "$work/out-outside" "$work/out-kernels" || true)"

build_image "$version"
small=(--memory 2g --tmpfs "/tmp:size=64m,mode=1777")
wanted docker && check docker "Podman, /tmp of 64 MB, 2 GB of memory" \
    contained docker "$version" --rm "${small[@]}" -- /data /out "${levels[@]}"
wanted no-tmp && check no-tmp "Podman, no /tmp, work folder in /out" \
    contained no-tmp "$version" --rm --memory 2g -- /data /out "${levels[@]}" -w /out/work
wanted one-gigabyte && check one-gigabyte "Podman, no /tmp, 1 GB of memory" \
    contained one-gigabyte "$version" --rm --memory 1g -- /data /out "${levels[@]}"
wanted stop && stopped
if wanted lean; then
    build_image "$version-lean" --build-arg TRAINING=no
    check lean "Podman, image without torch" \
        contained lean "$version-lean" --rm "${small[@]}" -- /data /out "${levels[@]}"
fi
if wanted apptainer; then
    timed build_sif image Singularity.def --build-arg BOOTSTRAP=oci-archive --build-arg "FROM=$work/$version.tar"
    note "Singularity.def" "$seconds" "$(megabytes "$(stat -c %s "$work/image.sif")")" "from the Docker image"
    check apptainer "Apptainer, from the Docker image" apptained apptainer "$work/image.sif" /data /out "${levels[@]}"
fi
for kind in scratch debootstrap; do
    wanted $kind || continue
    bootstrap=(--build-arg BOOTSTRAP=localimage --build-arg "FROM=$work/rootfs")
    [ $kind = scratch ] || bootstrap=(--build-arg BOOTSTRAP=debootstrap --build-arg "MIRROR=$(bash "$here/mirror.sh")")
    timed build_sif $kind containers/scratch.def -B "$work/wheels:/mnt" "${offline[@]}" "${bootstrap[@]}"
    note "containers/scratch.def" "$seconds" "$(megabytes "$(stat -c %s "$work/$kind.sif")")" "${bootstrap[1]#BOOTSTRAP=}"
    check $kind "Apptainer, from scratch (${bootstrap[1]#BOOTSTRAP=})" \
        apptained $kind "$work/$kind.sif" /data /out "${levels[@]}"
done

"$python" -P "$here/results.py" "$results" "$root/docs/benchmark_tables/containers.json"
if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
