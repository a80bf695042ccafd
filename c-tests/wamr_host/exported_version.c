/* What a host that is linked to the runtime's shared library exports: its version. And what any host may export by
 * accident: names as common as those of the plugin, which the plugin must not call by mistake. */

#include <stdint.h>
#include <stdlib.h>

#include "setting.h"

void wasm_runtime_get_version(uint32_t *major, uint32_t *minor, uint32_t *patch);

void wasm_runtime_get_version(uint32_t *major, uint32_t *minor, uint32_t *patch) {
    *major = setting.version[0];
    *minor = setting.version[1];
    *patch = setting.version[2];
}

#define NOT_TO_BE_CALLED(name) \
    void name(void); \
    void name(void) { abort(); }

NOT_TO_BE_CALLED(init_backend)
NOT_TO_BE_CALLED(deinit_backend)
NOT_TO_BE_CALLED(load)
NOT_TO_BE_CALLED(load_by_name)
NOT_TO_BE_CALLED(load_by_name_with_config)
NOT_TO_BE_CALLED(init_execution_context)
NOT_TO_BE_CALLED(set_input)
NOT_TO_BE_CALLED(compute)
NOT_TO_BE_CALLED(get_output)
NOT_TO_BE_CALLED(get_native_lib)
