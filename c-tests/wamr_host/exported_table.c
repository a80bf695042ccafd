/* What a host exports that has the runtime in itself: the table of functions that it offers to guests, from which the
 * kind of guests can be told. */

#include <stdint.h>
#include <stdlib.h>

#include "native.h"
#include "setting.h"

uint32_t get_wasi_nn_export_apis(struct native_symbol **table);

/* The host's own functions; nobody but a guest may call them. */
static void of_the_host(void) { abort(); }

#define ROW(name, signature) {name, (void *)(uintptr_t)of_the_host, signature, NULL}

static struct native_symbol ephemeral[] = {
    ROW("load", "(*iii*)i"),
    ROW("load_by_name", "(*i*)i"),
    ROW("load_by_name_with_config", "(*i*i*)i"),
    ROW("init_execution_context", "(i*)i"),
    ROW("set_input", "(ii*)i"),
    ROW("compute", "(i)i"),
    ROW("get_output", "(ii*i*)i"),
};

/* That of ABI B; A's has the rows from the third on. */
static struct native_symbol legacy[] = {
    ROW("load_by_name", "(*i*)i"),
    ROW("load_by_name_with_config", "(*i*i*)i"),
    ROW("load", "(*ii*)i"),
    ROW("init_execution_context", "(i*)i"),
    ROW("set_input", "(ii*)i"),
    ROW("compute", "(i)i"),
    ROW("get_output", "(ii**)i"),
};

uint32_t get_wasi_nn_export_apis(struct native_symbol **table) {
    uint32_t count = sizeof legacy / sizeof *legacy;
    if (!setting.is_legacy) {
        *table = ephemeral;
        return sizeof ephemeral / sizeof *ephemeral;
    }
    *table = setting.abi == ABI_B ? legacy : legacy + 2;
    return setting.abi == ABI_B ? count : count - 2;
}
