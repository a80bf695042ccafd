// Byte-pair merges over llama.cpp's own tables, word by word, and what it knows of characters.
//
// llama_tokenize would split the text first, by std::regex, whose recursion has no bound. The splitting is Rust's; here
// are only the words. Knows neither special tokens nor expressions.

#include "shim_vocab.h"

#include "shim_guard.h"

// Headers of llama.cpp that are not installed: where a name or a parameter changes, the shim does not compile.
#include "llama-vocab.h"
#include "unicode.h"

#include <algorithm>
#include <queue>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

// A word that comes again within a call is not merged again, unless it is longer than this.
constexpr size_t REMEMBERED_BYTES = 64;

constexpr uint32_t NONE = UINT32_MAX;

// A stretch of the word that is one symbol so far; of length 0 once it is part of the one before.
struct symbol {
    uint32_t at;
    uint32_t length;
    uint32_t before;
    uint32_t after;
};

// Two neighbours that may become one, as they were when they were found.
struct candidate {
    int rank;
    uint32_t left;
    uint32_t right;
    uint32_t length;

    // For a queue that gives the lowest rank first and of equal ones the leftmost.
    bool operator<(const candidate & other) const {
        return rank != other.rank ? rank > other.rank : left > other.left;
    }
};

class merger {
  public:
    merger(const llama_vocab & vocab, const engine_word_rules & rules, llama_token * tokens, size_t room) :
        vocab(vocab), rules(rules), tokens(tokens), room(room) {
        for (int byte = 0; rules.encodes_bytes && byte < 256; ++byte) {
            encoded[byte] = unicode_byte_to_utf8(uint8_t(byte));
        }
    }

    size_t count() const { return n; }

    void add(std::string_view word) {
        if (word.size() > REMEMBERED_BYTES) {
            merge(word);
            return;
        }
        const auto [known, is_new] = seen.try_emplace(word, n, 0);
        if (is_new) {
            merge(word);
            known->second.second = n - known->second.first;
            return;
        }
        const auto [from, length] = known->second;
        for (size_t i = 0; i < length; ++i) {
            push(tokens[from + i]);
        }
    }

  private:
    void push(llama_token token) {
        if (n == room) {
            throw std::length_error("more tokens than there is room for");
        }
        tokens[n++] = token;
    }

    void merge(std::string_view word) {
        if (rules.encodes_bytes) {
            text.clear();
            for (const char byte : word) {
                text += encoded[uint8_t(byte)];
            }
        } else {
            text = word;
        }
        if (text.empty()) {
            return;
        }
        const bool is_newlines = rules.keeps_newlines && text.find_first_not_of('\n') == std::string::npos;
        if (rules.ignores_merges || is_newlines) {
            const llama_token whole = vocab.text_to_token(text);
            if (whole != LLAMA_TOKEN_NULL) {
                push(whole);
                return;
            }
        }
        spell();
        while (!candidates.empty()) {
            const candidate next = candidates.top();
            candidates.pop();
            symbol & left = symbols[next.left];
            symbol & right = symbols[next.right];
            // One of the two is part of another symbol by now.
            if (left.length == 0 || right.length == 0 || left.length + right.length != next.length) {
                continue;
            }
            left.length += right.length;
            right.length = 0;
            left.after = right.after;
            if (left.after != NONE) {
                symbols[left.after].before = next.left;
            }
            consider(left.before, next.left);
            consider(next.left, left.after);
        }
        for (uint32_t i = 0; i != NONE; i = symbols[i].after) {
            finish(symbols[i]);
        }
    }

    // Makes a symbol of every character and finds the first candidates.
    void spell() {
        symbols.clear();
        for (size_t at = 0; at < text.size();) {
            const size_t length = std::min(character(text[at]), text.size() - at);
            const uint32_t index = uint32_t(symbols.size());
            symbols.push_back({ uint32_t(at), uint32_t(length), index - 1, index + 1 });
            at += length;
        }
        symbols.front().before = NONE;
        symbols.back().after = NONE;
        for (uint32_t i = 1; i < symbols.size(); ++i) {
            consider(i - 1, i);
        }
    }

    // Bytes of the UTF-8 character that begins with `first`; 1 for a byte that begins none.
    static size_t character(char first) {
        const uint8_t byte = uint8_t(first);
        return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    }

    void consider(uint32_t left, uint32_t right) {
        if (left == NONE || right == NONE) {
            return;
        }
        const symbol & a = symbols[left];
        const symbol & b = symbols[right];
        first.assign(text, a.at, a.length);
        second.assign(text, b.at, b.length);
        // llama.cpp asserts that neither has a blank, and a failed assertion ends the process: such a pair has no merge.
        if (first.find(' ') != std::string::npos || second.find(' ') != std::string::npos) {
            return;
        }
        const int rank = vocab.find_bpe_rank(first, second);
        if (rank >= 0) {
            candidates.push({ rank, left, right, a.length + b.length });
        }
    }

    void finish(const symbol & done) {
        first.assign(text, done.at, done.length);
        const llama_token token = vocab.text_to_token(first);
        if (token != LLAMA_TOKEN_NULL) {
            push(token);
            return;
        }
        for (size_t i = 0; i < done.length; ++i) {
            const char byte = text[done.at + i];
            static const char * digits = "0123456789ABCDEF";
            if (rules.encodes_bytes) {
                second.assign(1, byte);
            } else {
                second = { '<', '0', 'x', digits[uint8_t(byte) >> 4], digits[uint8_t(byte) & 15], '>' };
            }
            const llama_token one = vocab.text_to_token(second);
            if (one != LLAMA_TOKEN_NULL) {
                push(one);
            }
        }
    }

    const llama_vocab & vocab;
    const engine_word_rules rules;
    llama_token * tokens;
    const size_t room;
    size_t n = 0;

    std::string encoded[256];
    // The word at hand, as the vocabulary spells it.
    std::string text;
    std::string first;
    std::string second;
    std::vector<symbol> symbols;
    std::priority_queue<candidate> candidates;
    // Where the tokens of a word that was met stand in the output, and how many they are.
    std::unordered_map<std::string_view, std::pair<size_t, size_t>> seen;
};

}  // namespace

int32_t engine_vocab_rules(const llama_vocab * vocab, engine_split_rules * out, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        out->pre = int32_t(vocab->get_pre_type());
        out->ignores_merges = vocab->get_ignore_merges();
        out->escapes_whitespace = vocab->get_escape_whitespaces();
        out->lowers = vocab->get_normalizer_opts().lowercase;
        return ENGINE_OK;
    });
}

int32_t engine_sort_by_length(llama_token * ids, const size_t * lengths, size_t count, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        std::unordered_map<llama_token, size_t> length;
        for (size_t i = 0; i < count; ++i) {
            length.emplace(ids[i], lengths[i]);
        }
        std::sort(ids, ids + count, [&](llama_token a, llama_token b) { return length.at(a) > length.at(b); });
        return ENGINE_OK;
    });
}

int32_t engine_characters(uint16_t * flags, uint32_t * lower, size_t count, char * err, size_t cap) {
    return guarded(err, cap, [&] {
        for (size_t i = 0; i < count; ++i) {
            flags[i] = unicode_cpt_flags_from_cpt(uint32_t(i)).as_uint();
            lower[i] = unicode_tolower(uint32_t(i));
        }
        return ENGINE_OK;
    });
}

int32_t engine_merge_words(const llama_vocab * vocab, const char * text, const uint32_t * ends, size_t n_words,
                           const engine_word_rules * rules, llama_token * tokens, size_t room, size_t * out, char * err,
                           size_t cap) {
    return guarded(err, cap, [&] {
        merger merger(*vocab, *rules, tokens, room);
        size_t from = 0;
        for (size_t i = 0; i < n_words; ++i) {
            merger.add(std::string_view(text + from, ends[i] - from));
            from = ends[i];
        }
        *out = merger.count();
        return ENGINE_OK;
    });
}
