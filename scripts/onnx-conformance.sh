#!/usr/bin/env bash
# Runs the tests of ONNX backends, and checks that the number that pass is that of
# docs/coverage/onnx.md. Makes them with the Python package `onnx`, which is installed into
# target/onnx.
#
#     scripts/onnx-conformance.sh          checks the number
#     scripts/onnx-conformance.sh --write  writes the page
#
# The exit code is 3 if the package cannot be installed.
set -euo pipefail
cd "$(dirname "$0")/.."
tests=target/onnx/tests
page=docs/coverage/onnx.md
here=crates/neurax-onnx/tests/backend
if ! test -d "$tests/pytorch-operator"; then
  python3 -m venv target/onnx/venv || exit 3
  target/onnx/venv/bin/pip install --quiet -r "$here/requirements.txt" || exit 3
  target/onnx/venv/bin/python "$here/write.py" "$tests"
fi
folders=("$tests/node" "$tests/simple" "$tests/pytorch-converted" "$tests/pytorch-operator")
run=(cargo run --quiet -p neurax-cli --features images -- onnx conformance "${folders[@]}")
if test "${1:-}" = --write; then
  "${run[@]}" --page "$page" --expect 0
else
  passed=$(sed -n 's/^The tests of ONNX backends: \([0-9]*\) of .*/\1/p' "$page")
  "${run[@]}" --expect "$passed"
fi
