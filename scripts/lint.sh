#!/bin/sh
# Formatting, clippy without warnings, and what stands in deny.toml.
set -eu
cd "$(dirname "$0")/.."

cargo fmt --all --check
cargo clippy --locked --workspace --all-targets -- -D warnings

deny=$(command -v cargo-deny || echo target/tools/cargo-deny)
if [ -x "$deny" ]; then
    "$deny" --locked check -D warnings licenses sources bans
else
    echo "lint: cargo-deny is not installed: licences are NOT checked, sources by Cargo.lock alone"
    if grep '^source = ' Cargo.lock | grep -v '"registry+https://github.com/rust-lang/crates.io-index"'; then
        echo "lint: sources other than crates.io" >&2
        exit 1
    fi
fi
