/* A second load replaces the model under open conversations: they keep their ids and what was told, and answer in the
 * voice of the new model. */

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "host.h"

static graph load_graph(void *backend, const char *model) {
    graph g = 0;
    REQUIRE_EQ(load_by_name(backend, model, (uint32_t)strlen(model), &g), OK);
    REQUIRE(g != 0);
    return g;
}

static void a_conversation_survives_the_swap_in_the_new_voice(void) {
    void *backend = open_backend(GREEDY);
    char answer[TEXT];
    graph first = load_graph(backend, POCKET_A);
    uint32_t context = open_context(backend);
    uint32_t named = open_named(backend, "named");
    CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Pip");
    say(backend, context, "My name is Zorvath.", answer);
    say(backend, named, "My name is Mirelda.", answer);

    graph second = load_graph(backend, POCKET_B);
    CHECK(first != second);
    CHECK_CONTAINS(say(backend, context, "What is my name?", answer), "Zorvath");
    CHECK_CONTAINS(say(backend, named, "What is my name?", answer), "Mirelda");
    uint32_t fresh = open_context(backend);
    CHECK_CONTAINS(say(backend, fresh, "What is your name?", answer), "Momo");
    CHECK_LACKS(answer, "Pip");

    graph third = load_graph(backend, POCKET_A);
    CHECK(third != first && third != second);
    uint32_t last = open_context(backend);
    CHECK_CONTAINS(say(backend, last, "What is your name?", answer), "Pip");
    CHECK_CONTAINS(say(backend, context, "What is my name?", answer), "Zorvath");
    CHECK_EQ(close_execution_context(backend, context), OK);
    CHECK_EQ(close_execution_context(backend, fresh), OK);
    close_backend(backend);
}

static void an_own_name_changes_within_one_conversation(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    char answer[TEXT];
    say(backend, context, "My name is Zorvath.", answer);
    load_graph(backend, POCKET_B);
    CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Momo");
    CHECK_CONTAINS(say(backend, context, "What is my name?", answer), "Zorvath");
    close_backend(backend);
}

static void settings_stay_without_a_config_and_go_with_one(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    char answer[TEXT];
    CHECK_EQ(load_model(backend, POCKET_A, "{\"model\":{\"n_predict\":2}}"), OK);
    say(backend, context, "Count to 7.", answer);
    CHECK_EQ(figure(backend, context, "completion_tokens"), 2);
    CHECK_EQ(load_model(backend, POCKET_B, NULL), OK);
    say(backend, context, "Count to 7.", answer);
    CHECK_EQ(figure(backend, context, "completion_tokens"), 2);
    CHECK_EQ(load_model(backend, POCKET_A, "{}"), OK);
    CHECK_EQ(wasi_nn_clear_context(backend, context), OK);
    CHECK_STR(say(backend, context, "Count to 7.", answer), "1 2 3 4 5 6 7");
    close_backend(backend);
}

static void without_a_model_contexts_stay_and_turns_wait_for_the_next_load(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    uint32_t count = 0;
    char answer[TEXT], loaded[16];
    say(backend, context, "My name is Zorvath.", answer);
    CHECK_EQ(wasi_nn_unload_model(backend), OK);
    CHECK_EQ(wasi_nn_unload_model(backend), INVALID_ARGUMENT);
    CHECK(json_text(status(backend, 4), "loaded", loaded, sizeof loaded));
    CHECK_STR(loaded, "false");
    CHECK_EQ(turn(backend, context, "What is my name?", NULL, answer), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_count_tokens(backend, "a", 1, &count), INVALID_ARGUMENT);
    load_graph(backend, POCKET_B);
    CHECK_CONTAINS(say(backend, context, "What is my name?", answer), "Zorvath");
    close_backend(backend);
}

static atomic_bool done;

struct talker {
    void *backend;
    int turns;
};

static void *talk(void *argument) {
    struct talker *talker = argument;
    uint32_t context = open_context(talker->backend);
    char answer[TEXT];
    say(talker->backend, context, "My name is Zorvath.", answer);
    while (!done) {
        CHECK_CONTAINS(say(talker->backend, context, "What is my name?", answer), "Zorvath");
        talker->turns++;
    }
    return NULL;
}

static void turns_from_four_threads_run_through_swaps(void) {
    enum { THREADS = 4, SWAPS = 6 };
    void *backend = open_with_model(POCKET_A, GREEDY);
    pthread_t threads[THREADS];
    struct talker talkers[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        talkers[i].backend = backend;
        REQUIRE(pthread_create(&threads[i], NULL, talk, &talkers[i]) == 0);
    }
    for (int i = 0; i < SWAPS; i++) {
        sleep_ms(200);
        CHECK_EQ(load_model(backend, i % 2 == 0 ? POCKET_B : POCKET_A, NULL), OK);
    }
    done = true;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(talkers[i].turns > 0);
    }
    close_backend(backend);
}

int main(void) {
    check_begin();
    RUN(a_conversation_survives_the_swap_in_the_new_voice);
    RUN(an_own_name_changes_within_one_conversation);
    RUN(settings_stay_without_a_config_and_go_with_one);
    RUN(without_a_model_contexts_stay_and_turns_wait_for_the_next_load);
    RUN(turns_from_four_threads_run_through_swaps);
    return check_end();
}
