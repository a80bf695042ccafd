/* Memory that another thread of the guest rewrites while a call reads it. Any answer will do that is an answer; what
 * comes afterwards must be as if nothing had been. */

#include "cases.h"

#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "library.h"
#include "setting.h"

enum { ROUNDS = 300 };

static struct guest *guest;
static uint32_t context;

static bool answered(uint32_t code) {
    return code <= NOT_FOUND || (code >= END_OF_SEQUENCE && code <= MODEL_NOT_FOUND);
}

static void prompts_that_change(void) {
    struct scribbler scribbler;
    char prompt[4096];
    memset(prompt, 'a', sizeof prompt);
    prompt[sizeof prompt - 1] = '\0';
    for (uint32_t index = 0; index < 2; index++) {
        uint8_t *text = memory_put(&guest->memory, prompt, sizeof prompt);
        uint8_t *dims = memory_put(&guest->memory, (uint32_t[]){1, sizeof prompt - 1}, 8);
        const struct abi *abi = host_inputs();
        struct guest_tensor tensor = {
            .dims = dims, .n_dims = 2, .type = TYPE_U8, .data = text, .size = sizeof prompt - 1};
        /* Text, and on the way dimensions too where the host does not count them itself. */
        scribbler_start(&scribbler, text, setting.is_legacy ? sizeof prompt : (size_t)(dims + 8 - text));
        for (int i = 0; i < ROUNDS; i++) {
            if (!CHECK(answered(abi->set_input(guest, context, index, &tensor)))) { break; }
        }
        scribbler_stop(&scribbler);
        memory_reset(&guest->memory);
    }
    context = guest_open(guest, GREEDY);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
}

static void names_and_configurations_that_change(void) {
    static const char name[] = POCKET_A, config[] = GREEDY;
    struct scribbler scribbler;
    uint8_t *at = memory_odd(&guest->memory, sizeof(uint32_t));
    uint8_t *own_name = memory_text(&guest->memory, name);
    uint8_t *own_config = memory_text(&guest->memory, config);
    scribbler_start(&scribbler, own_config, sizeof config);
    for (int i = 0; i < ROUNDS / 10; i++) {
        CHECK(answered(library.load_by_name_with_config(guest->ctx, own_name, sizeof name - 1, own_config,
                                                        sizeof config - 1, at)));
    }
    scribbler_stop(&scribbler);
    scribbler_start(&scribbler, own_name, sizeof name);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(answered(library.load_by_name(guest->ctx, own_name, sizeof name - 1, (uintptr_t)at, 0xDEADBEEF)));
    }
    scribbler_stop(&scribbler);
    memory_reset(&guest->memory);
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 5 6 7");
}

static void models_that_change(void) {
    /* Magic, version and the two counts of a model file. */
    enum { HEADER = 24, CHANGING = 1 << 16 };
    struct scribbler scribbler;
    uint32_t g = 0;
    size_t size;
    void *bytes = read_file(POCKET_A, &size);
    struct {
        uint8_t *buf;
        uint32_t size;
    } builder = {memory_put(&guest->memory, bytes, size), (uint32_t)size}, builders = {(uint8_t *)&builder, 1};
    REQUIRE(size > HEADER + CHANGING);
    /* The magic alone, so that it comes and goes between two looks; then everything behind the counts. */
    for (int part = 0; part < 2; part++) {
        scribbler_start(&scribbler, builder.buf + (part == 0 ? 0 : HEADER), part == 0 ? 4 : CHANGING);
        for (int i = 0; i < ROUNDS / 10; i++) {
            memcpy(builder.buf, "GGUF", 4);
            CHECK(answered(library.load(guest->ctx, &builders, ENCODING_GGML, TARGET_CPU, &g)));
        }
        scribbler_stop(&scribbler);
        memcpy(builder.buf, bytes, size);
    }
    memory_reset(&guest->memory);
    free(bytes);
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 5 6 7");
}

static void places_for_results_that_change(void) {
    struct scribbler scribbler;
    const struct abi *abi = host_outputs();
    guest_ask(guest, context, WHO);
    uint8_t *at = memory_odd(&guest->memory, sizeof(uint32_t));
    uint8_t *buffer = memory_odd(&guest->memory, 4096);
    /* Only where the host keeps the capacity itself may the guest's number for it change as it likes. */
    uint8_t *from = setting.is_legacy ? buffer : at;
    scribbler_start(&scribbler, from, (size_t)(buffer + 64 - from));
    for (int i = 0; i < ROUNDS; i++) {
        if (!CHECK_EQ(abi->get_output(guest, context, 0, buffer, 4096, at), OK)) { break; }
    }
    scribbler_stop(&scribbler);
    memory_reset(&guest->memory);
    CHECK_STR(guest_read(guest, context, 0), "I am Pip.");
}

void hostile(void) {
    guest = guest_start();
    context = guest_open(guest, GREEDY);
    RUN(prompts_that_change);
    if (loads_by_name()) { RUN(names_and_configurations_that_change); }
    RUN(models_that_change);
    RUN(places_for_results_that_change);
    guest_end(guest);
}
