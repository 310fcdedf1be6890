#!/usr/bin/env bash
# Runs fuzz targets for a while each, from the committed corpus.
#
#   tools/fuzz.sh SECONDS             every target
#   tools/fuzz.sh SECONDS TARGET...   these
#   tools/fuzz.sh short               every target, the same few thousand inputs
#                                     each time: what CI runs
#
# libFuzzer works on the stable compiler with the coverage passes asked for by
# hand; the flags are those cargo-fuzz would pass. What is found on the way is
# kept in build/fuzz/TARGET and taken up by the next run.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
case ${1:-20} in
    short) limit=(-seed=1 -runs=3000) ;;
    *) limit=("-max_total_time=${1:-20}") ;;
esac
shift || true
cd "$top"

triple=$(uname -m)-unknown-linux-gnu
export CARGO_TARGET_DIR=$build/fuzz-target
program=$CARGO_TARGET_DIR/$triple/release/fuzz
flags=(
    --cfg fuzzing
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
)
command -v c++ >/dev/null || fail "there is no C++ compiler, which libFuzzer needs" "install g++"
say "Building the fuzz targets"
# With --target the flags do not hit build scripts and macros.
RUSTFLAGS="${flags[*]}" cargo build --quiet --release --manifest-path fuzz/Cargo.toml --target "$triple"

# Some targets write files: into memory, where there is such a place.
scratch=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# stat_of NAME LOG: one of libFuzzer's final numbers.
stat_of() { sed -n "s/^stat::$1: *//p" "$2"; }

# fuzz TARGET: says what was done, or fails with what to do.
fuzz() {
    local target=$1 corpus=fuzz/corpus/$1 found=$build/fuzz/$1 log=$build/fuzz/$1.log input
    [ -d "$corpus" ] || fail "there is no $corpus" "give the target $target a few small inputs to begin with"
    mkdir -p "$found"
    if IGNITE_FUZZ_TARGET=$target TMPDIR=$scratch "$program" "${limit[@]}" -rss_limit_mb=512 \
        -timeout=10 -print_final_stats=1 -artifact_prefix="$found-" "$found" "$corpus" >"$log" 2>&1; then
        say "$(printf '%-18s %9s runs %7s/s %4s MB' "$target" "$(stat_of number_of_executed_units "$log")" \
            "$(stat_of average_exec_per_sec "$log")" "$(stat_of peak_rss_mb "$log")")"
        return
    fi
    grep -A 3 -e 'panicked at' -e '^==.*ERROR' "$log" | grep -v '^NOTE' >&2 || true
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    fail "the fuzz target $target has a finding (the whole log: $log)" \
        "see it again: IGNITE_FUZZ_TARGET=$target $program ${input:-}"
}

if [ $# -eq 0 ]; then
    mapfile -t targets < <(IGNITE_FUZZ_TARGET=list "$program" 2>/dev/null)
    set -- "${targets[@]}"
fi
for target in "$@"; do
    fuzz "$target"
done
