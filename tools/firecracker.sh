#!/usr/bin/env bash
# Runs tests with a real Firecracker, where there is one.
#
#   tools/firecracker.sh api             the driver takes the program named by
#                                        IGNITE_FIRECRACKER through its API, with
#                                        the ELF guest named by IGNITE_TEST_GUEST
#   tools/firecracker.sh e2e [FILTER]    the end-to-end tests, every VM in it
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$top"

# Tests run as root, cargo as whoever calls: as the Makefile has it.
export "CARGO_TARGET_$(uname -m | tr a-z- A-Z_)_UNKNOWN_LINUX_GNU_RUNNER=$top/tools/as-root"

# named VARIABLE WHAT: the file a variable names, or a failure with what to do.
named() {
    local path=${!1:-}
    [ -n "$path" ] || fail "$1 is not set" "name $2: $1=/path make test-firecracker${mode:+-$mode}"
    [ -f "$path" ] || fail "$1 names $path, which is no file" "name $2"
}

case ${1:-} in
    api)
        mode=api
        named IGNITE_FIRECRACKER "a Firecracker program"
        named IGNITE_TEST_GUEST "a small guest, an uncompressed ELF kernel"
        cargo test --package ignite-vmm --test firecracker_real -- --ignored --nocapture
        ;;
    e2e)
        mode=
        shift
        named IGNITE_FIRECRACKER "a Firecracker program"
        # By this name the tests find its processes.
        place=$build/firecracker
        mkdir -p "$place"
        ln -sfn "$(realpath "$IGNITE_FIRECRACKER")" "$place/firecracker"
        export IGNITE_FIRECRACKER=$place/firecracker IGNITE_VMM=firecracker
        tools/e2e.sh "$@"
        ;;
    *) fail "nothing is called ${1:-''}" "say api or e2e" ;;
esac
