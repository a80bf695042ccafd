/* Figures for Prometheus: text that keeps to the format, with true numbers, whole or not at all. */

#include <stdlib.h>
#include <string.h>

#include "host.h"

#define QUEUE 0u

/* More than the figures have bytes. */
enum { PAGE = 1 << 17 };

static char page[PAGE];

/* The figures of a backend; must succeed. */
static const char *metrics(void *backend) {
    uint32_t size = PAGE;
    page[0] = '\0';
    CHECK_EQ(wasi_nn_get_metrics(backend, page, &size), OK);
    CHECK_EQ(size, strlen(page) + 1);
    return page;
}

/* The number behind `sample`, a name with its labels, which must stand at the start of a line. */
static double number(const char *text, const char *sample) {
    size_t length = strlen(sample);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        if (*line == '\n') { line++; }
        if (strncmp(line, sample, length) == 0 && line[length] == ' ') { return strtod(line + length + 1, NULL); }
    }
    CHECK_CONTAINS(text, sample);
    return -1;
}

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Every line is a comment of one of two kinds or a name, perhaps labels, and a number. */
static void check_lines(const char *text) {
    int lines = 0;
    for (const char *line = text; *line != '\0'; lines++) {
        const char *end = strchr(line, '\n');
        REQUIRE(end != NULL);
        if (*line == '#') {
            CHECK(strncmp(line, "# HELP wasi_nn_", 15) == 0 || strncmp(line, "# TYPE wasi_nn_", 15) == 0);
        } else {
            const char *at = line;
            CHECK(strncmp(line, "wasi_nn_", 8) == 0);
            while (is_name_char(*at)) { at++; }
            if (*at == '{') {
                bool is_quoted = false;
                for (at++; at < end && (is_quoted || *at != '}'); at++) {
                    if (*at == '\\') {
                        at++;
                    } else if (*at == '"') {
                        is_quoted = !is_quoted;
                    }
                }
                CHECK_EQ(*at, '}');
                at++;
            }
            CHECK_EQ(*at, ' ');
            char *behind = NULL;
            CHECK(strtod(at + 1, &behind) >= 0);
            CHECK(behind == end);
        }
        line = end + 1;
    }
    CHECK(lines > 100);
}

static void the_format_is_kept_with_and_without_a_model(void) {
    void *backend = open_backend(GREEDY);
    check_lines(metrics(backend));
    CHECK_EQ(number(page, "wasi_nn_model_loaded"), 0);
    CHECK_LACKS(page, "wasi_nn_model_info{");
    CHECK_EQ(load_model(backend, POCKET_A, NULL), OK);
    check_lines(metrics(backend));
    CHECK_EQ(number(page, "wasi_nn_model_loaded"), 1);
    CHECK_CONTAINS(page, "wasi_nn_model_info{graph=\"");
    CHECK_CONTAINS(page, "pocket-a.gguf\"");
    CHECK_EQ(wasi_nn_unload_model(backend), OK);
    check_lines(metrics(backend));
    CHECK_EQ(number(page, "wasi_nn_model_loaded"), 0);
    close_backend(backend);
}

static void figures_are_those_of_the_status(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    char answer[TEXT];
    for (int i = 1; i <= 3; i++) {
        say(backend, context, "Count to 7.", answer);
        metrics(backend);
        CHECK_EQ(number(page, "wasi_nn_turns_total{outcome=\"done\"}"), i);
        CHECK_EQ(number(page, "wasi_nn_queue_wait_seconds_count{class=\"normal\"}"), i);
        CHECK_EQ(number(page, "wasi_nn_queue_wait_seconds_bucket{class=\"normal\",le=\"+Inf\"}"), i);
        CHECK_EQ(number(page, "wasi_nn_first_token_seconds_count"), i);
        CHECK_EQ(json_number(status(backend, QUEUE), "done"), i);
    }
    CHECK(number(page, "wasi_nn_first_token_seconds_sum") > 0);
    CHECK(number(page, "wasi_nn_generated_tokens_total") >= (double)figure(backend, context, "completion_tokens"));
    CHECK(number(page, "wasi_nn_prompt_tokens_total") > 0);
    CHECK(number(page, "wasi_nn_reused_tokens_total") > 0);
    CHECK(number(page, "wasi_nn_memory_bytes{kind=\"weights\"}") > 500000);
    CHECK_EQ(number(page, "wasi_nn_sessions{kind=\"anonymous\"}"), 1);
    close_backend(backend);
}

static void a_small_buffer_learns_the_size_that_is_needed(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    char error[TEXT];
    size_t about = strlen(metrics(backend));
    const uint32_t sizes[] = {1, 2, 300, (uint32_t)about / 2};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t size = sizes[i];
        memset(page, 'x', sizeof page);
        CHECK_EQ(wasi_nn_get_metrics(backend, page, &size), TOO_LARGE);
        /* Figures move between two calls. */
        CHECK(size > about / 2 && size < about * 2);
        CHECK_EQ(page[0], 0);
        CHECK_EQ(page[1], 'x');
    }
    CHECK_CONTAINS(last_error(backend, error), "wasi_nn_get_metrics");
    close_backend(backend);
}

static void bad_arguments_are_refused_and_leave_the_size(void) {
    void *backend = open_backend(NULL);
    uint32_t size = PAGE;
    CHECK_EQ(wasi_nn_get_metrics(NULL, page, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_metrics(backend, NULL, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_metrics(backend, (char *)8, &size), INVALID_ARGUMENT);
    CHECK_EQ(size, PAGE);
    CHECK_EQ(wasi_nn_get_metrics(backend, page, NULL), INVALID_ARGUMENT);
    size = 0;
    CHECK_EQ(wasi_nn_get_metrics(backend, page, &size), INVALID_ARGUMENT);
    CHECK_EQ(size, 0);
    close_backend(backend);
    size = PAGE;
    CHECK_EQ(wasi_nn_get_metrics(backend, page, &size), INVALID_ARGUMENT);
    CHECK_EQ(size, PAGE);
}

int main(void) {
    check_begin();
    RUN(the_format_is_kept_with_and_without_a_model);
    RUN(figures_are_those_of_the_status);
    RUN(a_small_buffer_learns_the_size_that_is_needed);
    RUN(bad_arguments_are_refused_and_leave_the_size);
    return check_end();
}
