// Wraps libmtmd, which gets images as pixels: neither its reader of image files nor the decoder that is compiled into it
// sees what strangers send.

#include "shim_media.h"
#include "shim_guard.h"

#include "mtmd.h"

#include <memory>
#include <stdexcept>
#include <string>

namespace {

struct bitmap_free {
    void operator()(mtmd_bitmap * bitmap) const { mtmd_bitmap_free(bitmap); }
};
struct chunks_free {
    void operator()(mtmd_input_chunks * chunks) const { mtmd_input_chunks_free(chunks); }
};

}  // namespace

int32_t engine_media_open(const char * path, const llama_model * model, int32_t n_threads, bool use_gpu,
                          mtmd_context ** out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        mtmd_context_params params = mtmd_context_params_default();
        params.use_gpu = use_gpu;
        params.print_timings = false;
        params.n_threads = n_threads;
        *out = mtmd_init_from_file(path, model, params);
        return ENGINE_OK;
    });
}

void engine_media_free(mtmd_context * media) {
    guarded(nullptr, 0, [&] {
        mtmd_free(media);
        return ENGINE_OK;
    });
}

int32_t engine_media_describe(const mtmd_context * media, const llama_model * model, engine_media_facts * out,
                              char * err, size_t cap) {
    return guarded(err, cap, [&] {
        out->sees = mtmd_support_vision(media);
        out->rotates_grid = mtmd_decode_use_mrope(media);
        out->looks_ahead = out->sees && mtmd_decode_use_non_causal(media, nullptr);
        out->width = llama_model_n_embd_inp(model);
        return ENGINE_OK;
    });
}

int32_t engine_image_cut(const mtmd_context * media, const uint8_t * pixels, uint32_t width, uint32_t height,
                         mtmd_input_chunks ** out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        std::unique_ptr<mtmd_bitmap, bitmap_free> bitmap(mtmd_bitmap_init(width, height, pixels));
        std::unique_ptr<mtmd_input_chunks, chunks_free> chunks(mtmd_input_chunks_init());
        const std::string marker = mtmd_get_marker(media);
        const mtmd_input_text text = { marker.data(), marker.size(), false, true };
        const mtmd_bitmap * bitmaps[] = { bitmap.get() };
        if (mtmd_tokenize(media, chunks.get(), &text, bitmaps, 1) != 0) {
            throw std::runtime_error("the projector cannot cut it");
        }
        *out = chunks.release();
        return ENGINE_OK;
    });
}

void engine_image_free(mtmd_input_chunks * cut) {
    guarded(nullptr, 0, [&] {
        mtmd_input_chunks_free(cut);
        return ENGINE_OK;
    });
}

size_t engine_image_parts(const mtmd_input_chunks * cut) {
    return mtmd_input_chunks_size(cut);
}

int32_t engine_image_part(const mtmd_input_chunks * cut, size_t index, engine_media_part * out, char * err,
                          size_t cap) {
    return guarded(err, cap, [&] {
        const mtmd_input_chunk * chunk = mtmd_input_chunks_get(cut, index);
        out->tokens = nullptr;
        switch (mtmd_input_chunk_get_type(chunk)) {
            case MTMD_INPUT_CHUNK_TYPE_TEXT:
                out->tokens = mtmd_input_chunk_get_tokens_text(chunk, &out->count);
                return ENGINE_OK;
            case MTMD_INPUT_CHUNK_TYPE_IMAGE:
                out->count = mtmd_input_chunk_get_n_tokens(chunk);
                return ENGINE_OK;
            default:
                throw std::runtime_error("an image became something else");
        }
    });
}

int32_t engine_image_encode(mtmd_context * media, const mtmd_input_chunks * cut, size_t index, const float ** out,
                            char * err, size_t cap) {
    return guarded(err, cap, [&] {
        if (mtmd_encode_chunk(media, mtmd_input_chunks_get(cut, index)) != 0) {
            throw std::runtime_error("the encoder of images failed");
        }
        *out = mtmd_get_output_embd(media);
        return ENGINE_OK;
    });
}
