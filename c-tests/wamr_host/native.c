/* Registration and calls behind native.h. */

#define _GNU_SOURCE
#include "native.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../check.h"
#include "guest.h"
#include "library.h"
#include "setting.h"

enum { SINGLE = 5, WHOLE = 12, PAGE = 4096, MOST_TABLES = 8 };

static const char *const single[SINGLE][2] = {
    {"compute_single", "(i)i"},
    {"finalize_execution_context", "(i)i"},
    {"fini_single", "(i)i"},
    {"get_output_single", "(ii*~*)i"},
    {"unload", "(i)i"},
};

/* As the host has them in its own tables, so that every guest that runs without the plugin's runs with them. */
static const char *const whole[WHOLE][3] = {
    {"compute", "(i)i", "(i)i"},
    {"compute_single", "(i)i", "(i)i"},
    {"finalize_execution_context", "(i)i", "(i)i"},
    {"fini_single", "(i)i", "(i)i"},
    {"get_output", "(ii*i*)i", "(ii**)i"},
    {"get_output_single", "(ii*~*)i", "(ii*~*)i"},
    {"init_execution_context", "(i*)i", "(i*)i"},
    {"load", "(*iii*)i", "(*ii*)i"},
    {"load_by_name", "(*i*)i", "(*i*)i"},
    {"load_by_name_with_config", "(*i*i*)i", "(*i*i*)i"},
    {"set_input", "(ii*)i", "(ii*)i"},
    {"unload", "(i)i", "(i)i"},
};

static struct {
    const char *module;
    struct native_symbol *table;
    uint32_t count;
} tables[MOST_TABLES];
static int table_count;

static void *environment;
static void (*at_end)(void *, void *);
static _Thread_local struct guest *caller;

static int by_name(const void *left, const void *right) {
    return strcmp(((const struct native_symbol *)left)->symbol, ((const struct native_symbol *)right)->symbol);
}

bool native_register(const char *module, struct native_symbol *table, uint32_t count) {
    REQUIRE(table_count < MOST_TABLES);
    qsort(table, count, sizeof *table, by_name);
    tables[table_count].module = module;
    tables[table_count].table = table;
    tables[table_count++].count = count;
    return true;
}

bool native_unregister(const char *module, struct native_symbol *table) {
    for (int i = 0; i < table_count; i++) {
        if (tables[i].table == table && strcmp(tables[i].module, module) == 0) {
            memmove(&tables[i], &tables[i + 1], (size_t)(--table_count - i) * sizeof tables[i]);
            return true;
        }
    }
    return false;
}

bool native_keep_destructor(void (*destructor)(void *, void *)) {
    bool is_first = at_end == NULL;
    at_end = destructor;
    return is_first;
}

int native_count(void) { return shows_runtime() ? WHOLE : SINGLE; }

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
    struct native_symbol *table = NULL;
    REQUIRE_EQ(fetch(&module, &table), native_count());
    CHECK_STR(module, "wasi_ephemeral_nn");
    REQUIRE(table != NULL);
    REQUIRE(native_register(module, table, (uint32_t)native_count()));
    /* The other module comes by the host's own function. */
    CHECK_EQ(table_count, shows_runtime() ? 2 : 1);
    for (int i = 0; i < table_count; i++) {
        bool is_legacy = strcmp(tables[i].module, "wasi_nn") == 0;
        for (uint32_t row = 0; row < tables[i].count; row++) {
            const struct native_symbol *found = &tables[i].table[row];
            CHECK_STR(found->symbol, shows_runtime() ? whole[row][0] : single[row][0]);
            CHECK_STR(found->signature, shows_runtime() ? whole[row][1 + is_legacy] : single[row][1]);
            CHECK(found->function != NULL);
        }
    }
    environment = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(environment != MAP_FAILED);
}

const struct native_symbol *native_find(const char *name) {
    struct native_symbol wanted = {.symbol = name};
    /* A host without a runtime to show has registered the one table, whatever its guests import. */
    const char *module = setting.is_legacy && shows_runtime() ? "wasi_nn" : "wasi_ephemeral_nn";
    const struct native_symbol *found = NULL;
    for (int i = table_count - 1; i >= 0 && found == NULL; i--) {
        if (strcmp(tables[i].module, module) != 0) { continue; }
        found = bsearch(&wanted, tables[i].table, tables[i].count, sizeof wanted, by_name);
    }
    REQUIRE(found != NULL);
    return found;
}

void native_function(const char *name, void *function) {
    memcpy(function, &native_find(name)->function, sizeof(void *));
}

void native_as(struct guest *guest) { caller = guest; }

void native_end(struct guest *guest) {
    if (caller == guest) { caller = NULL; }
    /* For instances that have nothing kept, too. */
    REQUIRE(at_end != NULL);
    at_end(guest, guest->kept);
    guest->kept = NULL;
}

static void *now_calling(void) {
    if (!shows_runtime()) { return environment; }
    REQUIRE(caller != NULL);
    return caller;
}

/* Calls the function called `name`, which takes the environment and one number. */
static uint32_t call(const char *name, uint32_t number) {
    uint32_t (*function)(void *, uint32_t);
    native_function(name, &function);
    return function(now_calling(), number);
}

uint32_t native_compute_single(uint32_t context) { return call("compute_single", context); }

uint32_t native_fini_single(uint32_t context) { return call("fini_single", context); }

uint32_t native_unload(uint32_t g) { return call("unload", g); }

uint32_t native_finalize(uint32_t context) { return call("finalize_execution_context", context); }

uint32_t native_get_output_single(uint32_t context, uint32_t index, void *out, uint32_t capacity, void *written) {
    uint32_t (*function)(void *, uint32_t, uint32_t, void *, uint32_t, void *);
    native_function("get_output_single", &function);
    return function(now_calling(), context, index, out, capacity, written);
}
