/* Answers piece by piece, and giving back graphs and contexts: the functions that a stock host lacks. */

#include "cases.h"

#include <stdio.h>
#include <string.h>

#include "../json.h"
#include "guest.h"
#include "native.h"

/* Characters of two, three and four bytes; the models know them as single bytes. */
#define MULTI_BYTE "\"root ::= (\\\"\\u00e9\\u20ac\\ud83d\\ude00\\\")+\""

static struct guest *guest;
static uint32_t context;

static bool is_utf8(const char *text) {
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
        int more = *at < 0x80 ? 0 : *at >= 0xF5 ? -1 : *at >= 0xF0 ? 3 : *at >= 0xE0 ? 2 : *at >= 0xC2 ? 1 : -1;
        if (more < 0) { return false; }
        for (at++; more > 0; more--, at++) {
            if ((*at & 0xC0) != 0x80) { return false; }
        }
    }
    return true;
}

/* The last piece (0) or the metadata (1). */
static const char *piece(uint32_t index) {
    static char text[8192];
    uint8_t *buffer = memory_odd(&guest->memory, sizeof text);
    void *written = memory_odd(&guest->memory, sizeof(uint32_t));
    poke(written, 0xDEADBEEF);
    text[0] = '\0';
    if (CHECK_EQ(native_get_output_single(context, index, buffer, sizeof text - 1, written), OK)) {
        REQUIRE(peek(written) < sizeof text);
        memcpy(text, buffer, peek(written));
        text[peek(written)] = '\0';
    }
    memory_reset(&guest->memory);
    return text;
}

/* Streams the answer to the prompt that is set: the pieces joined, their number, and the code that ended them. */
static const char *stream(uint32_t *end, int *count) {
    static char joined[1 << 16];
    joined[0] = '\0';
    *count = 0;
    while ((*end = native_compute_single(context)) == OK) {
        const char *part = piece(0);
        CHECK(part[0] != '\0');
        CHECK(is_utf8(part));
        REQUIRE(strlen(joined) + strlen(part) < sizeof joined);
        strcat(joined, part);
        (*count)++;
        REQUIRE(*count < 20000);
    }
    return joined;
}

/* A stream that ends as it should has the same text as a computation, in `want` if given. */
static int check_stream(const char *config, const char *prompt, const char *want) {
    static char computed[1 << 16];
    uint32_t end = 0, g = 0;
    int count = 0;
    REQUIRE_EQ(guest_load(guest, POCKET_A, config, &g), OK);
    REQUIRE_EQ(guest_context(guest, g, &context), OK);
    snprintf(computed, sizeof computed, "%s", guest_ask(guest, context, prompt));
    if (want != NULL) { CHECK_STR(computed, want); }
    CHECK_EQ(native_finalize(context), OK);
    REQUIRE_EQ(guest_context(guest, g, &context), OK);
    CHECK_EQ(guest_set(guest, context, 0, prompt), OK);
    CHECK_STR(stream(&end, &count), computed);
    CHECK_EQ(end, END_OF_SEQUENCE);
    /* The end stays the end, and the whole text can be had as well. */
    CHECK_EQ(native_compute_single(context), END_OF_SEQUENCE);
    CHECK_EQ(native_compute_single(context), END_OF_SEQUENCE);
    CHECK_STR(guest_read(guest, context, 0), computed);
    CHECK_EQ(native_fini_single(context), OK);
    CHECK_EQ(native_finalize(context), OK);
    CHECK_EQ(native_unload(g), OK);
    return count;
}

static void pieces_make_the_text_of_a_computation(void) {
    CHECK(check_stream(GREEDY, WHO, "I am Pip.") >= 2);
    CHECK(check_stream(GREEDY, COUNT_TO_7, "1 2 3 4 5 6 7") >= 5);
    check_stream(GREEDY, USER("Tell me a story."), NULL);
}

static void the_limit_of_tokens_holds(void) {
    int count = check_stream("{\"temp\":0,\"n-predict\":5,\"ctx-size\":1024}", USER("Tell me a story."), NULL);
    CHECK(count >= 1 && count <= 5);
    CHECK_EQ(check_stream("{\"temp\":0,\"n-predict\":1,\"ctx-size\":1024}", COUNT_TO_7, "1"), 1);
}

static void stop_texts_are_cut(void) {
    check_stream("{\"temp\":0,\"stop\":[\"5 6\"],\"ctx-size\":1024}", COUNT_TO_7, "1 2 3 4 ");
    check_stream("{\"temp\":0,\"stop\":[\"9\",\"3\"],\"ctx-size\":1024}", COUNT_TO_7, "1 2 ");
    /* A text that might have become a stop text, and did not, comes with the last piece. */
    check_stream("{\"temp\":0,\"stop\":[\"7 8\"],\"ctx-size\":1024}", COUNT_TO_7, "1 2 3 4 5 6 7");
}

static void reverse_prompts_stay(void) {
    check_stream("{\"temp\":0,\"reverse-prompt\":\"3\",\"ctx-size\":1024}", COUNT_TO_7, "1 2 3");
    check_stream("{\"temp\":0,\"reverse-prompt\":[\"x\",\"4 5\"],\"ctx-size\":1024}", COUNT_TO_7, "1 2 3 4 5");
}

static void pieces_are_whole_characters(void) {
    check_stream("{\"temp\":0,\"n-predict\":36,\"ctx-size\":1024,\"grammar\":" MULTI_BYTE "}", WHO, NULL);
    /* The limit falls into the middle of a character. */
    for (int limit = 1; limit <= 9; limit++) {
        char config[256];
        snprintf(config, sizeof config, "{\"temp\":0,\"n-predict\":%d,\"ctx-size\":1024,\"grammar\":" MULTI_BYTE "}",
                 limit);
        CHECK(check_stream(config, WHO, NULL) <= limit);
    }
}

static void a_piece_is_not_consumed_by_reading(void) {
    context = guest_open(guest, GREEDY);
    CHECK_EQ(guest_set(guest, context, 0, COUNT_TO_7), OK);
    CHECK_EQ(native_compute_single(context), OK);
    char first[64];
    snprintf(first, sizeof first, "%s", piece(0));
    CHECK_STR(piece(0), first);
    CHECK(json_valid(piece(1)));
    CHECK(json_number(piece(1), "output_tokens") >= 1);
    CHECK_STR(piece(0), first);
}

static void a_piece_has_a_size(void) {
    void *written = memory_odd(&guest->memory, sizeof(uint32_t));
    uint8_t *buffer = memory_odd(&guest->memory, 64);
    size_t needed = strlen(piece(0));
    memset(buffer, '#', 64);
    for (uint32_t capacity = 0; capacity < needed; capacity++) {
        poke(written, 0xDEADBEEF);
        CHECK_EQ(native_get_output_single(context, 0, buffer, capacity, written), TOO_LARGE);
        CHECK_EQ(peek(written), needed);
        CHECK_EQ(buffer[0], '#');
    }
    CHECK_EQ(native_get_output_single(context, 0, buffer, (uint32_t)needed, written), OK);
    CHECK_EQ(peek(written), needed);
    CHECK_EQ(buffer[needed], '#');
    CHECK_EQ(native_get_output_single(context, 2, buffer, 64, written), INVALID_ARGUMENT);
    memory_reset(&guest->memory);
}

static void a_turn_may_be_left_and_another_begun(void) {
    uint32_t end = 0;
    int count = 0;
    CHECK_EQ(native_fini_single(context), OK);
    CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
    CHECK_STR(stream(&end, &count), "I am Pip.");
    CHECK_EQ(end, END_OF_SEQUENCE);
    CHECK_EQ(native_fini_single(context), OK);
    /* What was evaluated is kept: a longer prompt evaluates the rest. */
    CHECK_EQ(guest_set(guest, context, 0, WHO "I am Pip.<|im_end|>\n" COUNT_TO_7), OK);
    CHECK_STR(stream(&end, &count), "1 2 3 4 5 6 7");
    CHECK(json_number(piece(1), "cached_tokens") > 10);
    CHECK_EQ(native_fini_single(context), OK);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
}

static void a_stream_fills_its_context(void) {
    uint32_t end = 0;
    int count = 0;
    context = guest_open(guest, "{\"temp\":0,\"ignore-eos\":true,\"n-predict\":-1,\"ctx-size\":128}");
    CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
    CHECK(strlen(stream(&end, &count)) > 0);
    CHECK_EQ(end, CONTEXT_FULL);
    CHECK(count > 20 && count < 128);
}

static void a_prompt_that_does_not_fit_is_told_at_once(void) {
    static char prompt[4096];
    uint32_t code;
    memset(prompt, 'q', sizeof prompt - 1);
    code = guest_set(guest, context, 0, prompt);
    CHECK_EQ(code, OK);
    CHECK_EQ(native_compute_single(context), PROMPT_TOO_LONG);
}

static void nothing_to_stream_is_an_error(void) {
    context = guest_open(guest, GREEDY);
    CHECK_EQ(native_compute_single(context), INVALID_ARGUMENT);
}

static void numbers_that_are_nobodys(void) {
    void *written = memory_odd(&guest->memory, sizeof(uint32_t));
    uint8_t *buffer = memory_odd(&guest->memory, 64);
    static const uint32_t numbers[] = {0, 1, 0xFFFFFFFF, 0x12345678};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        CHECK_EQ(native_compute_single(numbers[i]), INVALID_ARGUMENT);
        CHECK_EQ(native_fini_single(numbers[i]), INVALID_ARGUMENT);
        CHECK_EQ(native_finalize(numbers[i]), INVALID_ARGUMENT);
        CHECK_EQ(native_get_output_single(numbers[i], 0, buffer, 64, written), INVALID_ARGUMENT);
        CHECK_EQ(native_unload(numbers[i]), NOT_FOUND);
    }
    memory_reset(&guest->memory);
}

static void a_context_outlives_the_handle_of_its_graph(void) {
    uint32_t g = 0, other = 0;
    REQUIRE_EQ(guest_load(guest, POCKET_A, GREEDY, &g), OK);
    REQUIRE_EQ(guest_context(guest, g, &context), OK);
    CHECK_EQ(native_unload(g), OK);
    CHECK_EQ(native_unload(g), NOT_FOUND);
    CHECK_EQ(guest_context(guest, g, &other), NOT_FOUND);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
    CHECK_EQ(native_finalize(context), OK);
    CHECK_EQ(native_finalize(context), INVALID_ARGUMENT);
    CHECK_EQ(guest_compute(guest, context), INVALID_ARGUMENT);
    CHECK_EQ(native_compute_single(context), INVALID_ARGUMENT);
}

void streaming(void) {
    guest = guest_start();
    RUN(pieces_make_the_text_of_a_computation);
    RUN(the_limit_of_tokens_holds);
    RUN(stop_texts_are_cut);
    RUN(reverse_prompts_stay);
    RUN(pieces_are_whole_characters);
    guest_end(guest);
}

void native_calls(void) {
    guest = guest_start();
    RUN(a_piece_is_not_consumed_by_reading);
    RUN(a_piece_has_a_size);
    RUN(a_turn_may_be_left_and_another_begun);
    RUN(a_stream_fills_its_context);
    RUN(a_prompt_that_does_not_fit_is_told_at_once);
    RUN(nothing_to_stream_is_an_error);
    RUN(numbers_that_are_nobodys);
    RUN(a_context_outlives_the_handle_of_its_graph);
    guest_end(guest);
}
