#!/bin/sh
# Checks many random programs: scripts/random-programs.sh [how many] [first seed]
# Without a seed it starts somewhere new each time; the test prints where, and a failure names its own seed.
set -eu
cd "$(dirname "$0")/.."
NEURAX_PROGRAMS="${1:-100000}"
NEURAX_SEED="${2:-$(date +%s)000000}"
export NEURAX_PROGRAMS NEURAX_SEED
exec cargo test -p neurax-testkit --test random_programs -- --nocapture
