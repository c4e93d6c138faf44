#!/usr/bin/env bash
# Memory safety of the compiler, by what can be had here: scripts/check-unsafe.sh [valgrind|miri|asan]..
# valgrind sees the generated machine code as well; AddressSanitizer and Miri see only the Rust around it. Without arguments: valgrind and Miri.
# docs/testing.md says what ran and what was found.
set -euo pipefail
cd "$(dirname "$0")/.."

# One op or more of every kind of kernel, for the laws that make several programs of each row.
OPS=add,divide,exponential,compare,select,convert,bitcast_convert,reduce,dot_general,transpose,reverse,slice,dynamic_slice,gather,pad,concatenate
OPS=$OPS,dynamic_update_slice,scatter,iota,popcnt,threefry2x32,sort,convolution,reduce_window,scan,while,case

# The test binary of that name.
binary() {
  local path
  path=$(cargo test -p neurax-native "$@" --no-run --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
  [ -x "$path" ] || { echo "no test binary for $*" >&2; return 1; }
  echo "$path"
}

memcheck() {
  echo "--- $*"
  valgrind --quiet --error-exitcode=9 --leak-check=no "$@"
}

run_valgrind() {
  command -v valgrind >/dev/null || { echo "skipped: valgrind is not installed"; return; }
  local lib conformance random threads
  # One by one: an assignment of several has the status of the last.
  lib=$(binary --lib)
  conformance=$(binary --test conformance)
  random=$(binary --test random)
  threads=$(binary --test threads)
  # valgrind has no mode in which subnormal numbers are zeros.
  memcheck "$lib" --skip emulate --skip the_mode_holds
  memcheck "$conformance" values
  NEURAX_OPS=$OPS memcheck "$conformance" operands
  NEURAX_OPS=$OPS memcheck "$conformance" batches
  NEURAX_PROGRAMS=25 memcheck "$random"
  memcheck "$threads" scan products
}

run_miri() {
  cargo +nightly miri --version >/dev/null 2>&1 || { echo "skipped: Miri is not installed (rustup +nightly component add miri rust-src)"; return; }
  # Threads of a pool live as long as the process. Machine code cannot run: what is left are the pool, the plan of addresses, and the texts.
  MIRIFLAGS="-Zmiri-ignore-leaks -Zmiri-disable-isolation" cargo +nightly miri test -p neurax-native --lib -- launch::pool launch::turn affine verify malformed
}

run_asan() {
  rustc +nightly --version >/dev/null 2>&1 || { echo "skipped: AddressSanitizer needs a nightly toolchain"; return; }
  local host
  host=$(rustc -vV | sed -n 's/^host: //p')
  RUSTFLAGS=-Zsanitizer=address NEURAX_PROGRAMS=100 cargo +nightly test --target "$host" -p neurax-native --lib --test conformance --test random --test threads
}

[ $# -gt 0 ] || set -- valgrind miri
for check in "$@"; do
  echo "=== $check"
  "run_$check"
done
