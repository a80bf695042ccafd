/* Many instances at once on stacks as small as those of guests' threads, and what happens when somebody ends what
 * another is in. */

#define _GNU_SOURCE
#include "cases.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "library.h"
#include "native.h"
#include "setting.h"

enum { STACK = 131072, THREADS = 8, INSTANCES = 8, TURNS = 4, TALK = 2048 };

/* Runs `work` on `count` small stacks, with their numbers, and waits for all. */
static void crowd(int count, void *(*work)(void *)) {
    pthread_t threads[THREADS];
    pthread_attr_t attributes;
    REQUIRE(count <= THREADS);
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstacksize(&attributes, STACK) == 0);
    for (int i = 0; i < count; i++) {
        REQUIRE(pthread_create(&threads[i], &attributes, work, (void *)(intptr_t)i) == 0);
    }
    for (int i = 0; i < count; i++) { REQUIRE(pthread_join(threads[i], NULL) == 0); }
    pthread_attr_destroy(&attributes);
}

/* An instance with the conversation that its guest keeps. */
struct talker {
    struct guest *guest;
    uint32_t context;
    char text[TALK];
};

static const char *say(struct talker *talker, const char *question) {
    size_t used = strlen(talker->text);
    snprintf(talker->text + used, TALK - used, USER("%s"), question);
    const char *answer = guest_ask(talker->guest, talker->context, talker->text);
    used = strlen(talker->text);
    snprintf(talker->text + used, TALK - used, "%s<|im_end|>\n", answer);
    return answer;
}

/* Eight instances, all alive, that take turns. */
static void *talk(void *number) {
    static const char *const names[] = {"Nora", "Emil", "Ruth", "Otto", "Lena", "Paul", "Anna", "Max"};
    struct talker *talkers = calloc(INSTANCES, sizeof *talkers);
    char told[64], known[64];
    REQUIRE(talkers != NULL);
    for (int i = 0; i < INSTANCES; i++) {
        talkers[i].guest = guest_start();
        talkers[i].context = guest_open(talkers[i].guest, GREEDY);
    }
    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < INSTANCES; i++) {
            const char *name = names[(i + (int)(intptr_t)number) % 8];
            snprintf(told, sizeof told, "My name is %s.", name);
            snprintf(known, sizeof known, "Your name is %s.", name);
            const char *questions[TURNS] = {told, "The weather is nice.", "What is my name?", "Count to 7."};
            const char *answer = say(&talkers[i], questions[turn]);
            CHECK(answer[0] != '\0');
            if (turn == 0) { CHECK_CONTAINS(answer, name); }
            if (turn == 2) { CHECK_STR(answer, known); }
        }
    }
    for (int i = 0; i < INSTANCES; i++) { guest_end(talkers[i].guest); }
    free(talkers);
    return NULL;
}

static void sixty_four_instances_talk_on_eight_small_stacks(void) {
    crowd(THREADS, talk);
}

/* Objects within objects, as deep as configurations may be. */
static void *load_with_a_deep_schema(void *unused) {
    enum { DEPTH = 20 };
    char config[4096] = "{\"temp\":0,\"ctx-size\":1024,\"n-predict\":200,\"json-schema\":";
    (void)unused;
    for (int i = 0; i < DEPTH; i++) {
        strcat(config, "{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":");
    }
    strcat(config, "{\"enum\":[7]}");
    for (int i = 0; i < DEPTH; i++) { strcat(config, "}}"); }
    strcat(config, "}");
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, config);
    CHECK_EQ(guest_set(guest, context, 0, WHO), OK);
    CHECK_EQ(guest_compute(guest, context), OK);
    CHECK(guest_read(guest, context, 0)[0] == '{');
    guest_end(guest);
    return NULL;
}

static void a_deep_schema_fits_on_a_small_stack(void) {
    crowd(1, load_with_a_deep_schema);
}

static void *open_and_end(void *unused) {
    (void)unused;
    for (int i = 0; i < 5; i++) {
        struct guest *guest = guest_start();
        uint32_t context = guest_open(guest, GREEDY);
        if (i % 2 == 0) { CHECK_STR(guest_ask(guest, context, WHO), "I am Pip."); }
        guest_end(guest);
    }
    return NULL;
}

static void instances_come_and_go_at_once(void) {
    crowd(THREADS, open_and_end);
}

static uint32_t running;
static void *running_ctx;
static uint32_t running_code;
static atomic_int pieces;

static void *compute(void *unused) {
    (void)unused;
    /* A look at the output, which waits for the beginning, may be inside and turn it away. */
    do { running_code = library.compute(running_ctx, running); } while (running_code == BUSY);
    return NULL;
}

static void *stream(void *unused) {
    (void)unused;
    do {
        running_code = native_compute_single(running);
        pieces++;
    } while (running_code == OK);
    return NULL;
}

/* Starts `work` on the context of `guest`, and waits until it is inside. */
static pthread_t start(void *(*work)(void *), struct guest *guest) {
    pthread_t thread;
    uint32_t size = 0, code = OK;
    running_ctx = guest->ctx;
    pieces = 0;
    CHECK_EQ(guest_set(guest, running, 0, WHO), OK);
    REQUIRE(pthread_create(&thread, NULL, work, NULL) == 0);
    for (int i = 0; i < 2000 && pieces < 3 && code == OK; i++) {
        pause_ms(1);
        if (work == compute) { code = guest_output(guest, running, 1, TEXT, &size); }
    }
    /* A second call on a context is turned away, not made to wait. */
    CHECK_EQ(code, work == compute ? BUSY : OK);
    return thread;
}

/* Ends what `work` is in by `end`: it comes back with the error of a turn that was cut short. */
static void check_ended(void *(*work)(void *), uint32_t (*end)(void)) {
    struct guest *guest = guest_start();
    running = guest_open(guest, ENDLESS);
    pthread_t thread = start(work, guest);
    CHECK_EQ(end(), OK);
    REQUIRE(pthread_join(thread, NULL) == 0);
    /* Between two pieces there is nothing to cancel: the next call finds no context. */
    if (work == compute || running_code != INVALID_ARGUMENT) { CHECK_EQ(running_code, RUNTIME_ERROR); }
    CHECK_EQ(library.compute(running_ctx, running), INVALID_ARGUMENT);
    CHECK_EQ(end(), INVALID_ARGUMENT);
    library.deinit_backend(running_ctx);
    guest_free(guest);
}

static uint32_t end_instance(void) { return library.deinit_backend(running_ctx); }

static uint32_t end_context(void) { return native_finalize(running); }

static void an_instance_ends_under_a_computation(void) {
    check_ended(compute, end_instance);
    if (setting.is_native) { check_ended(stream, end_instance); }
}

static void a_context_ends_under_a_computation(void) {
    check_ended(compute, end_context);
    check_ended(stream, end_context);
}

static void a_graph_is_unloaded_under_a_computation(void) {
    static const char config[] = "{\"temp\":0,\"ignore-eos\":true,\"n-predict\":500,\"ctx-size\":1024}";
    uint32_t g = 0;
    struct guest *guest = guest_start();
    REQUIRE_EQ(guest_load(guest, POCKET_A, config, &g), OK);
    REQUIRE_EQ(guest_context(guest, g, &running), OK);
    pthread_t thread = start(compute, guest);
    CHECK_EQ(native_unload(g), OK);
    REQUIRE(pthread_join(thread, NULL) == 0);
    /* It has gone on to the end. */
    CHECK_EQ(running_code, OK);
    CHECK_EQ(guest_figure(guest, running, "output_tokens"), 500);
    guest_end(guest);
}

void threads(void) {
    RUN(sixty_four_instances_talk_on_eight_small_stacks);
    RUN(a_deep_schema_fits_on_a_small_stack);
    RUN(instances_come_and_go_at_once);
    RUN(an_instance_ends_under_a_computation);
    if (setting.is_native) {
        RUN(a_context_ends_under_a_computation);
        RUN(a_graph_is_unloaded_under_a_computation);
    }
}
