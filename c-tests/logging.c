/* What is logged: the environment variable as long as no configuration says, and changes while a backend runs. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

static char log_path[] = "/tmp/wasi-nn-log-XXXXXX";

/* What the log file holds now. */
static const char *logged(char *text) {
    FILE *file = fopen(log_path, "r");
    REQUIRE(file != NULL);
    size_t length = fread(text, 1, TEXT - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

/* A backend whose log is the file, emptied. */
static void *open_logged(const char *keys) {
    char config[TEXT];
    REQUIRE_EQ(truncate(log_path, 0), 0);
    snprintf(config, sizeof config, "{\"logging\":{\"file\":\"%s\"%s}}", log_path, keys);
    return open_backend(config);
}

static uint32_t set_logging(void *backend, const char *config) {
    return wasi_nn_set_logging(backend, config, (uint32_t)strlen(config));
}

static void the_log_changes_while_the_backend_runs(void) {
    char text[TEXT], error[TEXT];
    void *backend = open_logged(",\"level\":\"none\"");
    CHECK_EQ(load_model(backend, POCKET_A, NULL), OK);
    CHECK_STR(logged(text), "");
    CHECK_EQ(set_logging(backend, "{\"level\":\"debug\",\"structured\":true}"), OK);
    uint32_t context = open_context(backend);
    char answer[TEXT];
    say(backend, context, "My name is Zorvath.", answer);
    CHECK_CONTAINS(logged(text), "\"tag\":\"SESSION\",\"message\":\"context opened\"");
    CHECK_CONTAINS(text, "\"tag\":\"PERF\",\"message\":\"turn\"");
    CHECK_CONTAINS(text, "\"prompt_tokens\":");
    CHECK_LACKS(text, "Zorvath");
    CHECK_EQ(set_logging(backend, "{\"logging\":{\"level\":\"off\"}}"), OK);
    size_t before = strlen(text);
    say(backend, context, "What is my name?", answer);
    CHECK_EQ(strlen(logged(text)), before);
    CHECK_EQ(set_logging(backend, "[]"), INVALID_ARGUMENT);
    CHECK_CONTAINS(last_error(backend, error), "wasi_nn_set_logging: logging config: the root is not an object");
    close_backend(backend);
}

static void what_is_no_configuration_is_refused(void) {
    void *backend = open_logged(",\"level\":\"error\"");
    CHECK_EQ(set_logging(backend, "not JSON"), INVALID_ARGUMENT);
    CHECK_EQ(set_logging(backend, ""), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_logging(backend, NULL, 0), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_logging(backend, NULL, 9), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_logging(backend, protected_end(0), 9), INVALID_ARGUMENT);
    CHECK_EQ(wasi_nn_set_logging(NULL, "{}", 2), INVALID_ARGUMENT);
    CHECK_EQ(set_logging(backend, "{\"unknown\":1}"), OK);
    CHECK_EQ(wasi_nn_set_logging(backend, "{}", 3), OK);
    close_backend(backend);
    void *strict = open_backend("{\"strict\":true,\"logging\":{\"level\":\"none\"}}");
    CHECK_EQ(set_logging(strict, "{\"unknown\":1}"), INVALID_ARGUMENT);
    CHECK_EQ(set_logging(strict, "{\"level\":\"error\"}"), OK);
    close_backend(strict);
    CHECK_EQ(set_logging(strict, "{}"), INVALID_ARGUMENT);
}

/* What opening and closing a backend writes to stderr. */
static const char *on_stderr(const char *filter, const char *config, char *text) {
    REQUIRE_EQ(truncate(log_path, 0), 0);
    int file = open(log_path, O_WRONLY | O_APPEND), own = dup(STDERR_FILENO);
    REQUIRE(file >= 0 && own >= 0);
    setenv("RUST_LOG", filter, 1);
    dup2(file, STDERR_FILENO);
    void *backend = NULL;
    uint32_t code = init_backend_with_config(&backend, config, (uint32_t)strlen(config));
    uint32_t end = deinit_backend(backend);
    dup2(own, STDERR_FILENO);
    unsetenv("RUST_LOG");
    close(own);
    close(file);
    CHECK_EQ(code, OK);
    CHECK_EQ(end, OK);
    return logged(text);
}

static void the_environment_counts_as_long_as_no_configuration_says(void) {
    char text[TEXT];
    CHECK_CONTAINS(on_stderr("info", "", text), " [backend] backend ");
    CHECK_STR(on_stderr("warn", "", text), "");
    CHECK_STR(on_stderr("off", "{\"model\":{\"ctx_size\":256}}", text), "");
    CHECK_CONTAINS(on_stderr("off", "{\"logging\":{\"level\":\"info\"}}", text), "[backend]");
    CHECK_STR(on_stderr("debug", "{\"logging\":{\"level\":\"none\"}}", text), "");
    CHECK_CONTAINS(on_stderr("wasi_nn=info,other=trace", "", text), "[backend]");
    CHECK_STR(on_stderr("other=trace", "", text), "");
    CHECK_CONTAINS(on_stderr("warn,memory=loud", "", text), "\"memory=loud\" is ignored");
    CHECK_CONTAINS(on_stderr("", "", text), "[backend]");
}

int main(void) {
    check_begin();
    unsetenv("RUST_LOG");
    int file = mkstemp(log_path);
    REQUIRE(file >= 0);
    close(file);
    RUN(the_log_changes_while_the_backend_runs);
    RUN(what_is_no_configuration_is_refused);
    RUN(the_environment_counts_as_long_as_no_configuration_says);
    unlink(log_path);
    return check_end();
}
