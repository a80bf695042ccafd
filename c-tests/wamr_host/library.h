/* The plugin as a host holds it: one handle and the nine functions that dlsym gave. Everything that lies in guest
 * memory is an untyped address here, because it is not aligned. */

#ifndef LIBRARY_H
#define LIBRARY_H

#include <stdint.h>

struct library {
    void *handle;
    uint32_t (*init_backend)(void **ctx);
    uint32_t (*deinit_backend)(void *ctx);
    uint32_t (*load)(void *ctx, void *builders, uint32_t encoding, uint32_t target, void *g);
    /* A host passes four arguments and leaves whatever it was in the fifth register, or passes a target and five. */
    uint32_t (*load_by_name)(void *ctx, const void *name, uint32_t length, uintptr_t fourth, uintptr_t fifth);
    uint32_t (*load_by_name_with_config)(void *ctx, const void *name, uint32_t length, const void *config,
                                         uint32_t config_length, void *g);
    uint32_t (*init_execution_context)(void *ctx, uint32_t g, void *context);
    uint32_t (*set_input)(void *ctx, uint32_t context, uint32_t index, void *tensor);
    uint32_t (*compute)(void *ctx, uint32_t context);
    uint32_t (*get_output)(void *ctx, uint32_t context, uint32_t index, void *out, void *size);
};

/* Filled by the first `library_open`. */
extern struct library library;

/* Opens the plugin as this host does: as a native library first where the setting says so, then by its bare name, with
 * the close and the second opening that a search among backends brings. Does nothing when it is open. Ends the program
 * if anything is missing. */
void library_open(void);

/* One opening by bare name: the handle, with `library` filled. NULL if it is not found. */
void *library_open_once(void);

/* Looks up one symbol; the bytes of its address go to `function`. */
void library_look_up(void *handle, const char *name, void *function);

#endif
