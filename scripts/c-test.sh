#!/bin/sh
# The C tests in a Debug build with sanitizers. Further arguments go to ctest, such as -R NAME.
set -eu
cd "$(dirname "$0")/.."

cmake -S . -B build/debug -DCMAKE_BUILD_TYPE=Debug
cmake --build build/debug --parallel "$(nproc)"
ctest --test-dir build/debug --output-on-failure "$@"
