// The calls into libmtmd as C functions that never throw. For codes and `err` see shim.h.
#pragma once

#include "shim.h"

struct mtmd_context;
struct mtmd_input_chunks;

#ifdef __cplusplus
extern "C" {
#endif

// What an open projector is like.
struct engine_media_facts {
    bool sees;          // It has an encoder of images.
    bool rotates_grid;  // The model's positions are of several dimensions (M-RoPE).
    bool looks_ahead;   // The tokens of an image attend to each other in both directions.
    int32_t width;      // Numbers of one embedding, as the model takes them.
};

// A part of what an image became: tokens of the vocabulary, or so many embeddings.
struct engine_media_part {
    const llama_token * tokens;  // null for embeddings
    size_t count;
};

// A null `*out` after ENGINE_OK means that libmtmd refused and logged why.
int32_t engine_media_open(const char * path, const struct llama_model * model, int32_t n_threads, bool use_gpu,
                          struct mtmd_context ** out, char * err, size_t cap);
void engine_media_free(struct mtmd_context * media);
int32_t engine_media_describe(const struct mtmd_context * media, const struct llama_model * model,
                              struct engine_media_facts * out, char * err, size_t cap);

// Cuts an image of `width` x `height` pixels, three bytes each, as the projector wants it. ENGINE_FAILED where it cannot.
int32_t engine_image_cut(const struct mtmd_context * media, const uint8_t * pixels, uint32_t width, uint32_t height,
                         struct mtmd_input_chunks ** out, char * err, size_t cap);
void engine_image_free(struct mtmd_input_chunks * cut);
size_t engine_image_parts(const struct mtmd_input_chunks * cut);
int32_t engine_image_part(const struct mtmd_input_chunks * cut, size_t index, struct engine_media_part * out,
                          char * err, size_t cap);
// Computes the embeddings of a part; they are `count * width` numbers and good until the next call.
int32_t engine_image_encode(struct mtmd_context * media, const struct mtmd_input_chunks * cut, size_t index,
                            const float ** out, char * err, size_t cap);

#ifdef __cplusplus
}
#endif
