/* Asks a model one question, as a program outside the library's source tree does.
 *
 * usage: consumer MODEL [PROMPT] */

#include <stdint.h>
#include <stdio.h>

#include <wasi_nn_llama.h>
#include <wasi_nn_llama_ext.h>

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s MODEL [PROMPT]\n%s\n", argv[0], wasi_nn_version());
        return 2;
    }
    tensor prompt = {.dimensions = NULL, .type = u8, .data = (uint8_t *)(argc > 2 ? argv[2] : "What is your name?")};
    void *backend = NULL;
    graph g = 0;
    graph_execution_context context = 0;
    char answer[8192], reason[1024];
    uint32_t size = sizeof answer;

    /* Each step needs the one before, so the first failure ends the row. A length of 0 means that a NUL ends the name. */
    wasi_nn_error code = init_backend(&backend);
    if (code == success) { code = load_by_name(backend, argv[1], 0, &g); }
    if (code == success) { code = init_execution_context(backend, g, &context); }
    if (code == success) { code = run_inference(backend, context, 0, &prompt, (uint8_t *)answer, &size, NULL, 0); }

    if (code == success) {
        printf("%s\n", answer);
    } else {
        wasi_nn_get_last_error(NULL, reason, sizeof reason);
        fprintf(stderr, "error %d: %s\n", (int)code, reason);
    }
    if (backend != NULL) { deinit_backend(backend); }
    return code == success ? 0 : 1;
}
