#!/bin/sh
# One test of the plugin inside WAMR: check.sh CASE HOST PLUGIN MODEL GUESTS
#
# HOST is one of the programs that CMakeLists.txt builds, PLUGIN the path of libwasi_nn_llamacpp.so, MODEL that of
# pocket-a.gguf, GUESTS the folder with guest-c and guest-rust. The answers are what that model says at temperature 0.
set -eu
case=$1 host=$2 plugin=$3 model=$4 guests=$5

unset LD_LIBRARY_PATH WASI_NN_MODEL_ROOT WASI_NN_MODEL_POLICY WASI_NN_LLAMACPP_ABI WASI_NN_LLAMACPP_ERRORS
export WASI_NN_PRELOAD="pocket:GGML:CPU:$model"
config='{"temp":0,"n-predict":200}'
native="--native-lib=$plugin"
c=$guests/guest-c/chat.wasm
rust=$guests/guest-rust/chat.wasm
tasks=$guests/guest-c/tasks.wasm
told=$(mktemp)
trap 'rm -f "$told"' EXIT

# The shell takes the last newline off what `user` prints, and the template has one there.
nl='
'

# What a user says, in the template of the model.
user() {
    printf '<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n' "$1"
}

expect() {
    if [ "$2" != "$3" ]; then
        printf '%s: expected\n%s\nfound\n%s\nand on stderr\n' "$1" "$2" "$3"
        cat "$told"
        exit 1
    fi
}

# The status of a guest, whatever it prints.
status() {
    if "$host" "$@" >"$told" 2>&1; then echo 0; else echo $?; fi
}

# The figure called $1 in the $2th metadata document on stderr.
figure() {
    grep -o "\"$1\": *[0-9]*" "$told" | sed -n "$2s/.*[: ]//p"
}

# What a task of tasks.wasm prints: TASK DIMENSIONS CONFIG PROMPT. $lib is the option for the native library, or empty.
task() {
    "$host" $lib "$tasks" "$1" "$2" pocket "$3" "$4" 2>"$told"
}

# The number behind `$1: ` on stderr.
counted() {
    sed -n "s/^$1: //p" "$told"
}

# The tasks that need no function but a host's own, with tensors of dimensions $1.
plain_tasks() {
    expect "chat, $1" "Hello! I am Pip." "$(task chat "$1" "$config" "$(user Hello)$nl")"
    [ "$(counted before)" -gt 5 ] || expect "tokens before, $1" "more than 5" "$(cat "$told")"
    expect "tokens before and after, $1" "$(counted before)" "$(counted after)"
    expect "twice, $1" "Hello! I am Pip." "$(task twice "$1" "$config" "$(user Hello)$nl")"
    [ "$(counted first)" -gt 5 ] || expect "tokens of the first input, $1" "more than 5" "$(cat "$told")"
    expect "tokens of both inputs, $1" "$(counted first)" "$(counted second)"
    closed='{"temp":0.1,"grammar":"root ::= \"purple\" | \"orange\""}'
    case $(task chat "$1" "$closed" "$(user 'Which colour?')$nl") in
    purple | orange) ;;
    *) expect "grammar, $1" "purple or orange" "$(cat "$told")" ;;
    esac
    # As the text of a schema in a string, which is how guests of the other plugin send it; one option is of an example.
    schema='{\"type\":\"object\",\"properties\":{\"likes\":{\"enum\":[\"tea\",\"milk\"]}},\"required\":[\"likes\"]}'
    closed='{"temp":0.1,"llama3":true,"json-schema":"'$schema'"}'
    found=$(task chat "$1" "$closed" "$(user 'What do you like?')$nl" | tr -d ' \n')
    case $found in
    '{"likes":"tea"}' | '{"likes":"milk"}') ;;
    *) expect "schema, $1" '{"likes":"tea"} or {"likes":"milk"}' "$found" ;;
    esac
    ! grep -q llama3 "$told" || expect "an option of an example, $1" "no word" "$(cat "$told")"
    vector=$(task embedding "$1" '{"embedding":true}' 'Rivers run down to the sea.')
    case $vector in
    '{"n_embedding":128,"embedding":['*']}') ;;
    *) expect "embedding, $1" "a vector of 128 numbers" "$vector" ;;
    esac
}

# Nothing shows the version of a host that exports nothing before its first output, and these tensors need it earlier.
case $case:${host##*/} in
tasks_*:wamr_run_silent) export WASI_NN_LLAMACPP_ABI=2.4 ;;
esac

case $case in
tasks_plain)
    # Found by its name; the host's own functions convert what the guest writes.
    export LD_LIBRARY_PATH="${plugin%/*}"
    lib=''
    plain_tasks one
    one=$vector
    plain_tasks true
    expect "the vector, whatever the dimensions" "$one" "$vector"
    ;;
tasks_native)
    lib=$native
    for dimensions in one true; do
        plain_tasks $dimensions
        expect "stream, $dimensions" "1 2 3 4 5 6 7" "$(task stream $dimensions "$config" "$(user 'Count to 7.')$nl")"
        hello="Hello! I am Pip."
        # A host that answers a call itself writes a line of its own where the guest tries what it has given back.
        expect "unload, $dimensions" "$hello
$hello
$hello
$hello
$hello" "$(task unload $dimensions "$config" "$(user Hello)$nl" | grep -v '^\[wasi_nn.c')"
    done
    ;;
both_modules)
    # The native library brings the module that the host lacks.
    lib=$native
    expect "the standard module" "Hello! I am Pip." "$(task chat one "$config" "$(user Hello)$nl")"
    found=$("$host" "$native" "$guests/guest-c/legacy.wasm" pocket "$config" "$(user Hello)$nl" 2>"$told")
    expect "the older module" "Hello! I am Pip." "$found"
    ;;
whole)
    # Found by its name, as stock hosts find it.
    export LD_LIBRARY_PATH="${plugin%/*}"
    for guest in "$c" "$rust"; do
        found=$("$host" "$guest" whole pocket "$config" "$(user Hello)$nl" 2>"$told")
        expect "$guest" "Hello! I am Pip." "$found"
        [ "$(figure output_tokens 1)" -gt 3 ] || expect metadata "output_tokens above 3" "$(cat "$told")"
    done
    ;;
stream)
    # Found because --native-lib opened it.
    for guest in "$c" "$rust"; do
        found=$("$host" "$native" "$guest" stream pocket "$config" "$(user 'Count to 12.')$nl" 2>"$told")
        expect "$guest" "1 2 3 4 5 6 7 8 9 10 11 12" "$found"
    done
    ;;
same_text)
    whole=$("$host" "$native" "$c" whole pocket "$config" "$(user 'Tell me a story.')$nl" 2>"$told")
    [ "${#whole}" -gt 80 ] || expect story "five sentences" "$whole"
    tokens=$(figure output_tokens 1)
    for guest in "$c" "$rust"; do
        found=$("$host" "$native" "$guest" stream pocket "$config" "$(user 'Tell me a story.')$nl" 2>"$told")
        expect "$guest" "$whole" "$found"
        expect "tokens of $guest" "$tokens" "$(figure output_tokens 1)"
    done
    ;;
limits)
    short='{"temp":0,"n-predict":4}'
    for mode in whole stream; do
        "$host" "$native" "$c" $mode pocket "$short" "$(user 'Tell me a story.')$nl" >/dev/null 2>"$told"
        expect "tokens, $mode" 4 "$(figure output_tokens 1)"
    done
    closed='{"temp":0,"grammar":"root ::= \"purple\" | \"orange\""}'
    found=$("$host" "$native" "$rust" whole pocket "$closed" "$(user Hello)$nl" 2>"$told")
    case $found in
    purple | orange) ;;
    *) expect grammar "purple or orange" "$found" ;;
    esac
    ;;
two_turns)
    for mode in whole stream; do
        found=$("$host" "$native" "$c" $mode pocket "$config" "$(user 'My name is Ada.')$nl" "<|im_end|>
$(user 'What is my name?')$nl" 2>"$told")
        expect $mode "Nice to meet you, Ada!
Your name is Ada." "$found"
        # The second prompt begins with the first and its answer: they are not evaluated again.
        [ "$(figure cached_tokens 2)" -ge "$(figure input_tokens 1)" ] \
            || expect "cached_tokens, $mode" "the first prompt at least" "$(cat "$told")"
    done
    ;;
names)
    expect "no such name" 103 "$(status "$native" "$c" whole nobody.gguf "$config" Hello)"
    expect "a path" 0 "$(status "$native" "$c" whole "$model" "$config" Hello)"
    export WASI_NN_MODEL_POLICY=registry
    expect "a path where names alone count" 8 "$(status "$native" "$c" whole "$model" "$config" Hello)"
    expect "a name where names alone count" 0 "$(status "$native" "$c" whole pocket "$config" Hello)"
    unset WASI_NN_MODEL_POLICY
    export WASI_NN_MODEL_ROOT="${model%/*}"
    expect "below the root" 0 "$(status "$native" "$c" whole "${model##*/}" "$config" Hello)"
    expect "beside the root" 8 "$(status "$native" "$c" whole ../Cargo.toml "$config" Hello)"
    expect "broken configuration" 2 "$(status "$native" "$c" whole pocket '{"temp":' Hello)"
    expect "wrong type" 1 "$(status "$native" "$c" whole pocket '{"temp":"hot"}' Hello)"
    ;;
many_instances)
    found=$("$host" --instances=32 "$native" "$c" stream pocket "$config" "$(user Goodbye)$nl" 2>"$told" \
        | grep -o '!' | wc -l)
    expect "answers of 32 instances at once" 32 "$((found))"
    found=$("$host" --instances=32 "$native" "$rust" whole pocket "$config" "$(user Hello)$nl" 2>"$told" \
        | grep -o 'Hello! I am Pip\.' | wc -l)
    expect "whole answers of 32 instances at once" 32 "$((found))"
    ;;
no_native_lib)
    export LD_LIBRARY_PATH="${plugin%/*}"
    expect "a trap" 70 "$(status "$c" stream pocket "$config" "$(user Hello)$nl")"
    grep -q 'compute_single' "$told" || expect "the trap" "that compute_single is missing" "$(cat "$told")"
    ;;
legacy)
    export LD_LIBRARY_PATH="${plugin%/*}"
    found=$("$host" "$guests/guest-c/legacy.wasm" pocket "$config" "$(user Hello)$nl" 2>"$told")
    expect legacy "Hello! I am Pip." "$found"
    ;;
*)
    echo "check.sh: no case $case" >&2
    exit 2
    ;;
esac
