#!/usr/bin/env bash
# Exports models from Python frameworks with random weights, and checks that Neurax computes what
# ONNX Runtime computes. The exporters are in scripts/onnx_models, a file for each group of models.
#
#     scripts/onnx-models.sh             all groups
#     scripts/onnx-models.sh GROUP..     these, such as `tabular quantized`
#
# Their packages are installed into target/onnx-models: 6.5 GB, most of it PyTorch, and 2 GB for
# Keras. Models of an earlier run are kept; remove target/onnx-models/tests to export them again.
# The exit code is 3 if the packages cannot be installed.
set -euo pipefail
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
to=target/onnx-models
code=scripts/onnx_models
export PYTHONDONTWRITEBYTECODE=1

# Prints the Python of a virtual environment with the packages of a list.
python_with() {
  local venv=$to/$1
  if ! test -f "$venv/ready"; then
    python3 -m venv "$venv" || exit 3
    "$venv/bin/pip" install --quiet -r "$code/$2" || exit 3
    touch "$venv/ready"
  fi
  echo "$venv/bin/python"
}

groups=("$@")
if test $# = 0; then
  groups=(torch_images torch_sequences torch_transformers tabular quantized optimized keras_models)
fi
folders=()
for group in "${groups[@]}"; do
  folder=$to/tests/$group
  if ! test -f "$folder/ready"; then
    case $group in
      keras_models) python=$(python_with venv-keras requirements-keras.txt) ;;
      *) python=$(python_with venv requirements.txt) ;;
    esac
    "$python" "$code" "$folder" "$group"
    touch "$folder/ready"
  fi
  folders+=("$folder")
done
cargo run --quiet -p neurax-cli -- onnx conformance "${folders[@]}"
