/* Model files that are none, or were one: the load answers with its code and the reason, the model that served before
 * goes on serving, and nothing crashes, whatever the file says about its own sizes. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gguf.h"
#include "host.h"

static char folder[] = "/tmp/wasi-nn-load-XXXXXX";
static char path[256];

/* A path inside the program's own folder; valid until the next call. */
static const char *file_called(const char *name) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Loading `name` fails with `want`, and the last error holds `part`. */
static void check_load(void *backend, const char *name, uint32_t want, const char *part) {
    char error[TEXT];
    graph g = 77;
    CHECK_EQ(load_by_name(backend, name, (uint32_t)strlen(name), &g), want);
    CHECK_EQ(g, 77);
    CHECK_CONTAINS(last_error(backend, error), part);
    CHECK_CONTAINS(last_error(NULL, error), part);
}

static void bad_names_are_refused(void) {
    void *backend = open_backend(NULL);
    char name[5000];
    graph g = 77;
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    CHECK_EQ(load_by_name(backend, NULL, 0, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_by_name(backend, NULL, 10, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_by_name(backend, "", 0, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_by_name(backend, "", 1, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_by_name(backend, name, sizeof name - 1, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_by_name(backend, name, 4097, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_by_name(backend, name, 0, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_by_name(backend, (const char *)8, 10, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_by_name(backend, name, 4096, &g), RUNTIME_ERROR);
    CHECK_EQ(g, 77);
    close_backend(backend);
}

static void files_that_are_no_model_say_why(void) {
    void *backend = open_backend(NULL);
    check_load(backend, file_called("missing.gguf"), RUNTIME_ERROR, "file not found");
    check_load(backend, file_called("missing.gguf"), RUNTIME_ERROR, "missing.gguf");
    check_load(backend, file_called("missing.gguf"), RUNTIME_ERROR, "load_by_name");
    check_load(backend, folder, RUNTIME_ERROR, folder);
    check_load(backend, "/dev/null", RUNTIME_ERROR, "/dev/null");

    gguf_write(file_called("empty.gguf"), NULL, 0);
    check_load(backend, path, RUNTIME_ERROR, "empty.gguf");
    gguf_write(file_called("text.gguf"), (const uint8_t *)"Once upon a time\n", 17);
    check_load(backend, path, RUNTIME_ERROR, "text.gguf");
    gguf_write(file_called("magic.gguf"), (const uint8_t *)"GGUF", 4);
    check_load(backend, path, RUNTIME_ERROR, "magic.gguf");
    gguf_write(file_called("locked.gguf"), (const uint8_t *)"GGUF", 4);
    CHECK(chmod(path, 0) == 0);
    check_load(backend, path, RUNTIME_ERROR, "locked.gguf");
    CHECK(mkfifo(file_called("pipe.gguf"), 0600) == 0);
    check_load(backend, path, RUNTIME_ERROR, "pipe.gguf");
    close_backend(backend);
}

static void names_need_not_be_utf8(void) {
    void *backend = open_backend(GREEDY);
    struct gguf model = gguf_read(POCKET_A);
    graph g = 0;
    check_load(backend, file_called("\xff\xfe missing.gguf"), RUNTIME_ERROR, "missing.gguf");
    gguf_write(file_called("\xff\xfe model.gguf"), model.bytes, model.size);
    CHECK_EQ(load_by_name(backend, path, (uint32_t)strlen(path), &g), OK);
    gguf_free(&model);
    close_backend(backend);
}

static void the_name_ends_at_its_length_or_nul(void) {
    void *backend = open_backend(GREEDY);
    graph g = 0;
    char name[sizeof POCKET_A + 8];
    snprintf(name, sizeof name, "%sXXXXXXX", POCKET_A);
    CHECK_EQ(load_by_name(backend, name, sizeof POCKET_A - 1, &g), OK);
    CHECK_EQ(load_by_name(backend, POCKET_A, UINT32_MAX, &g), OK);
    CHECK_EQ(load_by_name(backend, POCKET_A, 0, &g), OK);
    CHECK_EQ(load_by_name(backend, POCKET_A, sizeof POCKET_A - 1, NULL), OK);
    close_backend(backend);
}

static void a_file_cut_at_any_4_kib_boundary_is_refused(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    struct gguf model = gguf_read(POCKET_A);
    char answer[TEXT];
    gguf_write(file_called("cut.gguf"), model.bytes, model.size);
    for (size_t size = (model.size - 1) / 4096 * 4096; size < model.size; size -= 4096) {
        graph g = 77;
        REQUIRE(truncate(path, (off_t)size) == 0);
        uint32_t code = load_by_name(backend, path, 0, &g);
        /* The last bytes of a file may be padding that nobody needs. */
        if (model.size - size >= 64) {
            if (!CHECK_EQ(code, RUNTIME_ERROR)) { fprintf(stderr, "cut to %zu of %zu bytes\n", size, model.size); }
            CHECK_EQ(g, 77);
        }
    }
    CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Pip");
    gguf_free(&model);
    close_backend(backend);
}

static void a_tokenizer_without_weights_is_refused(void) {
    void *backend = open_backend(NULL);
    struct gguf model = gguf_read(POCKET_A);
    memset(model.bytes + 8, 0, 8);
    gguf_write(file_called("tokenizer.gguf"), model.bytes, model.tensors);
    check_load(backend, path, RUNTIME_ERROR, "tokenizer.gguf");
    gguf_free(&model);
    close_backend(backend);
}

/* Loads `name` in a child process, talks a little if that works, and returns the child's status: a crash is an answer
 * here, and must not end the tests behind it. */
static int status_of_load(const char *name) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        void *backend = NULL;
        graph g;
        graph_execution_context context;
        static uint8_t answer[TEXT];
        uint32_t size = TEXT;
        tensor input = text_tensor("Hello!");
        static const char config[] = "{\"model\":{\"n_predict\":4,\"ctx_size\":256},\"logging\":{\"level\":\"none\"}}";
        init_backend_with_config(&backend, config, sizeof config - 1);
        uint32_t code = load_by_name(backend, name, 0, &g);
        if (code == OK && init_execution_context(backend, g, &context) == OK) {
            run_inference(backend, context, 0, &input, answer, &size, NULL, 0);
        }
        uint32_t closed = deinit_backend(backend);
        _exit(closed == OK && (code == OK || code == RUNTIME_ERROR) ? 0 : 9);
    }
    REQUIRE(waitpid(child, &status, 0) == child);
    return status;
}

static void absurd_numbers_in_the_header_do_not_crash(void) {
    static const uint64_t absurd[] = {0, 0x7FFFFFFF, 0xFFFFFFFF, UINT64_MAX, 1ull << 40};
    struct gguf model = gguf_read(POCKET_A);
    REQUIRE(model.count > 20);
    for (size_t i = 0; i < model.count; i++) {
        struct gguf_number number = model.numbers[i];
        for (size_t which = 0; which < sizeof absurd / sizeof *absurd; which++) {
            uint64_t before = 0, value = absurd[which];
            if (number.bytes == 4 && value > UINT32_MAX) { continue; }
            memcpy(&before, model.bytes + number.offset, number.bytes);
            if (before == value) { continue; }
            memcpy(model.bytes + number.offset, &value, number.bytes);
            gguf_write(file_called("absurd.gguf"), model.bytes, model.size);
            int status = status_of_load(path);
            if (!CHECK_EQ(status, 0)) {
                fprintf(stderr, "number %zu of %u bytes at offset %zu: %llu instead of %llu\n", i, number.bytes,
                        number.offset, (unsigned long long)value, (unsigned long long)before);
            }
            memcpy(model.bytes + number.offset, &before, number.bytes);
        }
    }
    gguf_free(&model);
}

static void a_failed_load_leaves_the_old_model_serving(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    char answer[TEXT];
    say(backend, context, "My name is Zorvath.", answer);
    CHECK_EQ(load_model(backend, file_called("missing.gguf"), NULL), RUNTIME_ERROR);
    CHECK_EQ(load_model(backend, folder, "{\"model\":{\"n_predict\":0}}"), RUNTIME_ERROR);
    CHECK_CONTAINS(say(backend, context, "What is my name?", answer), "Zorvath");
    CHECK_EQ(close_execution_context(backend, context), OK);
    close_backend(backend);
}

static void a_config_that_is_none_gives_defaults_and_a_strict_backend_refuses_it(void) {
    static const char *const garbage[] = {"not json", "{\"model\":", "[]", "\xff\xff"};
    void *lenient = open_backend(NULL);
    void *strict = open_backend("{\"strict\":true}");
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        CHECK_EQ(load_model(lenient, POCKET_A, garbage[i]), OK);
        CHECK_EQ(load_model(strict, POCKET_A, garbage[i]), INVALID_ARGUMENT);
    }
    CHECK_EQ(load_model(strict, POCKET_A, "{\"model\":{\"ctx_sise\":256}}"), INVALID_ARGUMENT);
    CHECK_EQ(load_model(strict, POCKET_A, "{\"model\":{\"ctx_size\":256}}"), OK);
    CHECK_EQ(load_model(lenient, POCKET_A, "{\"model\":{\"ctx_sise\":256}}"), OK);
    close_backend(lenient);
    close_backend(strict);
}

static void huge_and_deep_configs_give_defaults(void) {
    enum { LARGE = 1 << 20, DEPTH = 10000 };
    void *backend = open_backend(NULL);
    char *text = malloc(LARGE + 1);
    REQUIRE(text != NULL);
    memset(text, 'x', LARGE);
    text[LARGE] = '\0';
    CHECK_EQ(load_model(backend, POCKET_A, text), OK);
    for (int level = 0; level < DEPTH; level++) { memcpy(text + level * 5, "{\"a\":", 5); }
    text[DEPTH * 5] = '1';
    memset(text + DEPTH * 5 + 1, '}', DEPTH);
    text[DEPTH * 6 + 1] = '\0';
    CHECK_EQ(load_model(backend, POCKET_A, text), OK);
    CHECK_EQ(load_by_name_with_config(backend, POCKET_A, 0, (const char *)8, 10, NULL), INVALID_ARGUMENT);
    free(text);
    close_backend(backend);
}

static void many_loads_and_closes_do_not_pile_up(void) {
    for (int i = 0; i < 20; i++) {
        void *backend = open_with_model(POCKET_A, GREEDY);
        for (int again = 0; again < 4; again++) { CHECK_EQ(load_model(backend, POCKET_A, NULL), OK); }
        close_backend(backend);
    }
}

static void remove_folder(void) {
    static const char *const names[] = {"empty.gguf", "text.gguf", "magic.gguf", "locked.gguf", "pipe.gguf", "cut.gguf",
                                        "tokenizer.gguf", "absurd.gguf", "\xff\xfe model.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) { unlink(file_called(names[i])); }
    CHECK(rmdir(folder) == 0);
}

int main(void) {
    check_begin();
    REQUIRE(mkdtemp(folder) != NULL);
    /* First, while the process has no threads: it forks. */
    RUN(absurd_numbers_in_the_header_do_not_crash);
    RUN(bad_names_are_refused);
    RUN(files_that_are_no_model_say_why);
    RUN(names_need_not_be_utf8);
    RUN(the_name_ends_at_its_length_or_nul);
    RUN(a_file_cut_at_any_4_kib_boundary_is_refused);
    RUN(a_tokenizer_without_weights_is_refused);
    RUN(a_failed_load_leaves_the_old_model_serving);
    RUN(a_config_that_is_none_gives_defaults_and_a_strict_backend_refuses_it);
    RUN(huge_and_deep_configs_give_defaults);
    RUN(many_loads_and_closes_do_not_pile_up);
    RUN(remove_folder);
    return check_end();
}
