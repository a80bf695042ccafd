/* A load tells how far it has come, and can be cancelled on the way. */

#include <pthread.h>
#include <string.h>

#include "host.h"

struct watcher {
    void *backend;
    int calls;
    int cancel_at; /* the call that cancels; 0: none */
    float last;
    pthread_t thread;
};

static int32_t watch(void *user_data, float progress) {
    struct watcher *watcher = user_data;
    watcher->calls++;
    CHECK(pthread_equal(watcher->thread, pthread_self()));
    CHECK(progress >= watcher->last);
    CHECK(progress >= 0.0f && progress <= 1.0f);
    CHECK_EQ(deinit_backend(watcher->backend), INVALID_ARGUMENT);
    watcher->last = progress;
    return watcher->calls == watcher->cancel_at;
}

static struct watcher watcher_of(void *backend) {
    struct watcher watcher = {.backend = backend, .thread = pthread_self()};
    return watcher;
}

static uint32_t load_watched(struct watcher *watcher, const char *model, graph *g) {
    return wasi_nn_load_by_name_with_progress(watcher->backend, model, 0, NULL, 0, watch, watcher, g);
}

static void progress_rises_to_1(void) {
    void *backend = open_backend(GREEDY);
    struct watcher watcher = watcher_of(backend);
    char answer[TEXT];
    graph g = 0;
    CHECK_EQ(load_watched(&watcher, POCKET_A, &g), OK);
    CHECK(g != 0);
    CHECK(watcher.calls >= 2);
    CHECK(watcher.last == 1.0f);
    CHECK_CONTAINS(say(backend, open_context(backend), "What is your name?", answer), "Pip");
    close_backend(backend);
}

static void a_cancelled_load_leaves_no_model(void) {
    void *backend = open_backend(GREEDY);
    struct watcher watcher = watcher_of(backend);
    char error[TEXT];
    graph g = 77;
    graph_execution_context context;
    watcher.cancel_at = 1;
    CHECK_EQ(load_watched(&watcher, POCKET_A, &g), RUNTIME_ERROR);
    CHECK_EQ(g, 77);
    CHECK_EQ(watcher.calls, 1);
    CHECK_CONTAINS(last_error(backend, error), "load cancelled");
    CHECK_EQ(init_execution_context(backend, 0, &context), INVALID_ARGUMENT);
    watcher.cancel_at = 0;
    watcher.last = 0.0f;
    CHECK_EQ(load_watched(&watcher, POCKET_A, &g), OK);
    close_backend(backend);
}

static void a_cancelled_swap_leaves_the_old_model_serving(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    char answer[TEXT];
    for (int at = 1; at <= 3; at++) {
        struct watcher watcher = watcher_of(backend);
        graph g = 77;
        watcher.cancel_at = at;
        CHECK_EQ(load_watched(&watcher, POCKET_B, &g), RUNTIME_ERROR);
        CHECK_EQ(watcher.calls, at);
        CHECK_EQ(g, 77);
    }
    CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Pip");
    close_backend(backend);
}

static void the_callback_and_the_graph_may_be_null(void) {
    void *backend = open_backend(GREEDY);
    struct watcher watcher = watcher_of(backend);
    CHECK_EQ(wasi_nn_load_by_name_with_progress(backend, POCKET_A, 0, GREEDY, sizeof GREEDY - 1, NULL, NULL, NULL), OK);
    CHECK_EQ(load_watched(&watcher, POCKET_A, NULL), OK);
    CHECK_EQ(wasi_nn_load_by_name_with_progress(backend, NULL, 0, NULL, 0, watch, &watcher, NULL), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_load_by_name_with_progress(NULL, POCKET_A, 0, NULL, 0, watch, &watcher, NULL), INVALID_ARGUMENT);
    close_backend(backend);
}

int main(void) {
    check_begin();
    RUN(progress_rises_to_1);
    RUN(a_cancelled_load_leaves_no_model);
    RUN(a_cancelled_swap_leaves_the_old_model_serving);
    RUN(the_callback_and_the_graph_may_be_null);
    return check_end();
}
