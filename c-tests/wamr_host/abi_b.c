/* Hosts since 2.4.0: one backend for an instance, tensors with a length, output buffers as a structure on the host's
 * stack. */

#include <stddef.h>
#include <string.h>

#include "../check.h"
#include "abi.h"
#include "guest.h"
#include "guest_mem.h"
#include "library.h"
#include "setting.h"

struct dimensions {
    uint32_t *buf;
    uint32_t size;
};

struct data {
    uint8_t *buf;
    uint32_t size;
};

struct tensor {
    struct dimensions *dimensions;
    uint8_t type;
    uint8_t padding[3];
    struct data data;
};

_Static_assert(sizeof(struct data) == 16, "layout of tensor_data");
_Static_assert(sizeof(struct tensor) == 32, "layout of tensor");
_Static_assert(offsetof(struct tensor, data.buf) == 16 && offsetof(struct tensor, data.size) == 24, "layout of tensor");

static void prepare(struct guest *guest) {
    if (guest->ctx != NULL) { return; }
    CHECK_EQ(library.init_backend(&guest->ctx), OK);
    CHECK(guest->ctx != NULL);
}

/* A legacy guest sends no length: the host counts the elements that the dimensions make. */
static uint32_t elements(const struct guest_tensor *tensor) {
    uint32_t count = 1;
    for (uint32_t i = 0; i < tensor->n_dims; i++) { count *= peek((const uint8_t *)tensor->dims + 4 * (size_t)i); }
    return count;
}

static uint32_t set_input(struct guest *guest, uint32_t context, uint32_t index, const struct guest_tensor *tensor) {
    struct dimensions dimensions = {.buf = (void *)(uintptr_t)tensor->dims, .size = tensor->n_dims};
    struct tensor input = {
        .dimensions = &dimensions,
        .type = tensor->type,
        .padding = {0xA5, 0xC3, 0xE1},
        .data = {.buf = (void *)(uintptr_t)tensor->data, .size = setting.is_legacy ? elements(tensor) : tensor->size},
    };
    return library.set_input(guest->ctx, context, index, &input);
}

static uint32_t get_output(struct guest *guest, uint32_t context, uint32_t index, void *buffer, uint32_t capacity,
                           void *size_at) {
    struct data out;
    memset(&out, 0xCC, sizeof out);
    out.buf = buffer;
    out.size = capacity;
    /* What an ephemeral guest has at the place of the count is not for the plugin to read. */
    poke(size_at, setting.is_legacy ? capacity : capacity % 2 == 0 ? 0 : 0xDEADBEEF);
    return library.get_output(guest->ctx, context, index, &out, size_at);
}

static void finish(struct guest *guest) {
    if (guest->ctx != NULL) { CHECK_EQ(library.deinit_backend(guest->ctx), OK); }
    guest->ctx = NULL;
}

const struct abi abi_b = {prepare, set_input, get_output, finish};
