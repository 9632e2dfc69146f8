#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what build_and_run.sh needs on Debian 12, as root: Buildah, Podman, runc, debootstrap, and Apptainer.
#
# Debian 12 has no Apptainer; the one of Debian unstable wants a newer C library. Here it is unpacked beside that library,
# and its two programs are told to use it, so that no package of the system changes.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends buildah podman runc debootstrap fuse-overlayfs squashfs-tools squashfuse \
    uidmap patchelf containernetworking-plugins shellcheck
if command -v apptainer >/dev/null; then
    exit 0
fi

library=/usr/local/lib/apptainer-libc
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mirror=$(bash "$(dirname "$(readlink -f "$0")")/mirror.sh")
mkdir -p state/lists/partial cache/archives/partial
cp /var/lib/dpkg/status state/status
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >sources
own=(-o "Dir::State=$folder/state" -o "Dir::State::status=$folder/state/status" -o "Dir::Cache=$folder/cache"
    -o "Dir::Etc::sourcelist=$folder/sources" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root)
apt-get "${own[@]}" update -qq
apt-get "${own[@]}" download -qq apptainer libc6 libseccomp2 libsqlite3-0
for package in libc6 libseccomp2 libsqlite3-0; do
    dpkg-deb -x "$package"_*.deb libraries
done
dpkg-deb -x apptainer_*.deb programs
mkdir -p "$library" /var/lib/apptainer/mnt/session
cp -a libraries/usr/lib/x86_64-linux-gnu/*.so* "$library/"
cp -a programs/etc/apptainer /etc/
cp -a programs/usr/bin/apptainer /usr/bin/
cp -a programs/usr/lib/x86_64-linux-gnu/apptainer /usr/lib/x86_64-linux-gnu/
for program in /usr/bin/apptainer /usr/lib/x86_64-linux-gnu/apptainer/bin/starter; do
    patchelf --set-interpreter "$library/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$library" "$program"
done
for name in libseccomp.so.2 libsqlite3.so.0; do
    patchelf --force-rpath --set-rpath "$library" "$library/$name"
done
# for --fakeroot, and for users that mount an image
grep -q ^root: /etc/subuid || echo root:300000:65536 >>/etc/subuid
grep -q ^root: /etc/subgid || echo root:300000:65536 >>/etc/subgid
[ ! -e /dev/fuse ] || chmod 666 /dev/fuse
apptainer --version
