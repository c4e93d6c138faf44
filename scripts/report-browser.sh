#!/usr/bin/env bash
# Trains the example `recorded`, makes its report, and opens it in headless Chromium, for a large
# screen and for a phone, on a light and on a dark background.
#
#     scripts/report-browser.sh               installs Debian's chromium if it is absent (as root)
#     CHROMIUM=.../chrome scripts/report-browser.sh   uses this program
#
# Fails if a page is blank, is wider than its screen, has errors in its console or asks the network.
# The screenshots are in target/report. The exit code is 3 if Chromium cannot be installed.
set -euo pipefail
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
work=target/report
chromium=${CHROMIUM:-$(command -v chromium || true)}
if test -z "$chromium"; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null || exit 3
  chromium=chromium
fi
rm -rf "$work"
mkdir -p "$work"
cargo run --quiet -p neurax-examples --example recorded -- "$work/first-digits" 12
# As on another machine: another path, without the first one.
mv "$work/first-digits" "$work/digits"
cargo run --quiet -p neurax-cli -- report "$work/digits" --out "$work/report.html" \
  --svg "$work/plots"
python3 scripts/report/screenshots.py "$chromium" "$work/report.html" "$work"
