/* Configurations: what a load and the metadata input take and refuse. Metadata output. How a computation ends. */

#define _GNU_SOURCE
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../json.h"
#include "guest.h"
#include "setting.h"

static struct guest *guest;

static uint32_t load_with(const char *config) {
    uint32_t g = 0;
    return guest_load(guest, POCKET_A, config, &g);
}

static void configurations_that_are_fine(void) {
    static const char *const configs[] = {
        "",
        "{}",
        " \n{ } ",
        "{\"temp\":1,\"top-p\":1,\"seed\":7}",
        "{\"n_predict\":5,\"ctx_size\":256}",
        "{\"surely-unknown\":[1,{\"x\":null}],\"temp\":0}",
        "{\"use-color\":true,\"hf-repo\":\"x/y\",\"interactive\":true,\"n-junk\":3}",
        "{\"dry-multipier\":0.5}",
        "{\"dry-multiplier\":0.5}",
        "{\"reverse-prompt\":\"\"}",
        "{\"enable-log\":false,\"enable-debug-log\":false,\"stream-stdout\":false}",
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        if (!CHECK_EQ(load_with(configs[i]), OK)) { fprintf(stderr, "  with %s\n", configs[i]); }
    }
}

static void configurations_that_are_no_objects_are_broken(void) {
    static const char *const configs[] = {
        "{", "{\"temp\":", "{\"temp\":0}}", "[]", "3", "\"text\"", "null", "{'temp':0}", "{\"temp\":0,}", "\xFF\xFE",
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        if (!CHECK_EQ(load_with(configs[i]), INVALID_ENCODING)) { fprintf(stderr, "  with %s\n", configs[i]); }
    }
}

static void values_that_are_wrong_are_invalid(void) {
    static const char *const configs[] = {
        "{\"temp\":\"warm\"}",       "{\"temp\":[0]}",          "{\"n-predict\":1.5}",   "{\"top-k\":\"many\"}",
        "{\"ctx-size\":\"large\"}",  "{\"top-p\":7}",           "{\"use-mmap\":\"yes\"}", "{\"stop\":[1,2]}",
        "{\"reverse-prompt\":{}}",   "{\"batch-size\":-5}",     "{\"image\":\"a.png\"}", "{\"cache-type-k\":\"f99\"}",
        "{\"flash-attn\":\"maybe\"}", "{\"tensor-split\":\"a\"}", "{\"threads\":true}",
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        if (!CHECK_EQ(load_with(configs[i]), INVALID_ARGUMENT)) { fprintf(stderr, "  with %s\n", configs[i]); }
    }
}

static void speech_is_not_supported(void) {
    CHECK_EQ(load_with("{\"tts\":true}"), UNSUPPORTED_OPERATION);
}

/* Brackets within brackets: an answer, whichever, and no harm. */
static void deep_configurations_do_no_harm(void) {
    enum { DEPTH = 20000 };
    char *config = malloc(DEPTH * 6 + 16);
    REQUIRE(config != NULL);
    strcpy(config, "{\"a\":");
    memset(config + 5, '[', DEPTH);
    memset(config + 5 + DEPTH, ']', DEPTH);
    strcpy(config + 5 + 2 * DEPTH, "}");
    CHECK(load_with(config) != OK);
    free(config);
}

static void a_faulty_grammar_is_invalid_before_any_token(void) {
    static const char *const configs[] = {"{\"grammar\":\"root ::= (\"}", "{\"json-schema\":\"{]\"}",
                                          "{\"json-schema\":{\"type\":\"nothing of the kind\"}}"};
    uint32_t context = guest_open(guest, GREEDY);
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
        uint32_t code = guest_set(guest, context, 1, configs[i]);
        if (code == OK) {
            code = guest_compute(guest, context);
            CHECK_EQ(guest_set(guest, context, 1, "{\"grammar\":\"\",\"json-schema\":\"\"}"), OK);
        }
        if (!CHECK_EQ(code, INVALID_ARGUMENT)) { fprintf(stderr, "  with %s\n", configs[i]); }
    }
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
}

static void the_metadata_is_there_before_a_computation(void) {
    static const char *const numbers[] = {"input_tokens", "output_tokens", "cached_tokens"};
    uint32_t context = guest_open(guest, GREEDY);
    for (size_t i = 0; i < 3; i++) { CHECK_EQ(guest_figure(guest, context, numbers[i]), 0); }
    CHECK(guest_figure(guest, context, "llama_build_number") >= 0);
    /* Public guests print the tokens of a prompt before they compute, and one compares them after a second input. */
    CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
    long tokens = guest_figure(guest, context, "input_tokens");
    CHECK(tokens > 5);
    CHECK_EQ(guest_figure(guest, context, "output_tokens"), 0);
    CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
    CHECK_EQ(guest_figure(guest, context, "input_tokens"), tokens);
    CHECK_EQ(guest_compute(guest, context), OK);
    CHECK_EQ(guest_figure(guest, context, "input_tokens"), tokens);
}

static void the_metadata_tells_of_the_last_turn(void) {
    static const char *const numbers[] = {"prompt_ms", "predicted_ms", "ttft_ms", "cached_tokens"};
    char text[64];
    uint32_t context = guest_open(guest, GREEDY);
    guest_ask(guest, context, WHO);
    CHECK(guest_figure(guest, context, "input_tokens") > 5);
    CHECK(guest_figure(guest, context, "output_tokens") >= 3);
    for (size_t i = 0; i < 4; i++) { CHECK(guest_figure(guest, context, numbers[i]) >= 0); }
    CHECK(json_text(guest_read(guest, context, 1), "llama_commit", text, sizeof text));
    CHECK(strlen(text) >= 7);
    CHECK(json_text(guest->text, "stop_reason", text, sizeof text));
    CHECK(text[0] != '\0');
    CHECK(json_text(guest->text, "stop_detail", text, sizeof text));
}

static void a_metadata_input_acts_on_the_next_computation(void) {
    uint32_t context = guest_open(guest, GREEDY);
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 5 6 7");
    CHECK_EQ(guest_set(guest, context, 1, "{\"n-predict\":3}"), OK);
    CHECK_STR(guest_read(guest, context, 0), "1 2 3 4 5 6 7");
    guest_ask(guest, context, COUNT_TO_7);
    CHECK_EQ(guest_figure(guest, context, "output_tokens"), 3);
    /* Laid over what was there: the limit stays. */
    CHECK_EQ(guest_set(guest, context, 1, "{\"stop\":[\"zzz\"]}"), OK);
    guest_ask(guest, context, COUNT_TO_7);
    CHECK_EQ(guest_figure(guest, context, "output_tokens"), 3);
    CHECK_EQ(guest_set(guest, context, 1, "{\"n-predict\":64,\"stop\":[\"5\"]}"), OK);
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 ");
}

static void a_refused_metadata_input_changes_nothing(void) {
    uint32_t context = guest_open(guest, "{\"temp\":0,\"stop\":[\"5\"],\"ctx-size\":1024}");
    CHECK_EQ(guest_set(guest, context, 1, "{\"stop\":[\"3\"]"), INVALID_ENCODING);
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 ");
    CHECK_EQ(guest_set(guest, context, 1, "{\"stop\":[\"3\"],\"temp\":\"hot\"}"), INVALID_ARGUMENT);
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 ");
    CHECK_EQ(guest_set(guest, context, 1, "{\"surely-unknown\":1}"), OK);
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 ");
}

static void a_metadata_input_is_of_one_context(void) {
    uint32_t g = 0, first = 0, second = 0;
    REQUIRE_EQ(guest_load(guest, POCKET_A, GREEDY, &g), OK);
    REQUIRE_EQ(guest_context(guest, g, &first), OK);
    REQUIRE_EQ(guest_context(guest, g, &second), OK);
    CHECK_EQ(guest_set(guest, first, 1, "{\"stop\":[\"3\"]}"), OK);
    CHECK_STR(guest_ask(guest, second, COUNT_TO_7), "1 2 3 4 5 6 7");
    CHECK_STR(guest_ask(guest, first, COUNT_TO_7), "1 2 ");
}

static void a_context_may_be_made_smaller(void) {
    static char prompt[1500];
    uint32_t context = guest_open(guest, GREEDY);
    for (size_t i = 0; i + 1 < sizeof prompt; i++) { prompt[i] = "x y z"[i % 5]; }
    CHECK_EQ(guest_set(guest, context, 0, prompt), OK);
    CHECK_EQ(guest_set(guest, context, 1, "{\"ctx-size\":128}"), OK);
    CHECK_EQ(guest_compute(guest, context), PROMPT_TOO_LONG);
    CHECK_EQ(guest_set(guest, context, 1, "{\"ctx-size\":1024}"), OK);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
}

static void a_computation_needs_a_prompt(void) {
    uint32_t context = guest_open(guest, GREEDY);
    CHECK_EQ(guest_compute(guest, context), INVALID_ARGUMENT);
    CHECK_EQ(guest_set(guest, context, 1, "{\"temp\":0}"), OK);
    CHECK_EQ(guest_compute(guest, context), INVALID_ARGUMENT);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
}

static void a_prompt_that_does_not_fit_is_too_long(void) {
    static char prompt[4096];
    uint32_t context = guest_open(guest, "{\"temp\":0,\"ctx-size\":128}");
    memset(prompt, 'q', sizeof prompt - 1);
    CHECK_EQ(guest_set(guest, context, 0, prompt), OK);
    CHECK_EQ(guest_compute(guest, context), PROMPT_TOO_LONG);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
}

static void a_full_context_keeps_what_it_has(void) {
    uint32_t context = guest_open(guest, "{\"temp\":0,\"ignore-eos\":true,\"n-predict\":-1,\"ctx-size\":128}");
    CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
    CHECK_EQ(guest_compute(guest, context), CONTEXT_FULL);
    CHECK(strncmp(guest_read(guest, context, 0), "I am Pip.", 9) == 0);
    CHECK(strstr(guest->text, "<|im_end|>") == NULL);
    long used = guest_figure(guest, context, "input_tokens");
    used += guest_figure(guest, context, "output_tokens");
    CHECK(used > 100 && used <= 129);
}

static void a_context_that_shifts_goes_on(void) {
    static const char config[] =
        "{\"temp\":0,\"ignore-eos\":true,\"n-predict\":300,\"ctx-size\":128,\"ctx-shift\":true,\"n-keep\":4}";
    uint32_t context = guest_open(guest, config);
    CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
    CHECK_EQ(guest_compute(guest, context), OK);
    CHECK_EQ(guest_figure(guest, context, "output_tokens"), 300);
}

static void the_limit_of_tokens_is_no_error(void) {
    uint32_t context = guest_open(guest, "{\"temp\":0,\"n-predict\":4,\"ctx-size\":1024}");
    guest_ask(guest, context, USER("Tell me a story."));
    CHECK_EQ(guest_figure(guest, context, "output_tokens"), 4);
}

static void grammars_and_schemas_hold(void) {
    static const char either[] = "{\"temp\":0,\"ctx-size\":1024,\"grammar\":\"root ::= \\\"ya\\\" | \\\"no\\\"\"}";
    uint32_t context = guest_open(guest, either);
    guest_ask(guest, context, WHO);
    CHECK(strcmp(guest->text, "ya") == 0 || strcmp(guest->text, "no") == 0);
    context = guest_open(guest, "{\"temp\":0,\"ctx-size\":1024,\"json-schema\":{\"enum\":[11,22]}}");
    guest_ask(guest, context, WHO);
    CHECK(strcmp(guest->text, "11") == 0 || strcmp(guest->text, "22") == 0);
    context = guest_open(guest, "{\"temp\":0,\"ctx-size\":1024,\"json-schema\":\"{\\\"enum\\\":[11,22]}\"}");
    guest_ask(guest, context, WHO);
    CHECK(strcmp(guest->text, "11") == 0 || strcmp(guest->text, "22") == 0);
}

static void a_stop_text_is_cut_and_a_reverse_prompt_stays(void) {
    uint32_t context = guest_open(guest, "{\"temp\":0,\"ctx-size\":1024,\"stop\":\"4\"}");
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 ");
    context = guest_open(guest, "{\"temp\":0,\"ctx-size\":1024,\"reverse-prompt\":\"4\"}");
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4");
}

static void a_seed_makes_it_repeatable(void) {
    static const char config[] = "{\"temp\":2,\"seed\":42,\"n-predict\":20,\"ctx-size\":1024}";
    char first[1024];
    snprintf(first, sizeof first, "%s", guest_ask(guest, guest_open(guest, config), WHO));
    CHECK_STR(guest_ask(guest, guest_open(guest, config), WHO), first);
}

/* The one thing that the plugin ever writes there, and only on demand. */
static void text_goes_to_stdout_when_asked(void) {
    char written[64] = "";
    FILE *file = tmpfile();
    int before = dup(STDOUT_FILENO);
    REQUIRE(file != NULL && before >= 0);
    uint32_t context = guest_open(guest, "{\"temp\":0,\"ctx-size\":1024,\"stream-stdout\":true}");
    CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
    REQUIRE(dup2(fileno(file), STDOUT_FILENO) >= 0);
    uint32_t code = guest_compute(guest, context);
    REQUIRE(dup2(before, STDOUT_FILENO) >= 0);
    CHECK_EQ(code, OK);
    CHECK(pread(fileno(file), written, sizeof written - 1, 0) >= 0);
    CHECK_STR(written, "I am Pip.");
    CHECK_STR(guest_read(guest, context, 0), "I am Pip.");
    fclose(file);
    close(before);
}

void metadata(void) {
    guest = guest_start();
    RUN(configurations_that_are_fine);
    RUN(configurations_that_are_no_objects_are_broken);
    RUN(values_that_are_wrong_are_invalid);
    RUN(speech_is_not_supported);
    RUN(deep_configurations_do_no_harm);
    RUN(a_faulty_grammar_is_invalid_before_any_token);
    RUN(the_metadata_is_there_before_a_computation);
    RUN(the_metadata_tells_of_the_last_turn);
    RUN(a_metadata_input_acts_on_the_next_computation);
    RUN(a_refused_metadata_input_changes_nothing);
    RUN(a_metadata_input_is_of_one_context);
    RUN(a_context_may_be_made_smaller);
    RUN(a_computation_needs_a_prompt);
    RUN(a_prompt_that_does_not_fit_is_too_long);
    RUN(a_full_context_keeps_what_it_has);
    RUN(a_context_that_shifts_goes_on);
    RUN(the_limit_of_tokens_is_no_error);
    RUN(grammars_and_schemas_hold);
    RUN(a_stop_text_is_cut_and_a_reverse_prompt_stays);
    RUN(a_seed_makes_it_repeatable);
    RUN(text_goes_to_stdout_when_asked);
    guest_end(guest);
}
