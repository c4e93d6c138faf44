#!/bin/sh
# Checks random programs: scripts/random-programs.sh [COUNT] [SEED]
# COUNT is 100,000 by default. The default SEED is the current time; the test prints it, and a
# failure prints the seed of the failing program.
set -eu
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
NEURAX_PROGRAMS="${1:-100000}"
NEURAX_SEED="${2:-$(date +%s)000000}"
export NEURAX_PROGRAMS NEURAX_SEED
exec cargo test -p neurax-testkit --test random_programs -- --nocapture
