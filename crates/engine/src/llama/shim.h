// The calls into llama.cpp that may throw, as C functions that never do.
//
// Each returns a code; with ENGINE_FAILED the exception's text is copied to `err` (at most `cap` bytes with the
// terminator; `err` may be null when `cap` is 0). Outputs are written with ENGINE_OK only. No function checks its
// arguments against llama.cpp's assertions: the Rust types do that before they call.
#pragma once

#include "llama.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ENGINE_OK = 0,
    ENGINE_NO_MEMORY = 1,
    ENGINE_FAILED = 2,
    ENGINE_BAD_LOGITS = 3,
    ENGINE_DEAD_END = 4,
    ENGINE_ABSENT = 5,
};

// Models and contexts. A null `*out` after ENGINE_OK means that llama.cpp refused and logged why.
// `paths`: a model's file, or all parts of a split one in order.
int32_t engine_model_load(const char ** paths, size_t n_paths, const struct llama_model_params * params,
                          struct llama_model ** out, char * err, size_t cap);
int32_t engine_model_free(struct llama_model * model, char * err, size_t cap);
int32_t engine_model_devices(const struct llama_model * model, int32_t * out, char * err, size_t cap);
// The adapter belongs to the model, which nobody else may use yet.
int32_t engine_adapter_load(struct llama_model * model, const char * path, struct llama_adapter_lora ** out, char * err,
                            size_t cap);
int32_t engine_adapters_set(struct llama_context * ctx, struct llama_adapter_lora ** adapters, size_t count,
                            float * scales, char * err, size_t cap);
int32_t engine_context_new(struct llama_model * model, const struct llama_context_params * params,
                           struct llama_context ** out, char * err, size_t cap);
int32_t engine_context_free(struct llama_context * ctx, char * err, size_t cap);

int32_t engine_tokenize(const struct llama_vocab * vocab, const char * text, int32_t len, llama_token * tokens,
                        int32_t room, bool special, int32_t * out, char * err, size_t cap);

// `out` is llama_decode's own return value.
// A conversation in the format of a name that llama.cpp knows. Writes `room` bytes at most, without a NUL; `out` has the
// bytes that it takes, or a negative number for a name that is not known.
int32_t engine_chat_format(const char * name, const struct llama_chat_message * chat, size_t count, bool opens_answer,
                           char * text, int32_t room, int32_t * out, char * err, size_t cap);
int32_t engine_decode(struct llama_context * ctx, const struct llama_batch * batch, int32_t * out, char * err,
                      size_t cap);
int32_t engine_logits(struct llama_context * ctx, int32_t index, const float ** out, char * err, size_t cap);

// The values of a sequence, or with `seq` -1 those of entry `index`; null where there are none.
int32_t engine_embedding(struct llama_context * ctx, llama_seq_id seq, int32_t index, const float ** out, char * err,
                         size_t cap);

int32_t engine_memory_clear(struct llama_context * ctx, char * err, size_t cap);
int32_t engine_seq_rm(struct llama_context * ctx, llama_seq_id seq, llama_pos from, llama_pos to, bool * out,
                      char * err, size_t cap);
int32_t engine_seq_cp(struct llama_context * ctx, llama_seq_id src, llama_seq_id dst, llama_pos from, llama_pos to,
                      char * err, size_t cap);
int32_t engine_seq_add(struct llama_context * ctx, llama_seq_id seq, llama_pos from, llama_pos to, llama_pos delta,
                       char * err, size_t cap);

int32_t engine_state_size(struct llama_context * ctx, llama_seq_id seq, size_t * out, char * err, size_t cap);
int32_t engine_state_get(struct llama_context * ctx, llama_seq_id seq, uint8_t * dst, size_t size, size_t * out,
                         char * err, size_t cap);
int32_t engine_state_set(struct llama_context * ctx, llama_seq_id seq, const uint8_t * src, size_t size, size_t * out,
                         char * err, size_t cap);

// Bytes as { model, context, compute }; ENGINE_ABSENT when this llama.cpp has no such function.
int32_t engine_memory_breakdown(const struct llama_context * ctx, uint64_t out[3], char * err, size_t cap);

// One stage of a sampler; which fields count depends on the kind.
enum engine_stage_kind {
    ENGINE_STAGE_LOGIT_BIAS = 0,  // bias, n_bias; before all others, wherever it is added
    ENGINE_STAGE_PENALTIES,       // i0 last_n, f0 repeat, f1 frequency, f2 presence
    ENGINE_STAGE_DRY,             // i0 allowed_length, i1 last_n, f0 multiplier, f1 base, texts, n_texts
    ENGINE_STAGE_TOP_N_SIGMA,     // f0, keep
    ENGINE_STAGE_TOP_K,           // i0
    ENGINE_STAGE_TYPICAL,         // f0, keep
    ENGINE_STAGE_TOP_P,           // f0, keep
    ENGINE_STAGE_MIN_P,           // f0, keep
    ENGINE_STAGE_XTC,             // f0 probability, f1 threshold, keep, seed
    ENGINE_STAGE_TEMPERATURE,     // f0
    ENGINE_STAGE_DYNAMIC,         // f0 temperature, f1 range, f2 exponent
    ENGINE_STAGE_MIROSTAT,        // f0 tau, f1 eta, seed
    ENGINE_STAGE_MIROSTAT_V2,     // f0 tau, f1 eta, seed
    ENGINE_STAGE_DIST,            // seed
    ENGINE_STAGE_GREEDY,
};

struct engine_stage {
    int32_t kind;
    int32_t i0;
    int32_t i1;
    float f0;
    float f1;
    float f2;
    uint32_t seed;
    size_t keep;
    const llama_logit_bias * bias;
    size_t n_bias;
    const char ** texts;
    size_t n_texts;
};

// A list of llama.cpp samplers, and the candidates' buffer.
struct engine_sampler;

int32_t engine_sampler_new(const struct llama_vocab * vocab, struct engine_sampler ** out, char * err, size_t cap);
void engine_sampler_free(struct engine_sampler * sampler);
int32_t engine_sampler_add(struct engine_sampler * sampler, const struct engine_stage * stage, char * err, size_t cap);
int32_t engine_sampler_clone(const struct engine_sampler * sampler, struct engine_sampler ** out, char * err,
                             size_t cap);
// Chooses from `n_vocab` logits a token that is not one of `banned`. `allowed`, where it is not null, has a bit for each
// token, in words of 64 from the lowest on: those without it are not chosen.
int32_t engine_sampler_choose(struct engine_sampler * sampler, const float * logits, int32_t n_vocab,
                              const llama_token * banned, size_t n_banned, const uint64_t * allowed, llama_token * out,
                              char * err, size_t cap);
// Accepts a token in every stage.
int32_t engine_sampler_accept(struct engine_sampler * sampler, llama_token token, char * err, size_t cap);

#ifdef __cplusplus
}
#endif
