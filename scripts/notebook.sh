#!/usr/bin/env bash
# Runs the notebook notebooks/first-steps.ipynb in Jupyter with the Rust kernel evcxr, and checks
# the formats of its outputs. The first run builds the kernel and the crates: about half an hour.
#
#     scripts/notebook.sh                     installs all into target/notebook
#     EVCXR_JUPYTER=.../evcxr_jupyter scripts/notebook.sh    uses this kernel
#
# The exit code is 3 if the kernel or the Python packages cannot be installed.
set -euo pipefail
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
work=$PWD/target/notebook
mkdir -p "$work"
kernel=${EVCXR_JUPYTER:-$work/cargo/bin/evcxr_jupyter}
if ! test -x "$kernel"; then
  cargo install evcxr_jupyter --version 0.22.0 --locked --root "$work/cargo" \
    --target-dir "$work/build" || exit 3
fi
python=${NOTEBOOK_PYTHON:-$work/venv/bin/python}
if ! test -x "$python"; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet -r scripts/notebook/requirements.txt || exit 3
fi
# The crate that evcxr makes of the cells must not lie in this workspace.
export JUPYTER_PATH=$work/jupyter EVCXR_TMPDIR=${EVCXR_TMPDIR:-/tmp/neurax-notebook}
mkdir -p "$EVCXR_TMPDIR" "$JUPYTER_PATH"
# A cell is a shared library that is linked with that of the standard library.
LD_LIBRARY_PATH=$(rustc --print target-libdir)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
"$kernel" --install >/dev/null
"$python" scripts/notebook/run.py notebooks/first-steps.ipynb "$work/first-steps.ipynb"
