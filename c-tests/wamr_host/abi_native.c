/* Hosts that show the plugin their runtime: guests call its functions by the tables that it registers, and the plugin
 * reads what they have written in their own memory. The same for every version of the host. */

#include <string.h>

#include "../check.h"
#include "abi.h"
#include "guest.h"
#include "guest_mem.h"
#include "native.h"
#include "setting.h"

/* The offset of an address in the guest's memory, as the guest knows it. */
static uint32_t offset(struct guest *guest, const void *at) {
    return (uint32_t)((const uint8_t *)at - guest->memory.base);
}

/* Numbers one after the other, at an odd address. */
static void *words(struct guest *guest, uint32_t count, const uint32_t *numbers) {
    return memory_put(&guest->memory, numbers, count * sizeof *numbers);
}

static void prepare(struct guest *guest) { native_as(guest); }

static uint32_t set_input(struct guest *guest, uint32_t context, uint32_t index, const struct guest_tensor *tensor) {
    uint32_t (*function)(void *, uint32_t, uint32_t, void *);
    uint32_t dims = offset(guest, tensor->dims), data = offset(guest, tensor->data);
    /* One byte is the type; what lies beside it is the guest's padding. */
    uint32_t type = tensor->type | 0xA5C3E100u;
    void *record;
    if (setting.is_legacy) {
        void *dimensions = words(guest, 2, (uint32_t[]){dims, tensor->n_dims});
        record = words(guest, 3, (uint32_t[]){offset(guest, dimensions), type, data});
    } else {
        record = words(guest, 5, (uint32_t[]){dims, tensor->n_dims, type, data, tensor->size});
    }
    native_function("set_input", &function);
    return function(guest, context, index, record);
}

static uint32_t get_output(struct guest *guest, uint32_t context, uint32_t index, void *buffer, uint32_t capacity,
                           void *size_at) {
    if (setting.is_legacy) {
        uint32_t (*function)(void *, uint32_t, uint32_t, void *, void *);
        native_function("get_output", &function);
        poke(size_at, capacity);
        return function(guest, context, index, buffer, size_at);
    }
    uint32_t (*function)(void *, uint32_t, uint32_t, void *, uint32_t, void *);
    native_function("get_output", &function);
    poke(size_at, capacity % 2 == 0 ? 0 : 0xDEADBEEF);
    return function(guest, context, index, buffer, capacity, size_at);
}

static void finish(struct guest *guest) { native_end(guest); }

const struct abi abi_native = {prepare, set_input, get_output, finish};

uint32_t native_load_named(struct guest *guest, const void *name, uint32_t length, const void *config,
                           uint32_t config_length, void *g) {
    if (config == NULL) {
        uint32_t (*function)(void *, const void *, uint32_t, void *);
        native_function("load_by_name", &function);
        return function(guest, name, length, g);
    }
    uint32_t (*function)(void *, const void *, uint32_t, const void *, uint32_t, void *);
    native_function("load_by_name_with_config", &function);
    return function(guest, name, length, config, config_length, g);
}

uint32_t native_load_bytes(struct guest *guest, const void *bytes, uint32_t size, const void *config,
                           uint32_t config_size, uint32_t encoding, uint32_t target, void *g) {
    uint32_t count = config != NULL ? 2 : 1;
    uint32_t parts[] = {offset(guest, bytes), size, config != NULL ? offset(guest, config) : 0, config_size};
    void *first = words(guest, 2 * count, parts);
    if (setting.is_legacy) {
        uint32_t (*function)(void *, void *, uint32_t, uint32_t, void *);
        native_function("load", &function);
        return function(guest, words(guest, 2, (uint32_t[]){offset(guest, first), count}), encoding, target, g);
    }
    uint32_t (*function)(void *, void *, uint32_t, uint32_t, uint32_t, void *);
    native_function("load", &function);
    return function(guest, first, count, encoding, target, g);
}

uint32_t native_context(struct guest *guest, uint32_t g, void *context) {
    uint32_t (*function)(void *, uint32_t, void *);
    native_function("init_execution_context", &function);
    return function(guest, g, context);
}

uint32_t native_compute(struct guest *guest, uint32_t context) {
    uint32_t (*function)(void *, uint32_t);
    native_function("compute", &function);
    return function(guest, context);
}
