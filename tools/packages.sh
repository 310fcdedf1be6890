#!/usr/bin/env bash
# Installs what Ignite needs from the distribution's packages.
#
#   tools/packages.sh SET...      run | build | quickstart | test | lint
#
# Does nothing, quickly, where everything is there. A package that would
# change the machine by being installed (a service, a user, a file in
# /etc/cni) is not here: tools/unpack.sh unpacks those beside the build.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# What `ignite run` starts or reads: the VMM, the CNI plugins, packet filter
# programs, mkfs.ext4, depmod.
# git and openssh-client are for `ignited gitops` alone and not among them.
run=(qemu-system-x86 containernetworking-plugins iptables nftables e2fsprogs kmod)
# What building needs besides cargo: a linker, libc, make.
build_packages=(gcc libc6-dev make)
# What makes and shows the quick start's image.
quickstart=(mmdebstrap busybox-static curl ca-certificates)
# What the tests start or compare with; g++ links libFuzzer, cpio makes the bare initramfs of a bench.
test=(mmdebstrap busybox-static curl ca-certificates iproute2 iputils-ping procps util-linux tar gzip zstd g++ cpio git openssh-client gpg gpg-agent xfsprogs)

# The oldest compiler that builds this workspace.
rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$top/Cargo.toml")

installed() {
    local status
    status=$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) && [ "$status" = installed ]
}

install_missing() {
    local missing=() package
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing ${missing[*]}"
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300
        install --no-install-recommends "${missing[@]}")
    as_root "${install[@]}" >&2 && return
    apt_update
    as_root "${install[@]}" >&2 ||
        fail "cannot install ${missing[*]}" "see apt's messages above; on Ubuntu the component 'universe' is needed"
}

# at_least HAVE WANT: compares two versions.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

check_cargo() {
    local hint="get Rust $rust or newer from https://rustup.rs: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    command -v cargo >/dev/null || fail "cargo is not installed" "$hint"
    local have
    have=$(cargo --version | cut -d' ' -f2)
    at_least "$have" "$rust" || fail "cargo $have is too old: Rust $rust is needed" "$hint, or: rustup update stable"
}

[ $# -gt 0 ] || fail "which packages?" "usage: tools/packages.sh run|build|quickstart|test..."
distribution >/dev/null
wanted=()
for set in "$@"; do
    case $set in
    run) wanted+=("${run[@]}") ;;
    build) wanted+=("${build_packages[@]}") ;;
    quickstart) wanted+=("${quickstart[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    *) fail "no set of packages is called $set" "there are: run build quickstart test" ;;
    esac
done
install_missing "${wanted[@]}"
case " $* " in *' build '*) check_cargo ;; esac
