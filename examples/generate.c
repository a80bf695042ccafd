/* One prompt, one answer.
 *
 * usage: generate [PROMPT [MODEL]]
 *
 * The shortest complete host: a backend, a model, an execution context, and one turn in the three steps of wasi-nn:
 * set_input, compute, get_output. See chat.c for a conversation with streaming. */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "wasi_nn_llama.h"
#include "wasi_nn_llama_ext.h"

/* Settings are JSON and all of them are optional. Temperature 0 always picks the likeliest token, and nothing is added
 * against repetitions; the log goes to stderr and is kept to errors. */
static const char CONFIG[] = "{\"model\":{\"n_predict\":128},"
                             "\"sampling\":{\"temp\":0,\"repeat_penalty\":1},"
                             "\"logging\":{\"level\":\"error\"}}";

/* A code says what kind of failure it was, the last error which function failed and why. The text belongs to the
 * calling thread, so it can be asked for with NULL as well: that is the way when there is no backend yet. */
static int fail(wasi_nn_error code) {
    char reason[1024];
    wasi_nn_get_last_error(NULL, reason, sizeof reason);
    fprintf(stderr, "error %d: %s\n", (int)code, reason);
    return 1;
}

int main(int argc, char **argv) {
    const char *prompt = argc > 1 ? argv[1] : "What is your name?";
    const char *model = argc > 2 ? argv[2] : "models/pocket-a.gguf";
    void *backend = NULL;
    graph g = 0;
    graph_execution_context context = 0;
    wasi_nn_error code;

    code = init_backend_with_config(&backend, CONFIG, (uint32_t)strlen(CONFIG));
    if (code != success) { return fail(code); }

    code = load_by_name(backend, model, (uint32_t)strlen(model), &g);
    if (code != success) { return fail(code); }

    code = init_execution_context(backend, g, &context);
    if (code != success) { return fail(code); }

    /* A tensor of text: without dimensions it ends at its NUL. The library copies it. */
    tensor input = {.dimensions = NULL, .type = u8, .data = (uint8_t *)prompt};
    code = set_input(backend, context, 0, &input);
    if (code != success) { return fail(code); }

    code = compute(backend, context);
    if (code != success) { return fail(code); }

    /* Output 0 is the text, output 1 describes the turn as JSON. The size goes in as the room there is and comes back
     * as the bytes written, with the NUL that always ends a text; one that does not fit is cut. */
    char answer[8192], about[8192];
    uint32_t size = sizeof answer;
    code = get_output(backend, context, 0, (uint8_t *)answer, &size);
    if (code != success) { return fail(code); }
    size = sizeof about;
    code = get_output(backend, context, 1, (uint8_t *)about, &size);
    if (code != success) { return fail(code); }
    printf("%s\n", answer);
    fprintf(stderr, "%s\n", about);

    /* Contexts go with their backend. */
    code = deinit_backend(backend);
    return code == success ? 0 : fail(code);
}
