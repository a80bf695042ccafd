// What tokenisation needs of a vocabulary beyond llama.h, as C functions that never throw; codes as in shim.h.
#pragma once

#include "llama.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// How a byte-pair vocabulary treats a text before it is split.
struct engine_split_rules {
    int32_t pre;              // llama_vocab_pre_type
    bool ignores_merges;      // a word that is a token is that token, whatever its merges say
    bool escapes_whitespace;  // blanks become U+2581 first
    bool lowers;              // letters become small ones first, where the tokenizer is `whitespace`
};

int32_t engine_vocab_rules(const struct llama_vocab * vocab, struct engine_split_rules * out, char * err, size_t cap);

// Sorts ids as llama.cpp sorts special tokens, from the longest text to the shortest: `lengths` are theirs. Which of
// two equal lengths comes first is std::sort's own choice and decides which one a text is searched for first.
int32_t engine_sort_by_length(llama_token * ids, const size_t * lengths, size_t count, char * err, size_t cap);

// For the code points 0 to `count` - 1: llama.cpp's flags (unicode_cpt_flags), and the small letter or itself.
int32_t engine_characters(uint16_t * flags, uint32_t * lower, size_t count, char * err, size_t cap);

// How words become tokens.
struct engine_word_rules {
    bool encodes_bytes;   // as GPT-2: every byte is a printable character of its own in the vocabulary
    bool ignores_merges;  // as above
    bool keeps_newlines;  // a word of line feeds alone is one token if there is one
};

// The tokens of words, one after the other: word i is text[ends[i - 1]..ends[i]]. Two tokens a byte are enough room;
// where `room` is not, the answer is ENGINE_FAILED. Depth is constant and time grows with the length of a word times
// its logarithm.
int32_t engine_merge_words(const struct llama_vocab * vocab, const char * text, const uint32_t * ends, size_t n_words,
                           const struct engine_word_rules * rules, llama_token * tokens, size_t room, size_t * out,
                           char * err, size_t cap);

#ifdef __cplusplus
}
#endif
