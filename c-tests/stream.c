/* Streaming: the pieces are the answer, they are whole characters, the callback can stop the answer, and it cannot use
 * the context that it serves. */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "host.h"

static void *backend;

struct listener {
    uint32_t context;
    pthread_t thread;
    int pieces;
    int stop_after; /* 0: never */
    bool meddles;
    char text[TEXT];
};

/* Calls back into the context of the running turn, all of which must be refused. */
static void meddle(struct listener *listener) {
    tensor input = text_tensor("Hello!");
    char answer[TEXT];
    uint32_t size = TEXT;
    CHECK_EQ(turn(backend, listener->context, "Hello!", NULL, answer), INVALID_ARGUMENT);
    CHECK_EQ(set_input(backend, listener->context, 0, &input), INVALID_ARGUMENT);
    CHECK_EQ(compute(backend, listener->context), INVALID_ARGUMENT);
    CHECK_EQ(close_execution_context(backend, listener->context), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_clear_context(backend, listener->context), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_get_history(backend, listener->context, answer, &size), INVALID_ARGUMENT);
    CHECK_EQ(deinit_backend(backend), INVALID_ARGUMENT);
}

static int32_t listen_to(void *user_data, const char *piece, uint32_t length) {
    struct listener *listener = user_data;
    size_t used = strlen(listener->text);
    CHECK(pthread_equal(listener->thread, pthread_self()));
    CHECK(length > 0);
    CHECK(is_utf8(piece, length));
    CHECK(used + length < sizeof listener->text);
    memcpy(listener->text + used, piece, length);
    listener->text[used + length] = '\0';
    listener->pieces++;
    if (listener->meddles) {
        meddle(listener);
        listener->meddles = false;
    }
    return listener->stop_after != 0 && listener->pieces >= listener->stop_after;
}

static struct listener listener_in(uint32_t context) {
    struct listener listener = {.context = context, .thread = pthread_self()};
    return listener;
}

static uint32_t stream(struct listener *listener, const char *text, const char *runtime) {
    tensor input = text_tensor(text);
    return wasi_nn_run_inference_stream(backend, listener->context, &input, runtime,
                                        runtime ? (uint32_t)strlen(runtime) : 0, listen_to, listener);
}

static const char *finish_reason(uint32_t context, char *buffer) {
    char text[TEXT];
    CHECK(json_text(metadata(backend, context, text), "finish_reason", buffer, 64));
    return buffer;
}

static void the_pieces_are_the_answer(void) {
    uint32_t context = open_context(backend);
    struct listener listener = listener_in(context);
    char answer[TEXT];
    uint32_t size = TEXT;
    CHECK_EQ(stream(&listener, "Count to 7.", NULL), OK);
    CHECK_STR(listener.text, "1 2 3 4 5 6 7");
    CHECK(listener.pieces > 1);
    CHECK_EQ(get_output(backend, context, 0, (uint8_t *)answer, &size), OK);
    CHECK_STR(answer, listener.text);
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void a_streamed_turn_is_part_of_the_conversation(void) {
    uint32_t context = open_context(backend);
    struct listener first = listener_in(context), second = listener_in(context);
    CHECK_EQ(stream(&first, "My name is Zorvath.", NULL), OK);
    CHECK_EQ(stream(&second, "What is my name?", NULL), OK);
    CHECK_CONTAINS(second.text, "Zorvath");
    CHECK(figure(backend, context, "cached_tokens") > 0);
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void the_callback_can_stop_and_what_was_said_counts(void) {
    uint32_t context = open_context(backend);
    struct listener listener = listener_in(context);
    char answer[TEXT], reason[64], history[TEXT], said[TEXT];
    uint32_t size = TEXT;
    listener.stop_after = 2;
    CHECK_EQ(stream(&listener, "Count to 20.", NULL), OK);
    CHECK_EQ(listener.pieces, 2);
    CHECK_STR(finish_reason(context, reason), "callback");
    CHECK_EQ(get_output(backend, context, 0, (uint8_t *)answer, &size), OK);
    CHECK(strncmp(answer, listener.text, strlen(listener.text)) == 0);
    CHECK_LACKS(answer, "20");
    size = TEXT;
    CHECK_EQ(wasi_nn_get_history(backend, context, history, &size), OK);
    CHECK_EQ(json_count(history, ""), 2);
    CHECK(json_text(history, "1.content", said, sizeof said));
    CHECK_STR(said, answer);
    CHECK_STR(say(backend, context, "Count to 7.", answer), "1 2 3 4 5 6 7");
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void a_possible_stop_string_is_held_back(void) {
    uint32_t context = open_context(backend);
    struct listener listener = listener_in(context);
    char reason[64];
    CHECK_EQ(stream(&listener, "Count to 9.", "{\"stop\":[\"3 4 5 6\"]}"), OK);
    CHECK_STR(listener.text, "1 2 ");
    CHECK_STR(finish_reason(context, reason), "stop");
    /* One that does not come true is handed out after all. */
    struct listener other = listener_in(context);
    CHECK_EQ(wasi_nn_clear_context(backend, context), OK);
    CHECK_EQ(stream(&other, "Count to 7.", "{\"stop\":[\"3 4 5 7\", \"7 8\"]}"), OK);
    CHECK_STR(other.text, "1 2 3 4 5 6 7");
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void the_callback_cannot_use_its_own_context(void) {
    uint32_t context = open_context(backend);
    struct listener listener = listener_in(context);
    listener.meddles = true;
    CHECK_EQ(stream(&listener, "Count to 7.", NULL), OK);
    CHECK(!listener.meddles);
    CHECK_STR(listener.text, "1 2 3 4 5 6 7");
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static int32_t ask_another(void *user_data, const char *piece, uint32_t length) {
    uint32_t *other = user_data;
    char answer[TEXT];
    (void)piece;
    (void)length;
    if (*other != 0) {
        CHECK_CONTAINS(say(backend, *other, "What is your name?", answer), "Pip");
        *other = 0;
    }
    return 0;
}

static void the_callback_may_use_another_context(void) {
    uint32_t context = open_context(backend), other = open_context(backend), asked = other;
    tensor input = text_tensor("Count to 7.");
    CHECK_EQ(wasi_nn_run_inference_stream(backend, context, &input, NULL, 0, ask_another, &asked), OK);
    CHECK_EQ(asked, 0);
    CHECK_EQ(close_execution_context(backend, context), OK);
    CHECK_EQ(close_execution_context(backend, other), OK);
}

static int32_t dawdle(void *user_data, const char *piece, uint32_t length) {
    (void)user_data;
    (void)piece;
    (void)length;
    sleep_ms(100);
    return 0;
}

static void *stream_slowly(void *argument) {
    uint32_t context = *(uint32_t *)argument;
    tensor input = text_tensor("Count to 20.");
    CHECK_EQ(wasi_nn_run_inference_stream(backend, context, &input, NULL, 0, dawdle, NULL), OK);
    return NULL;
}

static void a_slow_callback_delays_nobody_else(void) {
    uint32_t slow = open_context(backend), quick = open_context(backend);
    pthread_t thread;
    char answer[TEXT];
    REQUIRE(pthread_create(&thread, NULL, stream_slowly, &slow) == 0);
    sleep_ms(150);
    for (int i = 0; i < 3; i++) { say(backend, quick, "What is your name?", answer); }
    pthread_join(thread, NULL);
    CHECK_EQ(close_execution_context(backend, slow), OK);
    CHECK_EQ(close_execution_context(backend, quick), OK);
}

int main(void) {
    check_begin();
    backend = open_with_model(POCKET_A, GREEDY);
    RUN(the_pieces_are_the_answer);
    RUN(a_streamed_turn_is_part_of_the_conversation);
    RUN(the_callback_can_stop_and_what_was_said_counts);
    RUN(a_possible_stop_string_is_held_back);
    RUN(the_callback_cannot_use_its_own_context);
    RUN(the_callback_may_use_another_context);
    RUN(a_slow_callback_delays_nobody_else);
    close_backend(backend);
    return check_end();
}
