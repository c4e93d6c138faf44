#!/usr/bin/env bash
# The tests of what users call, on the oracle: the binaries that `cargo test --workspace` has built, run with NEURAX_DEVICE=interp.
set -euo pipefail
cd "$(dirname "$0")/.."

# Chosen among all that is built, and not by `-p`, which would build dependencies again with other features.
built=$(cargo test --workspace --no-run --message-format=json 2>/dev/null | grep '"executable":"')
count=0
for name in neurax neurax-tensor neurax-nn neurax-data neurax-train neurax-examples neurax-cli; do
  for binary in $(grep -F "/crates/$name#" <<<"$built" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'); do
    # Examples of the manual and the like are no tests; two of the facade's compute nothing.
    case "$binary" in */deps/architecture-* | */deps/outside-*) continue ;; */deps/*) ;; *) continue ;; esac
    (cd "crates/$name" && NEURAX_DEVICE=interp "$binary" --quiet)
    count=$((count + 1))
  done
done
echo "$count test binaries passed on the oracle"
[ "$count" -ge 15 ] || { echo "that is not all of them"; exit 1; }
