/* A host of the second generation: eight arguments, the last two a configuration for that one call. */

#include <stdlib.h>
#include <string.h>

#include "old_host.h"

#define SETTINGS \
    "\"sampling\":{\"temp\":0,\"repeat_penalty\":1},\"model\":{\"ctx_size\":256,\"n_predict\":32}}"
#define GREEDY "{" SETTINGS

enum { TEXT = 8192 };

static struct old_library library;
static void *backend;
static run_of_8 run;

static uint32_t open_for(const char *config) {
    uint32_t context = 0;
    backend = NULL;
    REQUIRE_EQ(library.init_backend_with_config(&backend, config, (uint32_t)strlen(config)), OLD_OK);
    REQUIRE_EQ(library.load_by_name(backend, MODELS "/pocket-a.gguf", 0, NULL), OLD_OK);
    REQUIRE_EQ(library.init_execution_context(backend, 0, &context), OLD_OK);
    return context;
}

/* Asks to count to 7 in a fresh context; `length` bytes of `config` go along. */
static uint32_t count_with(const char *config, uint32_t length, char *answer) {
    static char question[] = "Count to 7.";
    old_tensor input = {NULL, 4, (uint8_t *)question};
    uint32_t context = 0, size = TEXT;
    answer[0] = '\0';
    REQUIRE_EQ(library.init_execution_context(backend, 0, &context), OLD_OK);
    uint32_t code = run(backend, context, 0, &input, (uint8_t *)answer, &size, config, length);
    CHECK_EQ(size, code == OLD_OK ? strlen(answer) + 1 : 0);
    CHECK_EQ(library.close_execution_context(backend, context), OLD_OK);
    return code;
}

static void check_text(const char *config, const char *want) {
    char answer[TEXT];
    CHECK_EQ(count_with(config, config ? (uint32_t)strlen(config) : 0, answer), OLD_OK);
    CHECK_STR(answer, want);
}

static void check_configs_are_applied(void) {
    char answer[TEXT];
    check_text(NULL, "1 2 3 4 5 6 7");
    check_text("{}", "1 2 3 4 5 6 7");
    check_text("{\"stop\":[\"4\"]}", "1 2 3 ");
    check_text("{\"stop\":\"4\"}", "1 2 3 ");
    check_text("{\"stopping\":{\"stop\":[\"6\",\"5\"]}}", "1 2 3 4 ");
    check_text("{\"runtime\":{\"stop\":[\" 3\"]}}", "1 2");
    check_text(" {\"stop\":[\"4\"]} \n", "1 2 3 ");
    /* What one call sets does not reach the next. */
    check_text(NULL, "1 2 3 4 5 6 7");
    /* The NUL may be counted. */
    CHECK_EQ(count_with("{\"stop\":[\"4\"]}", sizeof "{\"stop\":[\"4\"]}", answer), OLD_OK);
    CHECK_STR(answer, "1 2 3 ");
    CHECK_EQ(count_with("{\"max_tokens\":1}", 16, answer), OLD_OK);
    CHECK(strlen(answer) < 4);
}

static void good_configs_are_applied_in_auto_mode(void) {
    open_for(GREEDY);
    check_configs_are_applied();
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void good_configs_are_applied_in_mode_8(void) {
    open_for("{\"backend\":{\"run_inference_args\":8}," SETTINGS);
    check_configs_are_applied();
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void the_environment_makes_mode_8(void) {
    REQUIRE(setenv("WASI_NN_RUN_INFERENCE_ARGS", "8", 1) == 0);
    open_for("{\"backend\":{\"run_inference_args\":6}," SETTINGS);
    check_configs_are_applied();
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
    REQUIRE(unsetenv("WASI_NN_RUN_INFERENCE_ARGS") == 0);
}

static void truncated_json_is_ignored(void) {
    static const char config[] = "{\"stop\":[\"4\"]}";
    char answer[TEXT];
    open_for(GREEDY);
    for (uint32_t length = 0; length < sizeof config - 1; length++) {
        CHECK_EQ(count_with(config, length, answer), OLD_OK);
        CHECK_STR(answer, "1 2 3 4 5 6 7");
    }
    check_text("{\"stop\":[\"4\"]} trailing", "1 2 3 4 5 6 7");
    check_text("[\"4\"]", "1 2 3 4 5 6 7");
    check_text("\"4\"", "1 2 3 4 5 6 7");
    check_text("\xff\xfe", "1 2 3 4 5 6 7");
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void huge_and_deep_texts_are_ignored(void) {
    enum { LARGE = 1 << 20, DEPTH = 10000 };
    char *text = malloc(LARGE + 1);
    char answer[TEXT];
    REQUIRE(text != NULL);
    open_for(GREEDY);
    memset(text, 'x', LARGE + 1);
    CHECK_EQ(count_with(text, LARGE, answer), OLD_OK);
    CHECK_EQ(count_with(text, LARGE + 1, answer), OLD_OK);
    memset(text, '[', LARGE);
    CHECK_EQ(count_with(text, DEPTH, answer), OLD_OK);
    for (int level = 0; level < DEPTH; level++) { memcpy(text + level * 5, "{\"a\":", 5); }
    text[DEPTH * 5] = '1';
    memset(text + DEPTH * 5 + 1, '}', DEPTH);
    CHECK_EQ(count_with(text, DEPTH * 5, answer), OLD_OK);
    CHECK_EQ(count_with(text, DEPTH * 6 + 1, answer), OLD_OK);
    CHECK_STR(answer, "1 2 3 4 5 6 7");
    free(text);
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void bad_json_in_strict_mode_8_is_refused(void) {
    char answer[TEXT];
    open_for("{\"strict\":true,\"backend\":{\"run_inference_args\":8}," SETTINGS);
    CHECK_EQ(count_with("{\"stop\":[", 9, answer), OLD_INVALID_ARGUMENT);
    CHECK_EQ(count_with("{\"stopp\":[\"4\"]}", 14, answer), OLD_INVALID_ARGUMENT);
    CHECK_EQ(count_with("{\"stop\":[\"4\"]}", 14, answer), OLD_OK);
    CHECK_STR(answer, "1 2 3 ");
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void a_bad_key_in_a_proven_config_is_refused_when_strict(void) {
    static const char config[] = "{\"strict\":true,\"stopp\":[\"4\"]}";
    char answer[TEXT];
    open_for(GREEDY);
    CHECK_EQ(count_with(config, sizeof config - 1, answer), OLD_INVALID_ARGUMENT);
    check_text("{\"stopp\":[\"4\"]}", "1 2 3 4 5 6 7");
    CHECK_EQ(count_with("{\"strict\":true,\"stopp\":[", 24, answer), OLD_OK);
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void the_upper_half_of_the_length_is_ignored(void) {
    static char question[] = "Count to 7.";
    static const char config[] = "{\"stop\":[\"4\"]}";
    char answer[TEXT];
    run_of_slots slots;
    old_tensor input = {NULL, 4, (uint8_t *)question};
    uint32_t context = open_for(GREEDY);
    uint32_t size = TEXT;
    memcpy(&slots, &library.run_inference, sizeof slots);
    CHECK_EQ(slots(backend, context, 0, &input, (uint8_t *)answer, &size, (uintptr_t)config,
                   0xDEADBEEF00000000 | (sizeof config - 1)),
             OLD_OK);
    CHECK_STR(answer, "1 2 3 ");
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void a_grammar_that_does_not_compile_is_refused(void) {
    static const char grammar[] = "{\"grammar\":\"root ::= (\"}", regex[] = "{\"stop_regex\":\"(\"}";
    char answer[TEXT];
    open_for(GREEDY);
    CHECK_EQ(count_with(grammar, sizeof grammar - 1, answer), OLD_INVALID_ARGUMENT);
    CHECK_EQ(count_with(regex, sizeof regex - 1, answer), OLD_INVALID_ARGUMENT);
    check_text(NULL, "1 2 3 4 5 6 7");
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

int main(void) {
    check_begin();
    library = old_open(LIBRARY);
    memcpy(&run, &library.run_inference, sizeof run);
    RUN(good_configs_are_applied_in_auto_mode);
    RUN(good_configs_are_applied_in_mode_8);
    RUN(the_environment_makes_mode_8);
    RUN(truncated_json_is_ignored);
    RUN(huge_and_deep_texts_are_ignored);
    RUN(bad_json_in_strict_mode_8_is_refused);
    RUN(a_bad_key_in_a_proven_config_is_refused_when_strict);
    RUN(the_upper_half_of_the_length_is_ignored);
    RUN(a_grammar_that_does_not_compile_is_refused);
    return check_end();
}
