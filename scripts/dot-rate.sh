#!/bin/sh
# Measures the oracle's products of f32 matrices, as the tests run them: scripts/dot-rate.sh [dev|release]
# Fails when a size is below 0.2 GFLOP/s.
set -eu
cd "$(dirname "$0")/.."
exec cargo run --quiet --profile "${1:-dev}" -p neurax-testkit --example dot_rate
