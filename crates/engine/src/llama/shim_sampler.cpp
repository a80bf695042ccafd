// Samplers: a list of llama.cpp's, whose choice never throws and never asserts.

#include "shim_guard.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

struct free_sampler {
    void operator()(llama_sampler * sampler) const { llama_sampler_free(sampler); }
};
using sampler_ptr = std::unique_ptr<llama_sampler, free_sampler>;

struct stage {
    sampler_ptr sampler;
    // Whether the stage can set a logit to minus infinity, or overflow it.
    bool masks;
    // Takes the place of a stage without a minimum of its own, where it leaves fewer than `keep`.
    sampler_ptr least;
    size_t keep;
    int32_t kind;
};

struct no_candidate : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct bad_logits : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace

struct engine_sampler {
    const llama_vocab * vocab;
    std::vector<stage> stages;
    // Added to the logits before everything else.
    std::vector<llama_logit_bias> biases;
    // Kept between calls: one allocation per sampler, not one per token.
    std::vector<llama_token_data> candidates;
    // What a stage with `least` was given.
    std::vector<llama_token_data> before;
};

namespace {

// Drops candidates of probability zero. Some stages (typical, mirostat) compute NaN from them, and an empty list
// would be an assertion in the next softmax.
void compact(llama_token_data_array & list) {
    size_t kept = 0;
    for (size_t i = 0; i < list.size; ++i) {
        const float logit = list.data[i].logit;
        if (!(logit <= FLT_MAX)) {
            throw bad_logits("a sampler stage produced a logit that is not finite");
        }
        if (logit >= -FLT_MAX) {
            list.data[kept++] = list.data[i];
        }
    }
    list.size = kept;
}

// Tokens that may not be chosen this time.
struct bans {
    const llama_token * tokens;
    size_t count;
};

// The dynamic temperature may come so close to zero that it divides the best logit out of range, or to where a penalty
// after it does; what it means then is the best alone, which it has sorted to the front.
void settle(llama_token_data_array & list) {
    if (list.size > 0 && !(std::fabs(list.data[0].logit) < 1e30f)) {
        list.data[0].logit = 0.0f;
        list.size = 1;
    }
}

// Drops candidates whose probability rounds to zero: the typical stage computes NaN from them and then keeps any.
void drop_hopeless(llama_token_data_array & list) {
    float best = -FLT_MAX;
    for (size_t i = 0; i < list.size; ++i) {
        best = std::max(best, list.data[i].logit);
    }
    // exp(-90) can be divided by the sum over any vocabulary before it is less than the least number.
    const auto hopeless = [&](const llama_token_data & candidate) { return candidate.logit < best - 90.0f; };
    list.size = std::remove_if(list.data, list.data + list.size, hopeless) - list.data;
}

// A stage that sets candidates to minus infinity does not tell how many, hence the copy of what it was given.
void apply_at_least(engine_sampler & sampler, const stage & stage, llama_token_data_array & list) {
    auto & before = sampler.before;
    before.assign(list.data, list.data + list.size);
    llama_sampler_apply(stage.sampler.get(), &list);
    compact(list);
    if (list.size < std::min(stage.keep, before.size())) {
        std::copy(before.begin(), before.end(), list.data);
        list.size = before.size();
        llama_sampler_apply(stage.least.get(), &list);
    }
}

llama_token choose(engine_sampler & sampler, const float * logits, int32_t n_vocab, const bans & banned,
                   const uint64_t * allowed) {
    auto & list = sampler.candidates;
    list.resize(n_vocab);
    for (int32_t i = 0; i < n_vocab; ++i) {
        list[i] = llama_token_data{ i, logits[i], 0.0f };
    }
    bool has_chance = false;
    for (const auto & candidate : list) {
        if (!(candidate.logit <= FLT_MAX)) {
            throw bad_logits("the row holds a value that is not finite");
        }
        has_chance = has_chance || candidate.logit >= -FLT_MAX;
    }
    if (!has_chance) {
        throw bad_logits("every logit is minus infinity");
    }
    // By place, while every token is at its own: llama.cpp's stage for biases searches in a list that was compacted.
    for (const auto & bias : sampler.biases) {
        list[bias.token].logit += bias.bias;
    }
    for (size_t i = 0; i < banned.count; ++i) {
        list[banned.tokens[i]].logit = -INFINITY;
    }
    llama_token_data_array array = { list.data(), list.size(), -1, false };
    compact(array);
    if (array.size == 0) {
        throw no_candidate("no token is left that is not forbidden");
    }
    if (allowed) {
        for (size_t i = 0; i < array.size; ++i) {
            const llama_token token = array.data[i].id;
            if (!(allowed[token / 64] >> (token % 64) & 1)) {
                array.data[i].logit = -INFINITY;
            }
        }
        compact(array);
        if (array.size == 0) {
            throw no_candidate("the grammar allows no token here");
        }
    }
    for (auto & stage : sampler.stages) {
        if (stage.kind == ENGINE_STAGE_TYPICAL) {
            drop_hopeless(array);
        }
        if (stage.least) {
            apply_at_least(sampler, stage, array);
        } else {
            llama_sampler_apply(stage.sampler.get(), &array);
        }
        if (stage.kind == ENGINE_STAGE_DYNAMIC) {
            settle(array);
        }
        if (stage.masks) {
            compact(array);
        }
        if (array.size == 0) {
            throw no_candidate("no token is left after biases and filters");
        }
    }
    if (array.selected < 0 || (size_t) array.selected >= array.size) {
        throw std::runtime_error("the last stage selected nothing");
    }
    return array.data[array.selected].id;
}

void accept_stages(engine_sampler & sampler, llama_token token) {
    for (auto & stage : sampler.stages) {
        llama_sampler_accept(stage.sampler.get(), token);
    }
}

llama_sampler * make_stage(const engine_sampler & sampler, const engine_stage & s) {
    const int32_t n_vocab = llama_vocab_n_tokens(sampler.vocab);
    switch (s.kind) {
        case ENGINE_STAGE_PENALTIES: return llama_sampler_init_penalties(n_vocab, s.i0, s.f0, s.f1, s.f2);
        case ENGINE_STAGE_DRY:
            return llama_sampler_init_dry(sampler.vocab, s.f0, s.f1, s.i0, s.i1, s.texts, s.n_texts);
        case ENGINE_STAGE_TOP_N_SIGMA: return llama_sampler_init_top_n_sigma(s.f0);
        case ENGINE_STAGE_TOP_K: return llama_sampler_init_top_k(s.i0);
        case ENGINE_STAGE_TYPICAL: return llama_sampler_init_typical(s.f0, s.keep);
        case ENGINE_STAGE_TOP_P: return llama_sampler_init_top_p(s.f0, s.keep);
        case ENGINE_STAGE_MIN_P: return llama_sampler_init_min_p(s.f0, s.keep);
        case ENGINE_STAGE_XTC: return llama_sampler_init_xtc(s.f0, s.f1, s.keep, s.seed);
        case ENGINE_STAGE_TEMPERATURE: return llama_sampler_init_temp(s.f0);
        case ENGINE_STAGE_DYNAMIC: return llama_sampler_init_temp_ext(s.f0, s.f1, s.f2);
        // 100 tokens for the estimate is the value of the paper (arXiv 2007.14966).
        case ENGINE_STAGE_MIROSTAT: return llama_sampler_init_mirostat(n_vocab, s.seed, s.f0, s.f1, 100);
        case ENGINE_STAGE_MIROSTAT_V2: return llama_sampler_init_mirostat_v2(s.seed, s.f0, s.f1);
        case ENGINE_STAGE_DIST: return llama_sampler_init_dist(s.seed);
        case ENGINE_STAGE_GREEDY: return llama_sampler_init_greedy();
        default: return nullptr;
    }
}

}  // namespace

int32_t engine_sampler_new(const llama_vocab * vocab, engine_sampler ** out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        *out = new engine_sampler{ vocab, {}, {}, {}, {} };
        return ENGINE_OK;
    });
}

void engine_sampler_free(engine_sampler * sampler) { delete sampler; }

int32_t engine_sampler_add(engine_sampler * sampler, const engine_stage * s, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        if (s->kind == ENGINE_STAGE_LOGIT_BIAS) {
            sampler->biases.insert(sampler->biases.end(), s->bias, s->bias + s->n_bias);
            return ENGINE_OK;
        }
        sampler_ptr made(make_stage(*sampler, *s));
        if (!made) {
            throw std::runtime_error("llama.cpp made no such sampler");
        }
        const bool masks = s->kind == ENGINE_STAGE_PENALTIES || s->kind == ENGINE_STAGE_DRY ||
                           s->kind == ENGINE_STAGE_TOP_N_SIGMA ||
                           s->kind == ENGINE_STAGE_TEMPERATURE || s->kind == ENGINE_STAGE_DYNAMIC;
        sampler_ptr least;
        if (s->kind == ENGINE_STAGE_TOP_N_SIGMA && s->keep > 1) {
            least.reset(llama_sampler_init_top_k((int32_t) std::min<size_t>(s->keep, INT32_MAX)));
        }
        sampler->stages.push_back({ std::move(made), masks, std::move(least), s->keep, s->kind });
        return ENGINE_OK;
    });
}

int32_t engine_sampler_clone(const engine_sampler * sampler, engine_sampler ** out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        auto copy = std::unique_ptr<engine_sampler>(
            new engine_sampler{ sampler->vocab, {}, sampler->biases, {}, {} });
        for (const auto & stage : sampler->stages) {
            sampler_ptr least(stage.least ? llama_sampler_clone(stage.least.get()) : nullptr);
            copy->stages.push_back(
                { sampler_ptr(llama_sampler_clone(stage.sampler.get())), stage.masks, std::move(least), stage.keep,
                  stage.kind });
        }
        *out = copy.release();
        return ENGINE_OK;
    });
}

int32_t engine_sampler_choose(engine_sampler * sampler, const float * logits, int32_t n_vocab,
                              const llama_token * banned, size_t n_banned, const uint64_t * allowed, llama_token * out,
                              char * err, size_t cap) {
    return guarded(err, cap, [&]() -> int32_t {
        try {
            *out = choose(*sampler, logits, n_vocab, { banned, n_banned }, allowed);
            return ENGINE_OK;
        } catch (const bad_logits & e) {
            if (cap > 0) {
                snprintf(err, cap, "%s", e.what());
            }
            return ENGINE_BAD_LOGITS;
        } catch (const no_candidate & e) {
            if (cap > 0) {
                snprintf(err, cap, "%s", e.what());
            }
            return ENGINE_DEAD_END;
        }
    });
}

int32_t engine_sampler_accept(engine_sampler * sampler, llama_token token, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        accept_stages(*sampler, token);
        return ENGINE_OK;
    });
}
