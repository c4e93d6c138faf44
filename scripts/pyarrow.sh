#!/usr/bin/env bash
# Exchanges Parquet files with pyarrow: writes the files of crates/neurax-dataframe/tests/data again
# and compares them with those of the repository, runs the tests on both, and lets pyarrow read a
# file that neurax-dataframe wrote.
#
#     scripts/pyarrow.sh                              installs pyarrow into target/pyarrow
#     PYARROW_PYTHON=.../python scripts/pyarrow.sh    uses this Python, which has it
#
# The exit code is 3 if pyarrow cannot be installed.
set -euo pipefail
cd "$(dirname "$0")/.."
data=crates/neurax-dataframe/tests/data
python=${PYARROW_PYTHON:-target/pyarrow/venv/bin/python}
if test -z "${PYARROW_PYTHON:-}"; then
  test -x "$python" || python3 -m venv target/pyarrow/venv || exit 3
  target/pyarrow/venv/bin/pip install --quiet pyarrow==26.0.1 || exit 3
fi
mkdir -p target/pyarrow/files
"$python" "$data/write.py" target/pyarrow/files
"$python" "$data/write.py" --compare "$data" target/pyarrow/files
cargo test --quiet -p neurax-dataframe --test pyarrow
NEURAX_PYARROW_FILES="$PWD/target/pyarrow/files" \
  cargo test --quiet -p neurax-dataframe --test pyarrow
cargo run --quiet -p neurax-dataframe --example write_types -- target/pyarrow/written.parquet
"$python" "$data/write.py" --check target/pyarrow/written.parquet
