/* What the programs in the field do, and what they rely upon. They open the library by a path relative to their working
 * directory and declare everything themselves; the names of the cases say what must hold for them. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "old_host.h"

#define POCKET_A MODELS "/pocket-a.gguf"
#define POCKET_B MODELS "/pocket-b.gguf"
#define GREEDY_SAMPLING "\"sampling\":{\"temp\":0,\"repeat_penalty\":1}"
#define QUIET "\"logging\":{\"level\":\"none\"}"

enum { TEXT = 8192 };

static struct old_library library;
static run_of_6 run6;
static run_of_8 run8;

static void pause_ms(long ms) {
    struct timespec time = {.tv_sec = 0, .tv_nsec = ms * 1000000};
    nanosleep(&time, NULL);
}

static void *open_with(const char *config) {
    void *backend = NULL;
    REQUIRE_EQ(library.init_backend_with_config(&backend, config, (uint32_t)strlen(config)), OLD_OK);
    return backend;
}

static void *open_and_load(const char *config) {
    void *backend = open_with(config);
    uint32_t g = 0xDEADBEEF;
    REQUIRE_EQ(library.load_by_name(backend, POCKET_A, sizeof POCKET_A - 1, &g), OLD_OK);
    CHECK(g != 0xDEADBEEF);
    return backend;
}

static uint32_t open_context(void *backend) {
    uint32_t context = 0;
    REQUIRE_EQ(library.init_execution_context(backend, 1, &context), OLD_OK);
    return context;
}

static uint32_t ask(void *backend, uint32_t context, char *text, char *answer, uint32_t capacity) {
    old_dimensions none = {NULL, 0};
    old_tensor input = {&none, 1, (uint8_t *)text};
    uint32_t size = capacity;
    uint32_t code = run6(backend, context, 0, &input, (uint8_t *)answer, &size);
    if (code == OLD_OK) {
        CHECK(size > 0 && size <= capacity);
        CHECK_EQ(strlen(answer) + 1, size);
    }
    return code;
}

static void defaults_without_any_config_hold_a_conversation(void) {
    void *backend = NULL;
    char answer[TEXT], tell[] = "My name is Zorvath.", question[] = "What is my name?";
    uint32_t g = 0, context = 0;
    CHECK_EQ(library.init_backend(&backend), OLD_OK);
    CHECK_EQ(library.load_by_name(backend, POCKET_A, sizeof POCKET_A - 1, &g), OLD_OK);
    CHECK_EQ(library.init_execution_context(backend, g, &context), OLD_OK);
    CHECK_EQ(ask(backend, context, tell, answer, TEXT), OLD_OK);
    CHECK_EQ(ask(backend, context, question, answer, TEXT), OLD_OK);
    CHECK(strlen(answer) > 0);
    CHECK_EQ(library.close_execution_context(backend, context), OLD_OK);
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void dimensions_of_one_with_a_long_text_and_an_undefined_size(void) {
    void *backend = open_and_load("{" GREEDY_SAMPLING "," QUIET "}");
    uint32_t context = open_context(backend), one = 1, size = 0x7FFF1234;
    old_dimensions shape = {&one, 1};
    char question[] = "Repeat after me: small river stone", answer[TEXT] = "";
    old_tensor input = {&shape, 4, (uint8_t *)question};
    CHECK_EQ(library.set_input(backend, context, 0, &input), OLD_OK);
    CHECK_EQ(library.compute(backend, context), OLD_OK);
    CHECK_EQ(library.get_output(backend, context, 0, (uint8_t *)answer, &size), OLD_OK);
    CHECK_STR(answer, "small river stone");
    CHECK_EQ(size, sizeof "small river stone");
    size = 0;
    CHECK_EQ(run6(backend, context, 0, &input, (uint8_t *)answer, &size), OLD_OK);
    CHECK_STR(answer, "small river stone");
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void small_buffers_take_long_answers(void) {
    static const uint32_t capacities[] = {256, 512, 1024, 2048};
    void *backend = open_and_load("{\"model\":{\"n_predict\":200},\"ignore_eos\":true," QUIET "}");
    char question[] = "Tell me about rivers.";
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        /* As large as it is said to be, for the sanitizer. */
        char *answer = malloc(capacities[i]);
        REQUIRE(answer != NULL);
        CHECK_EQ(ask(backend, open_context(backend), question, answer, capacities[i]), OLD_OK);
        free(answer);
    }
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void eight_arguments_with_null_good_and_truncated_json(void) {
    static const char good[] = "{\"temperature\":0.0,\"max_tokens\":4}", bad[] = "{\"temperature\":0.0,\"max_tok";
    void *backend = open_and_load("{" GREEDY_SAMPLING "," QUIET "}");
    uint32_t context = open_context(backend);
    char question[] = "Count to 7.", answer[TEXT];
    old_tensor input = {NULL, 1, (uint8_t *)question};
    uint32_t size = TEXT;
    CHECK_EQ(run8(backend, context, 0, &input, (uint8_t *)answer, &size, NULL, 0), OLD_OK);
    CHECK_STR(answer, "1 2 3 4 5 6 7");
    size = TEXT;
    CHECK_EQ(run8(backend, context, 0, &input, (uint8_t *)answer, &size, good, sizeof good - 1), OLD_OK);
    CHECK(strlen(answer) < strlen("1 2 3 4 5 6 7"));
    size = TEXT;
    CHECK_EQ(run8(backend, context, 0, &input, (uint8_t *)answer, &size, bad, sizeof bad - 1), OLD_OK);
    CHECK_STR(answer, "1 2 3 4 5 6 7");
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void seven_runs_with_changing_settings_on_one_context(void) {
    static const char *const settings[] = {
        "{\"temperature\":5.0,\"top_p\":0.01}",
        "{\"stop\":[\".\",\"!\"]}",
        "{\"sampling\":{\"temp\":0.1,\"top_k\":1},\"stopping\":{\"max_tokens\":20}}",
        "{\"runtime\":{\"repeat_penalty\":1.5,\"frequency_penalty\":0.5,\"presence_penalty\":0.5}}",
        "{\"seed\":1234,\"min_p\":0.5,\"typical_p\":0.5}",
        "{\"mirostat\":2,\"mirostat_tau\":3.0,\"mirostat_eta\":0.2}",
        "{\"stop_sequences\":[\".\",\"!\"],\"temperature\":5.0,\"top_p\":0.01}",
    };
    void *backend = open_and_load("{\"model\":{\"ctx_size\":2048,\"n_predict\":64}," GREEDY_SAMPLING "," QUIET "}");
    uint32_t context = open_context(backend);
    char question[] = "Tell me about birds.", answer[TEXT];
    for (int i = 0; i < 7; i++) {
        old_tensor input = {NULL, 1, (uint8_t *)question};
        uint32_t size = TEXT;
        uint32_t length = (uint32_t)strlen(settings[i]);
        CHECK_EQ(run8(backend, context, 0, &input, (uint8_t *)answer, &size, settings[i], length), OLD_OK);
        CHECK_EQ(size, strlen(answer) + 1);
        if (strstr(settings[i], "\"!\"") != NULL) {
            CHECK_LACKS(answer, ".");
            CHECK_LACKS(answer, "!");
        }
    }
    char plain[] = "Count to 7.";
    CHECK_EQ(ask(backend, context, plain, answer, TEXT), OLD_OK);
    CHECK_STR(answer, "1 2 3 4 5 6 7");
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void the_third_of_two_contexts_gets_exactly_4(void) {
    void *backend = open_and_load("{\"backend\":{\"max_concurrent\":2}," QUIET "}");
    uint32_t first = open_context(backend), third = 0;
    open_context(backend);
    CHECK_EQ(library.init_execution_context(backend, 1, &third), OLD_RUNTIME_ERROR);
    CHECK_EQ(library.close_execution_context(backend, first), OLD_OK);
    CHECK_EQ(library.init_execution_context(backend, 1, &third), OLD_OK);
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void five_named_contexts_open_with_limits_of_three_and_two(void) {
    static const char *const names[] = {"s1", "s2", "s3", "s4", "s5"};
    void *backend = open_and_load("{\"backend\":{\"max_sessions\":3,\"max_concurrent\":2,\"idle_timeout_ms\":100,"
                                  "\"auto_cleanup_enabled\":true}," QUIET "}");
    uint32_t context;
    for (int i = 0; i < 5; i++) {
        if (i == 4) { pause_ms(200); }
        CHECK_EQ(library.init_execution_context_with_session_id(backend, names[i], &context), OLD_OK);
    }
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void models_change_back_and_forth(void) {
    void *backend = open_and_load("{" GREEDY_SAMPLING "," QUIET "}");
    uint32_t first = open_context(backend), g = 0;
    char question[] = "What is your name?", answer[TEXT];
    CHECK_EQ(ask(backend, first, question, answer, TEXT), OLD_OK);
    CHECK_CONTAINS(answer, "Pip");
    CHECK_EQ(library.load_by_name(backend, POCKET_B, sizeof POCKET_B - 1, &g), OLD_OK);
    uint32_t second = 0;
    CHECK_EQ(library.init_execution_context(backend, g, &second), OLD_OK);
    CHECK_EQ(ask(backend, second, question, answer, TEXT), OLD_OK);
    CHECK_CONTAINS(answer, "Momo");
    CHECK_EQ(library.load_by_name(backend, POCKET_A, sizeof POCKET_A - 1, &g), OLD_OK);
    CHECK_EQ(library.close_execution_context(backend, second), OLD_OK);
    CHECK_EQ(ask(backend, open_context(backend), question, answer, TEXT), OLD_OK);
    CHECK_CONTAINS(answer, "Pip");
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void bad_words_and_null_arguments_have_their_codes(void) {
    void *backend = NULL;
    uint32_t g = 0;
    CHECK_EQ(library.init_backend_with_config(&backend, "{\"max_sessions\":invalid}", 24), OLD_OK);
    CHECK_EQ(library.init_backend_with_config(NULL, "{}", 2), OLD_INVALID_ARGUMENT);
    CHECK_EQ(library.load_by_name(backend, NULL, 0, &g), OLD_INVALID_ARGUMENT);
    CHECK_EQ(library.load_by_name(backend, "/no/such/model.gguf", 19, &g), OLD_RUNTIME_ERROR);
    CHECK_EQ(library.load_by_name(NULL, POCKET_A, sizeof POCKET_A - 1, &g), OLD_INVALID_ARGUMENT);
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
    CHECK_EQ(library.deinit_backend(backend), OLD_INVALID_ARGUMENT);
}

static void a_context_of_a_destroyed_backend_closes_nowhere(void) {
    void *gone = open_and_load("{" QUIET "}"), *other = open_and_load("{" QUIET "}");
    uint32_t context = open_context(gone);
    CHECK_EQ(library.deinit_backend(gone), OLD_OK);
    CHECK_EQ(library.close_execution_context(other, context), OLD_INVALID_ARGUMENT);
    CHECK_EQ(library.deinit_backend(other), OLD_OK);
}

static void odd_configs_open_and_close(void) {
    static const char *const configs[] = {
        "{\"max_sessions\":invalid}",
        "",
        "{\"backend\":{\"max_sessions\":10,\"queue",
        "{\"max_sessions\":999999999,\"queue_size\":999999999,\"max_concurrent\":999999999}",
        "{\"model\":{\"ctx_size\":999999999,\"batch_size\":999999999,\"threads\":999999999}}",
        "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":{\"i\":{\"j\":1}}}}}}}}}}",
        "{\"\xe6\xb8\xa9\xe5\xba\xa6\":0.5,\"\xf0\x9f\x99\x82\":true}",
        "  \n\t {\"max_sessions\": 5 }  \n",
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        void *backend = NULL;
        uint32_t code = library.init_backend_with_config(&backend, configs[i], (uint32_t)strlen(configs[i]) + 1);
        CHECK_EQ(code, OLD_OK);
        CHECK_EQ(library.deinit_backend(backend), OLD_OK);
    }
}

static void *open_and_close_without_a_model(void *backend) {
    for (int i = 0; i < 50; i++) {
        uint32_t context = 0, g = 0;
        CHECK_EQ(library.load_by_name(backend, "./test/model.gguf", 17, &g), OLD_RUNTIME_ERROR);
        CHECK_EQ(library.init_execution_context(backend, g, &context), OLD_INVALID_ARGUMENT);
        CHECK_EQ(library.close_execution_context(backend, context), OLD_INVALID_ARGUMENT);
    }
    return NULL;
}

static void four_threads_open_and_close_without_a_model(void) {
    void *backend = open_with("{" QUIET "}");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, open_and_close_without_a_model, backend) == 0);
    }
    for (int i = 0; i < 4; i++) { pthread_join(threads[i], NULL); }
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void a_log_file_has_its_lines_at_once(void) {
    char path[] = "/tmp/wasi-nn-log-XXXXXX", config[256], text[4096] = "";
    int file = mkstemp(path);
    REQUIRE(file >= 0);
    snprintf(config, sizeof config, "{\"logging\":{\"level\":\"debug\",\"enable_debug\":true,\"file\":\"%s\"}}", path);
    void *backend = open_with(config);
    pause_ms(100);
    CHECK(read(file, text, sizeof text - 1) > 0);
    CHECK_CONTAINS(text, "backend");
    CHECK(unlink(path) == 0);
    close(file);
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void configs_of_load_and_init_trade_places(void) {
    static const char load_config[] = "{\"nn_gpu_layers\":98,\"n_gpu_layers\":98,\"ctx_size\":512,\"n-predict\":32,"
                                      "\"batch_size\":512,\"threads\":16,\"temp\":0.7,\"seed\":-1,\"enable_log\":true,"
                                      "\"enable_debug_log\":false,\"stream-stdout\":true,\"enable_debug\":false,"
                                      QUIET "}";
    static const char init_config[] = "{\"backend\":{\"max_sessions\":10,\"queue_size\":20}}";
    void *backend = NULL;
    uint32_t g = 0;
    char question[] = "Hello!", answer[TEXT];
    CHECK_EQ(library.init_backend_with_config(&backend, load_config, sizeof load_config - 1), OLD_OK);
    CHECK_EQ(library.load_by_name_with_config(backend, POCKET_A, sizeof POCKET_A - 1, init_config,
                                              sizeof init_config - 1, &g), OLD_OK);
    CHECK_EQ(ask(backend, open_context(backend), question, answer, TEXT), OLD_OK);
    CHECK_EQ(library.load_by_name_with_config(backend, POCKET_A, sizeof POCKET_A - 1, load_config,
                                              sizeof load_config - 1, &g), OLD_OK);
    CHECK_EQ(ask(backend, open_context(backend), question, answer, TEXT), OLD_OK);
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void a_stop_config_with_every_key_answers_normally(void) {
    static const char config[] =
        "{\"model\":{\"ctx_size\":4096,\"n_predict\":50}," GREEDY_SAMPLING "," QUIET ","
        "\"stopping\":{\"max_tokens\":50,\"max_time_ms\":30000,\"ignore_eos\":false,\"stop\":[\"###\"],"
        "\"grammar_triggers\":{\"enabled\":true,\"patterns\":[\"json\"]},"
        "\"timeout_config\":{\"enabled\":true,\"max_inference_time_ms\":30000,\"adaptive_timeout\":true,"
        "\"min_timeout_ms\":5000,\"timeout_multiplier\":2.0},"
        "\"token_filters\":{\"forbidden_tokens\":[\"zzzz\"],\"required_tokens\":[],\"pattern_based_triggers\":[]},"
        "\"semantic_stopping\":{\"enabled\":true,\"repetition_detection\":true,\"max_repetition_count\":3,"
        "\"completion_confidence_threshold\":0.95},"
        "\"context_aware\":{\"enabled\":true},\"dynamic_timeout\":{\"enabled\":true},\"token_conditions\":[],"
        "\"pattern_conditions\":[],\"semantic_conditions\":[]}}";
    void *backend = open_and_load(config);
    char question[] = "Count to 7.", answer[TEXT];
    CHECK_EQ(ask(backend, open_context(backend), question, answer, TEXT), OLD_OK);
    CHECK_STR(answer, "1 2 3 4 5 6 7");
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

static void one_context_serves_for_ever(void) {
    void *backend = open_and_load("{\"model\":{\"ctx_size\":256,\"n_predict\":24}," GREEDY_SAMPLING "," QUIET "}");
    uint32_t context = open_context(backend);
    char tell[] = "My name is Tom.", question[] = "What is my name?", count[] = "Count to 7.", answer[TEXT];
    for (int i = 0; i < 60; i++) {
        CHECK_EQ(ask(backend, context, i % 3 == 0 ? tell : i % 3 == 1 ? count : question, answer, TEXT), OLD_OK);
        if (i % 3 == 2) { CHECK_CONTAINS(answer, "Tom"); }
    }
    CHECK_EQ(library.deinit_backend(backend), OLD_OK);
}

int main(void) {
    check_begin();
    library = old_open("./build/libwasi_nn_backend.so");
    memcpy(&run6, &library.run_inference, sizeof run6);
    memcpy(&run8, &library.run_inference, sizeof run8);
    RUN(defaults_without_any_config_hold_a_conversation);
    RUN(dimensions_of_one_with_a_long_text_and_an_undefined_size);
    RUN(small_buffers_take_long_answers);
    RUN(eight_arguments_with_null_good_and_truncated_json);
    RUN(seven_runs_with_changing_settings_on_one_context);
    RUN(the_third_of_two_contexts_gets_exactly_4);
    RUN(five_named_contexts_open_with_limits_of_three_and_two);
    RUN(models_change_back_and_forth);
    RUN(bad_words_and_null_arguments_have_their_codes);
    RUN(a_context_of_a_destroyed_backend_closes_nowhere);
    RUN(odd_configs_open_and_close);
    RUN(four_threads_open_and_close_without_a_model);
    RUN(a_log_file_has_its_lines_at_once);
    RUN(configs_of_load_and_init_trade_places);
    RUN(a_stop_config_with_every_key_answers_normally);
    RUN(one_context_serves_for_ever);
    return check_end();
}
