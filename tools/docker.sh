#!/usr/bin/env bash
# Unpacks the Docker Engine with what it runs and links to, and does not install
# it: its packages would start services and change the machine's packet filter.
#
#   tools/docker.sh    -> build/docker/bin/dockerd, and the tree it is from
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
tree=$build/docker

[ -d "$tree" ] && exit
packages=(docker.io containerd runc tini)
simulate() { apt_get -s install --no-install-recommends "${packages[@]}"; }
simulated=$(simulate || { apt_update && simulate; })
# The libraries this machine lacks, not those that would be brought up to date.
mapfile -t libraries < <(sed -n 's/^Inst \(lib[^ ]*\) (.*/\1/p' <<<"$simulated")
"$top/tools/unpack.sh" "${packages[@]}" "${libraries[@]}"

scratch=$(mktemp -d "$build/.docker.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
for package in "${packages[@]}" "${libraries[@]}"; do
    cp -al "$build/tools/$package/." "$scratch"
done
chmod 755 "$scratch"
mkdir "$scratch/bin"
# They find each other by PATH; `docker-init` is Debian's tini.
for program in "$scratch"/usr/bin/* "$scratch"/usr/sbin/*; do
    name=${program##*/}
    cat >"$scratch/bin/$name" <<'WRAPPER'
#!/bin/sh
tree=${0%/*}/..
for program in "$tree"/usr/bin/${0##*/} "$tree"/usr/sbin/${0##*/}; do
    [ ! -x "$program" ] || LD_LIBRARY_PATH=$(echo "$tree"/usr/lib/*-linux-gnu) exec "$program" "$@"
done
WRAPPER
    chmod 755 "$scratch/bin/$name"
done
mv "$scratch" "$tree"
