/* How hosts come by the plugin, and what they may expect of it before anything is loaded: no thread, no word, no state
 * that another opening would lose. */

#include "cases.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "guest.h"
#include "library.h"
#include "native.h"
#include "setting.h"

static int threads_now(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    REQUIRE(folder != NULL);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count;
}

static void opening_starts_no_thread(void) {
    int before = threads_now();
    library_open();
    CHECK_EQ(threads_now(), before);
}

static void backends_without_models_start_no_thread(void) {
    int before = threads_now();
    void *ctx[32];
    for (int i = 0; i < 32; i++) {
        ctx[i] = NULL;
        CHECK_EQ(library.init_backend(&ctx[i]), OK);
        CHECK(ctx[i] != NULL);
        for (int j = 0; j < i; j++) { CHECK(ctx[i] != ctx[j]); }
    }
    CHECK_EQ(threads_now(), before);
    for (int i = 0; i < 32; i++) { CHECK_EQ(library.deinit_backend(ctx[i]), OK); }
    CHECK_EQ(threads_now(), before);
}

static void a_backend_is_closed_once(void) {
    void *ctx = NULL;
    REQUIRE_EQ(library.init_backend(&ctx), OK);
    CHECK_EQ(library.deinit_backend(ctx), OK);
    CHECK_EQ(library.deinit_backend(ctx), INVALID_ARGUMENT);
    CHECK_EQ(library.deinit_backend(NULL), INVALID_ARGUMENT);
    /* A number that was never given, and an address that is nobody's. */
    CHECK_EQ(library.deinit_backend((void *)UINTPTR_MAX), INVALID_ARGUMENT);
    CHECK_EQ(library.deinit_backend(&ctx), INVALID_ARGUMENT);
}

static void a_backend_is_never_given_twice(void) {
    void *first = NULL, *second = NULL;
    REQUIRE_EQ(library.init_backend(&first), OK);
    REQUIRE_EQ(library.deinit_backend(first), OK);
    REQUIRE_EQ(library.init_backend(&second), OK);
    CHECK(first != second);
    CHECK_EQ(library.deinit_backend(first), INVALID_ARGUMENT);
    CHECK_EQ(library.deinit_backend(second), OK);
}

static void every_opening_is_the_same_library(void) {
    void *ctx = NULL;
    REQUIRE_EQ(library.init_backend(&ctx), OK);
    for (int i = 0; i < 20; i++) {
        uint32_t (*before)(void *) = library.deinit_backend;
        void *handle = library_open_once();
        REQUIRE(handle != NULL);
        CHECK(library.deinit_backend == before);
        CHECK_EQ(dlclose(handle), 0);
    }
    CHECK_EQ(library.deinit_backend(ctx), OK);
}

static void the_sorted_table_keeps_what_it_was(void) {
    uint32_t (*fetch)(char **, struct native_symbol **);
    struct native_symbol *again = NULL;
    char *module = NULL;
    library_look_up(library.handle, "get_native_lib", &fetch);
    CHECK_EQ(fetch(&module, &again), native_count());
    CHECK_STR(module, "wasi_ephemeral_nn");
    CHECK_STR(again[0].symbol, native_count() == 5 ? "compute_single" : "compute");
    for (int i = 0; i + 1 < native_count(); i++) { CHECK(strcmp(again[i].symbol, again[i + 1].symbol) < 0); }
    /* The memory belongs to the host now: it may write there whatever it likes. */
    void *attachment = again[4].attachment;
    again[4].attachment = &module;
    CHECK(again[4].attachment == (void *)&module);
    again[4].attachment = attachment;
}

static void an_instance_that_loads_nothing_ends(void) {
    struct guest *guest = guest_start();
    guest_end(guest);
}

/* B: the backend of an instance is its own and goes with it, and so do its threads. */
static void threads_go_with_the_last_graph(void) {
    int before = threads_now();
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY);
    CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
    CHECK_EQ(guest_compute(guest, context), OK);
    CHECK(threads_now() > before);
    guest_end(guest);
    for (int i = 0; i < 300 && threads_now() > before; i++) { pause_ms(10); }
    CHECK_EQ(threads_now(), before);
}

void opening(void) {
    RUN(opening_starts_no_thread);
    RUN(backends_without_models_start_no_thread);
    RUN(a_backend_is_closed_once);
    RUN(a_backend_is_never_given_twice);
    RUN(every_opening_is_the_same_library);
    RUN(an_instance_that_loads_nothing_ends);
    if (setting.is_native) { RUN(the_sorted_table_keeps_what_it_was); }
    /* Leaked graphs of the other ABI would hide it, but not while there is one load only. */
    RUN(threads_go_with_the_last_graph);
}
