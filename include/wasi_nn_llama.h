/*
 * The wasi-nn interface for native hosts: a GGUF model is loaded and holds conversations.
 *
 *     void *ctx;
 *     graph g;
 *     graph_execution_context context;
 *     char answer[8192];
 *     uint32_t size = sizeof answer;
 *     tensor prompt = { .type = u8, .data = (uint8_t *)"Hello" };
 *
 *     init_backend(&ctx);
 *     load_by_name(ctx, "model.gguf", 0, &g);
 *     init_execution_context(ctx, g, &context);
 *     run_inference(ctx, context, 0, &prompt, (uint8_t *)answer, &size, NULL, 0);
 *     deinit_backend(ctx);
 *
 * Every function answers a wasi_nn_error, and wasi_nn_get_last_error in wasi_nn_llama_ext.h tells why it failed. A bad
 * pointer or a handle that is not alive is an error. The library keeps no pointer of its caller beyond a call and hands
 * out no memory to be freed. The interface is frozen: nothing in it is ever changed or removed.
 *
 * Generated from the sources of the library.
 */

#ifndef WASI_NN_LLAMA_H
#define WASI_NN_LLAMA_H

#include <stdint.h>
#if defined(__GNUC__)
#define WASI_NN_API __attribute__((visibility("default")))
#else
#define WASI_NN_API
#endif

/**
 * Type of a tensor's elements. A hint only: data is always text, and every number is accepted.
 */
typedef enum {
    fp16 = 0,
    fp32 = 1,
    fp64 = 2,
    bf16 = 3,
    u8 = 4,
    i32 = 5,
    i64 = 6
} tensor_type;

/**
 * Format of a model. This library reads ggml; autodetect means the same.
 */
typedef enum {
    openvino = 0,
    onnx = 1,
    tensorflow = 2,
    pytorch = 3,
    tensorflowlite = 4,
    ggml = 5,
    autodetect = 6,
    unknown_backend = 7
} graph_encoding;

/**
 * Device for a model.
 */
typedef enum {
    cpu = 0,
    gpu = 1,
    tpu = 2
} execution_target;

/**
 * Subject of a status report.
 */
typedef enum {
    BACKEND_STATUS_QUEUE = 0,
    BACKEND_STATUS_MEMORY = 1,
    BACKEND_STATUS_SESSIONS = 2,
    BACKEND_STATUS_PERFORMANCE = 3,
    BACKEND_STATUS_MODEL = 4
} backend_status_type;

/**
 * Number of this interface. It grows when a function is added to this header; none is ever changed or removed.
 */
#define WASI_NN_LLAMA_ABI 1

/**
 * What a function answers. Numbers are frozen.
 */
typedef enum {
    /**
     * The call did what its name says.
     */
    success = 0,
    /**
     * A pointer, handle, number or length cannot be used.
     */
    invalid_argument = 1,
    /**
     * Not a model in a format that the engine reads.
     */
    invalid_encoding = 2,
    /**
     * A time limit passed.
     */
    timeout = 3,
    /**
     * The call was understood and failed; the reason is in the last error.
     */
    runtime_error = 4,
    /**
     * The engine has no such function.
     */
    unsupported_operation = 5,
    /**
     * A text is over its limit, or a buffer is too small.
     */
    too_large = 6,
    /**
     * Not used.
     */
    not_found = 7,
    /**
     * Not used.
     */
    security = 8,
    /**
     * Not used.
     */
    unknown = 9,
    /**
     * Not used: the end of an answer is no error.
     */
    end_of_sequence = 100,
    /**
     * Conversation and prompt do not fit, and dropping old turns is off.
     */
    context_full = 101,
    /**
     * The prompt does not fit, whatever is dropped.
     */
    prompt_tool_long = 102,
    /**
     * Not used: a missing model file is runtime_error.
     */
    model_not_found = 103,
} wasi_nn_error;

/**
 * Part of a model in memory.
 */
typedef struct {
    /**
     * The bytes.
     */
    uint8_t *buf;
    /**
     * Count of bytes.
     */
    uint32_t size;
} graph_builder;

/**
 * A model in memory: the first part is the GGUF file, the second, if there is one, its configuration as JSON.
 */
typedef struct {
    /**
     * The parts.
     */
    graph_builder *buf;
    /**
     * Count of parts, 1 or 2.
     */
    uint32_t size;
} graph_builder_array;

/**
 * A loaded model: a number that is never 0 and never used again.
 */
typedef uint32_t graph;

/**
 * A conversation with a model: a number that is never 0 and never used again.
 */
typedef uint32_t graph_execution_context;

/**
 * Shape of a tensor.
 */
typedef struct {
    /**
     * One number for each dimension; may be NULL.
     */
    uint32_t *buf;
    /**
     * Count of numbers.
     */
    uint32_t size;
} tensor_dimensions;

/**
 * Bytes of a tensor or of an output buffer.
 */
typedef uint8_t *tensor_data;

/**
 * Text for the model.
 *
 * If the product of the dimensions is above 1 it is the length of the text in bytes, otherwise (also with dimensions
 * NULL, without any, or [1]) the text ends at its NUL. A NUL always ends it. At most 4 MiB. UTF-8; bytes that are not
 * UTF-8 are read as Latin-1.
 */
typedef struct {
    /**
     * Shape; may be NULL.
     */
    tensor_dimensions *dimensions;
    /**
     * Only a hint; every number is accepted.
     */
    tensor_type type;
    /**
     * The text.
     */
    tensor_data data;
} tensor;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Creates a backend with the default configuration.
 *
 * ctx: receives the handle, or NULL on failure. It is a number, not an address: never look behind it.
 *
 * Answers: invalid_argument if ctx is NULL or cannot be written.
 *
 * Threads: every function of this library may be called from any thread at any time. No thread is started before the
 * first model is loaded. Destroy the backend with deinit_backend.
 */
WASI_NN_API
wasi_nn_error init_backend(void **ctx);

/**
 * Creates a backend.
 *
 * ctx: receives the handle, or NULL on failure.
 *
 * config, config_len: JSON text, with or without its NUL counted. NULL, length 0 and text that is not JSON mean the
 * default configuration. The text is copied.
 *
 * Answers: invalid_argument if ctx is NULL or cannot be written, if config cannot be read, or if the configuration says
 * "strict": true and has an unknown key or a value out of range.
 */
WASI_NN_API
wasi_nn_error init_backend_with_config(void **ctx,
                                       const char *config,
                                       uint32_t config_len);

/**
 * Destroys a backend with its models, contexts and sessions.
 *
 * Running turns are cancelled and their calls answer runtime_error; this call returns when all of them have left. The
 * handle is dead from the start of the call on. A backend that is never destroyed does not disturb the end of the
 * process.
 *
 * Answers: invalid_argument if ctx is NULL, unknown or destroyed already, or from a callback of this backend.
 */
WASI_NN_API
wasi_nn_error deinit_backend(void *ctx);

/**
 * Loads a model from memory.
 *
 * builder: one part with the bytes of a GGUF file, and perhaps a second one with a configuration as JSON. They may be
 * freed afterwards and must not change meanwhile.
 *
 * encoding: ggml or autodetect. target: cpu or gpu, a hint for the default of n_gpu_layers.
 *
 * g: receives the number of the model, if not NULL. Written on success only.
 *
 * A model that is loaded already is replaced when the new one stands: running turns end on the old one, open contexts
 * keep their conversation and go on with the new one. If the load fails, the old one goes on serving.
 *
 * Answers: invalid_argument for a bad ctx, builder or first part; invalid_encoding for another format;
 * unsupported_operation for another target; runtime_error if the engine cannot load the bytes.
 */
WASI_NN_API
wasi_nn_error load(void *ctx,
                   graph_builder_array *builder,
                   graph_encoding encoding,
                   execution_target target,
                   graph *g);

/**
 * Loads a model from a file, with the settings of the load before or, at the first load, of the backend.
 *
 * filename: path of a GGUF file, up to its first NUL or filename_len bytes; filename_len 0 means that a NUL ends it. A
 * relative path starts at the current directory.
 *
 * g: receives the number of the model, if not NULL. Written on success only.
 *
 * A model that is loaded already is replaced as load does it.
 *
 * Answers: invalid_argument for a bad ctx, or a filename that is NULL, empty or longer than 4096 bytes; runtime_error if
 * the file is missing, unreadable or no model, or memory is short.
 */
WASI_NN_API
wasi_nn_error load_by_name(void *ctx,
                           const char *filename,
                           uint32_t filename_len,
                           graph *g);

/**
 * Loads a model from a file with a configuration, which replaces that of an earlier load as a whole.
 *
 * config, config_len: JSON text as for init_backend_with_config. NULL or length 0 keep the settings as load_by_name
 * does.
 *
 * Answers: as load_by_name; invalid_argument also for a config that cannot be read, for a grammar, schema or stop
 * pattern in it that does not compile, and, if the backend is strict, for an unknown key or a value out of range.
 */
WASI_NN_API
wasi_nn_error load_by_name_with_config(void *ctx,
                                       const char *filename,
                                       uint32_t filename_len,
                                       const char *config,
                                       uint32_t config_len,
                                       graph *g);

/**
 * Opens a context with an empty conversation of its own.
 *
 * g: a model of this backend; any other number means the model that is loaded now.
 *
 * exec_ctx: receives the number of the context. Written on success only. The conversation ends with
 * close_execution_context.
 *
 * Answers: invalid_argument for a bad ctx, exec_ctx NULL or no model; runtime_error if max_concurrent such contexts are
 * open and none may be reclaimed.
 */
WASI_NN_API
wasi_nn_error init_execution_context(void *ctx,
                                     graph g,
                                     graph_execution_context *exec_ctx);

/**
 * Opens a context on the conversation with a name, which outlives the context.
 *
 * session_id: the name, 1 to 1024 bytes, ended by a NUL. A name that is new begins a conversation; one that is known
 * goes on with it, and if a context is still open on it, that context is answered.
 *
 * exec_ctx: receives the number of the context. Written on success only.
 *
 * Answers: invalid_argument for a bad ctx, session_id or exec_ctx, or no model; runtime_error if max_sessions
 * conversations are kept and none may be dropped.
 */
WASI_NN_API
wasi_nn_error init_execution_context_with_session_id(void *ctx,
                                                     const char *session_id,
                                                     graph_execution_context *exec_ctx);

/**
 * Closes a context. The conversation of a named one is kept for the next context of that name, any other is dropped.
 *
 * A turn that runs on it is cancelled and its call answers runtime_error.
 *
 * Answers: invalid_argument for a bad ctx or a context that is unknown or closed already.
 */
WASI_NN_API
wasi_nn_error close_execution_context(void *ctx,
                                      graph_execution_context exec_ctx);

/**
 * Gives a context the prompt for compute. The last one given counts.
 *
 * index: not looked at. input: the prompt; it is copied.
 *
 * Answers: invalid_argument for a bad ctx, context or tensor, or data that is NULL or cannot be read; too_large for a
 * text above 4 MiB.
 */
WASI_NN_API
wasi_nn_error set_input(void *ctx,
                        graph_execution_context exec_ctx,
                        uint32_t index,
                        tensor *input);

/**
 * Runs a turn on the prompt of set_input and keeps its result for get_output. Returns when the turn has ended.
 *
 * Answers: invalid_argument for a bad ctx or context, or no model; runtime_error without a prompt; otherwise as
 * run_inference.
 */
WASI_NN_API
wasi_nn_error compute(void *ctx,
                      graph_execution_context exec_ctx);

/**
 * Copies the result of the last turn, whether compute or run_inference ran it, any number of times.
 *
 * index: 0 for the text, 1 for its metadata as JSON (finish_reason, token counts, timings).
 *
 * output, output_size: as for run_inference, except that a capacity above 64 MiB is taken for an undefined one.
 *
 * Answers: invalid_argument for a bad ctx, context, index, output or output_size; runtime_error if no turn has ended
 * yet.
 */
WASI_NN_API
wasi_nn_error get_output(void *ctx,
                         graph_execution_context exec_ctx,
                         uint32_t index,
                         tensor_data output,
                         uint32_t *output_size);

/**
 * Runs a turn: adds the prompt to the conversation, generates the answer and copies it. Returns when the turn has ended.
 *
 * index: not looked at. input: the prompt; it is copied.
 *
 * output: receives the answer and a NUL. An answer that does not fit is cut after a whole character; get_output still
 * has all of it, and its metadata say "truncated": true.
 *
 * output_size: on entry the capacity of output in bytes; 0 and values above 1 GiB are taken for undefined and mean 8192.
 * On success the bytes written, the NUL included, so at least 1. After an error 0, and output is untouched.
 *
 * runtime_config, config_len: settings for this turn only, a JSON object of at most 1 MiB, or NULL and 0. Callers of the
 * first generation of this interface pass six arguments; whatever lies where these two would be is looked at with care
 * and counts only if it is a complete JSON object of exactly that length. The configuration key
 * backend.run_inference_args and the environment variable WASI_NN_RUN_INFERENCE_ARGS (auto, 6, 8) change that.
 *
 * Answers: invalid_argument for a bad ctx, context, tensor, output or output_size, or no model; too_large for a prompt
 * above 4 MiB; prompt_tool_long or context_full if it does not fit into the context; timeout if a time limit passed;
 * runtime_error if the queue is full, the turn was cancelled or the engine failed. A failed turn leaves no trace in the
 * conversation.
 */
WASI_NN_API
wasi_nn_error run_inference(void *ctx,
                            graph_execution_context exec_ctx,
                            uint32_t index,
                            tensor *input,
                            tensor_data output,
                            uint32_t *output_size,
                            const char *runtime_config,
                            uint32_t config_len);

/**
 * Writes a report as JSON with a NUL.
 *
 * type: BACKEND_STATUS_QUEUE, _MEMORY, _SESSIONS, _PERFORMANCE or _MODEL.
 *
 * Answers: invalid_argument for a bad ctx or type, or a buffer that is NULL or has no bytes; too_large if the report does
 * not fit: then only a NUL is written, and the last error names the size needed.
 */
WASI_NN_API
wasi_nn_error get_backend_status(void *ctx,
                                 backend_status_type type,
                                 char *buffer,
                                 uint32_t buffer_size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WASI_NN_LLAMA_H */
