/* Runs WebAssembly guests in WAMR with wasi-nn: a small iwasm, for trying the plugin and for its tests.
 *
 * usage: wamr_run [--native-lib=PATH] [--instances=N] GUEST.wasm [ARGUMENT...]
 *
 * --native-lib registers what the library at PATH offers, as iwasm does. --instances runs N instances of the guest at
 * once, each on a thread of its own. The plugin itself is found by WAMR, by its name: through LD_LIBRARY_PATH, or
 * because --native-lib has opened it. The exit status is that of the guest, of the first one that failed; 70 stands for
 * a trap, and for everything that kept it from running.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wasm_export.h"

enum { NOT_RUN = 70, STACK_BYTES = 64 * 1024, HEAP_BYTES = 0, MOST_INSTANCES = 256 };

/* What WAMR gives the threads that guests start. */
enum { THREAD_STACK_BYTES = 128 * 1024 };

typedef uint32_t (*get_native_lib_function)(char **module, NativeSymbol **symbols);

struct guest {
    wasm_module_t module;
    pthread_t thread;
    int status;
};

static int complain(const char *what, const char *why) {
    fprintf(stderr, "wamr_run: %s: %s\n", what, why);
    return NOT_RUN;
}

/* The library stays open: its functions are called until the process ends. */
static bool register_native_lib(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) {
        complain(path, dlerror());
        return false;
    }
    int (*init)(void) = (int (*)(void))dlsym(library, "init_native_lib");
    get_native_lib_function get = (get_native_lib_function)dlsym(library, "get_native_lib");
    if (get == NULL || (init != NULL && init() != 0)) {
        complain(path, "is no native library");
        return false;
    }
    char *module = NULL;
    NativeSymbol *symbols = NULL;
    uint32_t count = get(&module, &symbols);
    if (count == 0 || !wasm_runtime_register_natives(module, symbols, count)) {
        complain(path, "its functions were not registered");
        return false;
    }
    return true;
}

static uint8_t *read_file(const char *path, uint32_t *size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    long bytes = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    uint8_t *content = bytes > 0 && bytes < INT32_MAX ? malloc((size_t)bytes) : NULL;
    rewind(file);
    if (content != NULL && fread(content, 1, (size_t)bytes, file) != (size_t)bytes) {
        free(content);
        content = NULL;
    }
    fclose(file);
    *size = content != NULL ? (uint32_t)bytes : 0;
    return content;
}

/* Runs one instance from its start to its end, on the calling thread. */
static int run_instance(wasm_module_t module) {
    char reason[256];
    wasm_module_inst_t instance = wasm_runtime_instantiate(module, STACK_BYTES, HEAP_BYTES, reason, sizeof reason);
    if (instance == NULL) {
        return complain("instantiate", reason);
    }
    int status = NOT_RUN;
    if (wasm_application_execute_main(instance, 0, NULL)) {
        status = (int)wasm_runtime_get_wasi_exit_code(instance);
    } else {
        complain("the guest trapped", wasm_runtime_get_exception(instance));
    }
    wasm_runtime_deinstantiate(instance);
    return status;
}

static void *run_on_thread(void *argument) {
    struct guest *guest = argument;
    guest->status = NOT_RUN;
    if (wasm_runtime_init_thread_env()) {
        guest->status = run_instance(guest->module);
        wasm_runtime_destroy_thread_env();
    }
    return NULL;
}

static int run_many(wasm_module_t module, long count) {
    static struct guest guests[MOST_INSTANCES];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    long started = 0;
    while (started < count) {
        guests[started].module = module;
        if (pthread_create(&guests[started].thread, &attributes, run_on_thread, &guests[started]) != 0) {
            break;
        }
        started++;
    }
    pthread_attr_destroy(&attributes);
    int status = started == count ? 0 : complain("threads", "not all were started");
    for (long i = 0; i < started; i++) {
        pthread_join(guests[i].thread, NULL);
        status = status != 0 ? status : guests[i].status;
    }
    return status;
}

static int run(uint8_t *content, uint32_t size, long instances, char **arguments, int count) {
    char reason[256];
    wasm_module_t module = wasm_runtime_load(content, size, reason, sizeof reason);
    if (module == NULL) {
        return complain(arguments[0], reason);
    }
    wasm_runtime_set_wasi_args(module, NULL, 0, NULL, 0, NULL, 0, arguments, count);
    int status = instances == 1 ? run_instance(module) : run_many(module, instances);
    wasm_runtime_unload(module);
    return status;
}

int main(int argc, char **argv) {
    const char *native_lib = NULL;
    long instances = 1;
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strncmp(argv[at], "--native-lib=", 13) == 0) {
            native_lib = argv[at] + 13;
        } else if (strncmp(argv[at], "--instances=", 12) == 0) {
            instances = strtol(argv[at] + 12, NULL, 10);
        } else {
            return complain(argv[at], "no such option");
        }
    }
    if (at == argc || instances < 1 || instances > MOST_INSTANCES) {
        return complain("usage", "wamr_run [--native-lib=PATH] [--instances=N] GUEST.wasm [ARGUMENT...]");
    }

    uint32_t size = 0;
    uint8_t *content = read_file(argv[at], &size);
    if (content == NULL) {
        return complain(argv[at], "cannot be read");
    }
    RuntimeInitArgs args = {.mem_alloc_type = Alloc_With_System_Allocator};
    int status = NOT_RUN;
    if (!wasm_runtime_full_init(&args)) {
        complain("WAMR", "does not start");
    } else {
        /* Its warnings go to stdout, among the guest's text. That a function is missing is told when it is called. */
        wasm_runtime_set_log_level(WASM_LOG_LEVEL_ERROR);
        if (native_lib == NULL || register_native_lib(native_lib)) {
            status = run(content, size, instances, argv + at, argc - at);
        }
        wasm_runtime_destroy();
    }
    free(content);
    return status;
}
