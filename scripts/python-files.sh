#!/usr/bin/env bash
# Exchanges files with NumPy and PyTorch: they write `.npy`, `.npz` and `.pt` of all dtypes, byte
# orders and layouts, an example of Neurax reads them and writes `.npy`, `.npz` and safetensors, and
# these are compared with the first ones, bit for bit.
#
#     scripts/python-files.sh                            installs the packages into target (6 GB)
#     FILES_PYTHON=.../python scripts/python-files.sh    uses this Python, which has them
#
# The exit code is 3 if the packages cannot be installed.
set -euo pipefail
cd "$(dirname "$0")/.."
to=target/python-files
here=scripts/python_files
export PYTHONDONTWRITEBYTECODE=1
python=${FILES_PYTHON:-$to/venv/bin/python}
if test -z "${FILES_PYTHON:-}"; then
  test -x "$python" || python3 -m venv "$to/venv" || exit 3
  "$to/venv/bin/pip" install --quiet -r "$here/requirements.txt" || exit 3
fi
rm -rf "$to/in" "$to/out"
"$python" "$here/files.py" write "$to/in"
cargo run --quiet -p neurax --example python_files -- "$to/in" "$to/out"
"$python" "$here/files.py" compare "$to/in" "$to/out"
