#!/bin/sh
# Builds chat.wasm, legacy.wasm and tasks.wasm beside their sources. Needs clang and wasm-ld of one version (Debian: clang, lld).
set -eu
cd "$(dirname "$0")"

for guest in chat legacy tasks; do
    "${CLANG:-clang}" --target=wasm32 -std=c11 -Os -Wall -Wextra -Werror -ffreestanding -fno-builtin -nostdlib \
        -Wl,--entry=_start -Wl,--strip-all -o "$guest.wasm" "$guest.c"
    chmod 644 "$guest.wasm"
done
wc -c ./*.wasm
