# The recipes of the project. `make chat` and `make test` are all that a fresh machine needs.

MODEL ?= models/pocket-a.gguf
PREFIX ?= /usr/local
# What `make fuzz` runs, for how many seconds each.
NAME ?= config door template tokenise wamr
SECONDS_EACH ?= 60

# rustup's folder, where it was installed in the same run and no shell has read its settings yet.
export PATH := $(HOME)/.cargo/bin:$(PATH)

# What `make bench` measures with, llama.cpp's programs to compare with, further options: docs/benchmark.md.
BENCH_MODEL ?= build/bench.gguf
PEERS ?=
BENCH_ARGS ?=

.PHONY: chat test setup build lint headers docs c-test fuzz evaluate bench install

# Installs what is missing, builds the library and talks to a model.
chat: setup build
	build/examples/chat $(MODEL)

# Installs what is missing and runs every test.
test: setup
	scripts/test.sh

# Installs what is missing: compilers, cmake, the Rust toolchain.
setup:
	scripts/setup.sh

# The release library in build/, with the examples.
build:
	cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DWASI_NN_BACKEND_BUILD_TESTS=OFF
	cmake --build build

# Formatting, clippy, and licences and sources of the dependencies.
lint:
	scripts/lint.sh

# Writes include/*.h anew from the sources.
headers:
	WASI_NN_WRITE_HEADERS=1 cargo test --locked --test header

# Writes docs/configuration.md and docs/config.schema.json anew from the tables of keys, docs/status.md and docs/status/ from
# the structures of the status.
docs:
	WASI_NN_WRITE_DOCS=1 cargo test --locked -p engine --test reference

# The C tests alone, with sanitizers.
c-test:
	scripts/c-test.sh

# Fuzzes for a minute each: make fuzz, make fuzz NAME=config
fuzz:
	set -e; for name in $(NAME); do fuzz/run.sh $$name $(SECONDS_EACH); done

# Judges the pocket models by the held-out dialogues: models/README.md.
evaluate:
	scripts/evaluate.sh

# Measures the release library, beside llama.cpp's programs with PEERS=folder: docs/benchmark.md.
bench: build $(BENCH_MODEL)
	cargo bench --locked --bench serving -- --model $(BENCH_MODEL) --json build/bench.json \
	    $(if $(PEERS),--peers $(PEERS)) $(BENCH_ARGS)

# Random weights in the shape of a small llama.
build/bench.gguf: | build
	cargo bench --locked --bench serving -- --make-model $@

# Installs library, headers and package files below PREFIX.
install: build
	cmake --install build --prefix $(PREFIX)
