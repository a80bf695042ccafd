/* Several models: beside each other under names, in each other's place, back to the version before, and loads in the
 * background. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

#define MODEL 4u

static uint32_t load_named(void *backend, const char *name, const char *model, graph *g) {
    return wasi_nn_load_model(backend, name, (uint32_t)strlen(name), model, 0, NULL, 0, NULL, NULL, g);
}

static uint32_t open_on(void *backend, graph g) {
    graph_execution_context context = 0;
    REQUIRE_EQ(init_execution_context(backend, g, &context), OK);
    return context;
}

static uint32_t swap(void *backend, graph g, const char *model, graph *new_g) {
    return wasi_nn_swap_model(backend, g, model, 0, NULL, 0, NULL, NULL, new_g);
}

static void models_with_names_answer_beside_each_other(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    char answer[TEXT];
    graph other = 0;
    REQUIRE_EQ(load_named(backend, "other", POCKET_B, &other), OK);
    uint32_t own = open_on(backend, 0);
    uint32_t theirs = open_on(backend, other);
    CHECK_CONTAINS(say(backend, own, "What is your name?", answer), "Pip");
    CHECK_CONTAINS(say(backend, theirs, "What is your name?", answer), "Momo");
    say(backend, own, "My name is Zorvath.", answer);
    CHECK_EQ(wasi_nn_use_graph(backend, own, other), OK);
    CHECK_CONTAINS(say(backend, own, "What is your name?", answer), "Momo");
    CHECK_CONTAINS(say(backend, own, "What is my name?", answer), "Zorvath");
    CHECK_EQ(wasi_nn_unload_graph(backend, other), OK);
    CHECK_EQ(turn(backend, theirs, "Hello", NULL, answer), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_unload_graph(backend, other), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_use_graph(backend, own, other), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_use_graph(backend, own, 0), OK);
    CHECK_CONTAINS(say(backend, own, "What is my name?", answer), "Zorvath");
    /* What a number that was never given selects is the current model. */
    CHECK_CONTAINS(say(backend, open_on(backend, other + 1000), "What is your name?", answer), "Pip");
    close_backend(backend);
}

static void a_swap_keeps_conversations_and_a_roll_back_undoes_it(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    char answer[TEXT];
    graph second = 0, third = 0;
    uint32_t context = open_context(backend);
    say(backend, context, "My name is Zorvath.", answer);
    CHECK_EQ(wasi_nn_roll_back_model(backend, 0, NULL), INVALID_ARGUMENT);
    CHECK_CONTAINS(last_error(backend, answer), "no version before");
    CHECK_EQ(swap(backend, 0, POCKET_B, &second), OK);
    CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Momo");
    CHECK_EQ(wasi_nn_roll_back_model(backend, second, &third), OK);
    CHECK(third != 0 && third != second);
    CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Pip");
    CHECK_CONTAINS(say(backend, context, "What is my name?", answer), "Zorvath");
    CHECK_EQ(swap(backend, second, POCKET_B, NULL), INVALID_ARGUMENT);
    CHECK_EQ(swap(backend, third, "/nonexistent.gguf", &second), RUNTIME_ERROR);
    CHECK_CONTAINS(last_error(backend, answer), "wasi_nn_swap_model: file not found");
    CHECK_CONTAINS(say(backend, context, "What is my name?", answer), "Zorvath");
    close_backend(backend);
}

static int32_t cancel_at_once(void *user_data, float progress) {
    (void)progress;
    ++*(int *)user_data;
    return 1;
}

static void a_cancelled_swap_changes_nothing(void) {
    static const char *const modes[] = {"beside", "replace"};
    for (size_t n = 0; n < 2; n++) {
        char config[256];
        char answer[TEXT];
        snprintf(config, sizeof config,
                 "{\"model\":{\"ctx_size\":1024}," GREEDY_SAMPLING
                 ",\"backend\":{\"swap_mode\":\"%s\"},\"logging\":{\"level\":\"none\"}}",
                 modes[n]);
        void *backend = open_with_model(POCKET_A, config);
        uint32_t context = open_context(backend);
        say(backend, context, "My name is Zorvath.", answer);
        int calls = 0;
        graph g = 77;
        CHECK_EQ(wasi_nn_swap_model(backend, 0, POCKET_B, 0, NULL, 0, cancel_at_once, &calls, &g), RUNTIME_ERROR);
        CHECK_EQ(calls, 1);
        CHECK_EQ(g, 77);
        CHECK_CONTAINS(last_error(backend, answer), "load cancelled");
        CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Pip");
        CHECK_CONTAINS(say(backend, context, "What is my name?", answer), "Zorvath");
        close_backend(backend);
    }
}

static void a_comparison_tells_what_it_needs(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    char *buffer = malloc(65536);
    REQUIRE(buffer != NULL);
    uint32_t size = 2;
    CHECK_EQ(wasi_nn_compare_model(backend, 0, POCKET_B, 0, NULL, 0, buffer, &size), TOO_LARGE);
    CHECK_EQ(buffer[0], 0);
    uint32_t needed = size;
    CHECK(needed > 100 && needed < 65536);
    CHECK_EQ(wasi_nn_compare_model(backend, 0, POCKET_B, 0, NULL, 0, buffer, &size), OK);
    CHECK_EQ(size, needed);
    CHECK(json_valid(buffer));
    CHECK_CONTAINS(buffer, "\"property\":\"vocabulary\"");
    CHECK_EQ(wasi_nn_compare_model(backend, 999, POCKET_B, 0, NULL, 0, buffer, &size), INVALID_ARGUMENT);
    size = 65536;
    CHECK_EQ(wasi_nn_compare_model(backend, 0, "/nonexistent.gguf", 0, NULL, 0, buffer, &size), RUNTIME_ERROR);
    free(buffer);
    close_backend(backend);
}

static void a_load_in_the_background_is_watched_and_awaited(void) {
    void *backend = open_backend(GREEDY);
    char text[TEXT];
    uint32_t load = 0, size = TEXT;
    graph g = 0;
    REQUIRE_EQ(wasi_nn_begin_load(backend, NULL, 0, POCKET_A, 0, NULL, 0, &load), OK);
    CHECK(load != 0);
    uint32_t code = wasi_nn_await_load(backend, load, 0, &g);
    CHECK(code == TIMEOUT || code == OK);
    CHECK_EQ(wasi_nn_await_load(backend, load, 60000, &g), OK);
    CHECK(g != 0);
    CHECK_EQ(wasi_nn_get_load(backend, load, text, &size), OK);
    CHECK(json_valid(text));
    CHECK_CONTAINS(text, "\"phase\":\"ended\"");
    CHECK_CONTAINS(say(backend, open_on(backend, g), "What is your name?", text), "Pip");
    CHECK_EQ(wasi_nn_cancel_load(backend, load), OK);

    CHECK_EQ(wasi_nn_begin_load(backend, "gone", 4, "/nonexistent.gguf", 0, NULL, 0, &load), OK);
    CHECK_EQ(wasi_nn_await_load(backend, load, 60000, &g), RUNTIME_ERROR);
    CHECK_CONTAINS(last_error(backend, text), "wasi_nn_await_load: file not found");
    CHECK_EQ(wasi_nn_await_load(backend, load + 1000, 0, &g), INVALID_ARGUMENT);
    size = TEXT;
    CHECK_EQ(wasi_nn_get_load(backend, 0, text, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_cancel_load(backend, 0), INVALID_ARGUMENT);

    /* A backend may be destroyed while one is under way. */
    CHECK_EQ(wasi_nn_begin_load(backend, "b", 1, POCKET_B, 0, NULL, 0, &load), OK);
    close_backend(backend);
}

static void bad_arguments_are_refused(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    char text[TEXT];
    uint32_t size = TEXT, load = 0;
    graph g = 0;
    CHECK_EQ(wasi_nn_load_model(NULL, "a", 1, POCKET_A, 0, NULL, 0, NULL, NULL, &g), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_load_model(backend, NULL, 1, POCKET_A, 0, NULL, 0, NULL, NULL, &g), INVALID_ARGUMENT);
    char *name = malloc(5u << 20);
    REQUIRE(name != NULL);
    memset(name, 'n', 5u << 20);
    for (uint32_t length = 257; length <= 5u << 20; length *= 17) {
        CHECK_EQ(wasi_nn_load_model(backend, name, length, POCKET_A, 0, NULL, 0, NULL, NULL, &g), INVALID_ARGUMENT);
    }
    free(name);
    CHECK_EQ(wasi_nn_load_model(backend, "", 0, POCKET_A, 0, NULL, 0, NULL, NULL, &g), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_load_model(backend, "a\nb", 3, POCKET_A, 0, NULL, 0, NULL, NULL, &g), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_load_model(backend, "a", 1, NULL, 0, NULL, 0, NULL, NULL, &g), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_load_model(backend, protected_end(0), 9, POCKET_A, 0, NULL, 0, NULL, NULL, &g), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_load_model(backend, "a", 1, POCKET_A, 0, NULL, 0, NULL, NULL, (graph *)8), INVALID_ARGUMENT);
    CHECK_EQ(swap(NULL, 0, POCKET_B, &g), INVALID_ARGUMENT);
    CHECK_EQ(swap(backend, 0, NULL, &g), INVALID_ARGUMENT);
    CHECK_EQ(swap(backend, 0, POCKET_B, (graph *)8), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_roll_back_model(NULL, 0, &g), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_compare_model(backend, 0, POCKET_B, 0, NULL, 0, NULL, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_compare_model(backend, 0, POCKET_B, 0, NULL, 0, text, NULL), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_unload_graph(NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_use_graph(backend, 0, 0), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_begin_load(backend, NULL, 0, POCKET_A, 0, NULL, 0, NULL), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_begin_load(backend, NULL, 0, NULL, 0, NULL, 0, &load), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_begin_load(NULL, NULL, 0, POCKET_A, 0, NULL, 0, &load), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_load(backend, 1, NULL, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_await_load(NULL, 1, 0, &g), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_cancel_load(NULL, 1), INVALID_ARGUMENT);
    char loaded[16];
    CHECK(json_text(status(backend, MODEL), "loaded", loaded, sizeof loaded));
    CHECK_STR(loaded, "true");
    close_backend(backend);
}

/* What threads do at once to one backend. */
struct crowd {
    void *backend;
    atomic_bool over;
};

static void *swap_all_the_time(void *argument) {
    struct crowd *crowd = argument;
    for (unsigned n = 0; !atomic_load(&crowd->over); n++) {
        CHECK_EQ(swap(crowd->backend, 0, n % 2 ? POCKET_A : POCKET_B, NULL), OK);
    }
    return NULL;
}

static void *talk_all_the_time(void *argument) {
    struct crowd *crowd = argument;
    char answer[TEXT];
    uint32_t context = open_context(crowd->backend);
    while (!atomic_load(&crowd->over)) {
        CHECK_EQ(wasi_nn_clear_context(crowd->backend, context), OK);
        say(crowd->backend, context, "My name is Zorvath.", answer);
        CHECK_EQ(turn(crowd->backend, context, "Hello.", "{\"max_tokens\":4}", answer), OK);
        CHECK_CONTAINS(say(crowd->backend, context, "What is my name?", answer), "Zorvath");
    }
    return NULL;
}

static void *look_all_the_time(void *argument) {
    struct crowd *crowd = argument;
    while (!atomic_load(&crowd->over)) {
        for (uint32_t type = 0; type <= MODEL; type++) { CHECK(json_valid(status(crowd->backend, type))); }
        sleep_ms(1);
    }
    return NULL;
}

static void turns_looks_and_swaps_at_once_do_not_disturb_each_other(void) {
    static const char *const modes[] = {"beside", "replace"};
    for (size_t n = 0; n < 2; n++) {
        char config[320];
        snprintf(config, sizeof config,
                 "{\"model\":{\"n_predict\":64,\"ctx_size\":512}," GREEDY_SAMPLING
                 ",\"backend\":{\"swap_mode\":\"%s\",\"default_task_timeout_ms\":600000},"
                 "\"logging\":{\"level\":\"none\"}}",
                 modes[n]);
        struct crowd crowd = {.backend = open_with_model(POCKET_A, config)};
        void *(*const work[])(void *) = {swap_all_the_time, talk_all_the_time, talk_all_the_time, talk_all_the_time,
                                         look_all_the_time};
        pthread_t threads[5];
        for (size_t t = 0; t < 5; t++) { REQUIRE_EQ(pthread_create(&threads[t], NULL, work[t], &crowd), 0); }
        sleep_ms(1500);
        atomic_store(&crowd.over, true);
        for (size_t t = 0; t < 5; t++) { pthread_join(threads[t], NULL); }
        close_backend(crowd.backend);
    }
}

int main(void) {
    check_begin();
    RUN(models_with_names_answer_beside_each_other);
    RUN(a_swap_keeps_conversations_and_a_roll_back_undoes_it);
    RUN(a_cancelled_swap_changes_nothing);
    RUN(a_comparison_tells_what_it_needs);
    RUN(a_load_in_the_background_is_watched_and_awaited);
    RUN(bad_arguments_are_refused);
    RUN(turns_looks_and_swaps_at_once_do_not_disturb_each_other);
    return check_end();
}
