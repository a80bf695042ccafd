/* Output buffers: capacities around the size of the text, what is written on success and on failure, where a buffer may
 * lie, and which outputs there are. */

#include "cases.h"

#include <string.h>

#include "../json.h"
#include "guest.h"
#include "library.h"

static struct guest *guest;
static uint32_t context;
static uint32_t needed;

static void a_text_has_the_size_that_is_told(void) {
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
    CHECK_EQ(guest_output(guest, context, 0, TEXT, &needed), OK);
    CHECK_EQ(needed, strlen("I am Pip."));
}

static void a_buffer_that_is_too_small_is_told_the_size(void) {
    uint32_t capacities[] = {0, 1, 2, needed / 2, needed - 1};
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        uint32_t size = 0;
        CHECK_EQ(guest_output(guest, context, 0, capacities[i], &size), TOO_LARGE);
        CHECK_EQ(size, needed);
    }
}

static void a_buffer_of_the_exact_size_is_enough(void) {
    uint32_t size = 0;
    for (uint32_t room = 0; room < 2; room++) {
        CHECK_EQ(guest_output(guest, context, 0, needed + room, &size), OK);
        CHECK_EQ(size, needed);
        CHECK_STR(guest->text, "I am Pip.");
    }
}

static void an_output_may_be_fetched_again(void) {
    for (int i = 0; i < 3; i++) { CHECK_STR(guest_read(guest, context, 0), "I am Pip."); }
}

static void the_metadata_obeys_the_same_rules(void) {
    uint32_t size = 0, again = 0;
    CHECK_EQ(guest_output(guest, context, 1, TEXT, &size), OK);
    CHECK(json_valid(guest->text));
    CHECK_EQ(guest_output(guest, context, 1, size - 1, &again), TOO_LARGE);
    CHECK_EQ(again, size);
    CHECK_EQ(guest_output(guest, context, 1, 0, &again), TOO_LARGE);
    CHECK_EQ(again, size);
    CHECK_EQ(guest_output(guest, context, 1, size, &again), OK);
    CHECK(json_valid(guest->text));
}

static void there_are_two_outputs(void) {
    static const uint32_t others[] = {2, 3, 255, 0x80000000, 0xFFFFFFFF};
    uint32_t size = 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        CHECK_EQ(guest_output(guest, context, others[i], 64, &size), INVALID_ARGUMENT);
    }
}

/* Fetches the text into `buffer`, which may lie anywhere in the guest's memory. */
static uint32_t fetch_into(void *buffer, uint32_t capacity, uint32_t *size) {
    void *at = memory_odd(&guest->memory, sizeof *size);
    uint32_t code = host_outputs()->get_output(guest, context, 0, buffer, capacity, at);
    *size = peek(at);
    return code;
}

static void a_buffer_may_end_with_the_memory(void) {
    static const uint8_t blank[64];
    uint32_t size = 0;
    REQUIRE(needed <= sizeof blank);
    uint8_t *buffer = memory_tail(&guest->memory, blank, needed);
    CHECK_EQ(fetch_into(buffer, needed, &size), OK);
    CHECK(memcmp(buffer, "I am Pip.", needed) == 0);
    memory_reset(&guest->memory);
    /* A guest may claim more than it has: what is not needed is not touched. */
    buffer = memory_tail(&guest->memory, blank, needed);
    CHECK_EQ(fetch_into(buffer, 1 << 20, &size), OK);
    CHECK_EQ(size, needed);
    CHECK(memcmp(buffer, "I am Pip.", needed) == 0);
    memory_reset(&guest->memory);
}

static void a_buffer_that_leaves_the_memory_is_an_error(void) {
    static const uint8_t blank[8];
    uint32_t size = 0;
    CHECK(fetch_into(memory_tail(&guest->memory, blank, sizeof blank), needed, &size) != OK);
    memory_reset(&guest->memory);
    CHECK_STR(guest_read(guest, context, 0), "I am Pip.");
}

static void null_pointers_are_errors(void) {
    uint8_t place[64] = {0};
    CHECK(library.set_input(guest->ctx, context, 0, NULL) != OK);
    CHECK(library.get_output(guest->ctx, context, 0, NULL, place) != OK);
    CHECK(library.get_output(guest->ctx, context, 0, place, NULL) != OK);
    CHECK(library.init_backend(NULL) != OK);
    CHECK(library.load(guest->ctx, NULL, ENCODING_GGML, TARGET_CPU, place) != OK);
    CHECK(library.load_by_name(guest->ctx, NULL, 4, (uintptr_t)place, 0xDEADBEEF) != OK);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
}

void outputs(void) {
    guest = guest_start();
    context = guest_open(guest, GREEDY);
    RUN(a_text_has_the_size_that_is_told);
    RUN(a_buffer_that_is_too_small_is_told_the_size);
    RUN(a_buffer_of_the_exact_size_is_enough);
    RUN(an_output_may_be_fetched_again);
    RUN(the_metadata_obeys_the_same_rules);
    RUN(there_are_two_outputs);
    RUN(a_buffer_may_end_with_the_memory);
    RUN(a_buffer_that_leaves_the_memory_is_an_error);
    RUN(null_pointers_are_errors);
    guest_end(guest);
}
