#!/bin/sh
# Runs a fuzz target: fuzz/run.sh NAME [SECONDS]. NAME is config, door, template, tokenise or wamr, SECONDS is 60 unless given.
#
# Works on a stable toolchain: without a sanitizer cargo-fuzz needs no unstable flag. What a run learns stays under
# fuzz/corpus, what it finds under fuzz/artifacts; the seeds that every run begins with are under fuzz/seeds.
set -eu

name=${1:?"usage: fuzz/run.sh NAME [SECONDS]"}
seconds=${2:-60}
cd "$(dirname "$0")"
root=$PWD

if ! cargo fuzz --version >/dev/null 2>&1; then
    cargo install cargo-fuzz --locked
fi

# cargo-fuzz passes RUSTFLAGS, which replace those of .cargo/config.toml; llama.cpp is compiled for the same CPU level.
if [ "$(uname -m)" = x86_64 ]; then
    export RUSTFLAGS="-Ctarget-cpu=x86-64-v3"
fi
export CARGO_TARGET_DIR="$root/target"
cargo fuzz build --fuzz-dir "$root" --sanitizer none --codegen-units 16 "$name"

mkdir -p "corpus/$name" "seeds/$name"
# A sequence of calls takes hundreds of bytes, which mutations of nothing come to late: the first run begins with noise.
if [ "$name" != config ] && [ "$name" != template ] && [ -z "$(ls "corpus/$name")" ]; then
    for n in $(seq 200); do
        head -c 1400 /dev/urandom >"corpus/$name/noise-$n"
    done
fi
set -- "$root/corpus/$name" "$root/seeds/$name"

# A run happens in a folder of its own: whatever an input makes the engine write by a relative path lies there.
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
# Long inputs from the start: a minute is too short to grow them.
each=$seconds
if [ "$name" = wamr ]; then
    each=$((seconds / 3 + 1))
fi
options="-max_total_time=$each -timeout=30 -rss_limit_mb=3072 -len_control=0 -max_len=2048 -print_final_stats=1"
if [ -f "$name.dict" ]; then
    options="$options -dict=$root/$name.dict"
fi
mkdir -p "artifacts/$name"
host=$(rustc -vV | sed -n 's/^host: //p')
cd "$room"
# The program itself and not `cargo fuzz run`, which would start it in the current project.
run() {
    # shellcheck disable=SC2086
    "$CARGO_TARGET_DIR/$host/release/$name" $options "-artifact_prefix=$root/artifacts/$name/" "$@"
}
if [ "$name" = wamr ]; then
    # A process has one host: of one generation, of the other, and one that the library has to recognise.
    for generation in 2.2 2.4; do
        WASI_NN_LLAMACPP_ABI=$generation run "$@"
    done
fi
run "$@"
