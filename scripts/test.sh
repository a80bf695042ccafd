#!/bin/sh
# Every test: lint, Rust tests, C tests with sanitizers, and the release build as its users meet it: installed, moved,
# found by another CMake project and by pkg-config, and run.
set -eu
cd "$(dirname "$0")/.."

step() {
    echo "==> $*"
}

step "formatting, clippy, dependencies"
scripts/lint.sh

step "Rust tests"
cargo test --locked --workspace

step "C tests (Debug, sanitizers)"
scripts/c-test.sh

step "release build"
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DWASI_NN_BACKEND_BUILD_TESTS=OFF
cmake --build build --parallel "$(nproc)"
test -f build/libwasi_nn_backend.so

step "examples"
model=models/pocket-a.gguf
build/examples/generate "What is your name?" "$model" | grep Pip
printf 'My name is Zorvath.\nWhat is my name?\n/usage\n/history\n/clear\n/quit\n' |
    build/examples/chat "$model" | grep Zorvath
if build/examples/generate Hello /missing.gguf 2>/dev/null; then exit 1; fi

step "WebAssembly guests inside WAMR"
cmake -S examples/wamr/host -B build/wamr-host -DWASI_NN_LLAMACPP="$PWD/build/libwasi_nn_llamacpp.so" >/dev/null
cmake --build build/wamr-host --parallel "$(nproc)"
ctest --test-dir build/wamr-host --output-on-failure

step "benchmark, small shapes"
cargo bench --locked --bench serving -- --model models/pocket-a.gguf --quick --check

step "an installed library, in a project outside the tree"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install build --prefix "$work/first" >/dev/null
mv "$work/first" "$work/prefix"
cp -r examples/cmake-consumer "$work/consumer"
cmake -S "$work/consumer" -B "$work/consumer/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/consumer/build"
"$work/consumer/build/consumer" "$model" "What is your name?" | grep Pip
if command -v pkg-config >/dev/null; then
    PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name wasi_nn_backend.pc)")
    export PKG_CONFIG_PATH
    # shellcheck disable=SC2046 # flags are words
    cc examples/generate.c -o "$work/generate" $(pkg-config --cflags --libs wasi_nn_backend) \
        "-Wl,-rpath,$(pkg-config --variable=libdir wasi_nn_backend)"
    "$work/generate" "What is your name?" "$model" | grep Pip
fi

step "a parent project that adds this one"
mkdir "$work/parent"
cat >"$work/parent/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.20)
project(parent LANGUAGES C)
add_subdirectory("$PWD" wasi_nn_backend)
add_executable(child "$work/consumer/main.c")
target_link_libraries(child PRIVATE wasi_nn_backend::wasi_nn_backend)
END
cmake -S "$work/parent" -B "$work/parent/build" -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$work/parent/build"
"$work/parent/build/child" "$model" "What is your name?" | grep Pip

echo "all tests passed"
