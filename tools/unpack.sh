#!/usr/bin/env bash
# Unpacks packages beside the build, for those whose installation would
# change the machine (docker-registry brings a service and a user).
#
#   tools/unpack.sh PACKAGE...    -> build/tools/PACKAGE/...
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

unpack() {
    local package=$1 target=$build/tools/$1
    [ -d "$target" ] && return
    local scratch
    mkdir -p "$build/tools"
    scratch=$(mktemp -d "$build/tools/.$package.XXXXXX")
    # shellcheck disable=SC2064 # the directory of this call
    trap "rm -rf '$scratch'" EXIT
    say "Unpacking $package beside the build"
    apt_download "$scratch/deb" "$package"
    dpkg-deb -x "$scratch"/deb/*.deb "$scratch/tree"
    mv "$scratch/tree" "$target"
    rm -rf "$scratch"
    trap - EXIT
}

[ $# -gt 0 ] || fail "which packages?" "usage: tools/unpack.sh PACKAGE..."
for package in "$@"; do
    unpack "$package"
done
