#!/bin/sh
# Makes random calls of every function of tensors and of sparse tensors, and reads damaged files:
# scripts/fuzz.sh [COUNT] [SEED]. COUNT is 20,000 by default. The default SEED is the current time;
# the tests print it, and a failure prints the seed of the call or of the file.
set -eu
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
NEURAX_FUZZ="${1:-20000}"
NEURAX_SEED="${2:-$(date +%s)000000}"
export NEURAX_FUZZ NEURAX_SEED
exec cargo test -p neurax-tensor -p neurax-sparse --test fuzz -- --nocapture
