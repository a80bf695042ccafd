/* Numbers that are unknown, of somebody else, or of the past. */

#include "cases.h"

#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "library.h"
#include "native.h"
#include "setting.h"

/* Every call that takes a context answers `want`. */
static void check_context(struct guest *guest, uint32_t context, uint32_t want) {
    uint32_t size = 0;
    CHECK_EQ(guest_set(guest, context, 0, WHO), want);
    CHECK_EQ(guest_set(guest, context, 1, "{\"temp\":0}"), want);
    CHECK_EQ(guest_compute(guest, context), want);
    CHECK_EQ(guest_output(guest, context, 0, 64, &size), want);
    CHECK_EQ(guest_output(guest, context, 1, TEXT, &size), want);
}

static void unknown_contexts_are_invalid(void) {
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY);
    uint32_t others[] = {0, 1, 2, 0xFFFFFFFF, context + 1, context - 1, ~context, context ^ 0x80000000};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) { check_context(guest, others[i], INVALID_ARGUMENT); }
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
    guest_end(guest);
}

static void unknown_graphs_are_not_found(void) {
    struct guest *guest = guest_start();
    uint32_t g = 0, context = 0;
    REQUIRE_EQ(guest_load(guest, POCKET_A, GREEDY, &g), OK);
    uint32_t others[] = {0, 1, 0xFFFFFFFF, g + 1, ~g};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        CHECK_EQ(guest_context(guest, others[i], &context), NOT_FOUND);
    }
    CHECK_EQ(guest_context(guest, g, &context), OK);
    /* A graph is no context, and a context is no graph. */
    check_context(guest, g, INVALID_ARGUMENT);
    CHECK_EQ(guest_context(guest, context, &others[0]), NOT_FOUND);
    guest_end(guest);
}

static void numbers_do_not_count_up_and_do_not_repeat(void) {
    enum { MANY = 60 };
    struct guest *guest = guest_start();
    uint32_t g = 0, contexts[MANY] = {0};
    int close_by = 0;
    REQUIRE_EQ(guest_load(guest, POCKET_A, GREEDY, &g), OK);
    for (int i = 0; i < MANY; i++) {
        REQUIRE_EQ(guest_context(guest, g, &contexts[i]), OK);
        for (int j = 0; j < i; j++) {
            uint32_t distance = contexts[i] - contexts[j];
            CHECK(distance != 0);
            close_by += distance < 1000 || distance > 0xFFFFFFFF - 1000;
        }
    }
    /* Of 1770 random pairs less than one in a thousand would be this close. */
    CHECK(close_by < 5);
    guest_end(guest);
}

static void handles_of_another_instance(void) {
    struct guest *first = guest_start(), *second = guest_start();
    uint32_t g = 0, context = 0, size = 0, foreign = 0;
    REQUIRE_EQ(guest_load(first, POCKET_A, GREEDY, &g), OK);
    REQUIRE_EQ(guest_context(first, g, &context), OK);
    CHECK_STR(guest_ask(first, context, WHO), "I am Pip.");
    uint32_t own = guest_open(second, GREEDY);
    if (setting.abi == ABI_B) {
        check_context(second, context, INVALID_ARGUMENT);
        CHECK_EQ(guest_context(second, g, &foreign), NOT_FOUND);
        /* Not a trace of all that in the context of the first. */
        CHECK_STR(guest_read(first, context, 0), "I am Pip.");
    } else {
        /* Backends say nothing about instances here: the number is the key. */
        CHECK_EQ(guest_output(second, context, 0, 64, &size), OK);
        CHECK_STR(second->text, "I am Pip.");
        CHECK_EQ(guest_context(second, g, &foreign), OK);
        CHECK_STR(guest_ask(second, foreign, COUNT_TO_7), "1 2 3 4 5 6 7");
    }
    CHECK_STR(guest_ask(second, own, COUNT_TO_7), "1 2 3 4 5 6 7");
    guest_end(second);
    CHECK_STR(guest_ask(first, context, COUNT_TO_7), "1 2 3 4 5 6 7");
    guest_end(first);
}

static void handles_end_with_their_instance(void) {
    struct guest *first = guest_start(), *second = guest_start();
    uint32_t g = 0, context = 0, other = 0;
    REQUIRE_EQ(guest_load(first, POCKET_A, GREEDY, &g), OK);
    REQUIRE_EQ(guest_context(first, g, &context), OK);
    CHECK_EQ(guest_set(first, context, 0, WHO), OK);
    void *ctx = first->ctx;
    guest_end(first);
    uint32_t own = guest_open(second, GREEDY);
    check_context(second, context, INVALID_ARGUMENT);
    CHECK_EQ(guest_context(second, g, &other), NOT_FOUND);
    CHECK_EQ(library.deinit_backend(ctx), INVALID_ARGUMENT);
    if (setting.is_native) {
        CHECK_EQ(native_compute_single(context), INVALID_ARGUMENT);
        CHECK_EQ(native_fini_single(context), INVALID_ARGUMENT);
        CHECK_EQ(native_finalize(context), INVALID_ARGUMENT);
        CHECK_EQ(native_unload(g), NOT_FOUND);
    }
    CHECK_STR(guest_ask(second, own, WHO), "I am Pip.");
    guest_end(second);
}

static void calls_without_a_backend(void) {
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY), g = 0;
    void *ctx = guest->ctx;
    if (setting.abi == ABI_B) {
        CHECK_EQ(library.load_by_name(NULL, POCKET_A, sizeof POCKET_A - 1, (uintptr_t)&g, 0xDEADBEEF),
                 INVALID_ARGUMENT);
        CHECK_EQ(g, 0);
        guest->ctx = NULL;
        check_context(guest, context, INVALID_ARGUMENT);
        guest->ctx = (void *)&g;
        check_context(guest, context, INVALID_ARGUMENT);
    }
    guest->ctx = ctx;
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
    guest_end(guest);
}

/* A: every load has a backend of its own, and the host remembers the last one only. */
static void graphs_of_forgotten_backends_stay_in_use(void) {
    struct guest *guest = guest_start();
    uint32_t graphs[3] = {0}, contexts[3] = {0};
    void *backends[3];
    for (int i = 0; i < 3; i++) {
        REQUIRE_EQ(guest_load(guest, i == 1 ? POCKET_B : POCKET_A, GREEDY, &graphs[i]), OK);
        backends[i] = guest->ctx;
    }
    for (int i = 0; i < 3; i++) { REQUIRE_EQ(guest_context(guest, graphs[i], &contexts[i]), OK); }
    if (setting.abi == ABI_A) {
        CHECK(backends[0] != backends[1] && backends[1] != backends[2]);
    } else {
        CHECK(backends[0] == backends[1] && backends[1] == backends[2]);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STR(guest_ask(guest, contexts[i], WHO), i == 1 ? "I am Momo." : "I am Pip.");
    }
    if (setting.abi == ABI_A) {
        /* The last one is closed, and with it go the contexts, which were all made through it, and the third graph. The
         * others are still there, for a host that goes on with a backend that is gone. */
        struct guest *heir = guest_start();
        heir->ctx = guest->ctx;
        guest_end(guest);
        for (int i = 0; i < 3; i++) { check_context(heir, contexts[i], INVALID_ARGUMENT); }
        CHECK_EQ(guest_context(heir, graphs[2], &contexts[2]), NOT_FOUND);
        REQUIRE_EQ(guest_context(heir, graphs[1], &contexts[1]), OK);
        CHECK_STR(guest_ask(heir, contexts[1], WHO), "I am Momo.");
        CHECK_EQ(library.deinit_backend(heir->ctx), INVALID_ARGUMENT);
        CHECK_EQ(library.deinit_backend(backends[0]), OK);
        CHECK_EQ(library.deinit_backend(backends[1]), OK);
        CHECK_EQ(guest_context(heir, graphs[0], &contexts[0]), NOT_FOUND);
        guest_free(heir);
    } else {
        guest_end(guest);
    }
}

static void a_failed_load_leaves_everything_in_use(void) {
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY), g = 0, other = 0;
    CHECK_EQ(guest_load_bytes(guest, "no model", 8, NULL, ENCODING_GGML, TARGET_CPU, &g), INVALID_ENCODING);
    CHECK_EQ(g, 0);
    CHECK_EQ(guest_context(guest, g, &other), NOT_FOUND);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
    guest_end(guest);
}

/* Last, because it makes the misses of everybody slow for a while. */
static void a_search_for_numbers_takes_its_time(void) {
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY), number = context;
    double start = now_ms();
    for (int i = 0; i < 250; i++) {
        number = number * 1664525 + 1013904223;
        CHECK_EQ(guest_compute(guest, number), INVALID_ARGUMENT);
    }
    /* All but the first 64 of a second wait a millisecond each. */
    CHECK(now_ms() - start > 100);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
    guest_end(guest);
}

void handles(void) {
    RUN(unknown_contexts_are_invalid);
    RUN(unknown_graphs_are_not_found);
    RUN(numbers_do_not_count_up_and_do_not_repeat);
    RUN(handles_of_another_instance);
    RUN(handles_end_with_their_instance);
    if (!shows_runtime()) { RUN(calls_without_a_backend); }
    RUN(graphs_of_forgotten_backends_stay_in_use);
    RUN(a_failed_load_leaves_everything_in_use);
    RUN(a_search_for_numbers_takes_its_time);
}
