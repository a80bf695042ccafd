// Wraps every call into llama.cpp that may throw: an exception that reached Rust would end the process.

#include "shim_guard.h"

// Not installed: the build finds it where llama.cpp was compiled from.
#include "llama-ext.h"

#include <map>
#include <type_traits>

// Two functions with C++ linkage, with the types that their own header gives them. Weak, so that a program with another
// libllama links and the callers see the absence.
decltype(llama_get_memory_breakdown) llama_get_memory_breakdown __attribute__((weak));
decltype(llama_model_n_devices) llama_model_n_devices __attribute__((weak));

// What the code below takes for granted.
using breakdown = llama_memory_breakdown_data;
static_assert(std::is_same_v<decltype(breakdown::model), size_t> && std::is_same_v<decltype(breakdown::context), size_t> &&
              std::is_same_v<decltype(breakdown::compute), size_t>);
static_assert(std::is_same_v<decltype(llama_model_n_devices), int32_t(const llama_model *)>);
static_assert(std::is_same_v<decltype(llama_get_memory_breakdown),
                             std::map<ggml_backend_buffer_type_t, breakdown>(const llama_context *)>);

int32_t engine_model_load(const char ** paths, size_t n_paths, const llama_model_params * params, llama_model ** out,
                          char * err, size_t cap) {
    return guarded(err, cap, [&] {
        *out = llama_model_load_from_splits(paths, n_paths, *params);
        return ENGINE_OK;
    });
}

int32_t engine_model_free(llama_model * model, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        llama_model_free(model);
        return ENGINE_OK;
    });
}

int32_t engine_model_devices(const llama_model * model, int32_t * out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        if (!llama_model_n_devices) {
            return ENGINE_ABSENT;
        }
        *out = llama_model_n_devices(model);
        return ENGINE_OK;
    });
}

int32_t engine_adapter_load(llama_model * model, const char * path, llama_adapter_lora ** out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        *out = llama_adapter_lora_init(model, path);
        return ENGINE_OK;
    });
}

int32_t engine_adapters_set(llama_context * ctx, llama_adapter_lora ** adapters, size_t count, float * scales,
                            char * err, size_t cap) {
    return guarded(err, cap, [&] {
        llama_set_adapters_lora(ctx, adapters, count, scales);
        return ENGINE_OK;
    });
}

int32_t engine_context_new(llama_model * model, const llama_context_params * params, llama_context ** out, char * err,
                           size_t cap) {
    return guarded(err, cap, [&] {
        *out = llama_init_from_model(model, *params);
        return ENGINE_OK;
    });
}

int32_t engine_context_free(llama_context * ctx, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        llama_free(ctx);
        return ENGINE_OK;
    });
}

int32_t engine_tokenize(const llama_vocab * vocab, const char * text, int32_t len, llama_token * tokens, int32_t room,
                        bool special, int32_t * out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        *out = llama_tokenize(vocab, text, len, tokens, room, false, special);
        return ENGINE_OK;
    });
}

int32_t engine_chat_format(const char * name, const llama_chat_message * chat, size_t count, bool opens_answer,
                           char * text, int32_t room, int32_t * out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        *out = llama_chat_apply_template(name, chat, count, opens_answer, text, room);
        return ENGINE_OK;
    });
}

int32_t engine_decode(llama_context * ctx, const llama_batch * batch, int32_t * out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        const int32_t status = llama_decode(ctx, *batch);
        // A device may still be computing; its failure belongs to this call, not to the next reader of logits.
        llama_synchronize(ctx);
        *out = status;
        return ENGINE_OK;
    });
}

int32_t engine_logits(llama_context * ctx, int32_t index, const float ** out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        *out = llama_get_logits_ith(ctx, index);
        return ENGINE_OK;
    });
}

int32_t engine_embedding(llama_context * ctx, llama_seq_id seq, int32_t index, const float ** out, char * err,
                         size_t cap) {
    return guarded(err, cap, [&] {
        *out = seq < 0 ? llama_get_embeddings_ith(ctx, index) : llama_get_embeddings_seq(ctx, seq);
        return ENGINE_OK;
    });
}

int32_t engine_memory_clear(llama_context * ctx, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        llama_memory_clear(llama_get_memory(ctx), true);
        return ENGINE_OK;
    });
}

int32_t engine_seq_rm(llama_context * ctx, llama_seq_id seq, llama_pos from, llama_pos to, bool * out, char * err,
                      size_t cap) {
    return guarded(err, cap, [&] {
        *out = llama_memory_seq_rm(llama_get_memory(ctx), seq, from, to);
        return ENGINE_OK;
    });
}

int32_t engine_seq_cp(llama_context * ctx, llama_seq_id src, llama_seq_id dst, llama_pos from, llama_pos to, char * err,
                      size_t cap) {
    return guarded(err, cap, [&] {
        llama_memory_seq_cp(llama_get_memory(ctx), src, dst, from, to);
        return ENGINE_OK;
    });
}

int32_t engine_seq_add(llama_context * ctx, llama_seq_id seq, llama_pos from, llama_pos to, llama_pos delta, char * err,
                       size_t cap) {
    return guarded(err, cap, [&] {
        llama_memory_seq_add(llama_get_memory(ctx), seq, from, to, delta);
        return ENGINE_OK;
    });
}

int32_t engine_state_size(llama_context * ctx, llama_seq_id seq, size_t * out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        *out = llama_state_seq_get_size_ext(ctx, seq, LLAMA_STATE_SEQ_FLAGS_NONE);
        return ENGINE_OK;
    });
}

int32_t engine_state_get(llama_context * ctx, llama_seq_id seq, uint8_t * dst, size_t size, size_t * out, char * err,
                         size_t cap) {
    return guarded(err, cap, [&] {
        *out = llama_state_seq_get_data_ext(ctx, dst, size, seq, LLAMA_STATE_SEQ_FLAGS_NONE);
        return ENGINE_OK;
    });
}

int32_t engine_state_set(llama_context * ctx, llama_seq_id seq, const uint8_t * src, size_t size, size_t * out,
                         char * err, size_t cap) {
    return guarded(err, cap, [&] {
        *out = llama_state_seq_set_data_ext(ctx, src, size, seq, LLAMA_STATE_SEQ_FLAGS_NONE);
        return ENGINE_OK;
    });
}

int32_t engine_memory_breakdown(const llama_context * ctx, uint64_t out[3], char * err, size_t cap) {
    return guarded(err, cap, [&] {
        if (!llama_get_memory_breakdown) {
            return ENGINE_ABSENT;
        }
        uint64_t sum[3] = { 0, 0, 0 };
        for (const auto & [type, bytes] : llama_get_memory_breakdown(ctx)) {
            sum[0] += bytes.model;
            sum[1] += bytes.context;
            sum[2] += bytes.compute;
        }
        for (int i = 0; i < 3; ++i) {
            out[i] = sum[i];
        }
        return ENGINE_OK;
    });
}
