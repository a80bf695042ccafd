/* Models as bytes and by name: what is taken, what is refused and with which number, and how names are read. */

#include "cases.h"

#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "library.h"
#include "setting.h"

static struct guest *guest;
static void *bytes;
static size_t size;

/* `code` is that of the load that has written `g`. */
static void check_graph(uint32_t code, const uint32_t *g, const char *want) {
    uint32_t context = 0;
    REQUIRE_EQ(code, OK);
    REQUIRE_EQ(guest_context(guest, *g, &context), OK);
    CHECK_STR(guest_ask(guest, context, WHO), want);
}

static void bytes_are_loaded_under_both_numbers_and_any_target(void) {
    static const uint32_t targets[] = {0, 1, 2, 3, 77, 0xFFFFFFFF};
    uint32_t g = 0;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        uint32_t encoding = i % 2 == 0 ? ENCODING_GGML : ENCODING_AUTODETECT;
        check_graph(guest_load_bytes(guest, bytes, size, GREEDY, encoding, targets[i], &g), &g, "I am Pip.");
    }
}

static void bytes_come_with_or_without_a_configuration(void) {
    uint32_t g = 0, context = 0;
    CHECK_EQ(guest_load_bytes(guest, bytes, size, NULL, ENCODING_GGML, TARGET_CPU, &g), OK);
    CHECK_EQ(guest_load_bytes(guest, bytes, size, "", ENCODING_GGML, TARGET_CPU, &g), OK);
    CHECK_EQ(guest_load_bytes(guest, bytes, size, "{\"temp\":0,\"n-predict\":3}", ENCODING_GGML, TARGET_CPU, &g), OK);
    REQUIRE_EQ(guest_context(guest, g, &context), OK);
    guest_ask(guest, context, COUNT_TO_7);
    CHECK_EQ(guest_figure(guest, context, "output_tokens"), 3);
    CHECK_EQ(guest_load_bytes(guest, bytes, size, "{\"temp\":", ENCODING_GGML, TARGET_CPU, &g), INVALID_ENCODING);
    CHECK_EQ(guest_load_bytes(guest, bytes, size, "{\"temp\":\"x\"}", ENCODING_GGML, TARGET_CPU, &g),
             INVALID_ARGUMENT);
}

static void anything_else_than_a_model_is_an_encoding_of_others(void) {
    static const char *const others[] = {"GGML", "GGU", "ggufggufgguf", "\x08ONNX model", "PK\x03\x04zip", "G"};
    uint32_t g = 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        CHECK_EQ(guest_load_bytes(guest, others[i], strlen(others[i]), NULL, ENCODING_GGML, TARGET_CPU, &g),
                 INVALID_ENCODING);
        CHECK_EQ(guest_load_bytes(guest, others[i], strlen(others[i]), NULL, ENCODING_AUTODETECT, TARGET_CPU, &g),
                 INVALID_ENCODING);
    }
    CHECK(guest_load_bytes(guest, "", 0, NULL, ENCODING_GGML, TARGET_CPU, &g) != OK);
    static const uint32_t encodings[] = {0, 1, 2, 3, 4, 7, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        CHECK_EQ(guest_load_bytes(guest, bytes, size, NULL, encodings[i], TARGET_CPU, &g), INVALID_ENCODING);
    }
    CHECK_EQ(g, 0);
}

/* The magic is right and the rest is not: an answer, whichever, and no harm. */
static void broken_models_are_refused(void) {
    static const size_t sizes[] = {4, 5, 8, 23, 24, 100, 4096, 100000};
    uint32_t g = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        REQUIRE(sizes[i] < size);
        CHECK(guest_load_bytes(guest, bytes, sizes[i], NULL, ENCODING_GGML, TARGET_CPU, &g) != OK);
    }
    CHECK(guest_load_bytes(guest, bytes, size - 1, NULL, ENCODING_GGML, TARGET_CPU, &g) != OK);
    uint8_t *broken = malloc(size);
    REQUIRE(broken != NULL);
    for (size_t at = 4; at < 64; at += 4) {
        memcpy(broken, bytes, size);
        memset(broken + at, 0xFF, 4);
        guest_load_bytes(guest, broken, size, NULL, ENCODING_GGML, TARGET_CPU, &g);
    }
    free(broken);
    check_graph(guest_load_bytes(guest, bytes, size, GREEDY, ENCODING_GGML, TARGET_CPU, &g), &g, "I am Pip.");
}

static void builders_that_lie_do_no_harm(void) {
    struct {
        void *buf;
        uint32_t size;
    } builder = {bytes, 0xFFFFFFFF}, builders = {&builder, 1};
    uint32_t g = 0;
    CHECK(library.load(guest->ctx, &builders, ENCODING_GGML, TARGET_CPU, &g) != OK);
    builders.size = 0;
    CHECK(library.load(guest->ctx, &builders, ENCODING_GGML, TARGET_CPU, &g) != OK);
    builders.buf = NULL;
    builders.size = 1;
    CHECK(library.load(guest->ctx, &builders, ENCODING_GGML, TARGET_CPU, &g) != OK);
    CHECK_EQ(g, 0);
    uint8_t *start = memory_tail(&guest->memory, bytes, 4096);
    builder.buf = start;
    builder.size = 8192;
    builders.buf = &builder;
    CHECK(library.load(guest->ctx, &builders, ENCODING_GGML, TARGET_CPU, &g) != OK);
    CHECK_EQ(g, 0);
    memory_reset(&guest->memory);
}

static void names_are_found_with_and_without_a_configuration(void) {
    uint32_t g = 0, context = 0;
    CHECK_EQ(guest_load_named(guest, POCKET_A, NULL, &g), OK);
    CHECK_EQ(guest_context(guest, g, &context), OK);
    check_graph(guest_load_named(guest, POCKET_B, GREEDY, &g), &g, "I am Momo.");
}

static void files_that_are_not_there_are_not_found(void) {
    uint32_t g = 0;
    CHECK_EQ(guest_load_named(guest, MODELS "/missing.gguf", NULL, &g), MODEL_NOT_FOUND);
    CHECK_EQ(guest_load_named(guest, MODELS "/missing.gguf", GREEDY, &g), MODEL_NOT_FOUND);
    CHECK_EQ(guest_load_named(guest, MODELS, NULL, &g), MODEL_NOT_FOUND);
    /* A faulty configuration is told even so, or the missing file is: never a graph. */
    CHECK(guest_load_named(guest, MODELS "/missing.gguf", "{", &g) != OK);
    CHECK_EQ(g, 0);
    CHECK(guest_load_named(guest, MODELS "/README.md", NULL, &g) != OK);
}

/* Loads by a name of `length` bytes that lie at `name`, in guest memory. */
static uint32_t load_at(const char *name, uint32_t length, const char *config, uint32_t config_length, uint32_t *g) {
    uint8_t *at = memory_odd(&guest->memory, sizeof *g);
    poke(at, 0);
    uint32_t code = library.load_by_name_with_config(guest->ctx, name, length, config, config_length, at);
    *g = peek(at);
    memory_reset(&guest->memory);
    return code;
}

static void lengths_count_and_not_the_nul(void) {
    static const char name[] = POCKET_A, config[] = GREEDY;
    uint32_t g = 0, bare = sizeof name - 1, plain = sizeof config - 1;
    struct memory *memory = &guest->memory;
    /* One NUL may be counted. */
    check_graph(load_at(memory_text(memory, name), bare + 1, memory_text(memory, config), plain + 1, &g), &g,
                "I am Pip.");
    /* Neither is there. */
    check_graph(load_at(memory_put(memory, name, bare), bare, memory_put(memory, config, plain), plain, &g), &g,
                "I am Pip.");
    /* The name ends with the memory. */
    check_graph(load_at(memory_tail(memory, name, bare), bare, memory_put(memory, config, plain), plain, &g), &g,
                "I am Pip.");
    /* The configuration does. */
    check_graph(load_at(memory_put(memory, name, bare), bare, memory_tail(memory, config, plain), plain, &g), &g,
                "I am Pip.");
    /* No configuration at all. */
    CHECK_EQ(load_at(memory_put(memory, name, bare), bare, memory_put(memory, config, plain), 0, &g), OK);
}

static void names_that_are_no_names_are_refused(void) {
    uint32_t g = 0;
    struct memory *memory = &guest->memory;
    CHECK_EQ(load_at(memory_put(memory, "mod\0el", 6), 6, memory_text(memory, "{}"), 2, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_at(memory_put(memory, "model\0\0", 7), 7, memory_text(memory, "{}"), 2, &g), INVALID_ARGUMENT);
    CHECK_EQ(load_at(memory_put(memory, "mod\xFF", 4), 4, memory_text(memory, "{}"), 2, &g), INVALID_ARGUMENT);
    CHECK(load_at(memory_tail(memory, "model", 5), 500, memory_text(memory, "{}"), 2, &g) != OK);
    CHECK(load_at(memory_text(memory, POCKET_A), sizeof POCKET_A - 1, memory_tail(memory, "{}", 2), 4000, &g) != OK);
    CHECK(load_at(memory_text(memory, ""), 0, memory_text(memory, "{}"), 2, &g) != OK);
    CHECK_EQ(g, 0);
}

/* The pending shape of the call: a target before the place of the handle. */
static void a_target_may_come_with_the_name(void) {
    for (uint32_t target = 0; target < 4; target++) {
        uint8_t *at = memory_odd(&guest->memory, sizeof(uint32_t));
        const char *name = memory_text(&guest->memory, POCKET_B);
        poke(at, 0);
        CHECK_EQ(library.load_by_name(guest->ctx, name, sizeof POCKET_B - 1, target, (uintptr_t)at), OK);
        uint32_t g = peek(at), context = 0;
        CHECK(g != 0);
        memory_reset(&guest->memory);
        CHECK_EQ(guest_context(guest, g, &context), OK);
    }
}

static void noise_behind_four_arguments_is_not_read(void) {
    static const uintptr_t noise[] = {0, 1, 4095, 4096, UINTPTR_MAX};
    for (size_t i = 0; i < sizeof noise / sizeof *noise; i++) {
        uint8_t *at = memory_odd(&guest->memory, sizeof(uint32_t));
        const char *name = memory_text(&guest->memory, POCKET_B);
        poke(at, 0);
        CHECK_EQ(library.load_by_name(guest->ctx, name, sizeof POCKET_B - 1, (uintptr_t)at, noise[i]), OK);
        CHECK(peek(at) != 0);
        memory_reset(&guest->memory);
    }
}

void loading(void) {
    bytes = read_file(POCKET_A, &size);
    guest = guest_start();
    RUN(bytes_are_loaded_under_both_numbers_and_any_target);
    RUN(bytes_come_with_or_without_a_configuration);
    RUN(anything_else_than_a_model_is_an_encoding_of_others);
    RUN(broken_models_are_refused);
    RUN(builders_that_lie_do_no_harm);
    if (loads_by_name()) {
        RUN(names_are_found_with_and_without_a_configuration);
        RUN(files_that_are_not_there_are_not_found);
        RUN(lengths_count_and_not_the_nul);
        RUN(names_that_are_no_names_are_refused);
        RUN(a_target_may_come_with_the_name);
        RUN(noise_behind_four_arguments_is_not_read);
    }
    guest_end(guest);
    free(bytes);
}
