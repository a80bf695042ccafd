/* A host of the years before the header: it knows the library as a file name and declares types and functions itself,
 * as the programs in the field do. Nothing here may come from the headers under test. */

#ifndef OLD_HOST_H
#define OLD_HOST_H

#include <stdint.h>

#include "check.h"

enum { OLD_OK = 0, OLD_INVALID_ARGUMENT = 1, OLD_RUNTIME_ERROR = 4 };

typedef struct {
    uint32_t *buf;
    uint32_t size;
} old_dimensions;

typedef struct {
    old_dimensions *dimensions;
    uint32_t type;
    uint8_t *data;
} old_tensor;

/* Both generations by one name: which of them is in a variable's type is up to the program. */
typedef uint32_t (*run_of_6)(void *, uint32_t, uint32_t, old_tensor *, uint8_t *, uint32_t *);
typedef uint32_t (*run_of_8)(void *, uint32_t, uint32_t, old_tensor *, uint8_t *, uint32_t *, const char *, uint32_t);

/* The same function with the whole of the eighth argument's slot in sight: its upper half is undefined in a call of the
 * second generation, and both slots are leftovers in one of the first. */
typedef uint32_t (*run_of_slots)(void *, uint32_t, uint32_t, old_tensor *, uint8_t *, uint32_t *, uintptr_t, uint64_t);

struct old_library {
    void *handle;
    uint32_t (*init_backend)(void **);
    uint32_t (*init_backend_with_config)(void **, const char *, uint32_t);
    uint32_t (*deinit_backend)(void *);
    uint32_t (*load_by_name)(void *, const char *, uint32_t, uint32_t *);
    uint32_t (*load_by_name_with_config)(void *, const char *, uint32_t, const char *, uint32_t, uint32_t *);
    uint32_t (*init_execution_context)(void *, uint32_t, uint32_t *);
    uint32_t (*init_execution_context_with_session_id)(void *, const char *, uint32_t *);
    uint32_t (*close_execution_context)(void *, uint32_t);
    uint32_t (*set_input)(void *, uint32_t, uint32_t, old_tensor *);
    uint32_t (*compute)(void *, uint32_t);
    uint32_t (*get_output)(void *, uint32_t, uint32_t, uint8_t *, uint32_t *);
    void *run_inference;
};

/* Opens the library with lazy binding and looks up every function; one look at dlerror at the end, as hosts do. Ends
 * the program if anything is missing. */
struct old_library old_open(const char *path);

#endif
