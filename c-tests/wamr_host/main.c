/* A process that embeds the runtime, played: which host it is and which cases it runs is told on the command line.
 *
 * usage: wamr_host GROUP... [--abi=A|B] [--outputs=A|B] [--guests=ephemeral|legacy] [--native]
 *                  [--evidence=none|version|env|table|runtime] [--version=MAJOR.MINOR.PATCH]
 *
 * The programs differ in what they export and are otherwise the same: `version` is for the one that exports a version,
 * `table` for the one with a table, `runtime` for the one with a version and what else a shared runtime exports, the
 * rest for the one with none of these. */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "cases.h"
#include "setting.h"

struct setting setting;

static const struct {
    const char *name;
    void (*run)(void);
} groups[] = {
    {"opening", opening},       {"prompts", prompts},   {"outputs", outputs}, {"handles", handles},
    {"loading", loading},       {"metadata", metadata}, {"turns", turns},     {"names", names},
    {"mixed", mixed},           {"threads", threads},   {"hostile", hostile}, {"ending", ending},
    {"embeddings", embeddings}, {"equal", equal},       {"streaming", streaming}, {"native_calls", native_calls},
    {"log_lines", log_lines}, {"whole_calls", whole_calls}, {"unknown", unknown},
};

static _Noreturn void usage(const char *argument) {
    fprintf(stderr, "%s is no group and no option\n", argument);
    exit(2);
}

/* The place in `words`, which ends with NULL, of the value of an option; stays if it is another option. */
static bool choose(const char *argument, const char *option, const char *const *words, int *choice) {
    size_t length = strlen(option);
    if (strncmp(argument, option, length) != 0) { return false; }
    for (*choice = 0; words[*choice] != NULL; (*choice)++) {
        if (strcmp(argument + length, words[*choice]) == 0) { return true; }
    }
    usage(argument);
}

static void read_option(const char *argument, int *outputs) {
    static const char *const abis[] = {"A", "B", NULL}, *const guests[] = {"ephemeral", "legacy", NULL};
    static const char *const evidences[] = {"none", "version", "env", "table", "runtime", NULL};
    int choice = 0;
    if (choose(argument, "--abi=", abis, &choice)) {
        setting.abi = (enum abi_kind)choice;
    } else if (choose(argument, "--outputs=", abis, outputs)) {
        return;
    } else if (choose(argument, "--guests=", guests, &choice)) {
        setting.is_legacy = choice == 1;
    } else if (choose(argument, "--evidence=", evidences, &choice)) {
        setting.evidence = (enum evidence)choice;
    } else if (strcmp(argument, "--native") == 0) {
        setting.is_native = true;
    } else {
        uint32_t *version = setting.version;
        if (sscanf(argument, "--version=%u.%u.%u", &version[0], &version[1], &version[2]) != 3) { usage(argument); }
    }
}

static void run_group(const char *name) {
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (strcmp(name, groups[i].name) == 0) {
            check_case(name);
            groups[i].run();
            return;
        }
    }
    usage(name);
}

/* A sanitizer that moves locals to the heap would hide the host's stack, by which the plugin tells hosts apart. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_stack_use_after_return=0"; }

int main(int count, char **arguments) {
    int outputs_choice = -1;
    for (int i = 1; i < count; i++) {
        if (arguments[i][0] == '-') { read_option(arguments[i], &outputs_choice); }
    }
    setting.output_abi = outputs_choice < 0 ? setting.abi : (enum abi_kind)outputs_choice;
    if (setting.evidence == EVIDENCE_ENV) {
        setenv("WASI_NN_LLAMACPP_ABI", setting.abi == ABI_A ? "2.2" : "2.4", 1);
    } else {
        unsetenv("WASI_NN_LLAMACPP_ABI");
    }
    check_begin();
    for (int i = 1; i < count; i++) {
        if (arguments[i][0] != '-') { run_group(arguments[i]); }
    }
    return check_end();
}
