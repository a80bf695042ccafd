/* What differs between hosts: when a backend is opened and closed, and how a tensor and an output buffer look when they
 * reach the plugin. One table of functions for each ABI; cases know guests only. */

#ifndef ABI_H
#define ABI_H

#include <stdint.h>

/* A tensor as a guest describes it. Addresses are in guest memory and not aligned. */
struct guest_tensor {
    const void *dims;
    uint32_t n_dims;
    uint8_t type;
    const void *data;
    /* As the guest declares it; hosts of ABI A have no place for it, and legacy guests do not send it. */
    uint32_t size;
};

struct guest;

struct abi {
    /* Sees to a backend before a load. */
    void (*prepare)(struct guest *guest);
    uint32_t (*set_input)(struct guest *guest, uint32_t context, uint32_t index, const struct guest_tensor *tensor);
    /* Fetches an output into the guest's `buffer`; a guest reads the size at `size_at`, in guest memory, afterwards. */
    uint32_t (*get_output)(struct guest *guest, uint32_t context, uint32_t index, void *buffer, uint32_t capacity,
                           void *size_at);
    /* The end of the instance. */
    void (*finish)(struct guest *guest);
};

extern const struct abi abi_a, abi_b, abi_native;

/* The table for inputs of this host, and that for its outputs. */
const struct abi *host_inputs(void);
const struct abi *host_outputs(void);

#endif
