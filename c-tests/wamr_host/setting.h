/* Which host this process plays, as told on the command line. Set once by main, read by all. */

#ifndef SETTING_H
#define SETTING_H

#include <stdbool.h>
#include <stdint.h>

enum abi_kind { ABI_A, ABI_B };

/* By what the plugin can tell its host before the first output is fetched. */
enum evidence {
    /* Nothing: neither symbol nor environment. */
    EVIDENCE_NONE,
    /* The process exports wasm_runtime_get_version. */
    EVIDENCE_VERSION,
    /* WASI_NN_LLAMACPP_ABI. */
    EVIDENCE_ENV,
    /* The process exports get_wasi_nn_export_apis. */
    EVIDENCE_TABLE,
    /* The process exports the version and the runtime behind it. */
    EVIDENCE_RUNTIME,
};

struct setting {
    enum abi_kind abi;
    /* The shape in which outputs are fetched; differs from `abi` in one development snapshot of the field. */
    enum abi_kind output_abi;
    /* The build for guests of module `wasi_nn`. */
    bool is_legacy;
    /* The plugin is opened as a native library first. */
    bool is_native;
    enum evidence evidence;
    /* What an exported wasm_runtime_get_version says. */
    uint32_t version[3];
};

extern struct setting setting;

/* True if the plugin answers all functions of wasi-nn itself. */
static inline bool shows_runtime(void) { return setting.is_native && setting.evidence == EVIDENCE_RUNTIME; }

/* True if guests of this host can load by name: the legacy build of ABI A knows bytes only. */
static inline bool loads_by_name(void) { return setting.abi == ABI_B || !setting.is_legacy; }

#endif
