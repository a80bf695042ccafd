/* The plugin as a native library: a host registers the table of functions that it offers to guests and calls through
 * the pointers in it. */

#ifndef NATIVE_H
#define NATIVE_H

#include <stdbool.h>
#include <stdint.h>

/* One row of the table as the host declares it. */
struct native_symbol {
    const char *symbol;
    void *function;
    const char *signature;
    void *attachment;
};

/* Opens the plugin by path with global scope, fetches its table, checks it and sorts it in place. */
void native_open(void);

/* The row called `name`, found as the host does in the sorted table. Ends the program if there is none. */
const struct native_symbol *native_find(const char *name);

/* The calls of a guest. The environment that goes with them points at memory that cannot be touched. */
uint32_t native_compute_single(uint32_t context);
uint32_t native_get_output_single(uint32_t context, uint32_t index, void *out, uint32_t capacity, void *written);
uint32_t native_fini_single(uint32_t context);
uint32_t native_unload(uint32_t g);
uint32_t native_finalize(uint32_t context);

#endif
