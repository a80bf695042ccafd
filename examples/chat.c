/* A small chat on the terminal.
 *
 * usage: chat [MODEL]
 *
 * Answers appear as they are made. Commands: /history, /usage, /clear, /quit. Works with piped input as well:
 *
 *     printf 'My name is Ada.\nWhat is my name?\n' | chat models/pocket-a.gguf
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wasi_nn_llama.h"
#include "wasi_nn_llama_ext.h"

/* Temperature 0 always picks the likeliest token, and no penalty on repeated ones: a tiny model that recalls a name has
 * to repeat it. The log goes to stderr and is kept to errors: what fails here is printed by the program itself. */
static const char CONFIG[] = "{\"model\":{\"n_predict\":256},"
                             "\"sampling\":{\"temp\":0,\"repeat_penalty\":1},"
                             "\"logging\":{\"level\":\"error\"}}";

/* One conversation with one model. The backend is a handle, a number in disguise: nobody looks behind it. */
struct chat {
    void *backend;
    graph_execution_context context;
};

/* A code says what kind of failure it was, the last error which function failed and why. The text belongs to the
 * calling thread, so there is no need to say of which backend. */
static void complain(wasi_nn_error code) {
    char reason[1024];
    wasi_nn_get_last_error(NULL, reason, sizeof reason);
    fprintf(stderr, "error %d: %s\n", (int)code, reason);
}

static bool open_chat(struct chat *chat, const char *model) {
    wasi_nn_error code = init_backend_with_config(&chat->backend, CONFIG, (uint32_t)strlen(CONFIG));
    if (code != success) {
        complain(code);
        return false;
    }
    graph g;
    code = load_by_name(chat->backend, model, (uint32_t)strlen(model), &g);
    if (code != success) {
        complain(code);
        return false;
    }
    /* The context remembers everything that is said in it. */
    code = init_execution_context(chat->backend, g, &chat->context);
    if (code != success) { complain(code); }
    return code == success;
}

/* Receives the answer piece by piece, on the thread that asked. Pieces are whole characters without a NUL. Anything but
 * 0 would end the answer here. */
static int32_t print_piece(void *user_data, const char *piece, uint32_t length) {
    FILE *out = user_data;
    fwrite(piece, 1, length, out);
    return fflush(out) != 0;
}

/* One turn: the prompt goes in, the answer is printed, both become part of the conversation. */
static bool talk(const struct chat *chat, const char *prompt) {
    tensor input = {.dimensions = NULL, .type = u8, .data = (uint8_t *)prompt};
    wasi_nn_error code =
        wasi_nn_run_inference_stream(chat->backend, chat->context, &input, NULL, 0, print_piece, stdout);
    printf("\n");
    /* A failed turn leaves no trace in the conversation, so there is nothing to undo. */
    if (code != success) { complain(code); }
    return code == success;
}

/* Prints the conversation as JSON. Asks twice: a first time with hardly any room, to learn how much is needed. */
static bool print_history(const struct chat *chat) {
    char none[1];
    uint32_t size = sizeof none;
    wasi_nn_error code = wasi_nn_get_history(chat->backend, chat->context, none, &size);
    if (code != too_large) {
        complain(code);
        return false;
    }
    char *history = malloc(size);
    if (history == NULL) { return false; }
    code = wasi_nn_get_history(chat->backend, chat->context, history, &size);
    if (code == success) {
        printf("%s\n", history);
    } else {
        complain(code);
    }
    free(history);
    return code == success;
}

static bool print_usage(const struct chat *chat) {
    uint32_t used, capacity;
    wasi_nn_error code = wasi_nn_get_context_usage(chat->backend, chat->context, &used, &capacity);
    if (code == success) {
        printf("%u of %u tokens\n", (unsigned)used, (unsigned)capacity);
    } else {
        complain(code);
    }
    return code == success;
}

static bool forget(const struct chat *chat) {
    wasi_nn_error code = wasi_nn_clear_context(chat->backend, chat->context);
    if (code != success) { complain(code); }
    return code == success;
}

/* False if the line failed; `*on` becomes false when the chat shall end. */
static bool obey(const struct chat *chat, const char *line, bool *on) {
    if (strcmp(line, "/quit") == 0) {
        *on = false;
        return true;
    }
    if (strcmp(line, "/history") == 0) { return print_history(chat); }
    if (strcmp(line, "/usage") == 0) { return print_usage(chat); }
    if (strcmp(line, "/clear") == 0) { return forget(chat); }
    if (line[0] == '/') {
        printf("Commands: /history, /usage, /clear, /quit\n");
        return true;
    }
    return line[0] == '\0' || talk(chat, line);
}

int main(int argc, char **argv) {
    const char *model = argc > 1 ? argv[1] : "models/pocket-a.gguf";
    bool terminal = isatty(STDIN_FILENO) == 1;
    bool on = true, well = true;
    struct chat chat = {NULL, 0};
    static char line[65536];

    if (!open_chat(&chat, model)) { return 1; }
    if (terminal) { printf("%s is loaded. Commands: /history, /usage, /clear, /quit\n", model); }
    while (on) {
        if (terminal) {
            printf("> ");
            fflush(stdout);
        }
        if (fgets(line, sizeof line, stdin) == NULL) { break; }
        line[strcspn(line, "\r\n")] = '\0';
        well = obey(&chat, line, &on) && well;
    }
    /* Also closes the context. */
    wasi_nn_error code = deinit_backend(chat.backend);
    if (code != success) { complain(code); }
    return well && code == success ? 0 : 1;
}
