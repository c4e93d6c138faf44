#!/usr/bin/env bash
# Compares functions with JAX on new random inputs. Names are drawn by a seed from the namespaces of
# docs/coverage/jax.md, and of each name one of the recorded functions that use it: values, both
# modes, second order, batches over each axis, and values on NaN, infinities, zeros of both signs,
# ties, arrays without elements and of rank 0 where the inputs allow. The names are printed; names
# without a recorded function too, and another one is drawn.
#
#     python3 -m venv .venv
#     .venv/bin/pip install -r crates/neurax-testkit/fixtures/requirements.txt
#     PYTHON=.venv/bin/python scripts/draw-functions.sh [SEED] [COUNT]
set -euo pipefail
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
seed=${1:-$RANDOM}
count=${2:-60}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "seed $seed"
"${PYTHON:-python3}" crates/neurax-testkit/fixtures/record.py \
    --jit --seed "$seed" --draw "$count" --out "$folder"
NEURAX_FIXTURES=$folder cargo test -p neurax-tensor --test jax -- \
    --skip every_ --skip loops_branches --skip nested::
