/* set_input, compute and get_output: the same turn as run_inference, in three calls. */

#include <string.h>

#include "host.h"

static void *backend;

static const char *output_of(uint32_t context, char *answer) {
    uint32_t size = TEXT;
    answer[0] = '\0';
    CHECK_EQ(get_output(backend, context, 0, (uint8_t *)answer, &size), OK);
    CHECK_EQ(size, strlen(answer) + 1);
    return answer;
}

static void input_text(uint32_t context, uint32_t index, const char *text) {
    tensor input = text_tensor(text);
    CHECK_EQ(set_input(backend, context, index, &input), OK);
}

static void three_calls_hold_a_conversation(void) {
    uint32_t context = open_context(backend);
    char answer[TEXT];
    input_text(context, 0, "My name is Zorvath.");
    CHECK_EQ(compute(backend, context), OK);
    CHECK_CONTAINS(output_of(context, answer), "Zorvath");
    input_text(context, 0, "What is my name?");
    CHECK_EQ(compute(backend, context), OK);
    CHECK_CONTAINS(output_of(context, answer), "Zorvath");
    CHECK_CONTAINS(output_of(context, answer), "Zorvath");
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void both_ways_give_the_same_text(void) {
    uint32_t context = open_context(backend);
    char answer[TEXT], other[TEXT];
    say(backend, context, "Tell me about rivers.", answer);
    CHECK_STR(output_of(context, other), answer);
    CHECK_EQ(wasi_nn_clear_context(backend, context), OK);
    input_text(context, 0, "Tell me about rivers.");
    CHECK_EQ(compute(backend, context), OK);
    CHECK_STR(output_of(context, other), answer);
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void the_last_input_wins_whatever_its_index(void) {
    uint32_t context = open_context(backend);
    char answer[TEXT];
    input_text(context, 0, "What is your name?");
    input_text(context, 999, "Count to 7.");
    CHECK_EQ(compute(backend, context), OK);
    CHECK_STR(output_of(context, answer), "1 2 3 4 5 6 7");
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void compute_without_input_fails(void) {
    uint32_t context = open_context(backend);
    char answer[TEXT], error[TEXT];
    uint32_t size = TEXT;
    CHECK_EQ(compute(backend, context), RUNTIME_ERROR);
    CHECK_CONTAINS(last_error(backend, error), "no input");
    CHECK_EQ(get_output(backend, context, 0, (uint8_t *)answer, &size), RUNTIME_ERROR);
    CHECK_CONTAINS(last_error(backend, error), "no result");
    CHECK_EQ(size, 0);
    size = TEXT;
    CHECK_EQ(get_output(backend, context, 1, (uint8_t *)answer, &size), RUNTIME_ERROR);
    size = TEXT;
    CHECK_EQ(get_output(backend, context, 2, (uint8_t *)answer, &size), INVALID_ARGUMENT);
    CHECK_EQ(close_execution_context(backend, context), OK);
}

static void the_metadata_describe_the_turn(void) {
    uint32_t context = open_named(backend, "metadata");
    char answer[TEXT], text[TEXT], reason[64];
    say(backend, context, "Count to 7.", answer);
    metadata(backend, context, text);
    CHECK(json_text(text, "finish_reason", reason, sizeof reason));
    CHECK_STR(reason, "eos");
    CHECK(json_number(text, "prompt_tokens") > 0);
    CHECK(json_number(text, "completion_tokens") > 0);
    CHECK_EQ(json_number(text, "cached_tokens"), 0);
    CHECK_EQ(json_number(text, "evaluated_tokens"), json_number(text, "prompt_tokens"));
    CHECK(json_text(text, "truncated", reason, sizeof reason));
    CHECK_STR(reason, "false");
    CHECK_CONTAINS(text, "metadata");

    CHECK_EQ(turn(backend, context, "Count to 7.", "{\"max_tokens\":3}", answer), OK);
    CHECK(json_text(metadata(backend, context, text), "finish_reason", reason, sizeof reason));
    CHECK_STR(reason, "length");
    CHECK_EQ(json_number(text, "completion_tokens"), 3);
    CHECK_EQ(turn(backend, context, "Count to 7.", "{\"stop\":[\"5\"]}", answer), OK);
    CHECK(json_text(metadata(backend, context, text), "finish_reason", reason, sizeof reason));
    CHECK_STR(reason, "stop");
    CHECK_EQ(close_execution_context(backend, context), OK);
}

int main(void) {
    check_begin();
    backend = open_with_model(POCKET_A, GREEDY);
    RUN(three_calls_hold_a_conversation);
    RUN(both_ways_give_the_same_text);
    RUN(the_last_input_wins_whatever_its_index);
    RUN(compute_without_input_fails);
    RUN(the_metadata_describe_the_turn);
    close_backend(backend);
    return check_end();
}
