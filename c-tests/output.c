/* Output buffers: how a size is read, how a text is cut, and that no byte behind it is touched. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

enum { UNTOUCHED = 0xA5, DEFAULT_CAPACITY = 8192 };

static void *backend;
static uint32_t context;
static const char counting[] = "1 2 3 4 5 6 7";

/* A turn that answers with `counting`, into `size` bytes claimed as `claimed`; `got` is the size that came back. The
 * memory is exactly as large as it is said to be, so that the sanitizer sees the byte behind it. */
static uint8_t *count_into(uint32_t size, uint32_t claimed, uint32_t *got) {
    tensor input = text_tensor("Count to 7.");
    uint8_t *memory = malloc(size);
    REQUIRE(memory != NULL);
    memset(memory, UNTOUCHED, size);
    CHECK_EQ(wasi_nn_clear_context(backend, context), OK);
    *got = claimed;
    CHECK_EQ(run_inference(backend, context, 0, &input, memory, got, NULL, 0), OK);
    return memory;
}

static void an_answer_is_cut_to_its_buffer_and_ended_by_a_nul(void) {
    for (uint32_t capacity = 1; capacity <= sizeof counting + 3; capacity++) {
        uint32_t got, whole = TEXT;
        char text[TEXT], truncated[16];
        uint8_t *memory = count_into(capacity, capacity, &got);
        uint32_t want = capacity < sizeof counting ? capacity : sizeof counting;
        CHECK_EQ(got, want);
        CHECK_EQ(memory[want - 1], 0);
        CHECK(memcmp(memory, counting, want - 1) == 0);
        for (uint32_t i = want; i < capacity; i++) { CHECK_EQ(memory[i], UNTOUCHED); }
        free(memory);

        bool cut = capacity < sizeof counting;
        CHECK(json_text(metadata(backend, context, text), "truncated", truncated, sizeof truncated));
        CHECK_STR(truncated, cut ? "true" : "false");
        CHECK_EQ(get_output(backend, context, 0, (uint8_t *)text, &whole), OK);
        CHECK_STR(text, counting);
        CHECK_EQ(whole, sizeof counting);
    }
}

static void size_0_means_a_buffer_of_8192(void) {
    uint32_t got;
    uint8_t *memory = count_into(DEFAULT_CAPACITY, 0, &got);
    CHECK_STR((char *)memory, counting);
    CHECK_EQ(got, sizeof counting);
    got = 0;
    CHECK_EQ(get_output(backend, context, 0, memory, &got), OK);
    CHECK_EQ(got, sizeof counting);
    free(memory);
}

static void implausible_sizes_mean_a_buffer_of_8192(void) {
    static const uint32_t implausible[] = {(1u << 30) + 1, 0x7FFFFFFF, 0x80000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof implausible / sizeof *implausible; i++) {
        uint32_t got;
        uint8_t *memory = count_into(DEFAULT_CAPACITY, implausible[i], &got);
        CHECK_EQ(got, sizeof counting);
        got = implausible[i];
        CHECK_EQ(get_output(backend, context, 0, memory, &got), OK);
        CHECK_EQ(got, sizeof counting);
        free(memory);
    }
}

/* An answer longer than 8192 bytes: the sizes that mean 8192 are told from those that are believed. */
static void only_believed_sizes_pass_8192(void) {
    static const char endless[] = "{\"model\":{\"n_predict\":1000,\"ctx_size\":1024},\"sampling\":{\"temp\":0,"
                                  "\"repeat_penalty\":1,\"ignore_eos\":true,\"logit_bias\":{\" favourite\":100}}}";
    enum { LARGE = 1 << 16 };
    void *large = open_with_model(POCKET_A, endless);
    uint32_t long_context = open_context(large);
    static uint8_t memory[LARGE];
    tensor input = text_tensor("Hello!");
    uint32_t size = LARGE;
    CHECK_EQ(run_inference(large, long_context, 0, &input, memory, &size, NULL, 0), OK);
    uint32_t whole = size;
    if (CHECK(whole > DEFAULT_CAPACITY && whole < LARGE)) {
        struct { uint32_t claimed, want; } cases[] = {
            {0, DEFAULT_CAPACITY}, {UINT32_MAX, DEFAULT_CAPACITY}, {(64u << 20) + 1, DEFAULT_CAPACITY},
            {64u << 20, whole},    {LARGE, whole},                 {DEFAULT_CAPACITY + 1, DEFAULT_CAPACITY + 1},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            size = cases[i].claimed;
            CHECK_EQ(get_output(large, long_context, 0, memory, &size), OK);
            CHECK_EQ(size, cases[i].want);
            CHECK_EQ(strlen((char *)memory) + 1, size);
        }
    }
    close_backend(large);
}

static void max_output_bytes_bounds_every_capacity(void) {
    void *bounded = open_with_model(POCKET_A, "{\"backend\":{\"max_output_bytes\":256}," GREEDY_SAMPLING ","
                                              "\"stopping\":{\"ignore_eos\":true},\"model\":{\"n_predict\":400}}");
    uint32_t long_context = open_context(bounded);
    char answer[TEXT];
    CHECK_EQ(turn(bounded, long_context, "Count to 20.", NULL, answer), OK);
    CHECK(strlen(answer) <= 255);
    CHECK(strlen(answer) > 200);
    close_backend(bounded);
}

/* The metadata hold the name of the session, which is text of the host: the one text with wide characters at hand that
 * does not depend on what a model says. */
static void a_text_is_never_cut_inside_a_character(void) {
    static const char name[] = "\xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82\xd0\xb6\xe4\xb8\xad";
    uint32_t named = open_named(backend, name);
    char answer[TEXT], whole[TEXT], cut[TEXT];
    say(backend, named, "Hello!", answer);
    metadata(backend, named, whole);
    CHECK_CONTAINS(whole, name);
    uint32_t length = (uint32_t)strlen(whole), shortened = 0;
    for (uint32_t capacity = 1; capacity <= length + 1; capacity++) {
        uint32_t size = capacity;
        CHECK_EQ(get_output(backend, named, 1, (uint8_t *)cut, &size), OK);
        CHECK(size <= capacity);
        CHECK(size + 3 >= capacity);
        shortened += size < capacity;
        CHECK_EQ(cut[size - 1], 0);
        CHECK(is_utf8(cut, size - 1));
        CHECK(memcmp(cut, whole, size - 1) == 0);
    }
    CHECK_EQ(shortened, 1 + 2 + 3 + 1 + 2);
    CHECK_EQ(close_execution_context(backend, named), OK);
}

static void an_error_sets_the_size_to_0_and_leaves_the_buffer(void) {
    uint8_t memory[64];
    uint32_t fresh = open_context(backend);
    tensor no_data = text_tensor(NULL);
    uint32_t size = sizeof memory;
    memset(memory, UNTOUCHED, sizeof memory);
    CHECK_EQ(run_inference(backend, 0, 0, &no_data, memory, &size, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(size, 0);
    size = sizeof memory;
    CHECK_EQ(run_inference(backend, fresh, 0, &no_data, memory, &size, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(size, 0);
    size = sizeof memory;
    CHECK_EQ(get_output(backend, fresh, 0, memory, &size), RUNTIME_ERROR);
    CHECK_EQ(size, 0);
    size = sizeof memory;
    CHECK_EQ(get_output(backend, fresh, 7, memory, &size), INVALID_ARGUMENT);
    CHECK_EQ(size, 0);
    for (size_t i = 0; i < sizeof memory; i++) { CHECK_EQ(memory[i], UNTOUCHED); }
    CHECK_EQ(close_execution_context(backend, fresh), OK);
}

static void an_empty_answer_has_size_1(void) {
    char answer[TEXT] = "x";
    uint32_t size = TEXT;
    tensor input = text_tensor("Count to 7.");
    static const char stop_at_once[] = "{\"stop\":[\"1\"]}";
    CHECK_EQ(wasi_nn_clear_context(backend, context), OK);
    uint32_t length = sizeof stop_at_once - 1;
    CHECK_EQ(run_inference(backend, context, 0, &input, (uint8_t *)answer, &size, stop_at_once, length), OK);
    CHECK_EQ(size, 1);
    CHECK_STR(answer, "");
}

static void error_texts_are_cut_at_characters_too(void) {
    static const char path[] = "/missing-\xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82.gguf";
    char whole[TEXT], cut[TEXT];
    CHECK_EQ(load_model(backend, path, NULL), RUNTIME_ERROR);
    last_error(backend, whole);
    CHECK_CONTAINS(whole, path);
    for (uint32_t size = 1; size <= strlen(whole) + 1; size++) {
        memset(cut, UNTOUCHED, sizeof cut);
        CHECK_EQ(wasi_nn_get_last_error(backend, cut, size), OK);
        CHECK(strlen(cut) < size);
        CHECK(is_utf8(cut, strlen(cut)));
        CHECK(strncmp(cut, whole, strlen(cut)) == 0);
        CHECK_EQ((uint8_t)cut[size], UNTOUCHED);
    }
}

int main(void) {
    check_begin();
    backend = open_with_model(POCKET_A, GREEDY);
    context = open_context(backend);
    RUN(an_answer_is_cut_to_its_buffer_and_ended_by_a_nul);
    RUN(size_0_means_a_buffer_of_8192);
    RUN(implausible_sizes_mean_a_buffer_of_8192);
    RUN(only_believed_sizes_pass_8192);
    RUN(max_output_bytes_bounds_every_capacity);
    RUN(a_text_is_never_cut_inside_a_character);
    RUN(an_error_sets_the_size_to_0_and_leaves_the_buffer);
    RUN(an_empty_answer_has_size_1);
    RUN(error_texts_are_cut_at_characters_too);
    close_backend(backend);
    return check_end();
}
