/* Reads the header of a GGUF file as far as a test needs to break it on purpose: where its numbers stand. */

#ifndef GGUF_H
#define GGUF_H

#include <stddef.h>
#include <stdint.h>

enum gguf_kind {
    GGUF_COUNT,  /* an 8-byte count: of tensors, keys, array elements, dimensions of a tensor */
    GGUF_LENGTH, /* the 8-byte length of a string */
    GGUF_VALUE,  /* a number of 4 or 8 bytes: an integer value of a key, a tensor's type or offset */
};

/* A number in the header. */
struct gguf_number {
    size_t offset;
    unsigned bytes; /* 4 or 8 */
    enum gguf_kind kind;
};

struct gguf {
    uint8_t *bytes;
    size_t size;
    size_t tensors; /* where the tensor table begins: behind the last key */
    size_t count;
    struct gguf_number *numbers;
};

/* Reads a whole file. Ends the program if there is none or it is not a GGUF file. */
struct gguf gguf_read(const char *path);

void gguf_free(struct gguf *file);

/* Writes `size` bytes to `path`. */
void gguf_write(const char *path, const uint8_t *bytes, size_t size);

#endif
