/* The calls of guest.h: put everything into guest memory, let the host's ABI make the call, take out what came. */

#define _GNU_SOURCE
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../json.h"
#include "library.h"
#include "native.h"
#include "setting.h"

/* What a guest has where a handle is to be written: nothing else may write it. */
enum { UNWRITTEN = 0x5A5A5A5A };

struct builder {
    uint8_t *buf;
    uint32_t size;
};

struct builders {
    struct builder *buf;
    uint32_t size;
};

_Static_assert(sizeof(struct builder) == 16 && sizeof(struct builders) == 16, "layout of graph_builder_array");

static const struct abi *of_kind(enum abi_kind kind) {
    if (shows_runtime()) { return &abi_native; }
    return kind == ABI_A ? &abi_a : &abi_b;
}

const struct abi *host_inputs(void) { return of_kind(setting.abi); }

const struct abi *host_outputs(void) { return of_kind(setting.output_abi); }

struct guest *guest_start(void) {
    library_open();
    struct guest *guest = calloc(1, sizeof *guest);
    REQUIRE(guest != NULL);
    guest->text = malloc(TEXT + 1);
    REQUIRE(guest->text != NULL);
    guest->text[0] = '\0';
    memory_open(&guest->memory);
    native_as(guest);
    return guest;
}

void guest_free(struct guest *guest) {
    memory_close(&guest->memory);
    free(guest->text);
    free(guest);
}

void guest_end(struct guest *guest) {
    host_inputs()->finish(guest);
    guest_free(guest);
}

/* Takes a handle out of guest memory: it is there after a success, and nothing has been written after a failure. */
static uint32_t take(struct guest *guest, uint32_t code, const void *at, uint32_t *handle) {
    uint32_t written = peek(at);
    if (code == OK) {
        CHECK(written != UNWRITTEN && written != 0 && written != 0xFFFFFFFF);
        *handle = written;
    } else {
        CHECK_EQ(written, UNWRITTEN);
    }
    memory_reset(&guest->memory);
    return code;
}

static void *place(struct guest *guest) {
    void *at = memory_odd(&guest->memory, sizeof(uint32_t));
    poke(at, UNWRITTEN);
    return at;
}

uint32_t guest_load_named(struct guest *guest, const char *name, const char *config, uint32_t *g) {
    host_inputs()->prepare(guest);
    void *at = place(guest);
    const char *own_name = memory_text(&guest->memory, name);
    uint32_t length = (uint32_t)strlen(name), code;
    if (shows_runtime()) {
        const char *own_config = config != NULL ? memory_text(&guest->memory, config) : NULL;
        code = native_load_named(guest, own_name, length, own_config, config != NULL ? (uint32_t)strlen(config) : 0, at);
    } else if (config == NULL) {
        code = library.load_by_name(guest->ctx, own_name, length, (uintptr_t)at, 0xDEADBEEF);
    } else {
        const char *own_config = memory_text(&guest->memory, config);
        code = library.load_by_name_with_config(guest->ctx, own_name, length, own_config, (uint32_t)strlen(config), at);
    }
    return take(guest, code, at, g);
}

uint32_t guest_load_bytes(struct guest *guest, const void *bytes, size_t size, const char *config, uint32_t encoding,
                          uint32_t target, uint32_t *g) {
    host_inputs()->prepare(guest);
    void *at = place(guest);
    struct builder builder[2] = {{.buf = memory_put(&guest->memory, bytes, size), .size = (uint32_t)size}};
    struct builders builders = {.buf = builder, .size = config != NULL ? 2 : 1};
    if (config != NULL) {
        builder[1].buf = memory_put(&guest->memory, config, strlen(config));
        builder[1].size = (uint32_t)strlen(config);
    }
    if (shows_runtime()) {
        uint32_t code = native_load_bytes(guest, builder[0].buf, builder[0].size, builder[1].buf, builder[1].size,
                                          encoding, target, at);
        return take(guest, code, at, g);
    }
    return take(guest, library.load(guest->ctx, &builders, encoding, target, at), at, g);
}

uint32_t guest_load(struct guest *guest, const char *model, const char *config, uint32_t *g) {
    if (loads_by_name()) { return guest_load_named(guest, model, config, g); }
    size_t size;
    void *bytes = read_file(model, &size);
    uint32_t code = guest_load_bytes(guest, bytes, size, config, ENCODING_GGML, TARGET_CPU, g);
    free(bytes);
    return code;
}

uint32_t guest_context(struct guest *guest, uint32_t g, uint32_t *context) {
    void *at = place(guest);
    uint32_t code = shows_runtime() ? native_context(guest, g, at)
                                    : library.init_execution_context(guest->ctx, g, at);
    return take(guest, code, at, context);
}

const void *guest_dims(struct guest *guest, uint32_t count, const uint32_t *dims) {
    return memory_put(&guest->memory, dims, count * sizeof *dims);
}

uint32_t guest_set_tensor(struct guest *guest, uint32_t context, uint32_t index, const struct guest_tensor *tensor) {
    uint32_t code = host_inputs()->set_input(guest, context, index, tensor);
    memory_reset(&guest->memory);
    return code;
}

uint32_t guest_set(struct guest *guest, uint32_t context, uint32_t index, const char *text) {
    uint32_t size = (uint32_t)strlen(text);
    struct guest_tensor tensor = {
        .dims = guest_dims(guest, 2, (uint32_t[]){1, size}),
        .n_dims = 2,
        .type = TYPE_U8,
        .data = memory_text(&guest->memory, text),
        .size = size,
    };
    return guest_set_tensor(guest, context, index, &tensor);
}

uint32_t guest_compute(struct guest *guest, uint32_t context) {
    return shows_runtime() ? native_compute(guest, context) : library.compute(guest->ctx, context);
}

uint32_t guest_output(struct guest *guest, uint32_t context, uint32_t index, uint32_t capacity, uint32_t *size) {
    REQUIRE(capacity <= TEXT);
    void *at = memory_odd(&guest->memory, sizeof(uint32_t));
    uint8_t *buffer = memory_odd(&guest->memory, (size_t)capacity + 1);
    memset(buffer, '#', (size_t)capacity + 1);
    uint32_t code = host_outputs()->get_output(guest, context, index, buffer, capacity, at);
    *size = peek(at);
    if (code == OK && CHECK(*size <= capacity)) {
        memcpy(guest->text, buffer, *size);
        guest->text[*size] = '\0';
        CHECK_EQ(strlen(guest->text), *size);
    }
    /* Not a byte is written behind the output, and none at all when there is an error. */
    for (size_t i = code == OK ? *size : 0; i <= capacity; i++) {
        if (buffer[i] != '#') {
            CHECK_EQ(buffer[i], '#');
            break;
        }
    }
    memory_reset(&guest->memory);
    return code;
}

uint32_t guest_open(struct guest *guest, const char *config) {
    uint32_t g = 0, context = 0;
    REQUIRE_EQ(guest_load(guest, POCKET_A, config, &g), OK);
    REQUIRE_EQ(guest_context(guest, g, &context), OK);
    return context;
}

const char *guest_read(struct guest *guest, uint32_t context, uint32_t index) {
    uint32_t size = 0;
    guest->text[0] = '\0';
    CHECK_EQ(guest_output(guest, context, index, TEXT, &size), OK);
    return guest->text;
}

const char *guest_ask(struct guest *guest, uint32_t context, const char *prompt) {
    CHECK_EQ(guest_set(guest, context, 0, prompt), OK);
    CHECK_EQ(guest_compute(guest, context), OK);
    return guest_read(guest, context, 0);
}

long guest_figure(struct guest *guest, uint32_t context, const char *name) {
    double number = json_number(guest_read(guest, context, 1), name);
    if (number < -1e200) { fprintf(stderr, "no number %s in %s\n", name, guest->text); }
    CHECK(number > -1e200);
    return (long)number;
}

void pause_ms(unsigned ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

void *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) { perror(path); }
    REQUIRE(file != NULL);
    REQUIRE(fseek(file, 0, SEEK_END) == 0);
    long length = ftell(file);
    REQUIRE(length > 0);
    rewind(file);
    void *bytes = malloc((size_t)length);
    REQUIRE(bytes != NULL);
    REQUIRE(fread(bytes, 1, (size_t)length, file) == (size_t)length);
    fclose(file);
    *size = (size_t)length;
    return bytes;
}
