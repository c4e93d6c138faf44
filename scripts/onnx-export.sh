#!/usr/bin/env bash
# Exports models of many kinds in several opsets, and checks that onnx.checker accepts them and that
# ONNX Runtime computes equal results for several sizes of the batch.
#
#     scripts/onnx-export.sh                     installs the Python packages into target/onnx
#     ONNX_PYTHON=.../python scripts/onnx-export.sh   uses this Python, which has them
#
# The exit code is 3 if the packages cannot be installed.
set -euo pipefail
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
here=crates/neurax-onnx/tests/backend
models=target/onnx/exported
python=${ONNX_PYTHON:-target/onnx/venv/bin/python}
if test -z "${ONNX_PYTHON:-}"; then
  test -x "$python" || python3 -m venv target/onnx/venv || exit 3
  target/onnx/venv/bin/pip install --quiet -r "$here/requirements.txt" onnxruntime==1.32.0 || exit 3
fi
rm -rf "$models"
cargo run --quiet -p neurax-onnx --example export_models -- "$models"
"$python" "$here/check_exported.py" "$models"
