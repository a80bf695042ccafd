/* Handles are numbers that are looked up: NULL, stale, garbage and foreign ones are answered with 1 by every function,
 * and never followed. */

#include <stdlib.h>
#include <string.h>

#include "host.h"

static uint8_t output[TEXT];

static int32_t ignore_piece(void *user_data, const char *piece, uint32_t length) {
    (void)user_data;
    (void)piece;
    (void)length;
    return 0;
}

/* Every function that takes a backend answers 1 to `backend`, whatever the context. */
static void check_backend_refused(void *backend, uint32_t context) {
    tensor input = text_tensor("Hello!");
    uint8_t byte = 0;
    graph_builder part = {&byte, 1};
    graph_builder_array parts = {&part, 1};
    graph g = 77;
    graph_execution_context opened = 77;
    uint32_t size = TEXT, used = 0, capacity = 0, count = 0;

    CHECK_EQ(load(backend, &parts, GGML, CPU, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_by_name(backend, POCKET_A, sizeof POCKET_A - 1, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_by_name_with_config(backend, POCKET_A, sizeof POCKET_A - 1, "{}", 2, &g), INVALID_ARGUMENT);
    CHECK_EQ(init_execution_context(backend, g, &opened), INVALID_ARGUMENT);
    CHECK_EQ(init_execution_context_with_session_id(backend, "name", &opened), INVALID_ARGUMENT);
    CHECK_EQ(g, 77);
    CHECK_EQ(opened, 77);
    CHECK_EQ(close_execution_context(backend, context), INVALID_ARGUMENT);
    CHECK_EQ(set_input(backend, context, 0, &input), INVALID_ARGUMENT);
    CHECK_EQ(compute(backend, context), INVALID_ARGUMENT);
    CHECK_EQ(get_output(backend, context, 0, output, &size), INVALID_ARGUMENT);
    CHECK_EQ(size, 0);
    size = TEXT;
    CHECK_EQ(run_inference(backend, context, 0, &input, output, &size, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(size, 0);
    CHECK_EQ(get_backend_status(backend, 0, (char *)output, sizeof output), INVALID_ARGUMENT);

    CHECK_EQ(wasi_nn_cancel(backend, context), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_run_inference_stream(backend, context, &input, NULL, 0, ignore_piece, NULL), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_session_priority(backend, context, 1), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_clear_context(backend, context), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used, &capacity), INVALID_ARGUMENT);
    size = TEXT;
    CHECK_EQ(wasi_nn_get_history(backend, context, (char *)output, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_metrics(backend, (char *)output, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_unload_model(backend), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_count_tokens(backend, "a", 1, &count), INVALID_ARGUMENT);
    CHECK_EQ(deinit_backend(backend), INVALID_ARGUMENT);
}

/* Every function that takes a context answers 1 to `context` of a backend that lives. */
static void check_context_refused(void *backend, uint32_t context) {
    tensor input = text_tensor("Hello!");
    uint32_t size = TEXT, used = 0, capacity = 0;
    CHECK_EQ(close_execution_context(backend, context), INVALID_ARGUMENT);
    CHECK_EQ(set_input(backend, context, 0, &input), INVALID_ARGUMENT);
    CHECK_EQ(compute(backend, context), INVALID_ARGUMENT);
    CHECK_EQ(get_output(backend, context, 0, output, &size), INVALID_ARGUMENT);
    size = TEXT;
    CHECK_EQ(run_inference(backend, context, 0, &input, output, &size, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(size, 0);
    CHECK_EQ(wasi_nn_cancel(backend, context), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_run_inference_stream(backend, context, &input, NULL, 0, ignore_piece, NULL), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_session_priority(backend, context, 1), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_clear_context(backend, context), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used, &capacity), INVALID_ARGUMENT);
    size = TEXT;
    CHECK_EQ(wasi_nn_get_history(backend, context, (char *)output, &size), INVALID_ARGUMENT);
}

static void null_and_garbage_backends_are_refused(void) {
    int on_the_stack = 0;
    void *on_the_heap = calloc(1, 4096);
    check_backend_refused(NULL, 1);
    check_backend_refused((void *)1, 1);
    check_backend_refused((void *)UINTPTR_MAX, 0);
    check_backend_refused(&on_the_stack, 0);
    check_backend_refused(on_the_heap, 1);
    check_backend_refused(protected_end(0), 1);
    check_backend_refused((void *)0xdead0000beef0000, UINT32_MAX);
    free(on_the_heap);
}

static void a_closed_backend_is_refused_and_so_is_its_second_close(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    close_backend(backend);
    check_backend_refused(backend, context);
    check_backend_refused(backend, 0);
}

static void tokens_are_not_reused(void) {
    void *first = open_backend(NULL);
    close_backend(first);
    void *second = open_backend(NULL);
    CHECK(first != second);
    check_backend_refused(first, 1);
    close_backend(second);
}

static void neighbours_of_a_token_are_refused(void) {
    void *backend = open_backend(NULL);
    check_backend_refused((void *)((uintptr_t)backend + 1), 1);
    check_backend_refused((void *)((uintptr_t)backend ^ 0x8000000000000000), 1);
    check_backend_refused((void *)((uintptr_t)backend & 0xFFFFFFFF), 1);
    close_backend(backend);
}

static void a_failed_init_leaves_null_that_deinit_refuses(void) {
    static const char bad[] = "{\"strict\":true,\"backend\":{\"max_sesions\":3}}";
    void *backend = (void *)0x1234;
    CHECK_EQ(init_backend_with_config(&backend, bad, sizeof bad - 1), INVALID_ARGUMENT);
    CHECK(backend == NULL);
    CHECK_EQ(deinit_backend(backend), INVALID_ARGUMENT);
}

static void unknown_contexts_are_refused(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    check_context_refused(backend, 0);
    check_context_refused(backend, 999);
    check_context_refused(backend, context + 1);
    check_context_refused(backend, UINT32_MAX);
    CHECK_EQ(close_execution_context(backend, context), OK);
    check_context_refused(backend, context);
    uint32_t next = open_context(backend);
    CHECK(next != context);
    check_context_refused(backend, context);
    close_backend(backend);
}

static void a_context_belongs_to_its_backend(void) {
    void *one = open_with_model(POCKET_A, GREEDY);
    void *two = open_with_model(POCKET_A, GREEDY);
    uint32_t of_one = open_context(one);
    uint32_t of_two = open_context(two);
    CHECK(of_one != of_two);
    check_context_refused(one, of_two);
    check_context_refused(two, of_one);
    close_backend(one);
    check_context_refused(two, of_one);
    CHECK_EQ(close_execution_context(two, of_two), OK);
    close_backend(two);
}

static void without_a_model_nothing_opens(void) {
    void *backend = open_backend(NULL);
    tensor input = {0};
    graph_execution_context context = 77;
    uint32_t size = TEXT, count = 0;
    CHECK_EQ(init_execution_context(backend, 0, &context), INVALID_ARGUMENT);
    CHECK_EQ(init_execution_context(backend, 1, &context), INVALID_ARGUMENT);
    CHECK_EQ(init_execution_context(backend, 1, NULL), INVALID_ARGUMENT);
    CHECK_EQ(init_execution_context_with_session_id(backend, "name", &context), INVALID_ARGUMENT);
    CHECK_EQ(init_execution_context_with_session_id(backend, NULL, NULL), INVALID_ARGUMENT);
    CHECK_EQ(context, 77);
    CHECK_EQ(run_inference(backend, 0, 0, NULL, output, &size, NULL, 0), INVALID_ARGUMENT);
    size = TEXT;
    CHECK_EQ(run_inference(backend, 999, 0, &input, NULL, &size, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(run_inference(backend, 999, 0, &input, NULL, NULL, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(compute(backend, 1), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_count_tokens(backend, "a", 1, &count), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_unload_model(backend), INVALID_ARGUMENT);
    check_context_refused(backend, 0);
    check_context_refused(backend, 999);
    close_backend(backend);
}

static void any_graph_number_selects_the_current_model(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    static const graph numbers[] = {0, 1, 2, 999, 0xdeadbeef, UINT32_MAX};
    char answer[TEXT];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        graph_execution_context context = 0;
        CHECK_EQ(init_execution_context(backend, numbers[i], &context), OK);
        CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Pip");
        CHECK_EQ(close_execution_context(backend, context), OK);
    }
    close_backend(backend);
}

static void null_and_unreadable_arguments_of_a_live_context_are_refused(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    tensor good = text_tensor("Hello!");
    tensor no_data = text_tensor(NULL);
    tensor far_data = text_tensor((const char *)16);
    char *edge = protected_end(16);
    memset(edge - 16, 'x', 16);
    tensor open_end = text_tensor(edge - 16);
    tensor *garbage = (tensor *)(edge - 8);
    uint32_t size = TEXT, used = 0, capacity = 0;

    CHECK_EQ(init_execution_context(backend, 0, NULL), INVALID_ARGUMENT);
    CHECK_EQ(init_execution_context(backend, 0, (graph_execution_context *)edge), INVALID_ARGUMENT);
    CHECK_EQ(init_execution_context_with_session_id(backend, "x", NULL), INVALID_ARGUMENT);
    CHECK_EQ(init_execution_context_with_session_id(backend, NULL, &used), INVALID_ARGUMENT);
    CHECK_EQ(init_execution_context_with_session_id(backend, "", &used), INVALID_ARGUMENT);
    CHECK_EQ(init_execution_context_with_session_id(backend, edge, &used), INVALID_ARGUMENT);
    CHECK_EQ(set_input(backend, context, 0, NULL), INVALID_ARGUMENT);
    CHECK_EQ(set_input(backend, context, 0, &no_data), INVALID_ARGUMENT);
    CHECK_EQ(set_input(backend, context, 0, &far_data), INVALID_ARGUMENT);
    CHECK_EQ(set_input(backend, context, 0, &open_end), INVALID_ARGUMENT);
    CHECK_EQ(set_input(backend, context, 0, garbage), INVALID_ARGUMENT);
    CHECK_EQ(run_inference(backend, context, 0, NULL, output, &size, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(run_inference(backend, context, 0, &no_data, output, &size, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(run_inference(backend, context, 0, &open_end, output, &size, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(run_inference(backend, context, 0, garbage, output, &size, NULL, 0), INVALID_ARGUMENT);
    size = TEXT;
    CHECK_EQ(run_inference(backend, context, 0, &good, NULL, &size, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(run_inference(backend, context, 0, &good, output, NULL, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(run_inference(backend, context, 0, &good, output, (uint32_t *)edge, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(set_input(backend, context, 0, &good), OK);
    CHECK_EQ(compute(backend, context), OK);
    CHECK_EQ(get_output(backend, context, 0, NULL, &size), INVALID_ARGUMENT);
    CHECK_EQ(get_output(backend, context, 0, output, NULL), INVALID_ARGUMENT);
    CHECK_EQ(get_output(backend, context, 0, output, (uint32_t *)edge), INVALID_ARGUMENT);
    size = TEXT;
    CHECK_EQ(get_output(backend, context, 2, output, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_context_usage(backend, context, NULL, &capacity), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used, NULL), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_history(backend, context, NULL, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_history(backend, context, (char *)output, NULL), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_count_tokens(backend, NULL, 4, &used), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_count_tokens(backend, "a", 1, NULL), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_run_inference_stream(backend, context, NULL, NULL, 0, ignore_piece, NULL), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_run_inference_stream(backend, context, &good, NULL, 0, NULL, NULL), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_session_priority(backend, context, 4), INVALID_ARGUMENT);
    CHECK_EQ(get_backend_status(backend, 5, (char *)output, sizeof output), INVALID_ARGUMENT);
    CHECK_EQ(get_backend_status(backend, 0, NULL, sizeof output), INVALID_ARGUMENT);
    CHECK_EQ(get_backend_status(backend, 0, (char *)output, 0), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_last_error(backend, NULL, 10), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_last_error(backend, (char *)output, 0), INVALID_ARGUMENT);
    /* After all of it the context still talks. */
    char answer[TEXT];
    CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Pip");
    close_backend(backend);
}

int main(void) {
    check_begin();
    RUN(null_and_garbage_backends_are_refused);
    RUN(tokens_are_not_reused);
    RUN(neighbours_of_a_token_are_refused);
    RUN(a_failed_init_leaves_null_that_deinit_refuses);
    RUN(without_a_model_nothing_opens);
    RUN(a_closed_backend_is_refused_and_so_is_its_second_close);
    RUN(unknown_contexts_are_refused);
    RUN(a_context_belongs_to_its_backend);
    RUN(any_graph_number_selects_the_current_model);
    RUN(null_and_unreadable_arguments_of_a_live_context_are_refused);
    return check_end();
}
