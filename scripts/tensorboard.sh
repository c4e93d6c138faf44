#!/usr/bin/env bash
# Trains the example `recorded` with the handler TensorBoard, and resumes another training from an
# older checkpoint; reads all values with TensorBoard's own reader, and compares them with the logs.
#
#     scripts/tensorboard.sh                  installs the Python packages into target/tensorboard
#     TENSORBOARD_PYTHON=.../python scripts/tensorboard.sh    uses this Python, which has them
#
# The exit code is 3 if the packages cannot be installed.
set -euo pipefail
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
work=target/tensorboard
python=${TENSORBOARD_PYTHON:-$work/venv/bin/python}
if test -z "${TENSORBOARD_PYTHON:-}"; then
  test -x "$python" || python3 -m venv "$work/venv" || exit 3
  "$work/venv/bin/pip" install --quiet -r scripts/tensorboard/requirements.txt || exit 3
fi
example() { cargo run --quiet -p neurax-examples --example recorded -- "$@"; }
rm -rf "$work/runs"
example "$work/runs/whole" 4
example "$work/runs/resumed" 2
# As if the program had been killed after the second epoch was logged: its last state is lost.
rm -r "$work"/runs/resumed/checkpoints/step-000090
example "$work/runs/resumed" 4
for run in whole resumed; do
  "$python" scripts/tensorboard/check.py "$work/runs/$run"
done
