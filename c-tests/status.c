/* Status reports: JSON with true figures, whole or not at all. */

#include <stdlib.h>
#include <string.h>

#include "host.h"

#define QUEUE 0u
#define MEMORY 1u
#define SESSIONS 2u
#define PERFORMANCE 3u
#define MODEL 4u
#define TYPES 5u

static void every_type_is_json_with_and_without_a_model(void) {
    void *backend = open_backend(GREEDY);
    char loaded[16];
    for (uint32_t type = 0; type < TYPES; type++) { CHECK(json_count(status(backend, type), "") > 0); }
    CHECK(json_text(status(backend, MODEL), "loaded", loaded, sizeof loaded));
    CHECK_STR(loaded, "false");
    CHECK_EQ(load_model(backend, POCKET_A, NULL), OK);
    for (uint32_t type = 0; type < TYPES; type++) { CHECK(json_count(status(backend, type), "") > 0); }
    CHECK(json_text(status(backend, MODEL), "loaded", loaded, sizeof loaded));
    CHECK_STR(loaded, "true");
    close_backend(backend);
}

static void a_buffer_one_byte_short_gets_nothing_but_a_nul(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    char error[TEXT];
    for (uint32_t type = 0; type < TYPES; type++) {
        /* Figures move between two calls, so the size that is needed is taken from the error of the call itself. */
        char small[2] = {'x', 'x'};
        CHECK_EQ(get_backend_status(backend, type, small, 1), TOO_LARGE);
        CHECK_EQ(small[0], 0);
        CHECK_EQ(small[1], 'x');
        last_error(backend, error);
        CHECK_CONTAINS(error, "get_backend_status");
        size_t needed = strlen(status(backend, type)) + 1;
        char *buffer = malloc(needed + 64);
        REQUIRE(buffer != NULL);
        memset(buffer, 'x', needed + 64);
        CHECK_EQ(get_backend_status(backend, type, buffer, (uint32_t)needed / 2), TOO_LARGE);
        CHECK_EQ(buffer[0], 0);
        CHECK_EQ(buffer[1], 'x');
        CHECK_EQ(get_backend_status(backend, type, buffer, (uint32_t)needed + 64), OK);
        CHECK(json_valid(buffer));
        free(buffer);
    }
    close_backend(backend);
}

static void bad_arguments_are_refused(void) {
    void *backend = open_backend(NULL);
    char buffer[TEXT];
    CHECK_EQ(get_backend_status(backend, TYPES, buffer, sizeof buffer), INVALID_ARGUMENT);
    CHECK_EQ(get_backend_status(backend, UINT32_MAX, buffer, sizeof buffer), INVALID_ARGUMENT);
    CHECK_EQ(get_backend_status(backend, QUEUE, NULL, sizeof buffer), INVALID_ARGUMENT);
    CHECK_EQ(get_backend_status(backend, QUEUE, buffer, 0), INVALID_ARGUMENT);
    CHECK_EQ(get_backend_status(backend, QUEUE, (char *)8, sizeof buffer), INVALID_ARGUMENT);
    close_backend(backend);
}

/* A number of a report; `path` must be there. */
static double number(void *backend, uint32_t type, const char *path) {
    double value = json_number(status(backend, type), path);
    CHECK(value > -1e299);
    return value;
}

static void check_word(void *backend, uint32_t type, const char *path, const char *want) {
    char text[TEXT];
    CHECK(json_text(status(backend, type), path, text, sizeof text));
    CHECK_STR(text, want);
}

static void the_queue_counts_turns_since_init(void) {
    void *backend = open_with_model(POCKET_A, "{\"backend\":{\"queue_size\":20}," GREEDY_SAMPLING "}");
    uint32_t context = open_context(backend);
    char answer[TEXT];
    CHECK_EQ(number(backend, QUEUE, "limit"), 20);
    CHECK_EQ(number(backend, QUEUE, "warning_threshold"), 16);
    CHECK_EQ(number(backend, QUEUE, "reject_threshold"), 20);
    CHECK_EQ(number(backend, QUEUE, "done"), 0);
    for (int i = 1; i <= 3; i++) {
        say(backend, context, "Count to 7.", answer);
        CHECK_EQ(number(backend, QUEUE, "queued"), i);
        CHECK_EQ(number(backend, QUEUE, "done"), i);
        CHECK_EQ(number(backend, QUEUE, "running"), 0);
        CHECK_EQ(number(backend, QUEUE, "waiting_total"), 0);
        CHECK_EQ(number(backend, QUEUE, "wait_ms.normal.count"), i);
        CHECK_EQ(number(backend, QUEUE, "wait_ms.urgent.count"), 0);
    }
    CHECK_EQ(load_model(backend, POCKET_B, NULL), OK);
    say(backend, context, "Count to 7.", answer);
    CHECK_EQ(number(backend, QUEUE, "done"), 4);
    close_backend(backend);
}

static void sessions_are_listed(void) {
    void *backend = open_with_model(POCKET_A, "{\"backend\":{\"max_sessions\":7,\"max_concurrent\":3,"
                                              "\"session_names_in_status\":true},"
                                              "\"model\":{\"ctx_size\":512}," GREEDY_SAMPLING "}");
    uint32_t anonymous = open_context(backend);
    uint32_t named = open_named(backend, "a \"name\"");
    uint32_t detached = open_named(backend, "detached");
    char answer[TEXT];
    say(backend, named, "Count to 7.", answer);
    CHECK_EQ(close_execution_context(backend, detached), OK);
    CHECK_EQ(number(backend, SESSIONS, "max_sessions"), 7);
    CHECK_EQ(number(backend, SESSIONS, "max_concurrent"), 3);
    CHECK_EQ(number(backend, SESSIONS, "open_anonymous"), 1);
    CHECK_EQ(number(backend, SESSIONS, "open_named"), 1);
    CHECK_EQ(number(backend, SESSIONS, "detached_named"), 1);
    CHECK_EQ(json_count(status(backend, SESSIONS), "sessions"), 3);
    CHECK_EQ(number(backend, SESSIONS, "sessions.0.context"), anonymous);
    CHECK_EQ(number(backend, SESSIONS, "sessions.0.turns"), 0);
    check_word(backend, SESSIONS, "sessions.0.busy", "false");
    check_word(backend, SESSIONS, "sessions.1.name", "a \"name\"");
    CHECK_EQ(number(backend, SESSIONS, "sessions.1.turns"), 1);
    CHECK(number(backend, SESSIONS, "sessions.1.tokens") > 10);
    CHECK(number(backend, SESSIONS, "sessions.1.idle_ms") >= 0);
    close_backend(backend);
}

static void names_of_sessions_are_hidden_unless_they_are_asked_for(void) {
    void *backend = open_with_model(POCKET_A, "{\"model\":{\"ctx_size\":512}}");
    char shown[TEXT], again[TEXT];
    uint32_t named = open_named(backend, "someone@example.org");
    CHECK_LACKS(status(backend, SESSIONS), "someone");
    CHECK(json_text(status(backend, SESSIONS), "sessions.0.name", shown, sizeof shown));
    CHECK_EQ(strlen(shown), 17);
    CHECK_EQ(shown[0], '#');
    CHECK_EQ(strspn(shown + 1, "0123456789abcdef"), 16);
    CHECK_EQ(close_execution_context(backend, named), OK);
    open_named(backend, "someone@example.org");
    CHECK(json_text(status(backend, SESSIONS), "sessions.0.name", again, sizeof again));
    CHECK_STR(again, shown);
    close_backend(backend);
}

static void evictions_are_counted(void) {
    void *backend = open_with_model(POCKET_A, "{\"backend\":{\"max_sessions\":2},\"model\":{\"ctx_size\":512}}");
    open_named(backend, "one");
    open_named(backend, "two");
    CHECK_EQ(number(backend, SESSIONS, "evictions.limit"), 0);
    open_named(backend, "three");
    open_named(backend, "four");
    CHECK_EQ(number(backend, SESSIONS, "evictions.limit"), 2);
    CHECK_EQ(number(backend, SESSIONS, "open_named"), 2);
    close_backend(backend);
}

static void memory_and_performance_have_true_figures(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend), used = 0, capacity = 0;
    char answer[TEXT];
    say(backend, context, "Count to 7.", answer);
    long decoded = figure(backend, context, "completion_tokens");
    say(backend, context, "Count to 7.", answer);
    CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used, &capacity), OK);
    CHECK(number(backend, MEMORY, "weights_bytes") > 500000);
    CHECK(number(backend, MEMORY, "cache_bytes") > 0);
    CHECK(number(backend, MEMORY, "compute_bytes") > 0);
    CHECK(number(backend, MEMORY, "cache_tokens") > 0);
    CHECK(number(backend, MEMORY, "cache_tokens") <= used);
    CHECK(number(backend, MEMORY, "reused_tokens") > 0);
    CHECK(number(backend, PERFORMANCE, "prefill_tokens_per_second") > 0);
    CHECK(number(backend, PERFORMANCE, "decode_tokens_per_second") > 0);
    CHECK(number(backend, PERFORMANCE, "time_to_first_token_ms") > 0);
    CHECK(number(backend, PERFORMANCE, "decode_tokens") >= (double)decoded);
    CHECK(number(backend, PERFORMANCE, "batch_occupancy") > 0);
    CHECK(number(backend, PERFORMANCE, "batch_occupancy") <= 1);
    CHECK(number(backend, PERFORMANCE, "uptime_ms") > 0);
    close_backend(backend);
}

static void the_model_report_names_model_and_settings(void) {
    void *backend = open_backend(NULL);
    char text[TEXT];
    graph g = 0;
    static const char config[] = "{\"model\":{\"ctx_size\":512,\"threads\":\"four\"},\"sampling\":{\"top_kk\":3}}";
    CHECK_EQ(load_by_name_with_config(backend, POCKET_A, 0, config, sizeof config - 1, &g), OK);
    check_word(backend, MODEL, "file", POCKET_A);
    check_word(backend, MODEL, "architecture", "llama");
    CHECK_EQ(number(backend, MODEL, "graph"), g);
    CHECK(number(backend, MODEL, "parameters") > 100000);
    CHECK(number(backend, MODEL, "training_context") >= 1024);
    CHECK_EQ(number(backend, MODEL, "config_effective.model.ctx_size"), 512);
    CHECK_EQ(json_count(status(backend, MODEL), "config_notes"), 2);
    CHECK(json_text(status(backend, MODEL), "config_notes", text, sizeof text));
    CHECK_CONTAINS(text, "wrong_type");
    CHECK_CONTAINS(text, "model.threads");
    CHECK_CONTAINS(text, "unknown_key");
    CHECK_CONTAINS(text, "top_k?");
    close_backend(backend);
}

int main(void) {
    check_begin();
    RUN(every_type_is_json_with_and_without_a_model);
    RUN(a_buffer_one_byte_short_gets_nothing_but_a_nul);
    RUN(bad_arguments_are_refused);
    RUN(the_queue_counts_turns_since_init);
    RUN(sessions_are_listed);
    RUN(names_of_sessions_are_hidden_unless_they_are_asked_for);
    RUN(evictions_are_counted);
    RUN(memory_and_performance_have_true_figures);
    RUN(the_model_report_names_model_and_settings);
    return check_end();
}
