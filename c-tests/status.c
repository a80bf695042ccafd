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

int main(void) {
    check_begin();
    (void)number;
    RUN(every_type_is_json_with_and_without_a_model);
    RUN(a_buffer_one_byte_short_gets_nothing_but_a_nul);
    RUN(bad_arguments_are_refused);
    return check_end();
}
