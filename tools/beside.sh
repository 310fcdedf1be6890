#!/usr/bin/env bash
# Unpacks packages with the libraries they link to, and does not install them:
# their packages would start services, or change /etc and the packet filter.
#
#   tools/beside.sh NAME PACKAGE...    -> build/NAME/bin/PROGRAM, and the tree they are from
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
tree=$build/$1 packages=("${@:2}")

[ -d "$tree" ] && exit
simulate() { apt_get -s install --no-install-recommends "${packages[@]}"; }
simulated=$(simulate || { apt_update && simulate; })
# The libraries this machine lacks, not those that would be brought up to date.
mapfile -t libraries < <(sed -n 's/^Inst \(lib[^ ]*\) (.*/\1/p' <<<"$simulated")
"$top/tools/unpack.sh" "${packages[@]}" "${libraries[@]}"

scratch=$(mktemp -d "$build/.beside.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
for package in "${packages[@]}" "${libraries[@]}"; do
    cp -al "$build/tools/$package/." "$scratch"
done
chmod 755 "$scratch"
# As on a system whose /bin is /usr/bin.
mkdir -p "$scratch/usr/bin"
if [ -d "$scratch/bin" ]; then
    cp -al --remove-destination "$scratch/bin/." "$scratch/usr/bin"
    rm -r "${scratch:?}/bin"
fi
mkdir "$scratch/bin"
# They find each other by PATH.
shopt -s nullglob
for program in "$scratch"/usr/bin/* "$scratch"/usr/sbin/*; do
    name=${program##*/}
    cat >"$scratch/bin/$name" <<'WRAPPER'
#!/bin/sh
tree=${0%/*}/..
for program in "$tree/usr/bin/${0##*/}" "$tree/usr/sbin/${0##*/}"; do
    [ ! -x "$program" ] || LD_LIBRARY_PATH=$(echo "$tree"/usr/lib/*-linux-gnu) exec "$program" "$@"
done
WRAPPER
    chmod 755 "$scratch/bin/$name"
done
mv "$scratch" "$tree"
