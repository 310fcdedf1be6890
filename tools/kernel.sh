#!/usr/bin/env bash
# Fetches the distribution's kernel for virtual machines and unpacks it,
# without installing anything.
#
#   tools/kernel.sh               -> prints a directory with boot/ and lib/modules/
#
# Debian: linux-image-cloud-<arch> is an empty package that depends on the
# versioned one. Ubuntu: linux-image-virtual likewise, and the modules are a
# package of their own. What was fetched once is used again.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# dependency PACKAGE PATTERN: the first dependency of PACKAGE that matches.
dependency() {
    apt-cache depends --no-recommends --no-suggests "$1" 2>/dev/null |
        sed -n 's/^ *|\?Depends: //p' | grep -E -m 1 "$2"
}

# The versioned package that holds the kernel's image.
resolve() {
    case $(distribution) in
    debian) dependency "linux-image-cloud-$(dpkg --print-architecture)" '^linux-image-[0-9]' ;;
    ubuntu) dependency linux-image-virtual '^linux-image-[0-9]' ;;
    esac
}

# The packages to unpack for the image package $1.
parts() {
    case $(distribution) in
    debian) echo "$1" ;;
    ubuntu) echo "$1 linux-modules-${1#linux-image-}" ;;
    esac
}

target=$build/kernel/tree
if [ ! -d "$target" ]; then
    package=$(resolve) || { apt_update; package=$(resolve); } ||
        fail "the distribution's packages hold no kernel for virtual machines" "is a mirror configured in /etc/apt?"
    say "Fetching $package"
    rm -rf "$build/kernel"
    # shellcheck disable=SC2046 # one word for each package
    apt_download "$build/kernel/deb" $(parts "$package")
    for deb in "$build"/kernel/deb/*.deb; do
        dpkg-deb -x "$deb" "$target.new"
    done
    mv "$target.new" "$target"
fi
echo "$target"
