/* The end of the process and of the library, whatever runs at that moment: the exit status is the host's, nothing is
 * printed, and it does not take long. Each case is a process of its own. */

#define _GNU_SOURCE
#include "cases.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "child.h"
#include "guest.h"
#include "library.h"

/* What runs has no end of its own: one minute stands for never. */
enum { STATUS = 7, MOST_MS = 60000 };

static struct guest *guest;
static uint32_t context;

/* When the child began to end; shared with it. */
static double *began;
static unsigned delay_ms;

static void *compute_for_ever(void *unused) {
    (void)unused;
    while (library.compute(guest->ctx, context) != INVALID_ARGUMENT) {}
    return NULL;
}

static void prepare(void) {
    guest = guest_start();
    context = guest_open(guest, ENDLESS);
    CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
}

static void compute_in_a_thread(void) {
    pthread_t thread;
    prepare();
    REQUIRE(pthread_create(&thread, NULL, compute_for_ever, NULL) == 0);
}

static _Noreturn void leave(void) {
    *began = now_ms();
    exit(child_has_failed() ? 1 : STATUS);
}

/* Ends in a child that runs `work`, with STATUS and soon. */
static void check_end_of(void (*work)(void)) {
    CHECK_EQ(child_status(work), STATUS);
    CHECK(*began > 0);
    CHECK(now_ms() - *began < MOST_MS);
    *began = 0;
}

static void leave_with_a_computation(void) {
    compute_in_a_thread();
    pause_ms(delay_ms);
    leave();
}

static void the_process_ends_while_a_computation_runs(void) {
    static const unsigned delays[] = {0, 1, 5, 20, 100, 300};
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        delay_ms = delays[i];
        check_end_of(leave_with_a_computation);
    }
}

static void *leave_soon(void *unused) {
    (void)unused;
    pause_ms(delay_ms);
    leave();
}

static void compute_until_somebody_leaves(void) {
    pthread_t thread;
    prepare();
    REQUIRE(pthread_create(&thread, NULL, leave_soon, NULL) == 0);
    compute_for_ever(NULL);
    /* The computation may be ended before the process is. */
    for (;;) { pause(); }
}

static void another_thread_ends_the_process(void) {
    for (delay_ms = 0; delay_ms <= 200; delay_ms += 50) { check_end_of(compute_until_somebody_leaves); }
}

static void leave_with_graphs(void) {
    prepare();
    CHECK_EQ(guest_set(guest, context, 1, "{\"n-predict\":10}"), OK);
    CHECK_EQ(guest_compute(guest, context), OK);
    leave();
}

static void nobody_ends_the_instance(void) {
    check_end_of(leave_with_graphs);
}

static void end_instance(void) { library.deinit_backend(guest->ctx); }

static void leave_and_end_late(void) {
    /* Registered before anything of the plugin runs, so it comes after everything of the plugin's. */
    atexit(end_instance);
    leave_with_graphs();
}

static void leave_busy_and_end_late(void) {
    atexit(end_instance);
    leave_with_a_computation();
}

static void an_exit_handler_ends_the_instance(void) {
    check_end_of(leave_and_end_late);
    delay_ms = 50;
    check_end_of(leave_busy_and_end_late);
}

static void close_with_graphs(void) {
    prepare();
    CHECK_EQ(dlclose(library.handle), 0);
    pause_ms(100);
    leave();
}

static void close_with_a_computation(void) {
    compute_in_a_thread();
    pause_ms(50);
    CHECK_EQ(dlclose(library.handle), 0);
    pause_ms(100);
    leave();
}

static void the_library_is_closed_with_graphs_in_it(void) {
    check_end_of(close_with_graphs);
    check_end_of(close_with_a_computation);
}

static void open_use_and_close(void) {
    /* Remembered, as a host that forgets to end its instances has them somewhere. */
    static struct guest *guests[3];
    for (int i = 0; i < 3; i++) {
        if (i > 0) { library.handle = library_open_once(); }
        guests[i] = guest_start();
        context = guest_open(guests[i], GREEDY);
        CHECK_STR(guest_ask(guests[i], context, WHO), "I am Pip.");
        if (i == 1) { guest_end(guests[i]); }
        CHECK_EQ(dlclose(library.handle), 0);
    }
    leave();
}

static void the_library_is_closed_and_opened_again(void) {
    check_end_of(open_use_and_close);
}

static void only_open(void) {
    guest = guest_start();
    leave();
}

static void nothing_was_ever_loaded(void) {
    check_end_of(only_open);
}

void ending(void) {
    began = mmap(NULL, sizeof *began, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(began != MAP_FAILED);
    RUN(the_process_ends_while_a_computation_runs);
    RUN(another_thread_ends_the_process);
    RUN(nobody_ends_the_instance);
    RUN(an_exit_handler_ends_the_instance);
    RUN(the_library_is_closed_with_graphs_in_it);
    RUN(the_library_is_closed_and_opened_again);
    RUN(nothing_was_ever_loaded);
}
