/* Registration and calls behind native.h. */

#define _GNU_SOURCE
#include "native.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../check.h"
#include "library.h"

enum { COUNT = 5, PAGE = 4096 };

static const char *const expected[COUNT][2] = {
    {"compute_single", "(i)i"},
    {"finalize_execution_context", "(i)i"},
    {"fini_single", "(i)i"},
    {"get_output_single", "(ii*~*)i"},
    {"unload", "(i)i"},
};

static struct native_symbol *table;
static void *environment;

static int by_name(const void *left, const void *right) {
    return strcmp(((const struct native_symbol *)left)->symbol, ((const struct native_symbol *)right)->symbol);
}

void native_open(void) {
    int (*start)(void);
    uint32_t (*fetch)(char **, struct native_symbol **);
    void *handle = dlopen(WAMR_PLUGIN, RTLD_NOW | RTLD_GLOBAL);
    if (handle == NULL) { fprintf(stderr, "%s\n", dlerror()); }
    REQUIRE(handle != NULL);
    if (dlsym(handle, "init_native_lib") != NULL) {
        library_look_up(handle, "init_native_lib", &start);
        CHECK_EQ(start(), 0);
    }
    library_look_up(handle, "get_native_lib", &fetch);
    char *module = NULL;
    REQUIRE_EQ(fetch(&module, &table), COUNT);
    CHECK_STR(module, "wasi_ephemeral_nn");
    REQUIRE(table != NULL);
    qsort(table, COUNT, sizeof *table, by_name);
    for (int i = 0; i < COUNT; i++) {
        CHECK_STR(table[i].symbol, expected[i][0]);
        CHECK_STR(table[i].signature, expected[i][1]);
        CHECK(table[i].function != NULL);
    }
    environment = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(environment != MAP_FAILED);
}

const struct native_symbol *native_find(const char *name) {
    struct native_symbol wanted = {.symbol = name};
    REQUIRE(table != NULL);
    struct native_symbol *found = bsearch(&wanted, table, COUNT, sizeof *table, by_name);
    REQUIRE(found != NULL);
    return found;
}

/* Calls the function called `name`, which takes the environment and one number. */
static uint32_t call(const char *name, uint32_t number) {
    uint32_t (*function)(void *, uint32_t);
    memcpy(&function, &native_find(name)->function, sizeof function);
    return function(environment, number);
}

uint32_t native_compute_single(uint32_t context) { return call("compute_single", context); }

uint32_t native_fini_single(uint32_t context) { return call("fini_single", context); }

uint32_t native_unload(uint32_t g) { return call("unload", g); }

uint32_t native_finalize(uint32_t context) { return call("finalize_execution_context", context); }

uint32_t native_get_output_single(uint32_t context, uint32_t index, void *out, uint32_t capacity, void *written) {
    uint32_t (*function)(void *, uint32_t, uint32_t, void *, uint32_t, void *);
    memcpy(&function, &native_find("get_output_single")->function, sizeof function);
    return function(environment, context, index, out, capacity, written);
}
