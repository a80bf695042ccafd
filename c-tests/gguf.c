/* A walk over the header. Format: magic, version (4), tensor count (8), key count (8); each key as string, type (4),
 * value; each tensor as string, dimension count (4), dimensions (8 each), type (4), offset (8). Little-endian. A string
 * is length (8) and bytes; an array is type (4), count (8) and elements. */

#include "gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* The elements of long arrays (the vocabulary) are alike: so many of them stand for all. */
enum { SAMPLES = 2, STRING = 8, ARRAY = 9 };

static uint64_t number_at(const struct gguf *file, size_t at, unsigned bytes) {
    uint64_t value = 0;
    REQUIRE(at + bytes <= file->size);
    memcpy(&value, file->bytes + at, bytes);
    return value;
}

static void note(struct gguf *file, size_t offset, unsigned bytes, enum gguf_kind kind) {
    file->numbers = realloc(file->numbers, (file->count + 1) * sizeof *file->numbers);
    REQUIRE(file->numbers != NULL);
    file->numbers[file->count++] = (struct gguf_number){offset, bytes, kind};
}

static size_t skip_string(struct gguf *file, size_t at, bool noted) {
    if (noted) { note(file, at, 8, GGUF_LENGTH); }
    return at + 8 + number_at(file, at, 8);
}

static size_t skip_value(struct gguf *file, size_t at, uint32_t type, bool noted) {
    static const unsigned widths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    REQUIRE(type < sizeof widths / sizeof *widths);
    if (type == STRING) { return skip_string(file, at, noted); }
    if (type == ARRAY) {
        uint32_t element = (uint32_t)number_at(file, at, 4);
        uint64_t count = number_at(file, at + 4, 8);
        note(file, at, 4, GGUF_VALUE);
        note(file, at + 4, 8, GGUF_COUNT);
        at += 12;
        for (uint64_t i = 0; i < count; i++) { at = skip_value(file, at, element, i < SAMPLES); }
        return at;
    }
    if (noted && widths[type] >= 4) { note(file, at, widths[type], GGUF_VALUE); }
    return at + widths[type];
}

struct gguf gguf_read(const char *path) {
    struct gguf file = {0};
    FILE *stream = fopen(path, "rb");
    REQUIRE(stream != NULL);
    REQUIRE(fseek(stream, 0, SEEK_END) == 0);
    file.size = (size_t)ftell(stream);
    rewind(stream);
    file.bytes = malloc(file.size);
    REQUIRE(file.bytes != NULL && fread(file.bytes, 1, file.size, stream) == file.size);
    fclose(stream);
    REQUIRE(file.size > 24 && memcmp(file.bytes, "GGUF", 4) == 0);

    note(&file, 4, 4, GGUF_VALUE);
    note(&file, 8, 8, GGUF_COUNT);
    note(&file, 16, 8, GGUF_COUNT);
    uint64_t tensors = number_at(&file, 8, 8);
    uint64_t keys = number_at(&file, 16, 8);
    size_t at = 24;
    for (uint64_t key = 0; key < keys; key++) {
        at = skip_string(&file, at, true);
        note(&file, at, 4, GGUF_VALUE);
        at = skip_value(&file, at + 4, (uint32_t)number_at(&file, at, 4), true);
    }
    file.tensors = at;
    for (uint64_t tensor = 0; tensor < tensors; tensor++) {
        bool noted = tensor < SAMPLES;
        at = skip_string(&file, at, noted);
        uint32_t dimensions = (uint32_t)number_at(&file, at, 4);
        if (noted) { note(&file, at, 4, GGUF_VALUE); }
        at += 4;
        for (uint32_t i = 0; i < dimensions; i++, at += 8) {
            if (noted) { note(&file, at, 8, GGUF_COUNT); }
        }
        if (noted) {
            note(&file, at, 4, GGUF_VALUE);
            note(&file, at + 4, 8, GGUF_VALUE);
        }
        at += 12;
    }
    return file;
}

void gguf_free(struct gguf *file) {
    free(file->bytes);
    free(file->numbers);
}

void gguf_write(const char *path, const uint8_t *bytes, size_t size) {
    FILE *stream = fopen(path, "wb");
    REQUIRE(stream != NULL);
    if (size > 0) { REQUIRE(fwrite(bytes, 1, size, stream) == size); }
    REQUIRE(fclose(stream) == 0);
}
