#!/bin/sh
# Reads and runs damaged ONNX models, values of test data and external data, and makes random calls
# of operators: scripts/fuzz-onnx.sh [COUNT] [SEED]. COUNT, 1,000,000 by default, is the number of
# damaged files: 8 of 10 are models, one has external data, one is a value; and a tenth of COUNT is
# the number of calls. The default SEED is the current time.
#
# The memory of the process is limited, and each case has a minute. Each piece is a process with
# other seeds; a finding is printed with its seed, and the run goes on after it. The exit code
# is 1 if there is one. The models of the tests of ONNX backends, in the folder NEURAX_FUZZ_MODELS,
# are damaged as well; scripts/onnx-conformance.sh makes them.
set -eu
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
count="${1:-1000000}"
seed="${2:-$(date +%s)000000}"
# The cases of a piece, and the address space of its process in KiB.
piece=20000
memory=3000000

: "${NEURAX_FUZZ_MODELS:=target/onnx/tests/node}"
if test -d "$NEURAX_FUZZ_MODELS"; then
  NEURAX_FUZZ_MODELS=$(realpath "$NEURAX_FUZZ_MODELS")
  export NEURAX_FUZZ_MODELS
else
  unset NEURAX_FUZZ_MODELS
fi
if test -z "${NEURAX_FUZZ_PROGRAM:-}"; then
  NEURAX_FUZZ_PROGRAM=$(cargo test -p neurax-onnx --lib --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*neurax_onnx-[^"]*\)".*/\1/p' | tail -1)
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export NEURAX_FUZZ_STATE="$work/state"
# One arena for all threads: otherwise each takes address space.
export MALLOC_ARENA_MAX=1 RUST_BACKTRACE=0
ulimit -v "$memory"
files=0
findings=0
start=$(date +%s)

# Runs COUNT cases of a test, in pieces. After a finding that ends the process, the next case is
# the first of another piece.
run() {
  left=$2
  while test "$left" -gt 0; do
    rm -f "$NEURAX_FUZZ_STATE"
    n=$((left < piece ? left : piece))
    if NEURAX_FUZZ_SEED=$seed NEURAX_FUZZ_COUNT=$n "$NEURAX_FUZZ_PROGRAM" --exact "fuzz::$1" \
      --nocapture --test-threads=1 >"$work/log" 2>&1; then
      done=$n
    else
      findings=$((findings + 1))
      test -s "$NEURAX_FUZZ_STATE" || { cat "$work/log"; exit 1; }
      last=$(sed -n 's/NEURAX_FUZZ_SEED=\([0-9]*\).*/\1/p' "$NEURAX_FUZZ_STATE")
      done=$((last - seed + 1))
      echo "FINDING in $1: the last case was $(cat "$NEURAX_FUZZ_STATE")"
      tail -n 40 "$work/log"
    fi
    seed=$((seed + done))
    left=$((left - done))
    files=$((files + done))
    seconds=$(($(date +%s) - start + 1))
    echo "$(date +%T) $1: $left left; $files cases in $seconds s, $findings findings"
  done
}

echo "seed $seed, models of ${NEURAX_FUZZ_MODELS:-the test alone}"
run damaged_models_neither_panic_nor_hang $((count * 8 / 10))
run damaged_external_data_are_errors_or_read_right $((count / 10))
run damaged_values_neither_panic_nor_hang $((count / 10))
run random_calls_of_operators_neither_panic_nor_hang $((count / 10))
echo "$files cases, $findings findings"
test "$findings" = 0
