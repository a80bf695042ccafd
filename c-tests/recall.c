/* Conversations: what was told earlier is known later, each session knows its own, one after the other and from many
 * threads at once, and a turn evaluates only what is new. */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "host.h"

static void the_model_says_its_name_counts_and_repeats(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    char answer[TEXT];
    CHECK_CONTAINS(say(backend, context, "What is your name?", answer), "Pip");
    CHECK_STR(say(backend, context, "Count to 7.", answer), "1 2 3 4 5 6 7");
    CHECK_STR(say(backend, context, "Repeat after me: small river stone", answer), "small river stone");
    close_backend(backend);
}

static void names_and_colours_are_known_in_later_turns(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    char answer[TEXT];
    say(backend, context, "My name is Zorvath.", answer);
    say(backend, context, "My favourite colour is teal.", answer);
    say(backend, context, "Count to 5.", answer);
    CHECK_CONTAINS(say(backend, context, "What is my name?", answer), "Zorvath");
    CHECK_CONTAINS(say(backend, context, "What is my favourite colour?", answer), "teal");
    CHECK_STR(say(backend, context, "Answer in JSON: what is my name?", answer), "{\"name\": \"Zorvath\"}");
    close_backend(backend);
}

static void two_sessions_interleaved_turn_by_turn_recall_their_own(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t first = open_context(backend);
    uint32_t second = open_context(backend);
    char answer[TEXT];
    say(backend, first, "My name is Zorvath.", answer);
    say(backend, second, "My name is Mirelda.", answer);
    say(backend, first, "My favourite colour is teal.", answer);
    say(backend, second, "My favourite colour is amber.", answer);
    for (int round = 0; round < 3; round++) {
        CHECK_CONTAINS(say(backend, first, "What is my name?", answer), "Zorvath");
        CHECK_LACKS(answer, "Mirelda");
        CHECK_CONTAINS(say(backend, second, "What is my name?", answer), "Mirelda");
        CHECK_LACKS(answer, "Zorvath");
        CHECK_CONTAINS(say(backend, first, "What is my favourite colour?", answer), "teal");
        CHECK_CONTAINS(say(backend, second, "What is my favourite colour?", answer), "amber");
    }
    close_backend(backend);
}

struct talker {
    void *backend;
    const char *name;
    const char *colour;
    pthread_t thread;
};

static void *talk(void *argument) {
    struct talker *talker = argument;
    uint32_t context = open_context(talker->backend);
    char text[256], answer[TEXT];
    snprintf(text, sizeof text, "My name is %s.", talker->name);
    say(talker->backend, context, text, answer);
    snprintf(text, sizeof text, "My favourite colour is %s.", talker->colour);
    say(talker->backend, context, text, answer);
    for (int round = 0; round < 3; round++) {
        CHECK_CONTAINS(say(talker->backend, context, "What is my name?", answer), talker->name);
        CHECK_CONTAINS(say(talker->backend, context, "What is my favourite colour?", answer), talker->colour);
    }
    CHECK_EQ(close_execution_context(talker->backend, context), OK);
    return NULL;
}

static void eight_threads_at_once_recall_their_own(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    struct talker talkers[] = {
        {backend, "Zorvath", "teal", 0}, {backend, "Mirelda", "amber", 0}, {backend, "Tom", "red", 0},
        {backend, "Alice", "green", 0},  {backend, "Bob", "purple", 0},    {backend, "Nina", "silver", 0},
        {backend, "Oscar", "gold", 0},   {backend, "Julia", "black", 0},
    };
    enum { COUNT = sizeof talkers / sizeof *talkers };
    for (int i = 0; i < COUNT; i++) { REQUIRE(pthread_create(&talkers[i].thread, NULL, talk, &talkers[i]) == 0); }
    for (int i = 0; i < COUNT; i++) { pthread_join(talkers[i].thread, NULL); }
    close_backend(backend);
}

static uint32_t tokens_of(void *backend, const char *text) {
    uint32_t count = 0;
    CHECK_EQ(wasi_nn_count_tokens(backend, text, (uint32_t)strlen(text), &count), OK);
    return count;
}

static void a_turn_evaluates_only_the_tokens_that_are_new(void) {
    static const char short_text[] = "What is my name?";
    static const char long_text[] = "Repeat after me: small river stone";
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    char answer[TEXT];

    say(backend, context, "My name is Zorvath.", answer);
    long prompt = figure(backend, context, "prompt_tokens");
    long completion = figure(backend, context, "completion_tokens");
    CHECK(prompt > 0);
    CHECK(completion > 0);
    CHECK_EQ(figure(backend, context, "cached_tokens"), 0);
    CHECK_EQ(figure(backend, context, "evaluated_tokens"), prompt);

    /* All that was evaluated before is cached: the first prompt and the answer but for its last token, which was
     * sampled and not yet evaluated. */
    say(backend, context, short_text, answer);
    long second_prompt = figure(backend, context, "prompt_tokens");
    long second_cached = figure(backend, context, "cached_tokens");
    long second_evaluated = figure(backend, context, "evaluated_tokens");
    CHECK_EQ(second_cached + second_evaluated, second_prompt);
    CHECK(second_cached >= prompt + completion - 1);
    CHECK(second_prompt > prompt + completion);

    /* The same text costs the same however long the history is, another one exactly its difference. */
    long before = second_cached;
    for (int round = 0; round < 4; round++) {
        say(backend, context, short_text, answer);
        CHECK_EQ(figure(backend, context, "evaluated_tokens"), second_evaluated);
        CHECK(figure(backend, context, "cached_tokens") > before);
        before = figure(backend, context, "cached_tokens");
    }
    say(backend, context, long_text, answer);
    CHECK_EQ(figure(backend, context, "evaluated_tokens") - second_evaluated,
             (long)tokens_of(backend, long_text) - (long)tokens_of(backend, short_text));
    close_backend(backend);
}

static void sessions_in_turns_keep_their_caches(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t first = open_context(backend);
    uint32_t second = open_context(backend);
    char answer[TEXT];
    say(backend, first, "My name is Zorvath.", answer);
    say(backend, second, "My name is Mirelda.", answer);
    for (int round = 0; round < 3; round++) {
        say(backend, first, "What is my name?", answer);
        CHECK(figure(backend, first, "cached_tokens") > figure(backend, first, "evaluated_tokens"));
        say(backend, second, "What is my name?", answer);
        CHECK(figure(backend, second, "cached_tokens") > figure(backend, second, "evaluated_tokens"));
    }
    close_backend(backend);
}

static void equal_conversations_give_equal_texts(void) {
    static const char *const turns[] = {"Hello!", "My name is Zorvath.", "Tell me about rivers.", "What is my name?"};
    void *backend = open_with_model(POCKET_A, GREEDY);
    char first[4][TEXT], answer[TEXT];
    for (int round = 0; round < 3; round++) {
        uint32_t context = open_context(backend);
        for (int i = 0; i < 4; i++) {
            say(backend, context, turns[i], round == 0 ? first[i] : answer);
            if (round > 0) { CHECK_STR(answer, first[i]); }
        }
        CHECK_EQ(close_execution_context(backend, context), OK);
    }
    close_backend(backend);
}

int main(void) {
    check_begin();
    RUN(the_model_says_its_name_counts_and_repeats);
    RUN(names_and_colours_are_known_in_later_turns);
    RUN(two_sessions_interleaved_turn_by_turn_recall_their_own);
    RUN(eight_threads_at_once_recall_their_own);
    RUN(a_turn_evaluates_only_the_tokens_that_are_new);
    RUN(sessions_in_turns_keep_their_caches);
    RUN(equal_conversations_give_equal_texts);
    return check_end();
}
