/* The limits of a turn: how long it may wait, how many may wait, how long and how much it may say. */

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "host.h"

enum { CALLERS = 8 };

static void *backend;
static atomic_int answered[256];
static atomic_int others;

static void *ask_once(void *argument) {
    uint32_t context = open_context(backend);
    char answer[TEXT], error[TEXT];
    (void)argument;
    uint32_t code = turn(backend, context, "Count to 20.", NULL, answer);
    if (code < 256) {
        answered[code]++;
    } else {
        others++;
    }
    if (code == RUNTIME_ERROR) { CHECK_CONTAINS(last_error(backend, error), "queue full"); }
    return NULL;
}

/* Eight turns at once, none of which ends by itself, on a backend that runs one at a time. */
static void ask_all_at_once(const char *config) {
    pthread_t threads[CALLERS];
    backend = open_with_model(POCKET_A, config);
    memset(answered, 0, sizeof answered);
    others = 0;
    for (int i = 0; i < CALLERS; i++) { REQUIRE(pthread_create(&threads[i], NULL, ask_once, NULL) == 0); }
    for (int i = 0; i < CALLERS; i++) { pthread_join(threads[i], NULL); }
    close_backend(backend);
}

static void one_turn_too_many_is_refused_and_the_others_are_answered(void) {
    ask_all_at_once("{\"backend\":{\"queue_size\":2,\"default_task_timeout_ms\":3600000},"
                    "\"performance\":{\"n_parallel\":1},\"model\":{\"n_predict\":800,\"ctx_size\":1024},"
                    "\"sampling\":{\"temp\":0,\"ignore_eos\":true}}");
    CHECK(answered[OK] >= 3);
    CHECK(answered[RUNTIME_ERROR] >= 1);
    CHECK_EQ(answered[OK] + answered[RUNTIME_ERROR], CALLERS);
}

static void waiting_too_long_is_a_timeout_and_a_running_turn_is_not_cut(void) {
    // In plain order of arrival nobody gives the only slot up to those who wait.
    ask_all_at_once("{\"backend\":{\"default_task_timeout_ms\":1000,\"priority_scheduling_enabled\":false},"
                    "\"performance\":{\"n_parallel\":1},"
                    "\"model\":{\"n_predict\":-1,\"ctx_size\":2048},\"sampling\":{\"temp\":0,\"ignore_eos\":true}}");
    CHECK(answered[OK] >= 1);
    CHECK(answered[TIMEOUT] >= 1);
    CHECK_EQ(answered[OK] + answered[TIMEOUT], CALLERS);
}

static const char *finish_reason(uint32_t context, char *buffer) {
    char text[TEXT];
    CHECK(json_text(metadata(backend, context, text), "finish_reason", buffer, 64));
    return buffer;
}

static void a_soft_time_limit_keeps_what_was_said(void) {
    char answer[TEXT], reason[64];
    backend = open_with_model(POCKET_A, ENDLESS);
    uint32_t context = open_context(backend);
    CHECK_EQ(turn(backend, context, "Count to 20.", "{\"max_tokens\":4}", answer), OK);
    double before = now_ms();
    uint32_t code = turn(backend, context, "Count to 20.", "{\"max_time_ms\":100}", answer);
    /* On a busy machine not even the first token comes in time, which has a code of its own. */
    if (code != TIMEOUT) {
        CHECK_EQ(code, OK);
        CHECK(strlen(answer) > 0);
        CHECK_STR(finish_reason(context, reason), "time");
    }
    CHECK(now_ms() - before >= 100);
    close_backend(backend);
}

static void token_limits_are_exact(void) {
    char answer[TEXT], reason[64];
    backend = open_with_model(POCKET_A, ENDLESS);
    uint32_t context = open_context(backend);
    CHECK_EQ(turn(backend, context, "Count to 20.", "{\"max_tokens\":5}", answer), OK);
    CHECK_EQ(figure(backend, context, "completion_tokens"), 5);
    CHECK_STR(finish_reason(context, reason), "length");
    CHECK_EQ(turn(backend, context, "Count to 20.", "{\"n_predict\":1}", answer), OK);
    CHECK_EQ(figure(backend, context, "completion_tokens"), 1);
    close_backend(backend);
    backend = open_with_model(POCKET_A, "{\"model\":{\"n_predict\":0},\"sampling\":{\"temp\":0}}");
    CHECK_EQ(turn(backend, open_context(backend), "Count to 20.", NULL, answer), OK);
    CHECK_STR(answer, "");
    close_backend(backend);
}

int main(void) {
    check_begin();
    RUN(one_turn_too_many_is_refused_and_the_others_are_answered);
    RUN(waiting_too_long_is_a_timeout_and_a_running_turn_is_not_cut);
    RUN(a_soft_time_limit_keeps_what_was_said);
    RUN(token_limits_are_exact);
    return check_end();
}
