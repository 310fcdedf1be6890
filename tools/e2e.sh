#!/usr/bin/env bash
# Runs the end-to-end tests, then proves that the machine is as it was.
#
#   tools/e2e.sh [FILTER]         only the tests whose name contains FILTER
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$top"
before=$build/e2e/machine-before

mkdir -p "$build/e2e"
# Places of hosts whose test was killed.
tools/as-root rm -rf "$build/e2e/hosts"
# And their control groups, those in which nothing runs.
tools/as-root find /sys/fs/cgroup -depth -type d -path '*/ignite-e2e-*' -exec rmdir {} + 2>/dev/null || true
cargo build --quiet --package xtask
tools/as-root target/debug/xtask machine save "$before"
status=0
# Tests mostly wait for guests, whose boots `testkit::boot` bounds; a failure
# is told by its message, not by where its error value was made.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-3} RUST_LIB_BACKTRACE=0
cargo test --package ignite-cli --test e2e -- "$@" || status=$?
tools/as-root target/debug/xtask machine compare "$before" || status=1
exit $status
