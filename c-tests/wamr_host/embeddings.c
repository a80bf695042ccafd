/* Vectors of a text instead of an answer. */

#include "cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "guest.h"

enum { WIDTH = 128 };

static struct guest *guest;

/* The vector of `text`, which must have the width of the model. */
static void embed(uint32_t context, const char *text, double *vector) {
    char path[32];
    CHECK_EQ(guest_set(guest, context, 0, text), OK);
    CHECK_EQ(guest_compute(guest, context), OK);
    guest_read(guest, context, 0);
    REQUIRE(json_valid(guest->text));
    REQUIRE_EQ(json_number(guest->text, "n_embedding"), WIDTH);
    REQUIRE_EQ(json_count(guest->text, "embedding"), WIDTH);
    for (int i = 0; i < WIDTH; i++) {
        snprintf(path, sizeof path, "embedding.%d", i);
        vector[i] = json_number(guest->text, path);
        CHECK(vector[i] > -1e200);
    }
}

static double dot(const double *left, const double *right) {
    double sum = 0;
    for (int i = 0; i < WIDTH; i++) { sum += left[i] * right[i]; }
    return sum;
}

static void a_vector_has_length_one(void) {
    double first[WIDTH], again[WIDTH], other[WIDTH];
    uint32_t context = guest_open(guest, "{\"embedding\":true,\"ctx-size\":512}");
    embed(context, "Rivers run down to the sea.", first);
    embed(context, "Count to 7.", other);
    embed(context, "Rivers run down to the sea.", again);
    CHECK(fabs(dot(first, first) - 1) < 1e-4);
    CHECK(fabs(dot(other, other) - 1) < 1e-4);
    CHECK(dot(first, again) > 0.9999);
    CHECK(dot(first, other) < 0.9999);
}

static void a_vector_may_be_left_as_it_is(void) {
    double plain[WIDTH], even[WIDTH];
    embed(guest_open(guest, "{\"embedding\":true,\"ctx-size\":512,\"embd-normalize\":-1}"), "The sea.", plain);
    embed(guest_open(guest, "{\"embedding\":true,\"ctx-size\":512,\"embd-normalize\":2}"), "The sea.", even);
    double length = sqrt(dot(plain, plain));
    CHECK(fabs(length - 1) > 1e-3);
    CHECK(fabs(dot(plain, even) / length - 1) < 1e-3);
}

static void poolings_differ(void) {
    double mean[WIDTH], last[WIDTH];
    static const char text[] = "The sea is blue.";
    embed(guest_open(guest, "{\"embedding\":true,\"ctx-size\":512,\"pooling-type\":\"mean\"}"), text, mean);
    embed(guest_open(guest, "{\"embedding\":true,\"ctx-size\":512,\"pooling-type\":3}"), text, last);
    CHECK(dot(mean, last) < 0.9999);
}

static void a_context_may_become_one_for_vectors_and_back(void) {
    double vector[WIDTH];
    uint32_t context = guest_open(guest, GREEDY);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
    CHECK_EQ(guest_set(guest, context, 1, "{\"embedding\":true}"), OK);
    embed(context, "Rivers run down to the sea.", vector);
    CHECK(guest_figure(guest, context, "input_tokens") > 0);
    CHECK_EQ(guest_set(guest, context, 1, "{\"embedding\":false}"), OK);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
}

static void a_text_longer_than_the_batch_is_too_long(void) {
    static char text[4096];
    double vector[WIDTH];
    uint32_t context = guest_open(guest, "{\"embedding\":true,\"ctx-size\":2048,\"batch-size\":64}");
    for (size_t i = 0; i + 1 < sizeof text; i++) { text[i] = "x y z"[i % 5]; }
    text[1000] = '\0';
    CHECK_EQ(guest_set(guest, context, 0, text), OK);
    CHECK_EQ(guest_compute(guest, context), PROMPT_TOO_LONG);
    embed(context, "The sea.", vector);
}

void embeddings(void) {
    guest = guest_start();
    RUN(a_vector_has_length_one);
    RUN(a_vector_may_be_left_as_it_is);
    RUN(poolings_differ);
    RUN(a_context_may_become_one_for_vectors_and_back);
    RUN(a_text_longer_than_the_batch_is_too_long);
    guest_end(guest);
}
