/* A guest for hosts whose module is called wasi_nn: WAMR before 2.4, and builds with WAMR_BUILD_WASI_EPHEMERAL_NN=0.
 *
 * usage: legacy.wasm MODEL CONFIG PROMPT
 *
 * These hosts know no load with a configuration, but settings can be given as input 1 all the same. The shapes differ
 * from those of wasi_ephemeral_nn: a tensor has no length but its dimensions, and an output's capacity goes in where its
 * size comes out. On hosts up to 2.3 a model comes from `load` alone, as bytes.
 *
 * build: sh build.sh
 */
#include <stdint.h>

#include "wasi.h"

enum { MODEL = 1, CONFIG = 2, PROMPT = 3, ARGUMENTS = 4, TEXT = 0, METADATA = 1, TYPE_U8 = 2, CONTEXT_FULL = 101 };

struct dimensions {
    const uint32_t *at;
    uint32_t count;
};

/* 12 bytes. */
struct tensor {
    const struct dimensions *dimensions;
    uint8_t type;
    const char *data;
};

#define NN(name) __attribute__((import_module("wasi_nn"), import_name(#name))) uint32_t nn_##name

NN(load_by_name)(const char *name, uint32_t size, uint32_t *graph);
NN(init_execution_context)(uint32_t graph, uint32_t *context);
NN(set_input)(uint32_t context, uint32_t index, const struct tensor *tensor);
NN(compute)(uint32_t context);
NN(get_output)(uint32_t context, uint32_t index, char *out, uint32_t *capacity_then_size);

#undef NN

static void set_input(uint32_t context, uint32_t index, const char *text) {
    const uint32_t sizes[4] = {length(text)};
    const struct dimensions dimensions = {sizes, 1};
    const struct tensor tensor = {&dimensions, TYPE_U8, text};
    check("set_input", nn_set_input(context, index, &tensor));
}

static void print_output(uint32_t context, uint32_t index, uint32_t fd) {
    static char text[64 * 1024];
    uint32_t size = sizeof text;
    check("get_output", nn_get_output(context, index, text, &size));
    print(fd, text, size);
    print(fd, "\n", 1);
}

__attribute__((export_name("_start"))) void _start(void) {
    static char *arguments[ARGUMENTS];
    static char bytes[64 * 1024];
    uint32_t count = 0;
    uint32_t size = 0;
    if (wasi_args_sizes_get(&count, &size) != 0 || size > sizeof bytes || count != ARGUMENTS
        || wasi_args_get(arguments, bytes) != 0) {
        say("usage: legacy.wasm MODEL CONFIG PROMPT\n");
        wasi_proc_exit(1);
    }
    uint32_t graph = 0;
    check("load_by_name", nn_load_by_name(arguments[MODEL], length(arguments[MODEL]), &graph));
    uint32_t context = 0;
    check("init_execution_context", nn_init_execution_context(graph, &context));
    if (arguments[CONFIG][0] != 0) {
        set_input(context, METADATA, arguments[CONFIG]);
    }
    set_input(context, TEXT, arguments[PROMPT]);
    uint32_t ended = nn_compute(context);
    if (ended != CONTEXT_FULL) {
        check("compute", ended);
    }
    print_output(context, TEXT, STDOUT);
    print_output(context, METADATA, STDERR);
    wasi_proc_exit(0);
}
