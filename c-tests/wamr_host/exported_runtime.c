/* What a host exports that ships its runtime as a shared library: whose call it is, where a guest's memory lies, what is
 * kept for an instance, and the registration of functions. An environment is the guest itself, and so is its instance. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest.h"
#include "native.h"

void *wasm_runtime_get_module_inst(void *environment);
bool wasm_runtime_get_native_addr_range(void *instance, uint8_t *at, uint8_t **start, uint8_t **end);
void *wasm_runtime_create_context_key(void (*destructor)(void *, void *));
void *wasm_runtime_get_context(void *instance, void *key);
void wasm_runtime_set_context_spread(void *instance, void *key, void *value);
bool wasm_runtime_register_natives(const char *module, struct native_symbol *table, uint32_t count);
bool wasm_runtime_unregister_natives(const char *module, struct native_symbol *table);

/* The only key that is ever made, which is no address. */
static void *const key_of_the_plugin = (void *)(uintptr_t)3;

void *wasm_runtime_get_module_inst(void *environment) { return environment; }

bool wasm_runtime_get_native_addr_range(void *instance, uint8_t *at, uint8_t **start, uint8_t **end) {
    struct guest *guest = instance;
    uint8_t *base = guest->memory.base;
    if (at < base || at >= base + memory_size()) { return false; }
    *start = base;
    *end = base + memory_size();
    return true;
}

void *wasm_runtime_create_context_key(void (*destructor)(void *, void *)) {
    REQUIRE(native_keep_destructor(destructor));
    return key_of_the_plugin;
}

void *wasm_runtime_get_context(void *instance, void *key) {
    REQUIRE(key == key_of_the_plugin);
    return ((struct guest *)instance)->kept;
}

void wasm_runtime_set_context_spread(void *instance, void *key, void *value) {
    REQUIRE(key == key_of_the_plugin);
    ((struct guest *)instance)->kept = value;
}

bool wasm_runtime_register_natives(const char *module, struct native_symbol *table, uint32_t count) {
    return native_register(module, table, count);
}

bool wasm_runtime_unregister_natives(const char *module, struct native_symbol *table) {
    return native_unregister(module, table);
}
