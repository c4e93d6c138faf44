#!/usr/bin/env bash
# Runs the tests of ONNX backends, and checks that those fail that docs/coverage/onnx.md lists, and
# no others. Makes them with the Python package `onnx`, which is installed into
# target/onnx.
#
#     scripts/onnx-conformance.sh          checks the results
#     scripts/onnx-conformance.sh --write  writes the page
#
# NEURAX is the program to run, built with the feature `images`; without it, Cargo builds one.
# The exit code is 3 if the package cannot be installed.
set -euo pipefail
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
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
run=(cargo run --quiet -p neurax-cli --features images --)
test -z "${NEURAX:-}" || run=("$NEURAX")
run+=(onnx conformance "${folders[@]}")
if test "${1:-}" = --write; then
  "${run[@]}" --page "$page" --expect 0
else
  "${run[@]}" --against "$page"
fi
