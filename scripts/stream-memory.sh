#!/usr/bin/env bash
# Shows that training on a CSV file of any size takes constant memory:
# scripts/stream-memory.sh [GIGABYTES [FOLDER]]
# Writes a file of 0.05 GB and one of GIGABYTES (2 by default) to FOLDER (/tmp by default), trains
# on each for an epoch, and prints the speed and the peak memory of both. Fails if the larger file
# takes 64 MB more. The files are removed. docs/data.md lists the latest results. PROFILE= runs a
# debug build.
set -euo pipefail
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."

gigabytes=${1:-2}
folder=${2:-/tmp}
profile=${PROFILE---release}

# shellcheck disable=SC2086
cargo build -q $profile -p neurax-data --example stream_memory
binary=target/$([ "$profile" = --release ] && echo release || echo debug)/examples/stream_memory
file=$(mktemp "$folder/neurax-stream-XXXXXX.csv")
trap 'rm -f "$file"' EXIT

# Prints the peak memory in MB of training on a file of a size.
peak() {
  "$binary" write "$file" "$1"
  "$binary" train "$file" | tee >(cat >&2) | sed -n 's/.*peak memory \([0-9]*\) MB/\1/p'
}

small=$(peak 0.05)
large=$(peak "$gigabytes")
[ "$large" -lt $((small + 64)) ] || { echo "memory grew from $small to $large MB" >&2; exit 1; }
echo "memory is constant: $small MB for 0.05 GB, $large MB for $gigabytes GB"
