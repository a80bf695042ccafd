/* Anonymous and named sessions: their limits, re-attachment, and who gives way when a limit is reached. */

#include <stdio.h>
#include <string.h>

#include "host.h"

#define LIMITS(text) "{\"backend\":{" text "},\"model\":{\"n_predict\":48,\"ctx_size\":512}," GREEDY_SAMPLING "}"

static void *open_limited(const char *config) {
    return open_with_model(POCKET_A, config);
}

static uint32_t try_open(void *backend) {
    graph_execution_context context = 77;
    uint32_t code = init_execution_context(backend, 0, &context);
    CHECK((context == 77) == (code != OK));
    return code;
}

static uint32_t try_named(void *backend, const char *name, graph_execution_context *context) {
    *context = 77;
    uint32_t code = init_execution_context_with_session_id(backend, name, context);
    CHECK((*context == 77) == (code != OK));
    return code;
}

static void one_anonymous_context_too_many_gets_exactly_4(void) {
    void *backend = open_limited(LIMITS("\"max_concurrent\":2"));
    char error[TEXT];
    uint32_t first = open_context(backend);
    uint32_t second = open_context(backend);
    CHECK(first != second);
    CHECK_EQ(try_open(backend), RUNTIME_ERROR);
    CHECK_CONTAINS(last_error(backend, error), "too many open contexts");
    CHECK_EQ(try_open(backend), RUNTIME_ERROR);
    CHECK_EQ(close_execution_context(backend, first), OK);
    uint32_t third = open_context(backend);
    CHECK(third != first && third != second);
    CHECK_EQ(try_open(backend), RUNTIME_ERROR);
    close_backend(backend);
}

static void the_default_limit_is_eight(void) {
    void *backend = open_limited(GREEDY);
    for (int i = 0; i < 8; i++) { open_context(backend); }
    CHECK_EQ(try_open(backend), RUNTIME_ERROR);
    close_backend(backend);
}

static void named_contexts_do_not_count_as_anonymous(void) {
    void *backend = open_limited(LIMITS("\"max_concurrent\":1"));
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "user-%d", i);
        open_named(backend, name);
    }
    open_context(backend);
    CHECK_EQ(try_open(backend), RUNTIME_ERROR);
    open_named(backend, "one more");
    close_backend(backend);
}

static void a_name_reattaches_to_its_session(void) {
    void *backend = open_limited(GREEDY);
    char answer[TEXT];
    uint32_t context = open_named(backend, "zorvath");
    say(backend, context, "My name is Zorvath.", answer);
    CHECK_EQ(open_named(backend, "zorvath"), context);
    CHECK_EQ(close_execution_context(backend, context), OK);
    CHECK_EQ(close_execution_context(backend, context), INVALID_ARGUMENT);
    uint32_t again = open_named(backend, "zorvath");
    CHECK(again != context);
    CHECK_CONTAINS(say(backend, again, "What is my name?", answer), "Zorvath");
    CHECK_EQ(turn(backend, context, "What is my name?", NULL, answer), INVALID_ARGUMENT);
    close_backend(backend);
}

static void an_anonymous_history_goes_with_its_context(void) {
    void *backend = open_limited(GREEDY);
    char answer[TEXT];
    uint32_t context = open_context(backend);
    say(backend, context, "My name is Zorvath.", answer);
    CHECK_EQ(close_execution_context(backend, context), OK);
    uint32_t next = open_context(backend);
    CHECK_LACKS(say(backend, next, "What is my name?", answer), "Zorvath");
    close_backend(backend);
}

static void the_least_recently_used_named_session_gives_way(void) {
    void *backend = open_limited(LIMITS("\"max_sessions\":3"));
    char answer[TEXT];
    graph_execution_context four;
    uint32_t one = open_named(backend, "one");
    uint32_t two = open_named(backend, "two");
    uint32_t three = open_named(backend, "three");
    say(backend, two, "My name is Zorvath.", answer);
    say(backend, one, "Hello!", answer);
    CHECK_EQ(try_named(backend, "four", &four), OK);
    /* "three" was used longest ago: it was opened before the others had their turns. */
    CHECK_EQ(turn(backend, three, "Hello!", NULL, answer), INVALID_ARGUMENT);
    CHECK_CONTAINS(say(backend, two, "What is my name?", answer), "Zorvath");
    CHECK_EQ(turn(backend, one, "Hello!", NULL, answer), OK);
    close_backend(backend);
}

static void detached_sessions_give_way_before_open_ones(void) {
    void *backend = open_limited(LIMITS("\"max_sessions\":2"));
    char answer[TEXT];
    graph_execution_context next;
    uint32_t open = open_named(backend, "open");
    sleep_ms(20);
    uint32_t detached = open_named(backend, "detached");
    say(backend, detached, "My name is Zorvath.", answer);
    CHECK_EQ(close_execution_context(backend, detached), OK);
    CHECK_EQ(try_named(backend, "next", &next), OK);
    CHECK_EQ(turn(backend, open, "Hello!", NULL, answer), OK);
    /* Its history went with it. */
    CHECK_EQ(close_execution_context(backend, next), OK);
    uint32_t again = open_named(backend, "detached");
    CHECK_LACKS(say(backend, again, "What is my name?", answer), "Zorvath");
    close_backend(backend);
}

static void without_clean_up_the_limit_answers_4(void) {
    void *backend = open_limited(LIMITS("\"max_sessions\":2,\"auto_cleanup\":false,\"idle_timeout_ms\":10"));
    char answer[TEXT];
    graph_execution_context three;
    uint32_t one = open_named(backend, "one");
    open_named(backend, "two");
    sleep_ms(50);
    CHECK_EQ(try_named(backend, "three", &three), RUNTIME_ERROR);
    CHECK_EQ(turn(backend, one, "Hello!", NULL, answer), OK);
    /* Neither limit stands in the way of a name that is there already. */
    CHECK_EQ(open_named(backend, "one"), one);
    close_backend(backend);
}

static void idle_named_sessions_go_when_a_context_is_opened_and_not_before(void) {
    void *backend = open_limited(LIMITS("\"max_sessions\":3,\"idle_timeout_ms\":1000"));
    char answer[TEXT];
    uint32_t one = open_named(backend, "one");
    say(backend, one, "My name is Zorvath.", answer);
    sleep_ms(1500);
    /* No timer: what nobody asks for stays. */
    CHECK_CONTAINS(say(backend, one, "What is my name?", answer), "Zorvath");
    sleep_ms(1500);
    open_named(backend, "two");
    CHECK_EQ(turn(backend, one, "What is my name?", NULL, answer), INVALID_ARGUMENT);
    close_backend(backend);
}

static void an_idle_anonymous_context_is_reclaimed_only_in_need(void) {
    void *backend = open_limited(LIMITS("\"max_concurrent\":2,\"idle_timeout_ms\":1000"));
    char answer[TEXT];
    uint32_t first = open_context(backend);
    sleep_ms(1500);
    uint32_t second = open_context(backend);
    CHECK_EQ(turn(backend, first, "Hello!", NULL, answer), OK);
    sleep_ms(1500);
    CHECK_EQ(turn(backend, second, "Hello!", NULL, answer), OK);
    /* Now the first is idle, the second is not. */
    open_context(backend);
    CHECK_EQ(turn(backend, first, "Hello!", NULL, answer), INVALID_ARGUMENT);
    CHECK_EQ(turn(backend, second, "Hello!", NULL, answer), OK);
    close_backend(backend);
}

static void names_have_1_to_1024_bytes_of_any_kind(void) {
    void *backend = open_limited(GREEDY);
    char name[1026];
    graph_execution_context context;
    memset(name, 'n', sizeof name);
    name[1025] = '\0';
    CHECK_EQ(try_named(backend, name, &context), INVALID_ARGUMENT);
    name[1024] = '\0';
    CHECK_EQ(try_named(backend, name, &context), OK);
    name[1023] = '\0';
    uint32_t shorter = open_named(backend, name);
    CHECK(shorter != context);
    CHECK_EQ(try_named(backend, "", &context), INVALID_ARGUMENT);
    CHECK_EQ(try_named(backend, "\xff\xfe", &context), OK);
    CHECK_EQ(open_named(backend, "\xff\xfe"), context);
    close_backend(backend);
}

static void backends_do_not_share_names(void) {
    void *one = open_limited(GREEDY);
    void *two = open_limited(GREEDY);
    char answer[TEXT];
    uint32_t of_one = open_named(one, "shared");
    uint32_t of_two = open_named(two, "shared");
    CHECK(of_one != of_two);
    say(one, of_one, "My name is Zorvath.", answer);
    CHECK_LACKS(say(two, of_two, "What is my name?", answer), "Zorvath");
    close_backend(one);
    close_backend(two);
}

int main(void) {
    check_begin();
    RUN(one_anonymous_context_too_many_gets_exactly_4);
    RUN(the_default_limit_is_eight);
    RUN(named_contexts_do_not_count_as_anonymous);
    RUN(a_name_reattaches_to_its_session);
    RUN(an_anonymous_history_goes_with_its_context);
    RUN(the_least_recently_used_named_session_gives_way);
    RUN(detached_sessions_give_way_before_open_ones);
    RUN(without_clean_up_the_limit_answers_4);
    RUN(idle_named_sessions_go_when_a_context_is_opened_and_not_before);
    RUN(an_idle_anonymous_context_is_reclaimed_only_in_need);
    RUN(names_have_1_to_1024_bytes_of_any_kind);
    RUN(backends_do_not_share_names);
    return check_end();
}
