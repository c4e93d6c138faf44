#!/usr/bin/env bash
# Compares functions, drawn by a seed, with JAX on new random inputs: values, both modes, second
# order, batches; functions of elements and reductions also on NaN, infinities, zeros, ties, arrays
# without elements and of rank 0.
#
#     python3 -m venv .venv
#     .venv/bin/pip install -r crates/neurax-testkit/fixtures/requirements.txt
#     PYTHON=.venv/bin/python scripts/draw-functions.sh [SEED] [COUNT]
set -euo pipefail
cd "$(dirname "$0")/.."
seed=${1:-$RANDOM}
count=${2:-60}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "seed $seed"
"${PYTHON:-python3}" crates/neurax-testkit/fixtures/record.py \
    --seed "$seed" --draw "$count" --out "$folder"
NEURAX_FIXTURES=$folder cargo test -p neurax-tensor --test jax -- \
    --skip every_ --skip loops_branches --skip nested::
