/* Hosts that are not quite what they say: inputs in the shape of one ABI and outputs in that of the other, as in one
 * development snapshot that is in the field. */

#include "cases.h"

#include "guest.h"
#include "setting.h"

static void outputs_are_fetched_in_the_shape_that_is_seen(void) {
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY), size = 0;
    CHECK(setting.abi != setting.output_abi);
    for (int i = 0; i < 3; i++) {
        CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
        CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 5 6 7");
        CHECK_EQ(guest_output(guest, context, 0, 3, &size), TOO_LARGE);
        CHECK_EQ(size, sizeof "1 2 3 4 5 6 7" - 1);
    }
    guest_end(guest);
}

/* What the version says about inputs stays true. */
static void inputs_are_read_in_the_shape_that_was_told(void) {
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY), one = 1;
    struct guest_tensor tensor = {.n_dims = 1, .type = TYPE_U8, .size = sizeof WHO - 1};
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 5 6 7");
    tensor.dims = guest_dims(guest, 1, &one);
    tensor.data = setting.abi == ABI_A ? memory_text(&guest->memory, WHO)
                                       : memory_put(&guest->memory, WHO, sizeof WHO - 1);
    CHECK_EQ(guest_set_tensor(guest, context, 0, &tensor), OK);
    CHECK_EQ(guest_compute(guest, context), OK);
    CHECK_STR(guest_read(guest, context, 0), "I am Pip.");
    guest_end(guest);
}

void mixed(void) {
    RUN(outputs_are_fetched_in_the_shape_that_is_seen);
    RUN(inputs_are_read_in_the_shape_that_was_told);
}
