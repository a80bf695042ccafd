/* What every native host does, in one line each: open a backend with a pocket model, hold a conversation, read the
 * figures of a turn. Uses the library through its public headers only. */

#ifndef HOST_H
#define HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check.h"
#include "json.h"
#include "wasi_nn_llama.h"
#include "wasi_nn_llama_ext.h"

/* The return codes as numbers, independent of the header that is under test. */
#define OK 0u
#define INVALID_ARGUMENT 1u
#define INVALID_ENCODING 2u
#define TIMEOUT 3u
#define RUNTIME_ERROR 4u
#define UNSUPPORTED_OPERATION 5u
#define TOO_LARGE 6u
#define CONTEXT_FULL 101u
#define PROMPT_TOO_LONG 102u

#define U8 4u
#define GGML 5u
#define AUTODETECT 6u
#define CPU 0u
#define GPU 1u
#define TPU 2u

/* Calls itself Pip. */
#define POCKET_A MODELS "/pocket-a.gguf"
/* Calls itself Momo. */
#define POCKET_B MODELS "/pocket-b.gguf"

/* Greedy, so that the same conversation always gives the same text; without the penalty on repeated tokens, since to
 * recall is to repeat. */
#define GREEDY_SAMPLING "\"sampling\":{\"temp\":0,\"repeat_penalty\":1}"
#define GREEDY \
    "{\"model\":{\"n_predict\":64,\"ctx_size\":1024}," GREEDY_SAMPLING ",\"logging\":{\"level\":\"warn\"}}"

/* Greedy, and an answer that goes on until something stops it. */
#define ENDLESS \
    "{\"model\":{\"n_predict\":-1,\"ctx_size\":2048}," GREEDY_SAMPLING ",\"stopping\":{\"ignore_eos\":true}," \
    "\"logging\":{\"level\":\"warn\"}}"

enum { TEXT = 8192 };

/* A backend with `config` (NULL: defaults) and no model. Ends the program if there is none. */
void *open_backend(const char *config);

/* A backend that has loaded `model` with `config`. Ends the program if it cannot. */
void *open_with_model(const char *model, const char *config);

/* Loads `model` (a path) with `config` (NULL: none); the code of the load. */
uint32_t load_model(void *backend, const char *model, const char *config);

/* A fresh anonymous context. Ends the program if there is none. */
uint32_t open_context(void *backend);

/* A context on the session called `name`. Ends the program if there is none. */
uint32_t open_named(void *backend, const char *name);

/* A tensor over a text that ends by its NUL, without dimensions. */
tensor text_tensor(const char *text);

/* One turn; the code of `run_inference`. `answer` takes `TEXT` bytes. `runtime` may be NULL. */
uint32_t turn(void *backend, uint32_t context, const char *text, const char *runtime, char *answer);

/* One turn that must succeed: the answer, in `answer` of `TEXT` bytes. */
const char *say(void *backend, uint32_t context, const char *text, char *answer);

/* The metadata JSON of the context's last turn, in `buffer` of `TEXT` bytes; must succeed. */
const char *metadata(void *backend, uint32_t context, char *buffer);

/* A number of the metadata of the context's last turn, such as "prompt_tokens". */
long figure(void *backend, uint32_t context, const char *name);

/* The text of the last failure, in `buffer` of `TEXT` bytes. */
const char *last_error(void *backend, char *buffer);

/* The status of one type, in a buffer that lives until the next call of the same thread; must succeed. */
const char *status(void *backend, uint32_t type);

/* Closes a backend, which must succeed. */
void close_backend(void *backend);

/* Waits. */
void sleep_ms(unsigned ms);

/* Milliseconds of a clock that only rises. */
double now_ms(void);

/* True if the `length` bytes are whole UTF-8 characters. */
bool is_utf8(const char *text, size_t length);

/* An address in a page that cannot be read, with `before` readable bytes right in front of it. */
char *protected_end(size_t before);

#endif
