/* What a program needs of wasi_snapshot_preview1 to read its arguments and to print, and printing itself. */
#ifndef GUEST_WASI_H
#define GUEST_WASI_H

#include <stdint.h>

struct wasi_slice {
    const char *at;
    uint32_t size;
};

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

WASI(args_sizes_get) uint32_t wasi_args_sizes_get(uint32_t *count, uint32_t *bytes);
WASI(args_get) uint32_t wasi_args_get(char **arguments, char *bytes);
WASI(fd_write) uint32_t wasi_fd_write(uint32_t fd, const struct wasi_slice *slices, uint32_t count, uint32_t *written);
WASI(proc_exit) _Noreturn void wasi_proc_exit(uint32_t status);

#undef WASI

enum { STDOUT = 1, STDERR = 2 };

static uint32_t length(const char *text) {
    uint32_t size = 0;
    while (text[size] != 0) {
        size++;
    }
    return size;
}

static void print(uint32_t fd, const char *text, uint32_t size) {
    while (size > 0) {
        struct wasi_slice slice = {text, size};
        uint32_t written = 0;
        if (wasi_fd_write(fd, &slice, 1, &written) != 0 || written == 0) {
            wasi_proc_exit(1);
        }
        text += written;
        size -= written;
    }
}

static void say(const char *text) {
    print(STDERR, text, length(text));
}

/* Ends the program with the number of a failed call as its status. */
static _Noreturn void fail(const char *function, uint32_t number) {
    char digits[11];
    uint32_t at = sizeof digits - 1;
    digits[at] = 0;
    uint32_t rest = number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    say(function);
    say(": error ");
    say(digits + at);
    say("\n");
    wasi_proc_exit(number);
}

static void check(const char *function, uint32_t number) {
    if (number != 0) {
        fail(function, number);
    }
}

#endif
