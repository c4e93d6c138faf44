#!/usr/bin/env bash
# Checks the memory safety of the compiler: scripts/check-unsafe.sh [valgrind|miri|asan]..
# valgrind checks the generated machine code as well; AddressSanitizer and Miri check the Rust code
# only. Without arguments, runs valgrind and Miri. docs/testing.md lists the latest results.
set -euo pipefail
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."

# At least one op of each kind of kernel, for the tests that build several programs from each row.
OPS=add,divide,exponential,compare,select,convert,bitcast_convert,reduce,dot_general,transpose
OPS=$OPS,reverse,slice,dynamic_slice,gather,pad,concatenate,dynamic_update_slice,scatter,iota
OPS=$OPS,popcnt,threefry2x32,sort,convolution,reduce_window,scan,while,case

# Builds a test of neurax-native and prints the path of its binary.
binary() {
  local messages path
  messages=$(cargo test -p neurax-native "$@" --no-run --message-format=json)
  path=$(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' <<<"$messages" | tail -1)
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
  # One assignment per line, so that `set -e` sees the status of each command.
  lib=$(binary --lib)
  conformance=$(binary --test conformance)
  random=$(binary --test random)
  threads=$(binary --test threads)
  # valgrind does not support the mode in which subnormal numbers are flushed to zero.
  memcheck "$lib" --skip emulate --skip the_mode_holds
  memcheck "$conformance" values
  NEURAX_OPS=$OPS memcheck "$conformance" operands
  NEURAX_OPS=$OPS memcheck "$conformance" batches
  NEURAX_PROGRAMS=25 memcheck "$random"
  memcheck "$threads" scan products
}

run_miri() {
  if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "skipped: Miri is not installed (rustup +nightly component add miri rust-src)"
    return
  fi
  # The threads of a pool live as long as the process. Miri cannot run machine code, so it gets the
  # thread pool, the packing of operands, affine offsets, and the text form of kernels.
  MIRIFLAGS="-Zmiri-ignore-leaks -Zmiri-disable-isolation" cargo +nightly miri test \
    -p neurax-native --lib -- launch::pool launch::pack_rhs affine verify malformed
}

run_asan() {
  if ! rustc +nightly --version >/dev/null 2>&1; then
    echo "skipped: AddressSanitizer needs a nightly toolchain"
    return
  fi
  local host
  host=$(rustc -vV | sed -n 's/^host: //p')
  RUSTFLAGS=-Zsanitizer=address NEURAX_PROGRAMS=100 cargo +nightly test --target "$host" \
    -p neurax-native --lib --test conformance --test random --test threads
}

[ $# -gt 0 ] || set -- valgrind miri
for check in "$@"; do
  echo "=== $check"
  "run_$check"
done
