/* The helpers of host.h. */

#define _GNU_SOURCE
#include "host.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

void *open_backend(const char *config) {
    void *backend = NULL;
    REQUIRE_EQ(init_backend_with_config(&backend, config, config ? (uint32_t)strlen(config) : 0), OK);
    REQUIRE(backend != NULL);
    return backend;
}

uint32_t load_model(void *backend, const char *model, const char *config) {
    graph g = 0;
    uint32_t code = load_by_name_with_config(backend, model, (uint32_t)strlen(model), config,
                                             config ? (uint32_t)strlen(config) : 0, &g);
    if (code == OK) { CHECK(g != 0); }
    return code;
}

void *open_with_model(const char *model, const char *config) {
    void *backend = open_backend(config);
    uint32_t code = load_model(backend, model, NULL);
    if (code != OK) {
        char text[TEXT];
        CHECK_STR(last_error(backend, text), "");
    }
    REQUIRE_EQ(code, OK);
    return backend;
}

uint32_t open_context(void *backend) {
    graph_execution_context context = 0;
    REQUIRE_EQ(init_execution_context(backend, 0, &context), OK);
    REQUIRE(context != 0);
    return context;
}

uint32_t open_named(void *backend, const char *name) {
    graph_execution_context context = 0;
    REQUIRE_EQ(init_execution_context_with_session_id(backend, name, &context), OK);
    REQUIRE(context != 0);
    return context;
}

tensor text_tensor(const char *text) {
    tensor input = {.dimensions = NULL, .type = U8, .data = (uint8_t *)text};
    return input;
}

uint32_t turn(void *backend, uint32_t context, const char *text, const char *runtime, char *answer) {
    tensor input = text_tensor(text);
    uint32_t size = TEXT;
    uint32_t code = run_inference(backend, context, 0, &input, (uint8_t *)answer, &size, runtime,
                                  runtime ? (uint32_t)strlen(runtime) : 0);
    if (code == OK) {
        CHECK(size >= 1 && size <= TEXT);
        CHECK_EQ(strlen(answer) + 1, size);
    } else {
        CHECK_EQ(size, 0);
        answer[0] = '\0';
    }
    return code;
}

const char *say(void *backend, uint32_t context, const char *text, char *answer) {
    uint32_t code = turn(backend, context, text, NULL, answer);
    if (!CHECK_EQ(code, OK)) {
        char error[TEXT];
        CHECK_STR(last_error(backend, error), "");
    }
    return answer;
}

const char *metadata(void *backend, uint32_t context, char *buffer) {
    uint32_t size = TEXT;
    buffer[0] = '\0';
    CHECK_EQ(get_output(backend, context, 1, (uint8_t *)buffer, &size), OK);
    CHECK(json_valid(buffer));
    return buffer;
}

long figure(void *backend, uint32_t context, const char *name) {
    char buffer[TEXT];
    return (long)json_number(metadata(backend, context, buffer), name);
}

const char *last_error(void *backend, char *buffer) {
    buffer[0] = '\0';
    CHECK_EQ(wasi_nn_get_last_error(backend, buffer, TEXT), OK);
    return buffer;
}

const char *status(void *backend, uint32_t type) {
    static _Thread_local char buffer[1 << 16];
    buffer[0] = '\0';
    CHECK_EQ(get_backend_status(backend, type, buffer, sizeof buffer), OK);
    CHECK(json_valid(buffer));
    return buffer;
}

void close_backend(void *backend) {
    CHECK_EQ(deinit_backend(backend), OK);
}

void sleep_ms(unsigned ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

bool is_utf8(const char *text, size_t length) {
    size_t at = 0;
    while (at < length) {
        unsigned char lead = (unsigned char)text[at++];
        int more = lead < 0x80 ? 0 : lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC2 ? 1 : -1;
        if (more < 0) { return false; }
        for (; more > 0; more--, at++) {
            if (at >= length || ((unsigned char)text[at] & 0xC0) != 0x80) { return false; }
        }
    }
    return true;
}

char *protected_end(size_t before) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (before + page - 1) / page * page;
    char *memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    REQUIRE(mprotect(memory + room, page, PROT_NONE) == 0);
    return memory + room;
}
