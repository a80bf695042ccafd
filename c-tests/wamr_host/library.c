/* dlopen and dlsym behind library.h. */

#include "library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../check.h"
#include "native.h"
#include "setting.h"

struct library library;

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

void library_look_up(void *handle, const char *name, void *function) {
    void *symbol = dlsym(handle, name);
    if (symbol == NULL) { fprintf(stderr, "no symbol %s\n", name); }
    REQUIRE(symbol != NULL);
    /* ISO C knows no conversion from an object pointer to a function pointer; POSIX promises that the bytes are one. */
    memcpy(function, &symbol, sizeof symbol);
}

void *library_open_once(void) {
    void *handle = dlopen("libwasi_nn_llamacpp.so", RTLD_LAZY);
    if (handle == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    library_look_up(handle, "init_backend", &library.init_backend);
    library_look_up(handle, "deinit_backend", &library.deinit_backend);
    library_look_up(handle, "load", &library.load);
    library_look_up(handle, "load_by_name", &library.load_by_name);
    library_look_up(handle, "load_by_name_with_config", &library.load_by_name_with_config);
    library_look_up(handle, "init_execution_context", &library.init_execution_context);
    library_look_up(handle, "set_input", &library.set_input);
    library_look_up(handle, "compute", &library.compute);
    library_look_up(handle, "get_output", &library.get_output);
    return handle;
}

void library_open(void) {
    pthread_mutex_lock(&opening);
    if (library.handle == NULL) {
        if (setting.is_native) { native_open(); }
        void *first = library_open_once();
        REQUIRE(first != NULL);
        CHECK_EQ(dlclose(first), 0);
        library.handle = library_open_once();
        REQUIRE(library.handle != NULL);
    }
    pthread_mutex_unlock(&opening);
}
