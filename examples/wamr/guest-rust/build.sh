#!/bin/sh
# Builds chat.wasm beside its source. Needs a rustc that has the target wasm32-unknown-unknown: by rustup, or Debian's
# rustc with libstd-rust-dev-wasm32 and lld (RUSTC=/usr/bin/rustc, LINKER=wasm-ld).
set -eu
cd "$(dirname "$0")"

"${RUSTC:-rustc}" --edition 2021 --target wasm32-unknown-unknown --crate-type cdylib --crate-name chat -D warnings \
    -C panic=abort -C opt-level=s -C lto -C strip=symbols -C linker="${LINKER:-rust-lld}" \
    -C link-arg=-zstack-size=65536 -o chat.wasm main.rs
chmod 644 chat.wasm
wc -c chat.wasm
