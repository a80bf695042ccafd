/* The lookups of old_host.h. */

#include "old_host.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* ISO C knows no conversion from an object pointer to a function pointer; POSIX promises that the bytes are one. */
static void look_up(void *handle, const char *name, void *function) {
    void *symbol = dlsym(handle, name);
    memcpy(function, &symbol, sizeof symbol);
}

struct old_library old_open(const char *path) {
    struct old_library library = {0};
    library.handle = dlopen(path, RTLD_LAZY);
    if (library.handle == NULL) { fprintf(stderr, "%s\n", dlerror()); }
    REQUIRE(library.handle != NULL);
    dlerror();
    look_up(library.handle, "init_backend", &library.init_backend);
    look_up(library.handle, "init_backend_with_config", &library.init_backend_with_config);
    look_up(library.handle, "deinit_backend", &library.deinit_backend);
    look_up(library.handle, "load_by_name", &library.load_by_name);
    look_up(library.handle, "load_by_name_with_config", &library.load_by_name_with_config);
    look_up(library.handle, "init_execution_context", &library.init_execution_context);
    look_up(library.handle, "init_execution_context_with_session_id", &library.init_execution_context_with_session_id);
    look_up(library.handle, "close_execution_context", &library.close_execution_context);
    look_up(library.handle, "set_input", &library.set_input);
    look_up(library.handle, "compute", &library.compute);
    look_up(library.handle, "get_output", &library.get_output);
    look_up(library.handle, "run_inference", &library.run_inference);
    REQUIRE(dlsym(library.handle, "load") != NULL);
    const char *error = dlerror();
    if (error != NULL) { fprintf(stderr, "%s\n", error); }
    REQUIRE(error == NULL);
    return library;
}
