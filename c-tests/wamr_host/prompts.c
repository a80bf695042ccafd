/* How long a prompt is: what each kind of host lets the plugin know, and what guests get wrong. */

#include "cases.h"

#include <string.h>

#include "guest.h"
#include "setting.h"

static struct guest *guest;
static uint32_t context;

/* A tensor over `size` bytes that are in guest memory already, with the dimensions given. */
static uint32_t set_with(uint32_t at, const void *data, uint32_t size, uint32_t n_dims, const uint32_t *dims) {
    struct guest_tensor tensor = {
        .dims = guest_dims(guest, n_dims, dims), .n_dims = n_dims, .type = TYPE_U8, .data = data, .size = size};
    return guest_set_tensor(guest, at, 0, &tensor);
}

/* `text` at an odd address with letters behind it instead of a NUL. */
static const void *open_ended(const char *text) { return memory_put(&guest->memory, text, strlen(text)); }

static void check_answer(uint32_t code, const char *want) {
    CHECK_EQ(code, OK);
    CHECK_EQ(guest_compute(guest, context), OK);
    CHECK_STR(guest_read(guest, context, 0), want);
}

/* Before the first output is fetched nobody may know which host this is: what works then must work on all of them. */
static void first_prompts_are_whole_before_any_output_is_fetched(void) {
    uint32_t g = 0, second = 0, size = sizeof WHO - 1, counting = sizeof COUNT_TO_7 - 1;
    guest = guest_start();
    REQUIRE_EQ(guest_load(guest, POCKET_A, GREEDY, &g), OK);
    REQUIRE_EQ(guest_context(guest, g, &context), OK);
    REQUIRE_EQ(guest_context(guest, g, &second), OK);
    /* True dimensions, no NUL. */
    CHECK_EQ(set_with(context, open_ended(COUNT_TO_7), counting, 1, &counting), OK);
    CHECK_EQ(guest_compute(guest, context), OK);
    if (setting.abi == ABI_B && setting.is_legacy) {
        /* The dimensions are all that this host goes by. */
        CHECK_EQ(set_with(second, memory_text(&guest->memory, WHO), size, 1, &size), OK);
    } else {
        CHECK_EQ(set_with(second, memory_text(&guest->memory, WHO), size, 1, (uint32_t[]){1}), OK);
    }
    CHECK_EQ(guest_compute(guest, second), OK);
    CHECK_STR(guest_read(guest, context, 0), "1 2 3 4 5 6 7");
    CHECK_STR(guest_read(guest, second, 0), "I am Pip.");
}

static void wrong_dimensions_do_not_shorten_a_prompt(void) {
    uint32_t size = sizeof WHO - 1;
    for (int i = 0; i < 6; i++) {
        if (setting.abi == ABI_A) {
            check_answer(set_with(context, memory_text(&guest->memory, WHO), 0, 1, (uint32_t[]){1}), "I am Pip.");
        } else if (!setting.is_legacy) {
            check_answer(set_with(context, open_ended(WHO), size, 1, (uint32_t[]){1}), "I am Pip.");
            check_answer(set_with(context, open_ended(WHO), size, 3, (uint32_t[]){7, 7, 7}), "I am Pip.");
        }
    }
    if (setting.abi == ABI_B && setting.is_legacy) {
        CHECK_EQ(set_with(context, memory_text(&guest->memory, WHO), 0, 1, (uint32_t[]){1}), OK);
        CHECK_EQ(guest_compute(guest, context), OK);
        if (shows_runtime()) {
            /* The plugin sees the guest's own record, in which nobody has counted. */
            CHECK_STR(guest_read(guest, context, 0), "I am Pip.");
        } else {
            /* One element is one byte, whatever follows. */
            CHECK_EQ(guest_figure(guest, context, "input_tokens"), 1);
        }
    }
}

static void true_dimensions_need_no_nul(void) {
    uint32_t size = sizeof WHO - 1;
    check_answer(set_with(context, open_ended(WHO), size, 1, &size), "I am Pip.");
    check_answer(set_with(context, open_ended(WHO), size, 2, (uint32_t[]){1, size}), "I am Pip.");
    check_answer(set_with(context, open_ended(WHO), size, 4, (uint32_t[]){1, 1, size, 1}), "I am Pip.");
}

static void a_legacy_prompt_ends_at_its_nul(void) {
    uint32_t size = sizeof WHO - 1 + 9;
    check_answer(set_with(context, memory_put(&guest->memory, WHO "\0or else?", size), size, 1, &size), "I am Pip.");
}

static void a_prompt_may_end_with_the_memory(void) {
    uint32_t size = sizeof WHO - 1;
    check_answer(set_with(context, memory_tail(&guest->memory, WHO, size), size, 1, &size), "I am Pip.");
    if (setting.abi == ABI_A) {
        check_answer(set_with(context, memory_tail(&guest->memory, WHO, size + 1), 0, 1, (uint32_t[]){1}), "I am Pip.");
    } else if (!setting.is_legacy) {
        check_answer(set_with(context, memory_tail(&guest->memory, WHO, size), size, 1, (uint32_t[]){1}), "I am Pip.");
    }
}

static void a_prompt_that_leaves_the_memory_is_an_error(void) {
    uint32_t size = sizeof WHO - 1;
    guest_ask(guest, context, WHO);
    CHECK(set_with(context, memory_tail(&guest->memory, WHO, size), size + 1, 1, (uint32_t[]){size + 1}) != OK);
    CHECK(set_with(context, memory_tail(&guest->memory, WHO, size), 60 << 20, 1, (uint32_t[]){60 << 20}) != OK);
    if (setting.abi == ABI_A) {
        /* The search for a NUL runs into the end. */
        CHECK(set_with(context, memory_tail(&guest->memory, WHO, size), 0, 1, (uint32_t[]){1}) != OK);
    }
    check_answer(guest_set(guest, context, 0, COUNT_TO_7), "1 2 3 4 5 6 7");
}

/* Whatever they say, nothing is read that is not there, and the context is as good as before. */
static void dimensions_that_lie_do_no_harm(void) {
    static const uint32_t huge[] = {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF};
    static const uint32_t zero[] = {0, 0, 0, 0};
    uint32_t size = sizeof WHO - 1;
    if (!setting.is_legacy) {
        set_with(context, memory_text(&guest->memory, WHO), size, 4, huge);
        set_with(context, memory_text(&guest->memory, WHO), size, 4, zero);
        struct guest_tensor many = {.n_dims = 0xFFFFFFFF, .type = TYPE_U8, .size = size};
        many.dims = guest_dims(guest, 4, zero);
        many.data = memory_text(&guest->memory, WHO);
        guest_set_tensor(guest, context, 0, &many);
        /* The host has looked at the first 16 bytes only. */
        struct guest_tensor cut = {.n_dims = 8, .type = TYPE_U8, .size = size};
        cut.dims = memory_tail(&guest->memory, (uint32_t[]){1, 1, 1, 1}, 16);
        cut.data = memory_text(&guest->memory, WHO);
        guest_set_tensor(guest, context, 0, &cut);
    }
    check_answer(guest_set(guest, context, 0, WHO), "I am Pip.");
}

static void every_type_of_tensor_is_text(void) {
    static const uint8_t types[] = {0, 1, 2, 3, 4, 5, 6, 7, 255};
    uint32_t size = sizeof WHO - 1;
    for (size_t i = 0; i < sizeof types; i++) {
        struct guest_tensor tensor = {.n_dims = 1, .type = types[i], .size = size};
        tensor.dims = guest_dims(guest, 1, &size);
        tensor.data = memory_text(&guest->memory, WHO);
        check_answer(guest_set_tensor(guest, context, 0, &tensor), "I am Pip.");
    }
}

static void bytes_that_are_no_text_are_refused(void) {
    static const char *const broken[] = {"abc\xFF", "\xC3", "ab\xE2\x82", "\xC0\xAF", "\xED\xA0\x80"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        CHECK_EQ(guest_set(guest, context, 0, broken[i]), INVALID_ARGUMENT);
    }
    check_answer(guest_set(guest, context, 0, WHO), "I am Pip.");
}

static void a_prompt_replaces_the_one_before(void) {
    CHECK_EQ(guest_set(guest, context, 0, COUNT_TO_7), OK);
    check_answer(guest_set(guest, context, 0, WHO), "I am Pip.");
    /* Any index but that of the metadata is the prompt. */
    CHECK_EQ(guest_set(guest, context, 0, COUNT_TO_7), OK);
    check_answer(guest_set(guest, context, 2, WHO), "I am Pip.");
}

static void a_long_prompt_is_whole(void) {
    static char prompt[8192];
    prompt[0] = '\0';
    for (int i = 0; i < 12; i++) { strcat(prompt, USER("The weather is nice.") "I see.<|im_end|>\n"); }
    strcat(prompt, WHO);
    check_answer(guest_set(guest, context, 0, prompt), "I am Pip.");
    CHECK(guest_figure(guest, context, "input_tokens") > 100);
}

void prompts(void) {
    RUN(first_prompts_are_whole_before_any_output_is_fetched);
    RUN(wrong_dimensions_do_not_shorten_a_prompt);
    RUN(true_dimensions_need_no_nul);
    if (setting.is_legacy && setting.abi == ABI_B && (setting.evidence == EVIDENCE_TABLE || shows_runtime())) {
        RUN(a_legacy_prompt_ends_at_its_nul);
    }
    RUN(a_prompt_may_end_with_the_memory);
    RUN(a_prompt_that_leaves_the_memory_is_an_error);
    RUN(dimensions_that_lie_do_no_harm);
    RUN(every_type_of_tensor_is_text);
    RUN(bytes_that_are_no_text_are_refused);
    RUN(a_prompt_replaces_the_one_before);
    RUN(a_long_prompt_is_whole);
    guest_end(guest);
}
