/* Ending a turn from another thread: by cancel, by closing its context, by closing its backend. Its call answers 4 and
 * the conversation is what it was before. */

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "host.h"

struct speaker {
    void *backend;
    uint32_t context;
    uint32_t code;
    atomic_int pieces;
    pthread_t thread;
};

static int32_t count_piece(void *user_data, const char *piece, uint32_t length) {
    struct speaker *speaker = user_data;
    (void)piece;
    (void)length;
    speaker->pieces++;
    return 0;
}

static void *speak(void *argument) {
    struct speaker *speaker = argument;
    tensor input = text_tensor("Count to 20.");
    speaker->code =
        wasi_nn_run_inference_stream(speaker->backend, speaker->context, &input, NULL, 0, count_piece, speaker);
    return NULL;
}

/* A turn that would go on until the context is full, seen to run. */
static void start(struct speaker *speaker, void *backend, uint32_t context) {
    speaker->backend = backend;
    speaker->context = context;
    speaker->code = 77;
    speaker->pieces = 0;
    REQUIRE(pthread_create(&speaker->thread, NULL, speak, speaker) == 0);
    for (int i = 0; i < 10000 && speaker->pieces < 3; i++) { sleep_ms(1); }
    CHECK(speaker->pieces >= 3);
}

static void cancel_ends_a_running_turn_without_a_trace(void) {
    void *backend = open_with_model(POCKET_A, ENDLESS);
    uint32_t context = open_context(backend);
    struct speaker speaker;
    char answer[TEXT], history[TEXT], error[TEXT];
    uint32_t size = TEXT, used = 0, capacity = 0, used_after = 0;
    CHECK_EQ(turn(backend, context, "My name is Zorvath.", "{\"ignore_eos\":false}", answer), OK);
    CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used, &capacity), OK);
    start(&speaker, backend, context);
    CHECK_EQ(wasi_nn_cancel(backend, context), OK);
    pthread_join(speaker.thread, NULL);
    CHECK_EQ(speaker.code, RUNTIME_ERROR);
    CHECK_CONTAINS(last_error(backend, error), "cancelled");
    CHECK_EQ(wasi_nn_get_history(backend, context, history, &size), OK);
    CHECK_EQ(json_count(history, ""), 2);
    CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used_after, &capacity), OK);
    CHECK_EQ(used_after, used);
    CHECK_EQ(turn(backend, context, "What is my name?", "{\"ignore_eos\":false}", answer), OK);
    CHECK_CONTAINS(answer, "Zorvath");
    close_backend(backend);
}

static void cancel_of_an_idle_context_is_fine_and_does_not_reach_the_next_turn(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    char answer[TEXT];
    CHECK_EQ(wasi_nn_cancel(backend, context), OK);
    CHECK_EQ(wasi_nn_cancel(backend, context), OK);
    CHECK_STR(say(backend, context, "Count to 7.", answer), "1 2 3 4 5 6 7");
    close_backend(backend);
}

static void cancel_spares_the_neighbours(void) {
    void *backend = open_with_model(POCKET_A, ENDLESS);
    struct speaker first, second;
    start(&first, backend, open_context(backend));
    start(&second, backend, open_context(backend));
    CHECK_EQ(wasi_nn_cancel(backend, first.context), OK);
    pthread_join(first.thread, NULL);
    CHECK_EQ(first.code, RUNTIME_ERROR);
    int before = second.pieces;
    for (int i = 0; i < 10000 && second.pieces == before && second.code == 77; i++) { sleep_ms(1); }
    CHECK(second.pieces > before);
    CHECK_EQ(wasi_nn_cancel(backend, second.context), OK);
    pthread_join(second.thread, NULL);
    CHECK(second.code == RUNTIME_ERROR);
    close_backend(backend);
}

static void closing_a_context_ends_its_turn(void) {
    void *backend = open_with_model(POCKET_A, ENDLESS);
    struct speaker speaker;
    start(&speaker, backend, open_context(backend));
    CHECK_EQ(close_execution_context(backend, speaker.context), OK);
    pthread_join(speaker.thread, NULL);
    CHECK_EQ(speaker.code, RUNTIME_ERROR);
    CHECK_EQ(close_execution_context(backend, speaker.context), INVALID_ARGUMENT);
    close_backend(backend);
}

static void closing_a_backend_ends_its_turns(void) {
    enum { COUNT = 4 };
    void *backend = open_with_model(POCKET_A, ENDLESS);
    struct speaker speakers[COUNT];
    for (int i = 0; i < COUNT; i++) { start(&speakers[i], backend, open_context(backend)); }
    close_backend(backend);
    for (int i = 0; i < COUNT; i++) {
        pthread_join(speakers[i].thread, NULL);
        CHECK_EQ(speakers[i].code, RUNTIME_ERROR);
    }
}

/* A cancel reaches the turns that wait behind a running one as well: those of its own context. In plain order of arrival
 * the running one keeps the only slot. */
static void cancel_ends_a_turn_that_waits(void) {
    void *backend = open_with_model(POCKET_A, "{\"backend\":{\"priority_scheduling_enabled\":false},"
                                              "\"performance\":{\"n_parallel\":1},"
                                              "\"model\":{\"n_predict\":-1,\"ctx_size\":2048},"
                                              GREEDY_SAMPLING ",\"stopping\":{\"ignore_eos\":true}}");
    struct speaker running, waiting;
    start(&running, backend, open_context(backend));
    waiting.backend = backend;
    waiting.context = open_context(backend);
    waiting.code = 77;
    waiting.pieces = 0;
    REQUIRE(pthread_create(&waiting.thread, NULL, speak, &waiting) == 0);
    sleep_ms(100);
    CHECK_EQ(wasi_nn_cancel(backend, waiting.context), OK);
    pthread_join(waiting.thread, NULL);
    CHECK_EQ(waiting.code, RUNTIME_ERROR);
    CHECK_EQ(waiting.pieces, 0);
    CHECK_EQ(running.code, 77);
    CHECK_EQ(wasi_nn_cancel(backend, running.context), OK);
    pthread_join(running.thread, NULL);
    CHECK_EQ(running.code, RUNTIME_ERROR);
    close_backend(backend);
}

int main(void) {
    check_begin();
    RUN(cancel_ends_a_running_turn_without_a_trace);
    RUN(cancel_of_an_idle_context_is_fine_and_does_not_reach_the_next_turn);
    RUN(cancel_spares_the_neighbours);
    RUN(closing_a_context_ends_its_turn);
    RUN(closing_a_backend_ends_its_turns);
    RUN(cancel_ends_a_turn_that_waits);
    return check_end();
}
