#!/usr/bin/env bash
# Builds vhost-device-vsock, which gives QEMU a vsock device that needs nothing
# of the host's kernel and speaks Firecracker's handshake: tests drive the
# agent over it.
#
#   tools/vhost-device-vsock.sh    -> build/tools/vhost-device-vsock/bin/vhost-device-vsock
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

version=0.3.0
target=$build/tools/vhost-device-vsock
[ "$("$target/bin/vhost-device-vsock" --version 2>/dev/null)" != "vhost-device-vsock $version" ] || exit 0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/vhost-device-vsock.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
say "Building vhost-device-vsock $version"
# Its own lock file: with newer crates it does not build.
CARGO_TARGET_DIR=$scratch cargo install --quiet --locked --no-track --force \
    --root "$target" --version "$version" vhost-device-vsock
