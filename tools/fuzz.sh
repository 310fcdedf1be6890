#!/usr/bin/env bash
# Runs every fuzz target for a while, from its committed corpus.
#
#   tools/fuzz.sh SECONDS             each
#
# libFuzzer works on the stable compiler with the coverage passes asked for by
# hand; the flags are those cargo-fuzz would pass.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
seconds=${1:-20}
cd "$top/fuzz"

export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
triple=$(uname -m)-unknown-linux-gnu
cargo build --quiet --release --target "$triple"
for target in targets/*.rs; do
    name=$(basename "$target" .rs)
    # New inputs go to a scratch corpus; what is committed is only read.
    mkdir -p "$build/fuzz/$name" "corpus/$name"
    "$top/fuzz/target/$triple/release/$name" -max_total_time="$seconds" -print_final_stats=0 -verbosity=0 \
        -artifact_prefix="$build/fuzz/$name-" "$build/fuzz/$name" "corpus/$name"
    say "$name: $seconds s without a finding"
done
