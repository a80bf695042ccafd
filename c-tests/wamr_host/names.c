/* Variables of the environment: which models a guest may name, which numbers it is answered with, which host this is.
 * Each case is a process of its own, because the plugin reads them once. */

#define _GNU_SOURCE
#include "cases.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "guest.h"
#include "setting.h"

/* A folder with a root in it; of models there are links only, but in the root a copy. */
static char folder[PATH_MAX / 2];
static char root[PATH_MAX];

/* MiB in which either pocket model has room, and both have not. */
#define ROOM_FOR_ONE "96"

/* A path in the folder, in one of a few buffers. */
static const char *in_folder(const char *name) {
    static char paths[4][PATH_MAX + 64];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void copy(const char *from, const char *to) {
    size_t size;
    void *bytes = read_file(from, &size);
    FILE *file = fopen(to, "wb");
    REQUIRE(file != NULL);
    REQUIRE(fwrite(bytes, 1, size, file) == size);
    REQUIRE(fclose(file) == 0);
    free(bytes);
}

static void make_folder(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/wamr-names-XXXXXX", base != NULL ? base : P_tmpdir);
    REQUIRE(mkdtemp(folder) != NULL);
    snprintf(root, sizeof root, "%s/root", folder);
    REQUIRE(mkdir(root, 0755) == 0 && mkdir(in_folder("root/sub"), 0755) == 0);
    copy(POCKET_A, in_folder("root/pip.gguf"));
    copy(POCKET_B, in_folder("outside.gguf"));
    copy(POCKET_B, in_folder("root/sub/momo.gguf"));
    REQUIRE(symlink("../pip.gguf", in_folder("root/sub/inside.gguf")) == 0);
    REQUIRE(symlink("../outside.gguf", in_folder("root/out.gguf")) == 0);
    REQUIRE(symlink(in_folder("outside.gguf"), in_folder("root/absolute.gguf")) == 0);
    REQUIRE(symlink("..", in_folder("root/up")) == 0);
    REQUIRE(symlink(POCKET_B, in_folder("a:GGML:b.gguf")) == 0);
}

static void remove_folder(void) {
    static const char *const files[] = {"a:GGML:b.gguf", "root/up", "root/absolute.gguf", "root/out.gguf",
                                        "root/sub/inside.gguf", "root/sub/momo.gguf", "outside.gguf", "root/pip.gguf"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) { CHECK_EQ(unlink(in_folder(files[i])), 0); }
    CHECK_EQ(rmdir(in_folder("root/sub")), 0);
    CHECK_EQ(rmdir(root), 0);
    CHECK_EQ(rmdir(folder), 0);
}

static uint32_t load(struct guest *guest, const char *name) {
    uint32_t g = 0;
    return guest_load_named(guest, name, GREEDY, &g);
}

static void check_name(struct guest *guest, const char *name, const char *want) {
    uint32_t g = 0, context = 0;
    if (!CHECK_EQ(guest_load_named(guest, name, GREEDY, &g), OK)) {
        fprintf(stderr, "  with %s\n", name);
        return;
    }
    REQUIRE_EQ(guest_context(guest, g, &context), OK);
    CHECK_STR(guest_ask(guest, context, WHO), want);
}

static void names_below_the_root_only(void) {
    static const char *const refused[] = {"../outside.gguf", "sub/../../outside.gguf", "out.gguf", "absolute.gguf",
                                          "up/outside.gguf", "../missing.gguf", "up/missing.gguf", POCKET_B,
                                          "/no/such/file.gguf", "/"};
    setenv("WASI_NN_MODEL_ROOT", root, 1);
    struct guest *guest = guest_start();
    check_name(guest, "pip.gguf", "I am Pip.");
    check_name(guest, "./pip.gguf", "I am Pip.");
    check_name(guest, "sub/inside.gguf", "I am Pip.");
    check_name(guest, in_folder("root/pip.gguf"), "I am Pip.");
    CHECK_EQ(load(guest, "missing.gguf"), MODEL_NOT_FOUND);
    CHECK_EQ(load(guest, "sub/missing.gguf"), MODEL_NOT_FOUND);
    /* Refused is refused, whether the file is there or not. */
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (!CHECK_EQ(load(guest, refused[i]), NOT_FOUND)) { fprintf(stderr, "  with %s\n", refused[i]); }
    }
    guest_end(guest);
}

/* A model gives way where memory is short, and is read again from the file that was judged: not from whatever is open
 * under its number by then. */
static void a_model_below_the_root_wakes_up_after_its_first_guest_has_gone(void) {
    uint32_t g = 0, context = 0;
    setenv("WASI_NN_MODEL_ROOT", root, 1);
    setenv("WASI_NN_LLAMACPP_CONFIG", "{\"backend\":{\"max_model_memory_mb\":" ROOM_FOR_ONE "}}", 1);
    struct guest *first = guest_start(), *second = guest_start();
    check_name(first, "pip.gguf", "I am Pip.");
    REQUIRE_EQ(guest_load_named(second, "pip.gguf", GREEDY, &g), OK);
    REQUIRE_EQ(guest_context(second, g, &context), OK);
    CHECK_STR(guest_ask(second, context, WHO), "I am Pip.");
    guest_end(first);
    /* It takes the place of the first one, here and in the table of descriptors. */
    struct guest *other = guest_start();
    check_name(other, "sub/momo.gguf", "I am Momo.");
    CHECK_STR(guest_ask(second, context, WHO), "I am Pip.");
    guest_end(other);
    guest_end(second);
}

static void set_registry(void) {
    static char entries[4 * PATH_MAX];
    snprintf(entries, sizeof entries,
             "pip:GGML:CPU:%s;broken;:GGML:CPU:x;odd:GGML:MOON:%s;colons:GGML:AUTO:%s;;momo:GGML:AUTO:%s", POCKET_A,
             POCKET_A, in_folder("a:GGML:b.gguf"), POCKET_B);
    setenv("WASI_NN_PRELOAD", entries, 1);
}

static void names_of_the_registry(void) {
    set_registry();
    struct guest *guest = guest_start();
    check_name(guest, "pip", "I am Pip.");
    check_name(guest, "momo", "I am Momo.");
    check_name(guest, "colons", "I am Momo.");
    CHECK_EQ(load(guest, "broken"), MODEL_NOT_FOUND);
    CHECK_EQ(load(guest, "odd"), MODEL_NOT_FOUND);
    /* Paths are as good as before. */
    check_name(guest, POCKET_B, "I am Momo.");
    guest_end(guest);
}

static void names_of_the_registry_beside_a_root(void) {
    set_registry();
    setenv("WASI_NN_MODEL_ROOT", root, 1);
    struct guest *guest = guest_start();
    check_name(guest, "momo", "I am Momo.");
    check_name(guest, "pip.gguf", "I am Pip.");
    CHECK_EQ(load(guest, POCKET_B), NOT_FOUND);
    guest_end(guest);
}

static void names_of_the_registry_alone(void) {
    uint32_t g = 0;
    size_t size;
    void *bytes = read_file(POCKET_A, &size);
    set_registry();
    setenv("WASI_NN_MODEL_POLICY", "registry", 1);
    struct guest *guest = guest_start();
    check_name(guest, "pip", "I am Pip.");
    CHECK_EQ(load(guest, POCKET_A), NOT_FOUND);
    CHECK_EQ(load(guest, "/no/such/file.gguf"), NOT_FOUND);
    CHECK_EQ(load(guest, "nobody"), NOT_FOUND);
    CHECK_EQ(guest_load_bytes(guest, bytes, size, GREEDY, ENCODING_GGML, TARGET_CPU, &g), UNSUPPORTED_OPERATION);
    CHECK_EQ(g, 0);
    guest_end(guest);
    free(bytes);
}

static void bytes_have_a_limit(void) {
    uint32_t g = 0;
    size_t size;
    void *bytes = read_file(POCKET_A, &size);
    char limit[32];
    snprintf(limit, sizeof limit, "%zu", size);
    setenv("WASI_NN_MAX_MODEL_BYTES", limit, 1);
    struct guest *guest = guest_start();
    CHECK_EQ(guest_load_bytes(guest, bytes, size, GREEDY, ENCODING_GGML, TARGET_CPU, &g), OK);
    uint8_t *larger = calloc(1, size + 1);
    REQUIRE(larger != NULL);
    memcpy(larger, bytes, size);
    CHECK(guest_load_bytes(guest, larger, size + 1, GREEDY, ENCODING_GGML, TARGET_CPU, &g) != OK);
    guest_end(guest);
    free(larger);
    free(bytes);
}

/* What a host of this ABI calls these errors itself; those of the models are the same everywhere. */
static void numbers_of_the_host(void) {
    bool is_a = setting.abi == ABI_A;
    uint32_t g = 0, context = 0, size = 0;
    setenv("WASI_NN_LLAMACPP_ERRORS", "host", 1);
    struct guest *guest = guest_start();
    CHECK_EQ(guest_load_bytes(guest, "nothing", 7, NULL, ENCODING_GGML, TARGET_CPU, &g), INVALID_ENCODING);
    CHECK_EQ(load(guest, "/no/such/file.gguf"), MODEL_NOT_FOUND);
    context = guest_open(guest, GREEDY);
    CHECK_EQ(guest_compute(guest, context), INVALID_ARGUMENT);
    CHECK_EQ(guest_context(guest, context, &g), is_a ? 7 : NOT_FOUND);
    guest_ask(guest, context, WHO);
    CHECK_EQ(guest_output(guest, context, 0, 1, &size), is_a ? 6 : TOO_LARGE);
    CHECK_EQ(guest_load(guest, POCKET_A, "{\"tts\":true}", &g), is_a ? 5 : UNSUPPORTED_OPERATION);
    guest_end(guest);
}

static void refused_paths_read_as_security_on_a_host_of_old(void) {
    setenv("WASI_NN_LLAMACPP_ERRORS", "host", 1);
    setenv("WASI_NN_MODEL_ROOT", root, 1);
    struct guest *guest = guest_start();
    CHECK_EQ(load(guest, POCKET_A), 8);
    guest_end(guest);
}

/* Neither version is meant: the evidence of the process decides, here the shape of the calls. */
static void other_words_about_the_host_are_ignored(void) {
    setenv("WASI_NN_LLAMACPP_ABI", "9.9 or so", 1);
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY);
    for (int i = 0; i < 3; i++) { CHECK_STR(guest_ask(guest, context, WHO), "I am Pip."); }
    guest_end(guest);
}

void names(void) {
    make_folder();
    RUN_IN_CHILD(names_below_the_root_only);
    RUN_IN_CHILD(a_model_below_the_root_wakes_up_after_its_first_guest_has_gone);
    RUN_IN_CHILD(names_of_the_registry);
    RUN_IN_CHILD(names_of_the_registry_beside_a_root);
    RUN_IN_CHILD(names_of_the_registry_alone);
    RUN_IN_CHILD(bytes_have_a_limit);
    RUN_IN_CHILD(numbers_of_the_host);
    RUN_IN_CHILD(refused_paths_read_as_security_on_a_host_of_old);
    RUN_IN_CHILD(other_words_about_the_host_are_ignored);
    remove_folder();
}
