/* A guest that does what guests of WasmEdge's plugin do, one task each time, with tensors as they write them.
 *
 * usage: tasks.wasm TASK DIMENSIONS MODEL CONFIG PROMPT
 *
 * TASK is `chat` (the answer, and the tokens of the prompt before and after it), `stream` (piece by piece), `embedding`
 * (the vector as JSON), `twice` (the prompt is set twice, and must have as many tokens each time) or `unload` (five
 * times: load, answer, give back). A grammar and a JSON schema are part of CONFIG.
 *
 * DIMENSIONS is `one` or `true`. Bindings for Rust say that a tensor of text has one element, or how many bytes it has;
 * either way its size stands beside it, no NUL is behind it, and what lies there is something else.
 *
 * Answers go to stdout, one line each; what was counted goes to stderr. The exit status is the error number of wasi-nn.
 */
#include <stdbool.h>
#include <stdint.h>

#include "wasi.h"
#include "wasi_nn.h"

enum { TASK = 1, DIMENSIONS = 2, MODEL = 3, CONFIG = 4, PROMPT = 5, ARGUMENTS = 6, ROUNDS = 5 };

static char *arguments[ARGUMENTS];

/* A prompt and then, without a NUL between them, what a guest has behind it in its memory. */
static char memory[64 * 1024];
static const char behind[] = "And this, which is no part of the prompt, must never be read.";

static char text[64 * 1024];

static bool is(const char *word, const char *other) {
    uint32_t at = 0;
    while (word[at] != 0 && word[at] == other[at]) {
        at++;
    }
    return word[at] == other[at];
}

static uint32_t load(void) {
    uint32_t graph = 0;
    check("load_by_name_with_config",
          nn_load_by_name_with_config(arguments[MODEL], length(arguments[MODEL]), arguments[CONFIG],
                                      length(arguments[CONFIG]), &graph));
    return graph;
}

static uint32_t open_context(uint32_t graph) {
    uint32_t context = 0;
    check("init_execution_context", nn_init_execution_context(graph, &context));
    return context;
}

static void set_prompt(uint32_t context) {
    uint32_t size = length(arguments[PROMPT]);
    if (size + sizeof behind > sizeof memory) {
        fail("prompt", NN_TOO_LARGE);
    }
    for (uint32_t i = 0; i < size; i++) {
        memory[i] = arguments[PROMPT][i];
    }
    for (uint32_t i = 0; i < sizeof behind; i++) {
        memory[size + i] = behind[i];
    }
    const uint32_t dimensions[4] = {is(arguments[DIMENSIONS], "one") ? 1 : size};
    const struct nn_tensor prompt = {dimensions, 1, NN_TYPE_U8, memory, size};
    check("set_input", nn_set_input(context, NN_TEXT, &prompt));
}

/* The output at `index`, with a NUL behind it. */
static const char *output(uint32_t context, uint32_t index) {
    uint32_t size = 0;
    check("get_output", nn_get_output(context, index, text, sizeof text - 1, &size));
    text[size] = 0;
    return text;
}

/* The whole number behind `"name":` in the metadata, or 0. */
static uint32_t figure(uint32_t context, const char *name) {
    const char *at = output(context, NN_METADATA);
    for (; *at != 0; at++) {
        uint32_t i = 0;
        while (name[i] != 0 && at[i] == name[i]) {
            i++;
        }
        if (name[i] == 0 && at[i] == '"') {
            at += i + 1;
            break;
        }
    }
    while (*at == ':' || *at == ' ') {
        at++;
    }
    uint32_t number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        number = 10 * number + (uint32_t)(*at - '0');
    }
    return number;
}

static void tell(const char *what, uint32_t number) {
    char digits[12];
    uint32_t at = sizeof digits - 2;
    digits[at] = '\n';
    digits[at + 1] = 0;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    say(what);
    say(": ");
    say(digits + at);
}

static void print_line(const char *line) {
    print(STDOUT, line, length(line));
    print(STDOUT, "\n", 1);
}

static void compute(uint32_t context) {
    uint32_t ended = nn_compute(context);
    if (ended != NN_CONTEXT_FULL) {
        check("compute", ended);
    }
}

static void chat(void) {
    uint32_t context = open_context(load());
    set_prompt(context);
    tell("before", figure(context, "input_tokens"));
    compute(context);
    print_line(output(context, NN_TEXT));
    tell("after", figure(context, "input_tokens"));
    tell("answer", figure(context, "output_tokens"));
}

static void stream(void) {
    uint32_t context = open_context(load());
    set_prompt(context);
    uint32_t ended = 0;
    while ((ended = nn_compute_single(context)) == NN_SUCCESS) {
        uint32_t size = 0;
        check("get_output_single", nn_get_output_single(context, NN_TEXT, text, sizeof text, &size));
        print(STDOUT, text, size);
    }
    if (ended != NN_END_OF_SEQUENCE && ended != NN_CONTEXT_FULL) {
        fail("compute_single", ended);
    }
    check("fini_single", nn_fini_single(context));
    print(STDOUT, "\n", 1);
}

static void embedding(void) {
    uint32_t context = open_context(load());
    set_prompt(context);
    tell("before", figure(context, "input_tokens"));
    compute(context);
    print_line(output(context, NN_TEXT));
}

static void twice(void) {
    uint32_t context = open_context(load());
    set_prompt(context);
    uint32_t first = figure(context, "input_tokens");
    set_prompt(context);
    tell("first", first);
    tell("second", figure(context, "input_tokens"));
    compute(context);
    print_line(output(context, NN_TEXT));
}

static void unload(void) {
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t graph = load();
        uint32_t context = open_context(graph);
        set_prompt(context);
        compute(context);
        print_line(output(context, NN_TEXT));
        check("finalize_execution_context", nn_finalize_execution_context(context));
        check("unload", nn_unload(graph));
        /* It is gone: nothing is made of it any more. */
        uint32_t other = 0;
        if (nn_init_execution_context(graph, &other) == NN_SUCCESS) {
            fail("a graph that was unloaded", 1);
        }
    }
}

__attribute__((export_name("_start"))) void _start(void) {
    static char bytes[64 * 1024];
    uint32_t count = 0;
    uint32_t size = 0;
    if (wasi_args_sizes_get(&count, &size) != 0 || size > sizeof bytes || count != ARGUMENTS
        || wasi_args_get(arguments, bytes) != 0) {
        say("usage: tasks.wasm chat|stream|embedding|twice|unload one|true MODEL CONFIG PROMPT\n");
        wasi_proc_exit(1);
    }
    const char *task = arguments[TASK];
    if (is(task, "chat")) {
        chat();
    } else if (is(task, "stream")) {
        stream();
    } else if (is(task, "embedding")) {
        embedding();
    } else if (is(task, "twice")) {
        twice();
    } else if (is(task, "unload")) {
        unload();
    } else {
        fail(task, 1);
    }
    wasi_proc_exit(0);
}
