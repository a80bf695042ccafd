/* A host that shows its runtime: every function is the plugin's, in every version of WAMR. Whose numbers are whose, how
 * long a prompt is, and what goes with an instance. */

#include "cases.h"

#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "native.h"
#include "setting.h"

/* Every call of this thread's guest that takes a number answers as if there were none. */
static void check_unknown(struct guest *guest, uint32_t g, uint32_t context) {
    uint32_t made = 0, size = 0;
    void *written = memory_odd(&guest->memory, sizeof(uint32_t));
    uint8_t *buffer = memory_odd(&guest->memory, 64);
    native_as(guest);
    CHECK_EQ(native_compute_single(context), INVALID_ARGUMENT);
    CHECK_EQ(native_get_output_single(context, 0, buffer, 64, written), INVALID_ARGUMENT);
    CHECK_EQ(native_fini_single(context), INVALID_ARGUMENT);
    CHECK_EQ(native_finalize(context), INVALID_ARGUMENT);
    CHECK_EQ(native_unload(g), NOT_FOUND);
    memory_reset(&guest->memory);
    CHECK_EQ(guest_set(guest, context, 0, WHO), INVALID_ARGUMENT);
    CHECK_EQ(guest_set(guest, context, 1, GREEDY), INVALID_ARGUMENT);
    CHECK_EQ(guest_compute(guest, context), INVALID_ARGUMENT);
    CHECK_EQ(guest_output(guest, context, 0, 64, &size), INVALID_ARGUMENT);
    CHECK_EQ(guest_context(guest, g, &made), NOT_FOUND);
}

static void a_number_of_another_instance_is_none(void) {
    struct guest *owner = guest_start(), *other = guest_start();
    uint32_t g = 0, context = 0;
    REQUIRE_EQ(guest_load(owner, POCKET_A, GREEDY, &g), OK);
    REQUIRE_EQ(guest_context(owner, g, &context), OK);
    CHECK_EQ(guest_set(owner, context, 0, COUNT_TO_7), OK);
    native_as(owner);
    CHECK_EQ(native_compute_single(context), OK);
    /* Before the other one has made anything, and after. */
    check_unknown(other, g, context);
    CHECK_STR(guest_ask(other, guest_open(other, GREEDY), WHO), "I am Pip.");
    check_unknown(other, g, context);
    /* And the owner's answer goes on where it was. */
    native_as(owner);
    CHECK_EQ(native_compute_single(context), OK);
    CHECK_EQ(native_fini_single(context), OK);
    CHECK_STR(guest_ask(owner, context, WHO), "I am Pip.");
    guest_end(other);
    CHECK_STR(guest_ask(owner, context, COUNT_TO_7), "1 2 3 4 5 6 7");
    guest_end(owner);
}

/* A thread of a guest is an instance of its own to the host, for which the same is kept. */
static void threads_of_an_instance_share_what_it_has(void) {
    struct guest *main_thread = guest_start(), *thread = guest_start();
    uint32_t context = guest_open(main_thread, GREEDY);
    REQUIRE(main_thread->kept != NULL);
    thread->kept = main_thread->kept;
    CHECK_EQ(guest_set(thread, context, 0, WHO), OK);
    CHECK_EQ(guest_compute(thread, context), OK);
    CHECK_STR(guest_read(thread, context, 0), "I am Pip.");
    CHECK_STR(guest_read(main_thread, context, 0), "I am Pip.");
    /* The host tells of the end of the main instance alone. */
    guest_free(thread);
    guest_end(main_thread);
}

static void everything_goes_with_its_instance(void) {
    struct guest *first = guest_start(), *second = guest_start();
    uint32_t g = 0, context = 0;
    REQUIRE_EQ(guest_load(first, POCKET_A, GREEDY, &g), OK);
    REQUIRE_EQ(guest_context(first, g, &context), OK);
    void *kept = first->kept;
    guest_end(first);
    /* A host may put the next instance where that one was, with what it kept. */
    second->kept = kept;
    check_unknown(second, g, context);
    CHECK(second->kept != kept);
    CHECK_STR(guest_ask(second, guest_open(second, GREEDY), WHO), "I am Pip.");
    guest_end(second);
    guest_end(guest_start());
}

static void a_model_may_come_as_bytes(void) {
    struct guest *guest = guest_start();
    uint32_t g = 0, context = 0;
    size_t size;
    void *bytes = read_file(POCKET_B, &size);
    REQUIRE_EQ(guest_load_bytes(guest, bytes, size, GREEDY, ENCODING_GGML, TARGET_CPU, &g), OK);
    REQUIRE_EQ(guest_context(guest, g, &context), OK);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Momo.");
    CHECK_EQ(guest_load_bytes(guest, bytes, size, "{\"temp\":", ENCODING_AUTODETECT, TARGET_CPU, &g),
             INVALID_ENCODING);
    CHECK_EQ(guest_load_bytes(guest, "no model", 8, NULL, ENCODING_GGML, TARGET_CPU, &g), INVALID_ENCODING);
    CHECK_EQ(guest_load_bytes(guest, bytes, size, NULL, 0, TARGET_CPU, &g), INVALID_ENCODING);
    free(bytes);
    guest_end(guest);
}

/* What public guests write: dimensions of one, the true size beside them, and anything behind the text. */
static void a_prompt_is_as_long_as_its_size_says(void) {
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY), one = 1;
    struct guest_tensor tensor = {.n_dims = 1, .type = TYPE_U8, .size = sizeof WHO - 1};
    for (int i = 0; i < 3; i++) {
        tensor.dims = guest_dims(guest, 1, &one);
        tensor.data = memory_put(&guest->memory, WHO, sizeof WHO - 1);
        CHECK_EQ(guest_set_tensor(guest, context, 0, &tensor), OK);
        CHECK_EQ(guest_compute(guest, context), OK);
        CHECK_STR(guest_read(guest, context, 0), "I am Pip.");
    }
    guest_end(guest);
}

/* Records, names, buffers and places that are not all in the memory. */
static void what_leaves_the_memory_is_an_error(void) {
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY), g = 0;
    uint32_t (*set_input)(void *, uint32_t, uint32_t, void *);
    uint8_t blank[8] = {0};
    native_function("set_input", &set_input);
    uint8_t *tail = memory_tail(&guest->memory, blank, sizeof blank);
    CHECK_EQ(set_input(guest, context, 0, tail), INVALID_ARGUMENT);
    CHECK_EQ(set_input(guest, context, 0, tail + 8), INVALID_ARGUMENT);
    CHECK_EQ(set_input(guest, context, 0, NULL), INVALID_ARGUMENT);
    CHECK_EQ(set_input(guest, context, 0, &g), INVALID_ARGUMENT);
    CHECK_EQ(native_load_named(guest, tail, 9, NULL, 0, memory_odd(&guest->memory, 4)), INVALID_ARGUMENT);
    CHECK_EQ(native_load_named(guest, memory_text(&guest->memory, POCKET_A), sizeof POCKET_A - 1, NULL, 0, tail + 5),
             INVALID_ARGUMENT);
    CHECK_EQ(native_load_named(guest, memory_text(&guest->memory, POCKET_A), sizeof POCKET_A - 1, NULL, 0, &g),
             INVALID_ARGUMENT);
    CHECK_EQ(native_context(guest, 1, &g), INVALID_ARGUMENT);
    CHECK_EQ(g, 0);
    memory_reset(&guest->memory);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
    guest_end(guest);
}

void whole_calls(void) {
    RUN(a_number_of_another_instance_is_none);
    RUN(threads_of_an_instance_share_what_it_has);
    RUN(everything_goes_with_its_instance);
    RUN(a_model_may_come_as_bytes);
    if (!setting.is_legacy) { RUN(a_prompt_is_as_long_as_its_size_says); }
    RUN(what_leaves_the_memory_is_an_error);
}
