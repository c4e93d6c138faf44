#!/usr/bin/env bash
# Runs nine models with trained weights from packages of PyPI, and checks that Neurax computes what
# ONNX Runtime computes: silero-vad in four versions, smart-turn of int8, the detector, recogniser
# and classifier of PP-OCR, and magika.
#
#     scripts/onnx-real-models.sh
#
# The packages are downloaded into target/onnx-real-models and not installed, apart from ONNX
# Runtime; their versions are in scripts/onnx_models/packages-real.txt. Models of an earlier run are
# kept; remove target/onnx-real-models/tests to lay them out again. The exit code is 3 if packages
# cannot be fetched.
set -euo pipefail
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
to=target/onnx-real-models
code=scripts/onnx_models
export PYTHONDONTWRITEBYTECODE=1
if ! test -f "$to/tests/ready"; then
  python3 -m venv "$to/venv" || exit 3
  pip=("$to/venv/bin/pip" --quiet --disable-pip-version-check)
  "${pip[@]}" install -r "$code/requirements-real.txt" || exit 3
  "${pip[@]}" download --no-deps -r "$code/packages-real.txt" -d "$to/packages" || exit 3
  "$to/venv/bin/python" "$code" "$to/tests" real_models
  touch "$to/tests/ready"
fi
cargo run --quiet -p neurax-cli -- onnx conformance "$to/tests"
