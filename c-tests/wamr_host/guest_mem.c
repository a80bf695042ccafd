/* The mapping behind guest_mem.h. */

#define _GNU_SOURCE
#include "guest_mem.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../check.h"

enum { SIZE = 64 << 20, JUNK = 'x', STALE = 0xEE };

static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

void memory_open(struct memory *memory) {
    uint8_t *all = mmap(NULL, SIZE + 2 * page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(all != MAP_FAILED);
    REQUIRE(mprotect(all + page(), SIZE, PROT_READ | PROT_WRITE) == 0);
    *memory = (struct memory){.base = all + page()};
}

size_t memory_size(void) { return SIZE; }

void memory_close(struct memory *memory) {
    REQUIRE(munmap(memory->base - page(), SIZE + 2 * page()) == 0);
    memory->base = NULL;
}

void *memory_odd(struct memory *memory, size_t size) {
    uint8_t *at = memory->base + (memory->used | 1);
    REQUIRE(size < SIZE && (memory->used | 1) + size + 16 + memory->used_at_end < SIZE);
    memory->used = (memory->used | 1) + size + 16;
    memset(at + size, JUNK, 16);
    return at;
}

void *memory_put(struct memory *memory, const void *bytes, size_t size) {
    void *at = memory_odd(memory, size);
    memcpy(at, bytes, size);
    return at;
}

void *memory_text(struct memory *memory, const char *text) {
    return memory_put(memory, text, strlen(text) + 1);
}

void *memory_tail(struct memory *memory, const void *bytes, size_t size) {
    uint8_t *at = memory->base + SIZE - size;
    REQUIRE(size + memory->used < SIZE);
    if (memory->used_at_end < size) { memory->used_at_end = size; }
    memcpy(at, bytes, size);
    return at;
}

void memory_reset(struct memory *memory) {
    memset(memory->base, STALE, memory->used);
    memset(memory->base + SIZE - memory->used_at_end, STALE, memory->used_at_end);
    memory->used = memory->used_at_end = 0;
}

uint32_t peek(const void *at) {
    uint32_t number;
    memcpy(&number, at, sizeof number);
    return number;
}

void poke(void *at, uint32_t number) { memcpy(at, &number, sizeof number); }

/* Values that mean something to a reader of texts, JSON and lengths: an end, a quote, a broken character, a bracket. */
static void *scribble(void *argument) {
    static const uint8_t values[] = {0x00, '"', 0xFF, '{', 0x80, 'a', 0xF0, '}'};
    struct scribbler *scribbler = argument;
    for (size_t round = 0; !scribbler->is_done; round++) {
        for (size_t i = round % 3; i < scribbler->size; i += 3) { scribbler->at[i] = values[(round + i) % 8]; }
    }
    return NULL;
}

void scribbler_start(struct scribbler *scribbler, void *at, size_t size) {
    scribbler->at = at;
    scribbler->size = size;
    scribbler->is_done = false;
    REQUIRE(pthread_create(&scribbler->thread, NULL, scribble, scribbler) == 0);
}

void scribbler_stop(struct scribbler *scribbler) {
    scribbler->is_done = true;
    REQUIRE(pthread_join(scribbler->thread, NULL) == 0);
}
