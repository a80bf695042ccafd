/* Opening and closing a backend: every configuration that is no configuration gives the defaults, and only a strict
 * one refuses. */

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

/* Opens with exactly these arguments, checks the code, closes again when there is something to close. */
static void check_config(const char *config, uint32_t length, uint32_t want) {
    void *backend = (void *)&backend;
    CHECK_EQ(init_backend_with_config(&backend, config, length), want);
    CHECK((backend != NULL) == (want == OK));
    CHECK(backend != (void *)&backend);
    if (want == OK) { close_backend(backend); }
}

static void check_text(const char *config, uint32_t want) {
    check_config(config, (uint32_t)strlen(config), want);
}

static void init_and_immediate_deinit_work(void) {
    void *backend = NULL;
    CHECK_EQ(init_backend(&backend), OK);
    CHECK(backend != NULL);
    close_backend(backend);
}

static void a_null_out_pointer_is_refused(void) {
    CHECK_EQ(init_backend(NULL), INVALID_ARGUMENT);
    CHECK_EQ(init_backend_with_config(NULL, "{}", 2), INVALID_ARGUMENT);
    CHECK_EQ(init_backend_with_config(NULL, NULL, 0), INVALID_ARGUMENT);
}

static void an_out_pointer_that_cannot_be_written_is_refused(void) {
    CHECK_EQ(init_backend((void **)8), INVALID_ARGUMENT);
    CHECK_EQ(init_backend((void **)protected_end(0)), INVALID_ARGUMENT);
}

static void no_config_means_defaults(void) {
    check_config(NULL, 0, OK);
    check_config(NULL, 100, OK);
    check_config(NULL, UINT32_MAX, OK);
    check_config("", 0, OK);
    check_config("{\"backend\":", 0, OK);
}

static void text_that_is_not_json_means_defaults(void) {
    check_text("not json", OK);
    check_text("{\"max_sessions\":invalid}", OK);
    check_text("{\"max_sessions\":", OK);
    check_text("{", OK);
    check_text("[]", OK);
    check_text("7", OK);
    check_text("null", OK);
    check_text("\"text\"", OK);
    check_text("{} trailing", OK);
    check_text("\xff\xfe\x80", OK);
    check_text("{\"\xc3\x28\": 1}", OK);
    check_text("{\"model\": {\"threads\": \"\xf0\x28\x8c\x28\"}}", OK);
}

static void a_config_counts_its_length_and_stops_at_a_nul(void) {
    static const char text[] = " {\"backend\":{\"max_sessions\":7}} \n";
    for (uint32_t length = 0; length <= sizeof text; length++) { check_config(text, length, OK); }

    void *backend = NULL;
    CHECK_EQ(init_backend_with_config(&backend, text, sizeof text), OK);
    CHECK_CONTAINS(status(backend, 2), "7");
    close_backend(backend);
}

static void a_lying_length_does_not_read_beyond_the_text(void) {
    static const char text[] = "{\"backend\":{\"max_sessions\":7}}";
    char *edge = protected_end(sizeof text);
    memcpy(edge - sizeof text, text, sizeof text);
    check_config(edge - sizeof text, UINT32_MAX, OK);
    check_config(edge - sizeof text, sizeof text + 1, OK);
    /* Without the NUL the length runs into the page that cannot be read. */
    memset(edge - sizeof text, 'x', sizeof text);
    check_config(edge - sizeof text, sizeof text, OK);
    check_config(edge - sizeof text, sizeof text + 1, INVALID_ARGUMENT);
    check_config(edge - sizeof text, UINT32_MAX, INVALID_ARGUMENT);
}

static void a_pointer_that_cannot_be_read_is_refused(void) {
    check_config((const char *)1, 16, INVALID_ARGUMENT);
    check_config((const char *)protected_end(0), 16, INVALID_ARGUMENT);
    check_config((const char *)UINTPTR_MAX, 16, INVALID_ARGUMENT);
    check_config((const char *)0xdead0000beef0000, 16, INVALID_ARGUMENT);
}

static void huge_and_deep_texts_mean_defaults(void) {
    enum { LARGE = 1 << 20, DEPTH = 10000 };
    char *text = malloc(LARGE);
    REQUIRE(text != NULL);
    memset(text, 'x', LARGE);
    check_config(text, LARGE, OK);
    memset(text, '[', LARGE);
    check_config(text, DEPTH, OK);
    check_config(text, LARGE, OK);
    for (int level = 0; level < DEPTH; level++) { memcpy(text + level * 5, "{\"a\":", 5); }
    check_config(text, DEPTH * 5, OK);
    memset(text + DEPTH * 5, '1', 1);
    memset(text + DEPTH * 5 + 1, '}', DEPTH);
    check_config(text, DEPTH * 6 + 1, OK);
    memset(text, ' ', LARGE);
    check_config(text, LARGE, OK);
    free(text);
}

static void wrong_values_are_replaced_by_defaults(void) {
    check_text("{\"backend\":{\"max_sessions\":999999999,\"max_concurrent\":-1,\"queue_size\":0}}", OK);
    check_text("{\"max_sessions\":999999999,\"queue_size\":999999999,\"ctx_size\":999999999}", OK);
    check_text("{\"backend\":7,\"model\":[],\"logging\":\"x\",\"sampling\":null}", OK);
    check_text("{\"logging\":{\"level\":\"none\"}}", OK);
    check_text("{\"logging\":{\"level\":\"loud\"}}", OK);
}

static void strict_refuses_and_names_the_path(void) {
    char text[TEXT];
    check_text("{\"strict\":true,\"backend\":{\"max_sesions\":3}}", INVALID_ARGUMENT);
    CHECK_CONTAINS(last_error(NULL, text), "max_sesions");
    CHECK_CONTAINS(last_error(NULL, text), "init_backend_with_config");
    check_text("{\"strict\":true,\"backend\":{\"max_sessions\":\"3\"}}", INVALID_ARGUMENT);
    CHECK_CONTAINS(last_error(NULL, text), "backend.max_sessions");
    check_text("{\"strict\":true,\"backend\":{\"idle_timeout_ms\":0}}", INVALID_ARGUMENT);
    CHECK_CONTAINS(last_error(NULL, text), "idle_timeout_ms");
    check_text("{\"strict\":true,\"backend\":{\"max_sessions\":3}}", OK);
    /* What does not parse cannot say that it is strict. */
    check_text("{\"strict\":true,\"backend\":{\"max_sesions\":3}", OK);
}

static void hundred_backends_live_side_by_side(void) {
    enum { MANY = 100 };
    void *backends[MANY];
    for (int i = 0; i < MANY; i++) {
        backends[i] = open_backend(NULL);
        for (int before = 0; before < i; before++) { CHECK(backends[before] != backends[i]); }
    }
    for (int i = 0; i < MANY; i++) { close_backend(backends[i]); }
    for (int i = 0; i < MANY; i++) { CHECK_EQ(deinit_backend(backends[i]), INVALID_ARGUMENT); }
}

static void the_version_names_library_and_engine(void) {
    const char *version = wasi_nn_version();
    CHECK(version != NULL);
    CHECK_CONTAINS(version, "0.1");
    CHECK(version == wasi_nn_version());
}

int main(void) {
    check_begin();
    RUN(init_and_immediate_deinit_work);
    RUN(a_null_out_pointer_is_refused);
    RUN(an_out_pointer_that_cannot_be_written_is_refused);
    RUN(no_config_means_defaults);
    RUN(text_that_is_not_json_means_defaults);
    RUN(a_config_counts_its_length_and_stops_at_a_nul);
    RUN(a_lying_length_does_not_read_beyond_the_text);
    RUN(a_pointer_that_cannot_be_read_is_refused);
    RUN(huge_and_deep_texts_mean_defaults);
    RUN(wrong_values_are_replaced_by_defaults);
    RUN(strict_refuses_and_names_the_path);
    RUN(hundred_backends_live_side_by_side);
    RUN(the_version_names_library_and_engine);
    return check_end();
}
