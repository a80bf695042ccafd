#!/bin/sh
# Runs fuzz targets for some seconds each.
#
# usage: fuzz.sh SECONDS TARGET...
set -eu
cd "$(dirname "$0")/.."

seconds=$1
shift
[ $# -gt 0 ] || { echo "fuzz: no targets" >&2; exit 1; }
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
for target in "$@"; do
    echo "==> $target"
    cargo +nightly fuzz run "$target" -- -max_total_time="$seconds"
done
