/* Any function, from any thread, at any time: opening and closing in crowds, turns on one context from many threads,
 * and a backend that goes while others are inside. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "host.h"

/* Thousands of calls are refused here, and each would be a line of the log. */
#define SILENT "{\"model\":{\"n_predict\":64,\"ctx_size\":1024}," GREEDY_SAMPLING ",\"logging\":{\"level\":\"none\"}}"

static void *backend;
static atomic_bool done;

/* Runs `work` on `count` threads and waits for all. */
static void crowd(int count, void *(*work)(void *)) {
    pthread_t threads[32];
    REQUIRE(count <= 32);
    for (int i = 0; i < count; i++) { REQUIRE(pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) == 0); }
    for (int i = 0; i < count; i++) { pthread_join(threads[i], NULL); }
}

static void *open_and_close_backends(void *number) {
    (void)number;
    for (int i = 0; i < 50; i++) {
        void *own = open_backend(SILENT);
        graph_execution_context context = 0;
        CHECK_EQ(load_model(own, "/missing.gguf", NULL), RUNTIME_ERROR);
        CHECK_EQ(init_execution_context(own, 1, &context), INVALID_ARGUMENT);
        close_backend(own);
        CHECK_EQ(deinit_backend(own), INVALID_ARGUMENT);
    }
    return NULL;
}

static void crowds_open_and_close_backends(void) {
    crowd(16, open_and_close_backends);
}

static void *load_and_close_backends(void *number) {
    (void)number;
    for (int i = 0; i < 3; i++) {
        void *own = open_with_model(i % 2 == 0 ? POCKET_A : POCKET_B, SILENT);
        char answer[TEXT];
        CHECK_CONTAINS(say(own, open_context(own), "What is your name?", answer), i % 2 == 0 ? "Pip" : "Momo");
        close_backend(own);
    }
    return NULL;
}

static void crowds_load_talk_and_close(void) {
    crowd(4, load_and_close_backends);
}

static void *open_and_close_contexts(void *number) {
    char name[32];
    snprintf(name, sizeof name, "user-%d", (int)(intptr_t)number % 4);
    for (int i = 0; i < 100; i++) {
        graph_execution_context context = 0;
        uint32_t code = init_execution_context(backend, 0, &context);
        CHECK(code == OK || code == RUNTIME_ERROR);
        if (code == OK) { CHECK_EQ(close_execution_context(backend, context), OK); }
        CHECK_EQ(init_execution_context_with_session_id(backend, name, &context), OK);
        /* Four threads share a name and hence an id: one of them closes it first. */
        code = close_execution_context(backend, context);
        CHECK(code == OK || code == INVALID_ARGUMENT);
    }
    return NULL;
}

static void crowds_open_and_close_contexts_and_leave_no_slot_taken(void) {
    backend = open_with_model(POCKET_A, SILENT);
    crowd(16, open_and_close_contexts);
    for (int i = 0; i < 8; i++) { open_context(backend); }
    graph_execution_context ninth;
    CHECK_EQ(init_execution_context(backend, 0, &ninth), RUNTIME_ERROR);
    close_backend(backend);
}

static uint32_t shared;

static void *share_a_context(void *number) {
    char text[64], answer[TEXT];
    (void)number;
    snprintf(text, sizeof text, "Count to 7.");
    for (int i = 0; i < 3; i++) { CHECK_STR(say(backend, shared, text, answer), "1 2 3 4 5 6 7"); }
    return NULL;
}

static void turns_of_one_context_queue_up(void) {
    static char history[1 << 16];
    uint32_t size = sizeof history;
    backend = open_with_model(POCKET_A, SILENT);
    shared = open_context(backend);
    crowd(8, share_a_context);
    CHECK_EQ(wasi_nn_get_history(backend, shared, history, &size), OK);
    int messages = json_count(history, "");
    CHECK_EQ(messages, 8 * 3 * 2);
    for (int i = 0; i < messages; i++) {
        char path[32], role[32];
        snprintf(path, sizeof path, "%d.role", i);
        CHECK(json_text(history, path, role, sizeof role));
        CHECK_STR(role, i % 2 == 0 ? "user" : "assistant");
    }
    close_backend(backend);
}

static bool refused_or_done(uint32_t code) {
    return code == OK || code == INVALID_ARGUMENT || code == RUNTIME_ERROR;
}

/* Everything at once until the backend is gone, in another order on each thread. */
static void *use_everything(void *number) {
    uint32_t round = (uint32_t)(intptr_t)number;
    while (!done) {
        graph_execution_context context = 0;
        tensor input = text_tensor("Count to 7.");
        char buffer[TEXT];
        uint32_t size = TEXT, used, capacity;
        CHECK(refused_or_done(init_execution_context(backend, 0, &context)));
        switch (round++ % 8) {
        case 0: CHECK(refused_or_done(turn(backend, context, "My name is Zorvath.", NULL, buffer))); break;
        case 1: CHECK(refused_or_done(set_input(backend, context, 0, &input))); break;
        case 2: CHECK(refused_or_done(compute(backend, context))); break;
        case 3: CHECK(refused_or_done(get_output(backend, context, 0, (uint8_t *)buffer, &size))); break;
        case 4: CHECK(refused_or_done(wasi_nn_get_context_usage(backend, context, &used, &capacity))); break;
        case 5: CHECK(refused_or_done(wasi_nn_get_history(backend, context, buffer, &size))); break;
        case 6: CHECK(refused_or_done(get_backend_status(backend, round % 5, buffer, TEXT))); break;
        default: CHECK(refused_or_done(wasi_nn_cancel(backend, context))); break;
        }
        CHECK(refused_or_done(close_execution_context(backend, context)));
    }
    return NULL;
}

static void *close_soon(void *number) {
    (void)number;
    sleep_ms(200);
    CHECK_EQ(deinit_backend(backend), OK);
    CHECK_EQ(deinit_backend(backend), INVALID_ARGUMENT);
    sleep_ms(50);
    done = true;
    return NULL;
}

static void *close_or_use(void *number) {
    return (intptr_t)number == 0 ? close_soon(number) : use_everything(number);
}

static void a_backend_goes_while_others_are_inside(void) {
    for (int round = 0; round < 5; round++) {
        backend = open_with_model(POCKET_A, SILENT);
        done = false;
        crowd(8, close_or_use);
    }
}

static atomic_int closed;

static void *close_at_once(void *number) {
    (void)number;
    uint32_t code = deinit_backend(backend);
    CHECK(code == OK || code == INVALID_ARGUMENT);
    closed += code == OK;
    return NULL;
}

static void only_one_of_many_closes_is_the_close(void) {
    for (int round = 0; round < 10; round++) {
        backend = open_with_model(POCKET_A, SILENT);
        closed = 0;
        crowd(8, close_at_once);
        CHECK_EQ(closed, 1);
    }
}

static void *load_again(void *number) {
    graph g = 0;
    for (int i = 0; i < 5; i++) {
        const char *model = ((intptr_t)number + i) % 2 == 0 ? POCKET_A : POCKET_B;
        uint32_t code = load_by_name(backend, model, 0, &g);
        CHECK(code == OK || (done && code == INVALID_ARGUMENT) || code == RUNTIME_ERROR);
    }
    return NULL;
}

static void *close_or_load(void *number) {
    if ((intptr_t)number != 0) { return load_again(number); }
    sleep_ms(100);
    done = true;
    CHECK_EQ(deinit_backend(backend), OK);
    return NULL;
}

static void a_backend_goes_during_loads(void) {
    for (int round = 0; round < 3; round++) {
        backend = open_backend(SILENT);
        done = false;
        crowd(4, close_or_load);
    }
}

static void *errors_of_a_thread(void *number) {
    char name[64], error[TEXT];
    snprintf(name, sizeof name, "/missing-%d.gguf", (int)(intptr_t)number);
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(load_model(backend, name, NULL), RUNTIME_ERROR);
        CHECK_CONTAINS(last_error(backend, error), name);
        CHECK_CONTAINS(last_error(NULL, error), name);
    }
    return NULL;
}

static void every_thread_has_its_own_last_error(void) {
    backend = open_backend(SILENT);
    crowd(8, errors_of_a_thread);
    close_backend(backend);
}

/* Schedulers of other languages call from small stacks; the sanitizer needs a good part of this one for itself. */
static void *talk_on_a_small_stack(void *argument) {
    char *answer = argument;
    say(backend, shared, "What is your name?", answer);
    return NULL;
}

static void a_small_stack_is_enough(void) {
    static char answer[TEXT];
    pthread_attr_t attributes;
    pthread_t thread;
    backend = open_with_model(POCKET_A, SILENT);
    shared = open_context(backend);
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstacksize(&attributes, 128 * 1024) == 0);
    REQUIRE(pthread_create(&thread, &attributes, talk_on_a_small_stack, answer) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    CHECK_CONTAINS(answer, "Pip");
    close_backend(backend);
}

int main(void) {
    check_begin();
    RUN(crowds_open_and_close_backends);
    RUN(crowds_load_talk_and_close);
    RUN(crowds_open_and_close_contexts_and_leave_no_slot_taken);
    RUN(turns_of_one_context_queue_up);
    RUN(a_backend_goes_while_others_are_inside);
    RUN(only_one_of_many_closes_is_the_close);
    RUN(a_backend_goes_during_loads);
    RUN(every_thread_has_its_own_last_error);
    RUN(a_small_stack_is_enough);
    return check_end();
}
