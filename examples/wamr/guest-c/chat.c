/* A guest that talks to a model, without any library.
 *
 * usage: chat.wasm whole|stream MODEL CONFIG PROMPT...
 *
 * MODEL is a name that the host knows, CONFIG a JSON object or an empty text. Prompts are raw: the caller writes the
 * model's template into them. Each further PROMPT continues the text so far, and the model evaluates what is new in it.
 * Answers go to stdout, one line each; metadata goes to stderr. The exit status is the error number of wasi-nn.
 *
 *     iwasm chat.wasm whole pocket-a '{"temp":0}' 'user: Hello
 *     assistant:'
 *
 * `whole` uses a host's own functions only. `stream` prints pieces as they are made and gives the context and the model
 * back; these functions come from the plugin, by iwasm --native-lib=/path/to/libwasi_nn_llamacpp.so.
 *
 * build: sh build.sh, which is in short
 *     clang --target=wasm32 -Os -ffreestanding -fno-builtin -nostdlib -Wl,--entry=_start -o chat.wasm chat.c
 * The linker, wasm-ld, exports the memory by itself.
 */
#include <stdbool.h>
#include <stdint.h>

#include "wasi.h"
#include "wasi_nn.h"

enum { MODE = 1, MODEL = 2, CONFIG = 3, FIRST_PROMPT = 4 };

/* Prompts and answers in the order in which the model saw them. One byte is kept for the NUL behind them. */
static char transcript[256 * 1024];
static uint32_t used;

static char metadata[16 * 1024];

static void append(const char *text) {
    uint32_t size = length(text);
    if (size >= sizeof transcript - used) {
        fail("transcript", NN_TOO_LARGE);
    }
    for (uint32_t i = 0; i < size; i++) {
        transcript[used + i] = text[i];
    }
    used += size;
    transcript[used] = 0;
}

static void set_prompt(uint32_t context) {
    /* One dimension, the true length: hosts up to 2.3 pass on nothing else to tell it by. */
    const uint32_t dimensions[4] = {used};
    const struct nn_tensor prompt = {dimensions, 1, NN_TYPE_U8, transcript, used};
    check("set_input", nn_set_input(context, NN_TEXT, &prompt));
}

static void answer_whole(uint32_t context) {
    /* A full context ends the answer, but what there is of it can be read. */
    uint32_t ended = nn_compute(context);
    if (ended != NN_CONTEXT_FULL) {
        check("compute", ended);
    }
    uint32_t size = 0;
    check("get_output", nn_get_output(context, NN_TEXT, transcript + used, sizeof transcript - 1 - used, &size));
    print(STDOUT, transcript + used, size);
    used += size;

    check("get_output", nn_get_output(context, NN_METADATA, metadata, sizeof metadata, &size));
    print(STDERR, metadata, size);
}

static void answer_in_pieces(uint32_t context) {
    uint32_t size = 0;
    uint32_t ended;
    while ((ended = nn_compute_single(context)) == NN_SUCCESS) {
        check("get_output_single", nn_get_output_single(context, NN_TEXT, transcript + used,
                                                        sizeof transcript - 1 - used, &size));
        print(STDOUT, transcript + used, size);
        used += size;
    }
    if (ended != NN_END_OF_SEQUENCE && ended != NN_CONTEXT_FULL) {
        fail("compute_single", ended);
    }
    check("get_output_single", nn_get_output_single(context, NN_METADATA, metadata, sizeof metadata, &size));
    print(STDERR, metadata, size);
    check("fini_single", nn_fini_single(context));
}

__attribute__((export_name("_start"))) void _start(void) {
    static char *arguments[64];
    static char bytes[64 * 1024];
    uint32_t count = 0;
    uint32_t size = 0;
    if (wasi_args_sizes_get(&count, &size) != 0 || size > sizeof bytes
        || count > sizeof arguments / sizeof arguments[0] || count <= FIRST_PROMPT
        || wasi_args_get(arguments, bytes) != 0) {
        say("usage: chat.wasm whole|stream MODEL CONFIG PROMPT...\n");
        wasi_proc_exit(1);
    }
    bool streams = arguments[MODE][0] == 's';

    uint32_t graph = 0;
    const char *model = arguments[MODEL];
    const char *config = arguments[CONFIG];
    if (config[0] == 0) {
        check("load_by_name", nn_load_by_name(model, length(model), &graph));
    } else {
        check("load_by_name_with_config",
              nn_load_by_name_with_config(model, length(model), config, length(config), &graph));
    }
    uint32_t context = 0;
    check("init_execution_context", nn_init_execution_context(graph, &context));

    for (uint32_t i = FIRST_PROMPT; i < count; i++) {
        append(arguments[i]);
        set_prompt(context);
        if (streams) {
            answer_in_pieces(context);
        } else {
            answer_whole(context);
        }
        print(STDOUT, "\n", 1);
        say("\n");
    }

    /* A host gives all of it back when the instance ends; a guest that lives on does it as soon as it can. */
    if (streams) {
        check("finalize_execution_context", nn_finalize_execution_context(context));
        check("unload", nn_unload(graph));
    }
    wasi_proc_exit(0);
}
