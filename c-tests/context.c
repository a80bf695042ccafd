/* What a host can ask about a context and do to it: history, usage, clear, priority; and tokens of a text. */

#include <string.h>

#include "host.h"

static void *backend;

static const char *history_of(uint32_t context, char *buffer) {
    uint32_t size = TEXT;
    buffer[0] = '\0';
    CHECK_EQ(wasi_nn_get_history(backend, context, buffer, &size), OK);
    CHECK(json_valid(buffer));
    CHECK_EQ(size, strlen(buffer) + 1);
    return buffer;
}

static void check_message(const char *history, const char *role_path, const char *role, const char *content_path,
                          const char *content) {
    char text[TEXT];
    CHECK(json_text(history, role_path, text, sizeof text));
    CHECK_STR(text, role);
    CHECK(json_text(history, content_path, text, sizeof text));
    CHECK_STR(text, content);
}

static void the_history_is_the_conversation(void) {
    uint32_t context = open_context(backend);
    char history[TEXT], first[TEXT], second[TEXT];
    CHECK_STR(history_of(context, history), "[]");
    say(backend, context, "My name is \"Zorvath\".\n\t\\", first);
    say(backend, context, "Count to 7.", second);
    history_of(context, history);
    CHECK_EQ(json_count(history, ""), 4);
    check_message(history, "0.role", "user", "0.content", "My name is \"Zorvath\".\n\t\\");
    check_message(history, "1.role", "assistant", "1.content", first);
    check_message(history, "2.role", "user", "2.content", "Count to 7.");
    check_message(history, "3.role", "assistant", "3.content", second);
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void a_small_buffer_learns_the_size_that_is_needed(void) {
    uint32_t context = open_context(backend);
    char history[TEXT], answer[TEXT], error[TEXT];
    say(backend, context, "Hello!", answer);
    uint32_t needed = (uint32_t)strlen(history_of(context, history)) + 1;
    for (uint32_t capacity = 1; capacity < needed; capacity++) {
        uint32_t size = capacity;
        memset(history, 'x', sizeof history);
        CHECK_EQ(wasi_nn_get_history(backend, context, history, &size), TOO_LARGE);
        CHECK_EQ(size, needed);
        CHECK_EQ(history[0], 0);
        CHECK_EQ(history[1], 'x');
    }
    CHECK_CONTAINS(last_error(backend, error), "wasi_nn_get_history");
    uint32_t size = needed;
    CHECK_EQ(wasi_nn_get_history(backend, context, history, &size), OK);
    CHECK_EQ(size, needed);
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void usage_grows_with_the_conversation(void) {
    uint32_t context = open_context(backend);
    uint32_t used = 77, capacity = 77, before;
    char answer[TEXT];
    CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used, &capacity), OK);
    CHECK_EQ(used, 0);
    CHECK_EQ(capacity, 1024);
    for (int i = 0; i < 3; i++) {
        before = used;
        say(backend, context, "Count to 7.", answer);
        CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used, &capacity), OK);
        CHECK(used > before);
        CHECK(used >= (uint32_t)figure(backend, context, "prompt_tokens"));
        CHECK_EQ(capacity, 1024);
    }
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void clear_forgets_and_keeps_the_id(void) {
    uint32_t context = open_named(backend, "clear");
    uint32_t used = 77, capacity = 0;
    char answer[TEXT], history[TEXT];
    say(backend, context, "My name is Zorvath.", answer);
    CHECK_EQ(wasi_nn_clear_context(backend, context), OK);
    CHECK_STR(history_of(context, history), "[]");
    CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used, &capacity), OK);
    CHECK_EQ(used, 0);
    CHECK_LACKS(say(backend, context, "What is my name?", answer), "Zorvath");
    CHECK_EQ(open_named(backend, "clear"), context);
    CHECK_EQ(wasi_nn_clear_context(backend, context), OK);
    CHECK_EQ(wasi_nn_clear_context(backend, context), OK);
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void priorities_are_0_to_3(void) {
    uint32_t context = open_context(backend);
    char answer[TEXT];
    for (uint32_t priority = 0; priority <= 3; priority++) {
        CHECK_EQ(wasi_nn_set_session_priority(backend, context, priority), OK);
        CHECK_STR(say(backend, context, "Count to 7.", answer), "1 2 3 4 5 6 7");
    }
    CHECK_EQ(wasi_nn_set_session_priority(backend, context, 4), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_session_priority(backend, context, UINT32_MAX), INVALID_ARGUMENT);
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void contexts_may_share_a_client(void) {
    uint32_t context = open_context(backend);
    char answer[TEXT];
    char key[1025];
    memset(key, 'k', sizeof key);
    CHECK_EQ(wasi_nn_set_client_key(backend, context, "tenant", 6), OK);
    CHECK_STR(say(backend, context, "Count to 7.", answer), "1 2 3 4 5 6 7");
    CHECK_EQ(wasi_nn_set_client_key(backend, context, "\xff\xfe", 2), OK);
    CHECK_EQ(wasi_nn_set_client_key(backend, context, key, 1024), OK);
    CHECK_EQ(wasi_nn_set_client_key(backend, context, key, 1025), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_client_key(backend, context, NULL, 3), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_client_key(backend, context, (const char *)8, 3), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_client_key(backend, context, NULL, 0), OK);
    CHECK_EQ(wasi_nn_set_client_key(backend, context + 999, "tenant", 6), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_client_key(NULL, context, "tenant", 6), INVALID_ARGUMENT);
    CHECK_STR(say(backend, context, "Count to 7.", answer), "1 2 3 4 5 6 7");
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void turns_can_be_removed(void) {
    uint32_t context = open_context(backend);
    char answer[TEXT];
    say(backend, context, "My name is Zorvath.", answer);
    say(backend, context, "Count to 3.", answer);
    CHECK_EQ(wasi_nn_remove_turns(backend, context, 1, 2), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_remove_turns(backend, context, UINT32_MAX, UINT32_MAX), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_remove_turns(backend, context, 2, 0), OK);
    CHECK_EQ(wasi_nn_remove_turns(backend, context, 0, 1), OK);
    say(backend, context, "What is my name?", answer);
    CHECK(strstr(answer, "Zorvath") == NULL);
    CHECK_EQ(wasi_nn_remove_turns(backend, context + 999, 0, 1), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_remove_turns(NULL, context, 0, 1), INVALID_ARGUMENT);
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void a_conversation_has_its_own_rules_for_a_full_context(void) {
    uint32_t context = open_context(backend);
    char answer[TEXT];
    CHECK_EQ(wasi_nn_set_overflow(backend, context, 2, UINT32_MAX, UINT32_MAX), OK);
    uint32_t code = OK;
    for (int n = 0; n < 200 && code == OK; n++)
        code = turn(backend, context, "Repeat after me: tok mar vel sen", NULL, answer);
    CHECK_EQ(code, CONTEXT_FULL);
    CHECK_EQ(wasi_nn_set_overflow(backend, context, 1, 0, 64), OK);
    CHECK_EQ(turn(backend, context, "Repeat after me: tok mar vel sen", NULL, answer), OK);
    CHECK_EQ(wasi_nn_set_overflow(backend, context, 3, 0, 0), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_overflow(backend, context, 0, 1048577, 0), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_overflow(backend, context, 0, UINT32_MAX, UINT32_MAX), OK);
    CHECK_EQ(wasi_nn_set_overflow(backend, context + 999, 0, 0, 0), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_overflow(NULL, context, 0, 0, 0), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_window(backend, context, 100), OK);
    CHECK_EQ(turn(backend, context, "Count to 3.", NULL, answer), OK);
    uint32_t used = 0, capacity = 0;
    CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used, &capacity), OK);
    CHECK(used < 400);
    CHECK_EQ(wasi_nn_set_window(backend, context, 0), OK);
    CHECK_EQ(wasi_nn_set_window(backend, context + 999, 0), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_window(NULL, context, 0), INVALID_ARGUMENT);
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static uint32_t tokens(const char *text, uint32_t length) {
    uint32_t count = 77;
    CHECK_EQ(wasi_nn_count_tokens(backend, text, length, &count), OK);
    return count;
}

static void tokens_are_counted_without_template(void) {
    static const char text[] = "My name is Zorvath.";
    uint32_t whole = tokens(text, sizeof text - 1);
    CHECK_EQ(tokens("", 0), 0);
    CHECK_EQ(tokens(NULL, 0), 0);
    CHECK_EQ(tokens("a", 1), 1);
    CHECK(whole >= 4 && whole < sizeof text);
    CHECK_EQ(tokens(text, sizeof text), whole);
    CHECK_EQ(tokens(text, 4000), whole);
    CHECK(tokens(text, 7) < whole);
    CHECK_EQ(tokens("\xff", 1), tokens("\xc3\xbf", 2));
}

static void a_long_conversation_is_trimmed_and_never_fails(void) {
    uint32_t context = open_context(backend);
    uint32_t used = 0, capacity = 0;
    char answer[TEXT];
    bool shrank = false;
    for (int i = 0; i < 60; i++) {
        static const char *const texts[] = {"Count to 7.", "Tell me about rivers.", "Hello!"};
        uint32_t before = used;
        say(backend, context, texts[i % 3], answer);
        CHECK_EQ(wasi_nn_get_context_usage(backend, context, &used, &capacity), OK);
        CHECK(used <= capacity);
        shrank |= used < before;
    }
    CHECK(shrank);
    CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Pip");
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void without_shifting_a_full_context_says_so(void) {
    void *small = open_with_model(POCKET_A, "{\"model\":{\"ctx_size\":256,\"n_predict\":16}," GREEDY_SAMPLING ","
                                            "\"memory\":{\"context_shifting\":false}}");
    uint32_t context = open_context(small), code = OK, size = TEXT;
    char answer[TEXT], error[TEXT], before[TEXT], after[TEXT];
    for (int i = 0; i < 60 && code == OK; i++) {
        size = TEXT;
        CHECK_EQ(wasi_nn_get_history(small, context, before, &size), OK);
        code = turn(small, context, "Count to 7.", NULL, answer);
    }
    CHECK_EQ(code, CONTEXT_FULL);
    CHECK_CONTAINS(last_error(small, error), "256");
    size = TEXT;
    CHECK_EQ(wasi_nn_get_history(small, context, after, &size), OK);
    CHECK_STR(after, before);
    close_backend(small);
}

int main(void) {
    check_begin();
    backend = open_with_model(POCKET_A, GREEDY);
    RUN(the_history_is_the_conversation);
    RUN(a_small_buffer_learns_the_size_that_is_needed);
    RUN(usage_grows_with_the_conversation);
    RUN(clear_forgets_and_keeps_the_id);
    RUN(priorities_are_0_to_3);
    RUN(contexts_may_share_a_client);
    RUN(turns_can_be_removed);
    RUN(a_conversation_has_its_own_rules_for_a_full_context);
    RUN(tokens_are_counted_without_template);
    RUN(a_long_conversation_is_trimmed_and_never_fails);
    RUN(without_shifting_a_full_context_says_so);
    close_backend(backend);
    return check_end();
}
