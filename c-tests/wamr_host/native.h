/* The plugin as a native library: a host registers the tables of functions that it offers to guests and calls through
 * the pointers in them. Of a host that shows its runtime that is all functions of wasi-nn, of others those of streaming
 * alone. */

#ifndef NATIVE_H
#define NATIVE_H

#include <stdbool.h>
#include <stdint.h>

struct guest;

/* One row of a table as the host declares it. */
struct native_symbol {
    const char *symbol;
    void *function;
    const char *signature;
    void *attachment;
};

/* Opens the plugin by path with global scope, fetches its table, checks it and sorts it in place. */
void native_open(void);

/* Rows of the table that the plugin gives this host. */
int native_count(void);

/* The row called `name` of the module that guests of this host import, found as the host does: last registered, first
 * searched. Ends the program if there is none. */
const struct native_symbol *native_find(const char *name);

/* The bytes of the address of the function called `name` go to `function`. */
void native_function(const char *name, void *function);

/* What a host does: puts a table before the others; takes it away. */
bool native_register(const char *module, struct native_symbol *table, uint32_t count);
bool native_unregister(const char *module, struct native_symbol *table);

/* What is to be called at the end of an instance; false if there is something already. */
bool native_keep_destructor(void (*destructor)(void *, void *));

/* The calls of this thread come from `guest` from now on. */
void native_as(struct guest *guest);

/* The end of an instance, as a host sees to it that shows its runtime. */
void native_end(struct guest *guest);

/* The calls of a guest, of the one that this thread is. Without a runtime the environment that goes with them points at
 * memory that cannot be touched. */
uint32_t native_compute_single(uint32_t context);
uint32_t native_get_output_single(uint32_t context, uint32_t index, void *out, uint32_t capacity, void *written);
uint32_t native_fini_single(uint32_t context);
uint32_t native_unload(uint32_t g);
uint32_t native_finalize(uint32_t context);

/* The calls that hosts answer themselves elsewhere. Addresses are in the guest's memory. */
uint32_t native_load_named(struct guest *guest, const void *name, uint32_t length, const void *config,
                           uint32_t config_length, void *g);
uint32_t native_load_bytes(struct guest *guest, const void *bytes, uint32_t size, const void *config,
                           uint32_t config_size, uint32_t encoding, uint32_t target, void *g);
uint32_t native_context(struct guest *guest, uint32_t g, void *context);
uint32_t native_compute(struct guest *guest, uint32_t context);

#endif
