/* A host of the first generation: it calls `run_inference` with six arguments, and whatever lies where the seventh and
 * the eighth would be must neither be followed nor change the answer. */

#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "old_host.h"

#define SETTINGS \
    "\"sampling\":{\"temp\":0,\"repeat_penalty\":1,\"seed\":7},\"model\":{\"ctx_size\":256,\"n_predict\":32}}"
#define GREEDY "{" SETTINGS

enum { TEXT = 8192, MIB = 1 << 20 };

static struct old_library library;
static void *backend;
static uint32_t context;
static char question[] = "Count to 7.";
static char want[TEXT];

/* A new conversation with the fixed seed of the load config. */
static void fresh_context(void) {
    if (context != 0) { CHECK_EQ(library.close_execution_context(backend, context), OLD_OK); }
    CHECK_EQ(library.init_execution_context(backend, 0, &context), OLD_OK);
}

static void open_for(const char *config) {
    backend = NULL;
    context = 0;
    REQUIRE_EQ(library.init_backend_with_config(&backend, config, (uint32_t)strlen(config)), OLD_OK);
    REQUIRE_EQ(library.load_by_name(backend, MODELS "/pocket-a.gguf", 0, NULL), OLD_OK);
}

static void close_again(void) {
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

/* One call of six arguments whose frame ends with `words`: the lowest address of a frame is where a callee would look
 * for a seventh and an eighth argument on x86-64. Not instrumented: the sanitizer would put its own data there. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static uint32_t
call_over(run_of_6 run, uint64_t seventh, uint64_t eighth, old_tensor *input, uint8_t *output, uint32_t *size) {
    enum { WORDS = 64 };
    volatile uint64_t *frame = alloca(WORDS * sizeof *frame);
    for (int i = 0; i < WORDS; i += 2) {
        frame[i] = seventh;
        frame[i + 1] = eighth;
    }
    uint32_t code = run(backend, context, 0, input, output, size);
    /* Keeps the frame alive over the call. */
    if (frame[0] != seventh) { code = ~0u; }
    return code;
}

static uint64_t seen[2];

/* A callee of eight parameters that says what it found in the last two. */
static uint32_t spy(void *a, uint32_t b, uint32_t c, old_tensor *d, uint8_t *e, uint32_t *f, uintptr_t seventh,
                    uint64_t eighth) {
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    seen[0] = seventh;
    seen[1] = eighth;
    return OLD_OK;
}

static void the_poison_lies_where_the_arguments_would_be(void) {
    old_tensor input = {0};
    uint8_t output[1];
    uint32_t size = 1;
    run_of_slots callee = spy;
    CHECK_EQ(call_over((run_of_6)(void *)callee, 0x1234567890, 0xABCDEF, &input, output, &size), OLD_OK);
#if defined(__x86_64__)
    CHECK(seen[0] == 0x1234567890 && seen[1] == 0xABCDEF);
#endif
}

/* Both ways to hand over hostile slots: by a true call of six arguments, and by name (which also reaches the registers
 * of other platforms). The answer is what it is without them. */
static void check_slots(uintptr_t seventh, uint64_t eighth) {
    run_of_6 six;
    run_of_slots slots;
    char answer[TEXT];
    old_tensor input = {NULL, 4, (uint8_t *)question};
    memcpy(&six, &library.run_inference, sizeof six);
    memcpy(&slots, &library.run_inference, sizeof slots);
    for (int way = 0; way < 2; way++) {
        uint32_t size = TEXT;
        memset(answer, 'x', sizeof answer);
        fresh_context();
        uint32_t code = way == 0 ? call_over(six, seventh, eighth, &input, (uint8_t *)answer, &size)
                                 : slots(backend, context, 0, &input, (uint8_t *)answer, &size, seventh, eighth);
        bool held = CHECK_EQ(code, OLD_OK) && CHECK_STR(answer, want);
        if (!held || !CHECK_EQ(size, strlen(want) + 1)) {
            fprintf(stderr, "way %d, slots %#lx and %#lx\n", way, (unsigned long)seventh, (unsigned long)eighth);
        }
    }
}

/* Bytes that end where a protected page begins. */
static uintptr_t before_the_edge(const void *bytes, size_t length) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (length + page - 1) / page * page;
    uint8_t *memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED && mprotect(memory + room, page, PROT_NONE) == 0);
    memcpy(memory + room - length, bytes, length);
    return (uintptr_t)(memory + room - length);
}

static void check_every_hostile_pair(void) {
    static const char config[] = "{\"stop\":[\"4\"]}";
    enum { LENGTH = sizeof config - 1 };
    static const char array[] = "[{\"stop\":[\"4\"]}]", number[] = "4711", plain[] = "stop at four";
    static const uint8_t binary[] = {0x80, 0xff, 0x00, 0x01, 0xc3, 0x28, 0x7b, 0x7d};
    static const uint64_t lengths[] = {0, 1, LENGTH, MIB, MIB + 1, 0xFFFFFFFF, 0xDEADBEEF00000000};
    char *large = malloc(MIB + 2);
    REQUIRE(large != NULL);
    memset(large, ' ', MIB + 2);
    memcpy(large, config, LENGTH);
    uint8_t *unmapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(unmapped != MAP_FAILED && munmap(unmapped, 4096) == 0);

    const uintptr_t pointers[] = {
        0, 1, (uintptr_t)unmapped, 0xFFFFFFFF80000000, 0xDEAD0000BEEF0000, before_the_edge("x", 1) + 1,
    };
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
        for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) { check_slots(pointers[i], lengths[j]); }
    }
    const struct { const void *bytes; size_t length; } texts[] = {
        {binary, sizeof binary}, {plain, sizeof plain - 1}, {array, sizeof array - 1}, {number, sizeof number - 1},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        check_slots((uintptr_t)texts[i].bytes, texts[i].length);
        check_slots(before_the_edge(texts[i].bytes, texts[i].length), texts[i].length);
        check_slots(before_the_edge(texts[i].bytes, texts[i].length), texts[i].length + 1);
        check_slots(before_the_edge(texts[i].bytes, texts[i].length), MIB);
    }
    /* A config by accident, but for its length. */
    check_slots((uintptr_t)config, LENGTH - 1);
    check_slots((uintptr_t)"{\"stop\":[\"4\"]}x", LENGTH + 1);
    check_slots(before_the_edge(config, LENGTH), LENGTH + 1);
    check_slots((uintptr_t)large, MIB + 1);
    check_slots((uintptr_t)large, 0xFFFFFFFF);
    check_slots((uintptr_t)config, 0);
    free(large);
}

static void auto_mode_survives_every_hostile_pair(void) {
    open_for(GREEDY);
    check_every_hostile_pair();
    close_again();
}

static void mode_6_looks_at_nothing_not_even_a_true_config(void) {
    static const char config[] = "{\"stop\":[\"4\"]}";
    open_for("{\"backend\":{\"run_inference_args\":6}," SETTINGS);
    check_every_hostile_pair();
    check_slots((uintptr_t)config, sizeof config - 1);
    close_again();
}

static void the_environment_wins_over_the_config(void) {
    static const char config[] = "{\"stop\":[\"4\"]}";
    REQUIRE(setenv("WASI_NN_RUN_INFERENCE_ARGS", "6", 1) == 0);
    open_for("{\"backend\":{\"run_inference_args\":8}," SETTINGS);
    check_slots((uintptr_t)config, sizeof config - 1);
    close_again();
    REQUIRE(setenv("WASI_NN_RUN_INFERENCE_ARGS", "seven", 1) == 0);
    open_for("{\"backend\":{\"run_inference_args\":6}," SETTINGS);
    check_slots((uintptr_t)config, sizeof config - 1);
    close_again();
    REQUIRE(unsetenv("WASI_NN_RUN_INFERENCE_ARGS") == 0);
}

static void mode_8_still_does_not_follow_a_bad_pointer(void) {
    open_for("{\"backend\":{\"run_inference_args\":8}," SETTINGS);
    check_every_hostile_pair();
    close_again();
}

int main(void) {
    check_begin();
    library = old_open(LIBRARY);
    strcpy(want, "1 2 3 4 5 6 7");
    RUN(the_poison_lies_where_the_arguments_would_be);
    RUN(auto_mode_survives_every_hostile_pair);
    RUN(mode_6_looks_at_nothing_not_even_a_true_config);
    RUN(the_environment_wins_over_the_config);
    RUN(mode_8_still_does_not_follow_a_bad_pointer);
    return check_end();
}
