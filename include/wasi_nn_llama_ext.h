/*
 * What goes beyond the wasi-nn interface: answers in pieces, the text of errors, conversations as JSON, priorities.
 *
 * All of it is optional. Functions are added here, never changed and never removed.
 *
 * Generated from the sources of the library.
 */

#ifndef WASI_NN_LLAMA_EXT_H
#define WASI_NN_LLAMA_EXT_H

#include <stdint.h>
#include "wasi_nn_llama.h"

/**
 * Takes a piece of an answer as it appears. Returns 0 to go on, anything else to end the answer here.
 *
 * The piece consists of whole UTF-8 characters, is not ended by a NUL and is gone after the call. The function runs on
 * the thread that called the library. It must return normally (no exception, no longjmp), must not use the context it
 * is called for (such calls answer invalid_argument) and cannot destroy its backend.
 */
typedef int32_t (*wasi_nn_piece_callback)(void *user_data, const char *piece, uint32_t piece_len);

/**
 * Hears how far a load has come, from 0 to 1. Returns 0 to go on, anything else to cancel the load.
 *
 * The function runs on the thread that called the library. It must return normally and cannot destroy its backend.
 */
typedef int32_t (*wasi_nn_progress_callback)(void *user_data, float progress);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The versions of this interface, the library and its engine, and the devices it was built for. A static text; never
 * free it.
 */
WASI_NN_API
const char *wasi_nn_version(void);

/**
 * Writes the text of the last failure, with a NUL: function, cause, value or path. A text that does not fit is cut after
 * a whole character.
 *
 * ctx: the failure of the calling thread, if it came from this backend, else the backend's latest, else an empty text.
 * NULL: the failure of the calling thread, wherever it came from; the only way to learn why an init failed. Success does
 * not clear the text, and this function never sets it.
 *
 * Answers: invalid_argument for a buffer that is NULL or has no bytes, or for a ctx that is no backend and whose failure
 * was not the calling thread's last.
 */
WASI_NN_API
wasi_nn_error wasi_nn_get_last_error(void *ctx,
                                     char *buffer,
                                     uint32_t buffer_size);

/**
 * Stops the turn of a context that runs or waits. Its call answers runtime_error.
 *
 * Answers: success also if there is none; invalid_argument for a bad ctx or context.
 */
WASI_NN_API wasi_nn_error wasi_nn_cancel(void *ctx, graph_execution_context exec_ctx);

/**
 * Runs a turn as run_inference and hands its text out in pieces as they appear. Returns when the turn has ended.
 *
 * Text that may still turn out to be the start of a stop string is held back. When callback ends the answer, the turn
 * counts with what was said so far, and its finish_reason is "callback". get_output has the whole text afterwards.
 *
 * input, runtime_config, config_len: as for run_inference. user_data: passed to callback as it is.
 *
 * Answers: as run_inference; invalid_argument also for a callback that is NULL.
 */
WASI_NN_API
wasi_nn_error wasi_nn_run_inference_stream(void *ctx,
                                           graph_execution_context exec_ctx,
                                           tensor *input,
                                           const char *runtime_config,
                                           uint32_t config_len,
                                           wasi_nn_piece_callback callback,
                                           void *user_data);

/**
 * Sets how urgent the turns of a context are from now on: 0 low, 1 normal, 2 high, 3 urgent. A new context is normal.
 *
 * Answers: invalid_argument for a bad ctx or context, or another priority.
 */
WASI_NN_API
wasi_nn_error wasi_nn_set_session_priority(void *ctx,
                                           graph_execution_context exec_ctx,
                                           uint32_t priority);

/**
 * Forgets the conversation of a context and what the model has cached of it. The context stays open. Waits for the
 * turns that run or wait on it.
 *
 * Answers: invalid_argument for a bad ctx or context; timeout if those turns do not end in time.
 */
WASI_NN_API
wasi_nn_error wasi_nn_clear_context(void *ctx,
                                    graph_execution_context exec_ctx);

/**
 * Tells how many tokens the conversation of a context uses and how many there is room for.
 *
 * used, capacity: written on success only.
 *
 * Answers: invalid_argument for a bad ctx, context, used or capacity, or no model; timeout and runtime_error if the model
 * is being replaced or was unloaded to make room, and does not come.
 */
WASI_NN_API
wasi_nn_error wasi_nn_get_context_usage(void *ctx,
                                        graph_execution_context exec_ctx,
                                        uint32_t *used,
                                        uint32_t *capacity);

/**
 * Writes the conversation of a context with a NUL, as a JSON array of objects with role and content, and with
 * reasoning_content where the model thought before it answered.
 *
 * size: on entry the bytes of buffer, on success the bytes written. If the text does not fit, the answer is too_large,
 * only a NUL is written and size receives the bytes needed; after any other error it keeps its value.
 *
 * Answers: invalid_argument for a bad ctx or context, a buffer or size that is NULL, or a size of 0; too_large.
 */
WASI_NN_API
wasi_nn_error wasi_nn_get_history(void *ctx,
                                  graph_execution_context exec_ctx,
                                  char *buffer,
                                  uint32_t *size);

/**
 * Frees the model. Contexts stay open; their turns answer invalid_argument until a model is loaded again.
 *
 * Answers: invalid_argument for a bad ctx or no model.
 */
WASI_NN_API
wasi_nn_error wasi_nn_unload_model(void *ctx);

/**
 * Counts the tokens that the model makes of a text, without template and without a beginning-of-text token.
 *
 * text, len: up to its first NUL or len bytes; with len 0 it is empty and may be NULL. count: written on success only.
 *
 * Answers: invalid_argument for a bad ctx, text or count, or no model; too_large for a text above 4 MiB; timeout and
 * runtime_error as wasi_nn_get_context_usage.
 */
WASI_NN_API
wasi_nn_error wasi_nn_count_tokens(void *ctx,
                                   const char *text,
                                   uint32_t len,
                                   uint32_t *count);

/**
 * Loads a model as load_by_name_with_config and tells callback how far it has come.
 *
 * callback: may be NULL. When it cancels, the answer is runtime_error with the last error "load cancelled", and a model
 * that was loaded before goes on serving. user_data: passed to callback as it is.
 *
 * Answers: as load_by_name_with_config.
 */
WASI_NN_API
wasi_nn_error wasi_nn_load_by_name_with_progress(void *ctx,
                                                 const char *filename,
                                                 uint32_t filename_len,
                                                 const char *config,
                                                 uint32_t config_len,
                                                 wasi_nn_progress_callback callback,
                                                 void *user_data,
                                                 graph *g);

/**
 * Says on whose account the turns of a context run from now on. Contexts with the same key are one client: while
 * several clients of one priority have work, each gets an equal share of the engine, however many contexts it has.
 * Without a key every conversation is its own client.
 *
 * key, len: up to its first NUL or len bytes, at most 1024; with len 0 the context is its own client again, and
 * key may be NULL.
 *
 * Answers: invalid_argument for a bad ctx, context or key.
 */
WASI_NN_API
wasi_nn_error wasi_nn_set_client_key(void *ctx,
                                     graph_execution_context exec_ctx,
                                     const char *key,
                                     uint32_t len);

/**
 * Forgets turns of a conversation: a user's message and its answer are one turn, and the oldest is number 0. What they
 * said has no effect on later answers. Waits for the turns that run or wait on the context.
 *
 * Answers: invalid_argument for a bad ctx or context, or turns that the conversation does not have; timeout if those turns
 * do not end in time.
 */
WASI_NN_API
wasi_nn_error wasi_nn_remove_turns(void *ctx,
                                   graph_execution_context exec_ctx,
                                   uint32_t first,
                                   uint32_t count);

/**
 * Sets what happens when the conversation of a context outgrows the room that it has, from its next turn on.
 *
 * overflow: 0 as configured; 1 (shift) the oldest turns are dropped; 2 (error) the turn answers context_full. keep_tokens:
 * tokens at the start that are never dropped, discard_tokens: tokens that go at once at least, 0 for half of what may be
 * dropped; UINT32_MAX is as configured.
 *
 * Answers: invalid_argument for a bad ctx or context, another overflow, or more than 1048576 tokens.
 */
WASI_NN_API
wasi_nn_error wasi_nn_set_overflow(void *ctx,
                                   graph_execution_context exec_ctx,
                                   uint32_t overflow,
                                   uint32_t keep_tokens,
                                   uint32_t discard_tokens);

/**
 * Holds the conversation of a context to a sliding window, from its next turn on: history and new message together have
 * at most so many tokens, and as many of the oldest turns go as that takes, those that are kept excepted. A message that
 * is longer than the window runs without the others.
 *
 * tokens: 0 ends the window.
 *
 * Answers: invalid_argument for a bad ctx or context.
 */
WASI_NN_API
wasi_nn_error wasi_nn_set_window(void *ctx,
                                 graph_execution_context exec_ctx,
                                 uint32_t tokens);

/**
 * Changes what this backend logs, where and how, from now on.
 *
 * config: the keys of the section "logging" as a JSON object of len bytes, such as {"level": "debug"}, perhaps inside
 * {"logging": ...}. A key that is left out stays as it is. A later load with a "logging" section of its own replaces
 * the change.
 *
 * Answers: invalid_argument for a bad ctx, a config that is NULL, empty, unreadable or no JSON object, and, if the
 * backend is strict, for an unknown key or a value out of range; then nothing changes.
 */
WASI_NN_API
wasi_nn_error wasi_nn_set_logging(void *ctx,
                                  const char *config,
                                  uint32_t len);

/**
 * Writes the figures of get_backend_status with a NUL, as text for Prometheus (exposition format 0.0.4), about 20 KiB.
 * Never waits for a turn.
 *
 * size: on entry the bytes of buffer, on success the bytes written. If the text does not fit, the answer is too_large,
 * only a NUL is written and size receives the bytes needed; after any other error it keeps its value. Figures move
 * between two calls, so leave some room beyond what was needed.
 *
 * Answers: invalid_argument for a bad ctx, a buffer or size that is NULL, or a size of 0; too_large.
 */
WASI_NN_API
wasi_nn_error wasi_nn_get_metrics(void *ctx,
                                  char *buffer,
                                  uint32_t *size);

/**
 * Loads a model under a name, beside the models with other names. load_by_name and the like are about the model called
 * "default". Where there is a model of that name, the new one takes its place as load does it.
 *
 * name, name_len: UTF-8 up to its first NUL or name_len bytes, 1 to 256 of them. filename, filename_len, config, config_len:
 * as for load_by_name_with_config; without a config the settings of that model's load before are kept. What a config says
 * of the whole backend (the sections backend, logging and events, and the budgets of memory) is not taken. callback, user_data: as for
 * wasi_nn_load_by_name_with_progress.
 *
 * g: receives the number of the model, if not NULL. Pass it to init_execution_context or wasi_nn_use_graph.
 *
 * Answers: as load_by_name_with_config; invalid_argument also for a bad name; runtime_error also if the model does not fit
 * into backend.max_model_memory_mb. Models that no turn uses are unloaded to make room and come back when they are used.
 */
WASI_NN_API
wasi_nn_error wasi_nn_load_model(void *ctx,
                                 const char *name,
                                 uint32_t name_len,
                                 const char *filename,
                                 uint32_t filename_len,
                                 const char *config,
                                 uint32_t config_len,
                                 wasi_nn_progress_callback callback,
                                 void *user_data,
                                 graph *g);

/**
 * Puts the model of a file in the place of another one. Open contexts keep their conversations and go on with the new
 * model from their next turn on; running turns end on the old one.
 *
 * g: the model to replace, 0 for the current one. filename, filename_len, config, config_len, callback, user_data: as for
 * wasi_nn_load_model. new_g: receives the number of the new model, if not NULL; g is dead then.
 *
 * The backend's configuration says what happens on the way: swap_mode whether both are in memory at once, swap_turns and
 * swap_drain_ms what becomes of running turns, swap_compatibility whether a model that has less to offer is refused.
 * However the call ends, a model serves afterwards and no conversation has lost anything.
 *
 * Answers: as wasi_nn_load_model; invalid_argument also for a g that is not loaded here.
 */
WASI_NN_API
wasi_nn_error wasi_nn_swap_model(void *ctx,
                                 graph g,
                                 const char *filename,
                                 uint32_t filename_len,
                                 const char *config,
                                 uint32_t config_len,
                                 wasi_nn_progress_callback callback,
                                 void *user_data,
                                 graph *new_g);

/**
 * Puts the version before in the place of a model: the file that it was loaded from, with the configuration that it had.
 * Twice, it undoes itself.
 *
 * g: the model, 0 for the current one. new_g: receives the number of the model that is back, if not NULL.
 *
 * Answers: as wasi_nn_swap_model; invalid_argument also where there is no version before, or it was loaded from memory.
 */
WASI_NN_API
wasi_nn_error wasi_nn_roll_back_model(void *ctx,
                                      graph g,
                                      graph *new_g);

/**
 * Tells what would change if the model of a file took another one's place, without loading it: a JSON object with what
 * it is, the bytes that it needs, and property by property how it compares.
 *
 * g, filename, filename_len, config, config_len: as for wasi_nn_swap_model. buffer, size: as for wasi_nn_get_history.
 *
 * Answers: as wasi_nn_swap_model; too_large.
 */
WASI_NN_API
wasi_nn_error wasi_nn_compare_model(void *ctx,
                                    graph g,
                                    const char *filename,
                                    uint32_t filename_len,
                                    const char *config,
                                    uint32_t config_len,
                                    char *buffer,
                                    uint32_t *size);

/**
 * Frees one model once its turns have ended, as wasi_nn_unload_model does with the current one.
 *
 * g: the model, 0 for the current one.
 *
 * Answers: invalid_argument for a bad ctx or a g that is not loaded here.
 */
WASI_NN_API wasi_nn_error wasi_nn_unload_graph(void *ctx, graph g);

/**
 * Lets another model answer a context from its next turn on, with the conversation as it is.
 *
 * g: the model, 0 for the current one.
 *
 * Answers: invalid_argument for a bad ctx or context or a g that is not loaded here.
 */
WASI_NN_API wasi_nn_error wasi_nn_use_graph(void *ctx, graph_execution_context exec_ctx, graph g);

/**
 * Begins to load a model and returns at once.
 *
 * name, name_len, filename, filename_len, config, config_len: as for wasi_nn_load_model; with a name that is NULL the model
 * is the one that load_by_name loads. load: receives the number of the load, for the functions below.
 *
 * Answers: invalid_argument for bad arguments. What is wrong with the file is told by wasi_nn_await_load.
 */
WASI_NN_API
wasi_nn_error wasi_nn_begin_load(void *ctx,
                                 const char *name,
                                 uint32_t name_len,
                                 const char *filename,
                                 uint32_t filename_len,
                                 const char *config,
                                 uint32_t config_len,
                                 uint32_t *load);

/**
 * Writes what a load is doing, as a JSON object with phase, progress from 0 to 1, and in the end graph or error.
 *
 * buffer, size: as for wasi_nn_get_history.
 *
 * Answers: invalid_argument for a bad ctx, buffer or size, or a load that is unknown or ended long ago; too_large.
 */
WASI_NN_API
wasi_nn_error wasi_nn_get_load(void *ctx,
                               uint32_t load,
                               char *buffer,
                               uint32_t *size);

/**
 * Waits for the end of a load.
 *
 * timeout_ms: for how long at most; 0 looks once. g: receives the number of the model, if not NULL.
 *
 * Answers: what the load came to, as wasi_nn_load_model; timeout if it has not ended; invalid_argument also for a load that
 * is unknown or ended long ago.
 */
WASI_NN_API
wasi_nn_error wasi_nn_await_load(void *ctx,
                                 uint32_t load,
                                 uint32_t timeout_ms,
                                 graph *g);

/**
 * Cancels a load. What it would have replaced goes on serving. After its end it has no effect.
 *
 * Answers: invalid_argument for a bad ctx, or a load that is unknown or ended long ago.
 */
WASI_NN_API wasi_nn_error wasi_nn_cancel_load(void *ctx, uint32_t load);

/**
 * Writes the prompt that a model's chat template makes of a conversation, with a NUL. Nothing is computed and no context
 * is touched; the text can be counted, or sent as a prompt of one's own.
 *
 * g: the number of a model, 0 for the current one.
 *
 * messages, messages_len: a JSON array of objects with role and content; content is a text, a list of parts, or null, and
 * whatever else the template reads (tool_calls, name, reasoning_content) may stand beside it. tools, tools_len: a JSON
 * array of tools; with length 0 there are none, and tools may be NULL. options, options_len: a JSON object with
 * add_generation_prompt (true unless given), enable_thinking, tool_choice, or any other variable of the template, also
 * inside chat_template_kwargs; with length 0 there are none, and options may be NULL. Keys keep their order.
 *
 * buffer, size: as for wasi_nn_get_history.
 *
 * Answers: invalid_argument for a bad ctx or g, or a text that is not such JSON; runtime_error, with the template's own
 * reason as the last error, for a conversation that the template refuses; too_large; timeout and runtime_error as
 * wasi_nn_get_context_usage.
 */
WASI_NN_API
wasi_nn_error wasi_nn_apply_template(void *ctx,
                                     graph g,
                                     const char *messages,
                                     uint32_t messages_len,
                                     const char *tools,
                                     uint32_t tools_len,
                                     const char *options,
                                     uint32_t options_len,
                                     char *buffer,
                                     uint32_t *size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WASI_NN_LLAMA_EXT_H */
