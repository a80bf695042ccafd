/* `load`: a model from the caller's memory, which the caller may free afterwards. */

#include <stdlib.h>
#include <string.h>

#include "gguf.h"
#include "host.h"

static struct gguf model;

static uint32_t load_parts(void *backend, graph_builder *parts, uint32_t count, uint32_t encoding, uint32_t target,
                           graph *g) {
    graph_builder_array array = {parts, count};
    return load(backend, &array, encoding, target, g);
}

static void bytes_become_a_model_and_may_be_freed(void) {
    void *backend = open_backend(GREEDY);
    uint8_t *copy = malloc(model.size);
    char answer[TEXT];
    graph g = 0;
    REQUIRE(copy != NULL);
    memcpy(copy, model.bytes, model.size);
    graph_builder part = {copy, (uint32_t)model.size};
    CHECK_EQ(load_parts(backend, &part, 1, GGML, CPU, &g), OK);
    CHECK(g != 0);
    memset(copy, 0xAA, model.size);
    free(copy);
    uint32_t context = open_context(backend);
    CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Pip");
    close_backend(backend);
}

static void autodetect_gpu_and_a_null_graph_are_taken(void) {
    void *backend = open_backend(GREEDY);
    graph_builder part = {model.bytes, (uint32_t)model.size};
    graph first = 0, second = 0;
    CHECK_EQ(load_parts(backend, &part, 1, AUTODETECT, CPU, &first), OK);
    CHECK_EQ(load_parts(backend, &part, 1, AUTODETECT, GPU, &second), OK);
    CHECK(first != second);
    CHECK_EQ(load_parts(backend, &part, 1, GGML, GPU, NULL), OK);
    close_backend(backend);
}

static void the_second_part_is_the_config(void) {
    static char config[] = "{\"model\":{\"n_predict\":2,\"ctx_size\":512}," GREEDY_SAMPLING "}";
    void *backend = open_backend(GREEDY);
    graph_builder parts[] = {{model.bytes, (uint32_t)model.size}, {(uint8_t *)config, sizeof config - 1}};
    char answer[TEXT];
    graph g = 0;
    CHECK_EQ(load_parts(backend, parts, 2, GGML, CPU, &g), OK);
    uint32_t context = open_context(backend);
    uint32_t used = 0, capacity = 0;
    say(backend, context, "Count to 9.", answer);
    CHECK_EQ(figure(backend, context, "completion_tokens"), 2);
    CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used, &capacity), OK);
    CHECK_EQ(capacity, 512);
    /* Garbage instead of a config means none, as it does by name. */
    parts[1].size = 7;
    CHECK_EQ(load_parts(backend, parts, 2, GGML, CPU, &g), OK);
    parts[1] = (graph_builder){NULL, 0};
    CHECK_EQ(load_parts(backend, parts, 2, GGML, CPU, &g), OK);
    close_backend(backend);
}

static void bad_builders_are_refused(void) {
    void *backend = open_backend(NULL);
    graph_builder parts[3] = {{model.bytes, (uint32_t)model.size}, {NULL, 0}, {NULL, 0}};
    graph_builder null_part = {NULL, 100};
    graph_builder empty_part = {model.bytes, 0};
    graph_builder far_part = {(uint8_t *)16, 4096};
    char *edge = protected_end(64);
    memcpy(edge - 64, model.bytes, 64);
    graph_builder lying_part = {(uint8_t *)edge - 64, UINT32_MAX};
    graph g = 77;
    CHECK_EQ(load(backend, NULL, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(load(backend, (graph_builder_array *)edge, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_parts(backend, NULL, 1, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_parts(backend, (graph_builder *)edge, 1, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_parts(backend, parts, 0, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_parts(backend, parts, 3, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_parts(backend, parts, UINT32_MAX, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_parts(backend, &null_part, 1, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_parts(backend, &empty_part, 1, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_parts(backend, &far_part, 1, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_parts(backend, &lying_part, 1, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(g, 77);
    close_backend(backend);
}

static void other_encodings_and_targets_have_their_codes(void) {
    static uint8_t text[] = "Once upon a time there was no model at all.";
    static const uint32_t encodings[] = {0, 1, 2, 3, 4, 7, 8, UINT32_MAX};
    static const uint32_t targets[] = {TPU, 3, UINT32_MAX};
    void *backend = open_backend(NULL);
    graph_builder part = {model.bytes, (uint32_t)model.size};
    graph_builder no_model = {text, sizeof text - 1};
    graph_builder short_part = {model.bytes, 3};
    graph_builder cut_part = {model.bytes, 4096};
    graph g = 77;
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        CHECK_EQ(load_parts(backend, &part, 1, encodings[i], CPU, &g), INVALID_ENCODING);
    }
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        CHECK_EQ(load_parts(backend, &part, 1, GGML, targets[i], &g), UNSUPPORTED_OPERATION);
    }
    CHECK_EQ(load_parts(backend, &no_model, 1, GGML, CPU, &g), INVALID_ENCODING);
    CHECK_EQ(load_parts(backend, &no_model, 1, AUTODETECT, CPU, &g), INVALID_ENCODING);
    CHECK_EQ(load_parts(backend, &short_part, 1, GGML, CPU, &g), INVALID_ENCODING);
    CHECK_EQ(load_parts(backend, &cut_part, 1, GGML, CPU, &g), RUNTIME_ERROR);
    CHECK_EQ(g, 77);
    close_backend(backend);
}

int main(void) {
    check_begin();
    model = gguf_read(POCKET_A);
    RUN(bytes_become_a_model_and_may_be_freed);
    RUN(autodetect_gpu_and_a_null_graph_are_taken);
    RUN(the_second_part_is_the_config);
    RUN(bad_builders_are_refused);
    RUN(other_encodings_and_targets_have_their_codes);
    gguf_free(&model);
    return check_end();
}
