/* A host of which nothing is known: it exports nothing, nobody has set anything, and it switches stacks, so that not
 * even the place of an output tells its kind. Each case is a process of its own. */

#define _GNU_SOURCE
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "child.h"
#include "guest.h"
#include "setting.h"

enum { STACK_SIZE = 1 << 20, TRIES = 3 };

static struct guest *guest;
static uint32_t context, code, size;
static ucontext_t outside, inside;
static char path[64];

static void fetch(void) { code = guest_output(guest, context, 0, 64, &size); }

/* Fetches the text on a stack of our own, as a host with coroutines does. */
static void fetch_elsewhere(void) {
    static char stack[STACK_SIZE];
    REQUIRE(getcontext(&inside) == 0);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = sizeof stack;
    inside.uc_link = &outside;
    makecontext(&inside, fetch, 0);
    REQUIRE(swapcontext(&outside, &inside) == 0);
}

static void begin(void) {
    guest = guest_start();
    context = guest_open(guest, GREEDY);
    CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
    CHECK_EQ(guest_compute(guest, context), OK);
}

/* Nothing is written, neither as one kind of host nor as the other, and the log says once what to set. */
static void an_unknown_host_gets_no_output(void) {
    REQUIRE(freopen(path, "w", stderr) != NULL);
    begin();
    for (int i = 0; i < TRIES; i++) {
        fetch_elsewhere();
        CHECK_EQ(code, UNSUPPORTED_OPERATION);
    }
    fflush(stderr);
    size_t length;
    char *log = read_file(path, &length);
    int told = 0;
    static const char line[] = "set WASI_NN_LLAMACPP_ABI to 2.2 (for 2.2 and 2.3) or 2.4; outputs are refused";
    for (char *at = log; (at = memmem(at, length - (size_t)(at - log), line, sizeof line - 1)) != NULL; at++) { told++; }
    CHECK_EQ(told, 1);
    free(log);
    /* An output on a stack that is known shows the kind, from then on everywhere. */
    fetch();
    CHECK_EQ(code, OK);
    CHECK_STR(guest->text, "I am Pip.");
    fetch_elsewhere();
    CHECK_EQ(code, OK);
    CHECK_STR(guest->text, "I am Pip.");
    guest_end(guest);
}

static void the_setting_makes_it_known(void) {
    setenv("WASI_NN_LLAMACPP_ABI", setting.abi == ABI_A ? "2.2" : "2.4", 1);
    begin();
    fetch_elsewhere();
    CHECK_EQ(code, OK);
    CHECK_STR(guest->text, "I am Pip.");
    guest_end(guest);
}

void unknown(void) {
    snprintf(path, sizeof path, "/tmp/wamr-unknown-XXXXXX");
    int file = mkstemp(path);
    REQUIRE(file >= 0);
    close(file);
    RUN_IN_CHILD(an_unknown_host_gets_no_output);
    RUN_IN_CHILD(the_setting_makes_it_known);
    CHECK_EQ(unlink(path), 0);
}
