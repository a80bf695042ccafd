/* The end of a process with backends alive: whatever runs at that moment, the exit status is the host's.
 *
 * Each case runs in a child of its own, forked before it has a backend. */

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

enum { STATUS = 7, ROUNDS = 4 };

static void *backend;
static graph_execution_context context;

static void *talk_to_the_end(void *unused) {
    (void)unused;
    static char answer[TEXT];
    while (turn(backend, context, "Count to 20.", NULL, answer) == OK) {}
    return NULL;
}

static void talk_in_a_thread(void) {
    backend = open_with_model(POCKET_A, ENDLESS);
    REQUIRE_EQ(init_execution_context(backend, 0, &context), OK);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, talk_to_the_end, NULL) == 0);
}

static void close_late(void) { deinit_backend(backend); }

/* Runs `work` in a child that ends `delay_us` later with STATUS; true if it did. */
static bool ends_well(void (*work)(void), useconds_t delay_us) {
    pid_t child = fork();
    if (child == 0) {
        work();
        usleep(delay_us);
        exit(STATUS);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == STATUS;
}

static void a_process_ends_while_a_turn_runs(void) {
    for (int round = 0; round < ROUNDS; round++) { CHECK(ends_well(talk_in_a_thread, 3000 * (useconds_t)round)); }
}

static void idle_until_exit(void) {
    /* Registered before the library's own handler, so it runs after that and after the thread's locals are gone. */
    atexit(close_late);
    backend = open_with_model(POCKET_A, GREEDY);
}

static void talk_until_exit(void) {
    atexit(close_late);
    talk_in_a_thread();
}

static void a_backend_may_be_closed_by_an_exit_handler(void) {
    CHECK(ends_well(idle_until_exit, 0));
    CHECK(ends_well(talk_until_exit, 5000));
}

int main(void) {
    check_begin();
    RUN(a_process_ends_while_a_turn_runs);
    RUN(a_backend_may_be_closed_by_an_exit_handler);
    return check_end();
}
