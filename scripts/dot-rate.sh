#!/bin/sh
# Measures matrix products of f32 on the reference interpreter, with the profile of the tests:
# scripts/dot-rate.sh [dev|release]. Fails if a size runs at less than 0.2 GFLOP/s.
set -eu
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
exec cargo run --quiet --profile "${1:-dev}" -p neurax-testkit --example dot_rate
