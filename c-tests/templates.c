/* Chat templates through the header: the prompt that one makes of a conversation, and which one serves. */

#include <string.h>

#include "host.h"

/* The pocket model with a format by name. */
#define WITH_FORMAT(name) \
    "{\"model\":{\"n_predict\":8,\"ctx_size\":512,\"chat_template\":\"" name "\"}," GREEDY_SAMPLING "}"

static void *backend;

static uint32_t apply(const char *messages, const char *tools, const char *options, char *prompt, uint32_t *size) {
    return wasi_nn_apply_template(backend, 0, messages, (uint32_t)strlen(messages), tools,
                                  tools ? (uint32_t)strlen(tools) : 0, options,
                                  options ? (uint32_t)strlen(options) : 0, prompt, size);
}

static const char *prompt_of(const char *messages, const char *options, char *prompt) {
    uint32_t size = TEXT;
    prompt[0] = '\0';
    CHECK_EQ(apply(messages, NULL, options, prompt, &size), OK);
    CHECK_EQ(size, strlen(prompt) + 1);
    return prompt;
}

static void a_format_by_name_makes_the_prompt(void) {
    char prompt[TEXT];
    CHECK_STR(prompt_of("[{\"role\":\"user\",\"content\":\"hi\"}]", NULL, prompt),
              "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
              "<|start_header_id|>assistant<|end_header_id|>\n\n");
    CHECK_STR(prompt_of("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]",
                        "{\"add_generation_prompt\":false}", prompt),
              "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>");
}

static void a_small_buffer_learns_the_size_that_the_prompt_needs(void) {
    static const char messages[] = "[{\"role\":\"user\",\"content\":\"hi\"}]";
    char prompt[TEXT];
    uint32_t needed = (uint32_t)strlen(prompt_of(messages, NULL, prompt)) + 1;
    uint32_t size = needed - 1;
    memset(prompt, 'x', sizeof prompt);
    CHECK_EQ(apply(messages, NULL, NULL, prompt, &size), TOO_LARGE);
    CHECK_EQ(size, needed);
    CHECK_EQ(prompt[0], 0);
    CHECK_EQ(prompt[1], 'x');
    CHECK_EQ(apply(messages, NULL, NULL, prompt, &size), OK);
}

static void what_is_no_conversation_is_refused(void) {
    char prompt[TEXT], error[TEXT];
    uint32_t size = TEXT;
    CHECK_EQ(apply("{}", NULL, NULL, prompt, &size), INVALID_ARGUMENT);
    CHECK_CONTAINS(last_error(backend, error), "messages");
    CHECK_EQ(apply("[]", "5", NULL, prompt, &size), INVALID_ARGUMENT);
    CHECK_EQ(apply("[]", NULL, "{\"messages\":[]}", prompt, &size), INVALID_ARGUMENT);
    CHECK_EQ(size, TEXT);
    CHECK_EQ(wasi_nn_apply_template(backend, 77, "[]", 2, NULL, 0, NULL, 0, prompt, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_apply_template(backend, 0, NULL, 2, NULL, 0, NULL, 0, prompt, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_apply_template(NULL, 0, "[]", 2, NULL, 0, NULL, 0, prompt, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_apply_template(backend, 0, "[]", 2, NULL, 0, NULL, 0, NULL, &size), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_apply_template(backend, 0, "[]", 2, NULL, 0, NULL, 0, prompt, NULL), INVALID_ARGUMENT);
}

static void tools_and_options_reach_the_template_in_their_order(void) {
    char prompt[TEXT];
    uint32_t size = TEXT;
    CHECK_EQ(apply("[{\"role\":\"user\",\"content\":\"hi\"}]", "[{\"z\":1,\"a\":2}]",
                   "{\"enable_thinking\":false,\"chat_template_kwargs\":{\"x\":3}}", prompt, &size),
             OK);
    CHECK_STR(prompt, "[{\"z\": 1, \"a\": 2}] False 3 hi");
}

int main(void) {
    check_begin();
    backend = open_with_model(POCKET_A, WITH_FORMAT("LLAMA3"));
    RUN(a_format_by_name_makes_the_prompt);
    RUN(a_small_buffer_learns_the_size_that_the_prompt_needs);
    RUN(what_is_no_conversation_is_refused);
    close_backend(backend);
    backend = open_with_model(POCKET_A, WITH_FORMAT("{% if tools %}{{ tools | tojson }} {{ enable_thinking }} {{ x }} {% endif %}"
                                                    "{% for m in messages %}{{ m.content }}{% endfor %}"));
    RUN(tools_and_options_reach_the_template_in_their_order);
    close_backend(backend);
    return check_end();
}
