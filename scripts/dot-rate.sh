#!/bin/sh
# Measures matrix products of f32 on the reference interpreter, with the profile of the tests:
# scripts/dot-rate.sh [dev|release]. Fails if a size runs at less than 0.2 GFLOP/s.
set -eu
cd "$(dirname "$0")/.."
exec cargo run --quiet --profile "${1:-dev}" -p neurax-testkit --example dot_rate
