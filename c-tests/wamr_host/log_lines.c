/* What reaches the log although no engine is open, and how much of it. Each case is a process of its own. */

#define _GNU_SOURCE
#include "cases.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "guest.h"

/* The file that a case reads its log from. */
static char path[PATH_MAX / 2];

static void make_file(void) {
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/wamr-log-XXXXXX", base != NULL ? base : P_tmpdir);
    int file = mkstemp(path);
    REQUIRE(file >= 0);
    close(file);
}

/* The log so far; the caller frees it. */
static char *read_log(void) {
    size_t size;
    char *bytes = read_file(path, &size);
    char *text = calloc(1, size + 1);
    REQUIRE(text != NULL);
    memcpy(text, bytes, size);
    free(bytes);
    return text;
}

static int count(const char *text, const char *part) {
    int found = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part)) { found++; }
    return found;
}

static uint32_t load(struct guest *guest, const char *name) {
    uint32_t g = 0;
    return guest_load_named(guest, name, GREEDY, &g);
}

static void refusals_reach_the_operators_log_twenty_in_a_second(void) {
    enum { TRIES = 200 };
    char config[PATH_MAX];
    snprintf(config, sizeof config, "{\"logging\":{\"level\":\"warn\",\"file\":\"%s\"}}", path);
    setenv("WASI_NN_LLAMACPP_CONFIG", config, 1);
    setenv("WASI_NN_MODEL_POLICY", "registry", 1);
    setenv("WASI_NN_PRELOAD", "broken", 1);
    struct guest *guest = guest_start();
    double start = now_ms();
    for (int i = 0; i < TRIES; i++) { CHECK_EQ(load(guest, "/etc/passwd"), NOT_FOUND); }
    double seconds = (now_ms() - start) / 1000;
    char *log = read_log();
    CHECK_CONTAINS(log, "WASI_NN_PRELOAD: entry 1");
    int told = count(log, "/etc/passwd");
    CHECK(told >= 1 && told <= 20 * (1 + (int)seconds));
    free(log);
    pause_ms(1100);
    CHECK_EQ(load(guest, "/etc/passwd"), NOT_FOUND);
    log = read_log();
    CHECK_CONTAINS(log, " more");
    CHECK_EQ(count(log, "/etc/passwd"), told + 1);
    free(log);
    guest_end(guest);
}

static void a_broken_configuration_reaches_stderr(void) {
    REQUIRE(freopen(path, "w", stderr) != NULL);
    setenv("WASI_NN_LLAMACPP_CONFIG", "{\"logging\":", 1);
    struct guest *guest = guest_start();
    CHECK_EQ(load(guest, POCKET_A), RUNTIME_ERROR);
    fflush(stderr);
    char *log = read_log();
    CHECK_CONTAINS(log, "WASI_NN_LLAMACPP_CONFIG");
    free(log);
    guest_end(guest);
}

void log_lines(void) {
    make_file();
    RUN_IN_CHILD(refusals_reach_the_operators_log_twenty_in_a_second);
    RUN_IN_CHILD(a_broken_configuration_reaches_stderr);
    CHECK_EQ(unlink(path), 0);
}
