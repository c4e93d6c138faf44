#!/usr/bin/env bash
# Runs the tests of the crates that users call on the reference interpreter: the test binaries that
# `cargo test` has built, with NEURAX_DEVICE=interp.
set -euo pipefail
cd "$(dirname "$0")/.."

# The binaries are chosen from the whole workspace. Selecting packages with `-p` would build their
# dependencies again with other features.
built=$(cargo test --no-run --message-format=json 2>/dev/null | grep '"executable":"')
count=0
for name in neurax neurax-tensor neurax-nn neurax-sparse neurax-data neurax-train \
  neurax-examples neurax-cli; do
  binaries=$(grep -F "/crates/$name#" <<<"$built" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
  for binary in $binaries; do
    # Programs outside of `deps` are no tests; four tests of the facade use no device.
    case "$binary" in
      */deps/architecture-* | */deps/modules-* | */deps/outside-* | */deps/tidy-*) continue ;;
      */deps/*) ;;
      *) continue ;;
    esac
    (cd "crates/$name" && NEURAX_DEVICE=interp "$binary" --quiet)
    count=$((count + 1))
  done
done
echo "$count test binaries passed on the reference interpreter"
[ "$count" -ge 15 ] || { echo "expected at least 15 test binaries"; exit 1; }
