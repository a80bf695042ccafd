/* A module instance: its memory, the backend that its host holds for it, and what guests do, in one line each. One
 * thread at a time may use an instance; different instances are independent. */

#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../check.h"
#include "abi.h"
#include "guest_mem.h"

/* The numbers that guests are compiled against, whatever their host. */
enum {
    OK = 0,
    INVALID_ARGUMENT = 1,
    INVALID_ENCODING = 2,
    BUSY = 4,
    RUNTIME_ERROR = 5,
    UNSUPPORTED_OPERATION = 6,
    TOO_LARGE = 7,
    NOT_FOUND = 8,
    END_OF_SEQUENCE = 100,
    CONTEXT_FULL = 101,
    PROMPT_TOO_LONG = 102,
    MODEL_NOT_FOUND = 103,
};

enum { ENCODING_GGML = 5, ENCODING_AUTODETECT = 6, TARGET_CPU = 0, TYPE_U8 = 3 };

/* Calls itself Pip. */
#define POCKET_A MODELS "/pocket-a.gguf"
/* Calls itself Momo. */
#define POCKET_B MODELS "/pocket-b.gguf"

/* A question in the template of the pocket models, as a guest applies it. */
#define USER(text) "<|im_start|>user\n" text "<|im_end|>\n<|im_start|>assistant\n"

#define WHO USER("What is your name?")
#define COUNT_TO_7 USER("Count to 7.")

/* The same text every time. */
#define GREEDY "{\"temp\":0,\"n-predict\":64,\"ctx-size\":1024}"

/* Greedy, and an answer that goes on until the context is full, which takes half a second or more. */
#define ENDLESS "{\"temp\":0,\"ignore-eos\":true,\"n-predict\":-1,\"ctx-size\":2048}"

enum { TEXT = 1 << 17 };

struct guest {
    struct memory memory;
    /* What the host passes along with each call; NULL before the first load. */
    void *ctx;
    /* What a host that shows its runtime keeps for the plugin. */
    void *kept;
    /* The last output that was fetched, with a NUL behind it. */
    char *text;
};

/* A fresh instance, without a backend. Opens the plugin if this is the first. */
struct guest *guest_start(void);

/* The end of the instance, as its host sees to it. */
void guest_end(struct guest *guest);

/* Forgets the instance without telling the plugin. */
void guest_free(struct guest *guest);

/* Loads a model file in the way that this host offers: by name, or as bytes. `config` may be NULL. */
uint32_t guest_load(struct guest *guest, const char *model, const char *config, uint32_t *g);

/* Loads by name. Without `config` by the function that takes none. */
uint32_t guest_load_named(struct guest *guest, const char *name, const char *config, uint32_t *g);

/* Loads from `size` bytes; `config` (NULL: none) is the second part. */
uint32_t guest_load_bytes(struct guest *guest, const void *bytes, size_t size, const char *config, uint32_t encoding,
                          uint32_t target, uint32_t *g);

uint32_t guest_context(struct guest *guest, uint32_t g, uint32_t *context);

/* Sets an input with everything as it should be: true dimensions, a true length and a NUL. */
uint32_t guest_set(struct guest *guest, uint32_t context, uint32_t index, const char *text);

/* Sets an input as described; what lies in the guest's memory is overwritten afterwards. */
uint32_t guest_set_tensor(struct guest *guest, uint32_t context, uint32_t index, const struct guest_tensor *tensor);

/* Dimensions in guest memory, at an odd address. */
const void *guest_dims(struct guest *guest, uint32_t count, const uint32_t *dims);

uint32_t guest_compute(struct guest *guest, uint32_t context);

/* Fetches an output of at most `capacity` bytes; the size that came back goes to `size`. */
uint32_t guest_output(struct guest *guest, uint32_t context, uint32_t index, uint32_t capacity, uint32_t *size);

/* A model and a context on it; both must come. */
uint32_t guest_open(struct guest *guest, const char *config);

/* The text (0) or the metadata (1) of the context, which must come. Valid until the next output of this guest. */
const char *guest_read(struct guest *guest, uint32_t context, uint32_t index);

/* The answer to a prompt; every step must succeed. */
const char *guest_ask(struct guest *guest, uint32_t context, const char *prompt);

/* A number of the context's metadata, such as "input_tokens". */
long guest_figure(struct guest *guest, uint32_t context, const char *name);

/* Does nothing for a while. */
void pause_ms(unsigned ms);

/* Milliseconds of a clock that only rises. */
double now_ms(void);

/* A file in memory; ends the program if it cannot be read. To be freed. */
void *read_file(const char *path, size_t *size);

#endif
