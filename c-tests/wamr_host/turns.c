/* Several prompts on one context, several contexts on one graph, several graphs: what is evaluated anew, and that
 * nobody hears the others. */

#include "cases.h"

#include <stdio.h>
#include <string.h>

#include "guest.h"

#define MET_NORA USER("My name is Nora.") "Nice to meet you, Nora!<|im_end|>\n"

/* A conversation as a guest keeps it: everything that was said, in the template, up to the next answer. */
struct talk {
    uint32_t context;
    char text[8192];
};

/* Appends a question, asks, and appends the answer. */
static const char *say(struct guest *guest, struct talk *talk, const char *question) {
    size_t used = strlen(talk->text);
    snprintf(talk->text + used, sizeof talk->text - used, USER("%s"), question);
    const char *answer = guest_ask(guest, talk->context, talk->text);
    used = strlen(talk->text);
    snprintf(talk->text + used, sizeof talk->text - used, "%s<|im_end|>\n", answer);
    return answer;
}

static struct talk begin(struct guest *guest, uint32_t g) {
    struct talk talk = {0};
    REQUIRE_EQ(guest_context(guest, g, &talk.context), OK);
    return talk;
}

static void a_longer_prompt_evaluates_what_is_new(void) {
    static const char *const questions[] = {"My name is Nora.", "The weather is nice.", "What is my name?"};
    struct guest *guest = guest_start();
    uint32_t g = 0;
    long before = 0;
    REQUIRE_EQ(guest_load(guest, POCKET_A, GREEDY, &g), OK);
    struct talk talk = begin(guest, g);
    for (int i = 0; i < 3; i++) {
        const char *answer = say(guest, &talk, questions[i]);
        if (i == 2) { CHECK_STR(answer, "Your name is Nora."); }
        long input = guest_figure(guest, talk.context, "input_tokens");
        long cached = guest_figure(guest, talk.context, "cached_tokens");
        if (i == 0) { CHECK_EQ(cached, 0); }
        /* At least the whole prompt before, but for its last token. */
        if (i > 0) { CHECK(cached >= before - 1); }
        CHECK(cached < input);
        before = input;
    }
    /* The same text as without anything kept. */
    char *last = strstr(talk.text, USER("What is my name?"));
    REQUIRE(last != NULL);
    last[sizeof USER("What is my name?") - 1] = '\0';
    struct talk fresh = begin(guest, g);
    CHECK_STR(guest_ask(guest, fresh.context, talk.text), "Your name is Nora.");
    guest_end(guest);
}

static void a_prompt_that_turns_off_keeps_what_is_common(void) {
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY);
    CHECK_STR(guest_ask(guest, context, MET_NORA WHO), "I am Pip.");
    CHECK_STR(guest_ask(guest, context, MET_NORA COUNT_TO_7), "1 2 3 4 5 6 7");
    CHECK(guest_figure(guest, context, "cached_tokens") > 10);
    /* Nothing in common but the template's first token. */
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
    CHECK(guest_figure(guest, context, "cached_tokens") < 8);
    guest_end(guest);
}

static void a_prompt_is_raw(void) {
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY);
    /* Nothing is added to it: the two tokens of its turn are one token each, and so is every other byte at most. */
    guest_ask(guest, context, "<|im_start|>");
    CHECK_EQ(guest_figure(guest, context, "input_tokens"), 1);
    guest_ask(guest, context, "<|im_start|><|im_end|>");
    CHECK_EQ(guest_figure(guest, context, "input_tokens"), 2);
    /* The same prompt again is the same prompt, not a turn more. */
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 5 6 7");
    long input = guest_figure(guest, context, "input_tokens");
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 5 6 7");
    CHECK_EQ(guest_figure(guest, context, "input_tokens"), input);
    guest_end(guest);
}

static void contexts_of_one_graph_hear_nothing_of_each_other(void) {
    static const char *const names[] = {"Nora", "Emil", "Ruth", "Otto", "Lena", "Paul"};
    enum { COUNT = 6 };
    struct guest *guest = guest_start();
    struct talk talks[COUNT];
    uint32_t g = 0;
    char text[64];
    REQUIRE_EQ(guest_load(guest, POCKET_A, GREEDY, &g), OK);
    for (int i = 0; i < COUNT; i++) { talks[i] = begin(guest, g); }
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "My name is %s.", names[i]);
        CHECK_CONTAINS(say(guest, &talks[i], text), names[i]);
    }
    for (int i = COUNT - 1; i >= 0; i--) {
        snprintf(text, sizeof text, "Your name is %s.", names[i]);
        CHECK_STR(say(guest, &talks[i], "What is my name?"), text);
    }
    struct talk stranger = begin(guest, g);
    CHECK_STR(say(guest, &stranger, "What is my name?"), "I do not know your name yet.");
    /* The outputs stay where they are. */
    for (int i = 0; i < COUNT; i++) { CHECK_CONTAINS(guest_read(guest, talks[i].context, 0), names[i]); }
    guest_end(guest);
}

static void graphs_stand_side_by_side(void) {
    struct guest *guest = guest_start();
    uint32_t first = 0, second = 0, same = 0;
    REQUIRE_EQ(guest_load(guest, POCKET_A, GREEDY, &first), OK);
    REQUIRE_EQ(guest_load(guest, POCKET_B, GREEDY, &second), OK);
    REQUIRE_EQ(guest_load(guest, POCKET_A, GREEDY, &same), OK);
    /* A handle for each load, even of the same file with the same configuration. */
    CHECK(first != second && second != same && first != same);
    struct talk talks[] = {begin(guest, first), begin(guest, second), begin(guest, same)};
    for (int round = 0; round < 2; round++) {
        CHECK_STR(say(guest, &talks[0], "What is your name?"), "I am Pip.");
        CHECK_STR(say(guest, &talks[1], "What is your name?"), "I am Momo.");
        CHECK_STR(say(guest, &talks[2], "What is your name?"), "I am Pip.");
    }
    guest_end(guest);
}

static void instances_hear_nothing_of_each_other(void) {
    struct guest *first = guest_start(), *second = guest_start();
    struct talk one = {.context = guest_open(first, GREEDY)}, two = {.context = guest_open(second, GREEDY)};
    CHECK_STR(say(first, &one, "My name is Nora."), "Nice to meet you, Nora!");
    CHECK_STR(say(second, &two, "My name is Emil."), "Nice to meet you, Emil!");
    CHECK_STR(say(first, &one, "What is my name?"), "Your name is Nora.");
    guest_end(first);
    CHECK_STR(say(second, &two, "What is my name?"), "Your name is Emil.");
    guest_end(second);
}

void turns(void) {
    RUN(a_longer_prompt_evaluates_what_is_new);
    RUN(a_prompt_that_turns_off_keeps_what_is_common);
    RUN(a_prompt_is_raw);
    RUN(contexts_of_one_graph_hear_nothing_of_each_other);
    RUN(graphs_stand_side_by_side);
    RUN(instances_hear_nothing_of_each_other);
}
