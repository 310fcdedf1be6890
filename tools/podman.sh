#!/usr/bin/env bash
# Unpacks Podman with what it runs and links to, and does not install it: its
# packages would change /etc/cni, /etc/containers and the machine's services.
#
#   tools/podman.sh    -> build/podman/bin/podman, and the tree it is from
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
tree=$build/podman

[ -d "$tree" ] && exit
programs=(podman conmon crun)
simulate() { apt_get -s install --no-install-recommends "${programs[@]}"; }
simulated=$(simulate || { apt_update && simulate; })
# The libraries this machine lacks, not those that would be brought up to date.
mapfile -t libraries < <(sed -n 's/^Inst \(lib[^ ]*\) (.*/\1/p' <<<"$simulated")
"$top/tools/unpack.sh" "${programs[@]}" "${libraries[@]}"

scratch=$(mktemp -d "$build/.podman.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
for package in "${programs[@]}" "${libraries[@]}"; do
    cp -al "$build/tools/$package/." "$scratch"
done
chmod 755 "$scratch"
mkdir "$scratch/bin"
for program in "${programs[@]}"; do
    cat >"$scratch/bin/$program" <<'WRAPPER'
#!/bin/sh
tree=${0%/*}/..
LD_LIBRARY_PATH=$(echo "$tree"/usr/lib/*-linux-gnu) exec "$tree/usr/bin/${0##*/}" "$@"
WRAPPER
    chmod 755 "$scratch/bin/$program"
done
mv "$scratch" "$tree"
