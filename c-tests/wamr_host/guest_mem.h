/* The linear memory of a guest: one mapping of 64 MiB between pages that cannot be read, in which everything that is
 * handed out lies at an odd address. What a call has used is overwritten afterwards, so that whoever keeps a pointer
 * instead of a copy is found out. */

#ifndef GUEST_MEM_H
#define GUEST_MEM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory {
    uint8_t *base;
    /* Bytes handed out from the bottom and from the top. */
    size_t used, used_at_end;
};

void memory_open(struct memory *memory);
void memory_close(struct memory *memory);

/* Bytes of every memory. */
size_t memory_size(void);

/* `size` bytes at an odd address. */
void *memory_odd(struct memory *memory, size_t size);

/* A copy of `size` bytes at an odd address, with bytes behind it that are neither NUL nor part of it. */
void *memory_put(struct memory *memory, const void *bytes, size_t size);

/* A copy of a text with its NUL, at an odd address. */
void *memory_text(struct memory *memory, const char *text);

/* A copy of `size` bytes whose last one is the last of the memory. */
void *memory_tail(struct memory *memory, const void *bytes, size_t size);

/* Overwrites everything that was handed out and takes it back. */
void memory_reset(struct memory *memory);

/* A number at any address. */
uint32_t peek(const void *at);
void poke(void *at, uint32_t number);

/* A thread that keeps rewriting a piece of memory while calls read it. */
struct scribbler {
    volatile uint8_t *at;
    size_t size;
    atomic_bool is_done;
    pthread_t thread;
};

void scribbler_start(struct scribbler *scribbler, void *at, size_t size);
void scribbler_stop(struct scribbler *scribbler);

#endif
