/* wasi-nn as a guest sees it: the functions of the module wasi_ephemeral_nn, with those that generate text.
 *
 * Every function answers 0 or an error number. Text that goes in is a pointer and a length; a NUL stands behind it all
 * the same, and 16 bytes are readable where the dimensions are, since hosts up to 2.4 look.
 */
#ifndef GUEST_WASI_NN_H
#define GUEST_WASI_NN_H

#include <stdint.h>

_Static_assert(sizeof(void *) == 4, "a guest has 32-bit pointers: clang --target=wasm32");

enum {
    NN_SUCCESS = 0,
    NN_TOO_LARGE = 7,
    NN_END_OF_SEQUENCE = 100,
    NN_CONTEXT_FULL = 101,
};

/* Indexes of set_input and get_output: the prompt goes in and the text comes out at 0, JSON at 1. */
enum { NN_TEXT = 0, NN_METADATA = 1 };

enum { NN_TYPE_U8 = 3 };

/* 20 bytes. */
struct nn_tensor {
    const uint32_t *dimensions;
    uint32_t dimension_count;
    uint8_t type;
    const char *data;
    uint32_t data_size;
};

_Static_assert(sizeof(struct nn_tensor) == 20, "the layout that hosts read");

#define NN(name) __attribute__((import_module("wasi_ephemeral_nn"), import_name(#name))) uint32_t nn_##name

/* A host's own. */
NN(load_by_name)(const char *name, uint32_t name_size, uint32_t *graph);
NN(load_by_name_with_config)(const char *name, uint32_t name_size, const char *config, uint32_t config_size,
                             uint32_t *graph);
NN(init_execution_context)(uint32_t graph, uint32_t *context);
NN(set_input)(uint32_t context, uint32_t index, const struct nn_tensor *tensor);
NN(compute)(uint32_t context);
NN(get_output)(uint32_t context, uint32_t index, char *out, uint32_t capacity, uint32_t *size);

/* The plugin's, through --native-lib. A host without it traps at the first call. */
NN(compute_single)(uint32_t context);
NN(get_output_single)(uint32_t context, uint32_t index, char *out, uint32_t capacity, uint32_t *size);
NN(fini_single)(uint32_t context);
NN(finalize_execution_context)(uint32_t context);
NN(unload)(uint32_t graph);

#undef NN

#endif
