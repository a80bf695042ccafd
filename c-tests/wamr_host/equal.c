/* Both doors lead to one engine: a raw prompt gives the same greedy text in a guest as through the C library, with both
 * libraries in one process. */

#include "cases.h"

#include <stdio.h>
#include <string.h>

#include "../old_host.h"
#include "guest.h"

enum { ANSWER = 8192 };

static struct old_library native_library;
static void *backend;
static run_of_8 run;

static const char *complete_natively(const char *prompt, char *answer) {
    uint32_t context = 0, size = ANSWER;
    old_tensor input = {NULL, 4, (uint8_t *)(uintptr_t)prompt};
    answer[0] = '\0';
    REQUIRE_EQ(native_library.init_execution_context(backend, 0, &context), OLD_OK);
    CHECK_EQ(run(backend, context, 0, &input, (uint8_t *)answer, &size, NULL, 0), OLD_OK);
    CHECK_EQ(native_library.close_execution_context(backend, context), OLD_OK);
    return answer;
}

static void raw_prompts_have_the_same_completion(void) {
    static const char *const prompts[] = {
        "Rivers run down to", "Hello", "What is your name?", "1 2 3 4", "The secret word is", "user\nHi\nassistant\n",
        "My name is Nora. What is my name?", " ", "Wei\xC3\x9F", "{\"name\": ",
    };
    char answer[ANSWER];
    int with_text = 0;
    struct guest *guest = guest_start();
    uint32_t g = 0;
    REQUIRE_EQ(guest_load(guest, POCKET_A, "{\"temp\":0,\"n-predict\":32,\"ctx-size\":1024}", &g), OK);
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        uint32_t context = 0;
        REQUIRE_EQ(guest_context(guest, g, &context), OK);
        CHECK_STR(guest_ask(guest, context, prompts[i]), complete_natively(prompts[i], answer));
        with_text += answer[0] != '\0';
    }
    CHECK(with_text > 5);
    guest_end(guest);
}

/* One after the other in the same process: neither has closed anything of the other's. */
static void each_goes_on_without_the_other(void) {
    char answer[ANSWER], before[ANSWER];
    snprintf(before, sizeof before, "%s", complete_natively("Rivers run down to", answer));
    struct guest *guest = guest_start();
    uint32_t context = guest_open(guest, GREEDY);
    CHECK_STR(guest_ask(guest, context, WHO), "I am Pip.");
    CHECK_EQ(native_library.deinit_backend(backend), OLD_OK);
    CHECK_STR(guest_ask(guest, context, COUNT_TO_7), "1 2 3 4 5 6 7");
    guest_end(guest);
}

void equal(void) {
    static const char config[] =
        "{\"model\":{\"chat_template\":\"raw\",\"n_predict\":32,\"ctx_size\":1024},"
        "\"sampling\":{\"temp\":0,\"repeat_penalty\":1},\"logging\":{\"level\":\"warn\"}}";
    uint32_t g = 0;
    native_library = old_open(LIBRARY);
    memcpy(&run, &native_library.run_inference, sizeof run);
    REQUIRE_EQ(native_library.init_backend_with_config(&backend, config, sizeof config - 1), OLD_OK);
    REQUIRE_EQ(native_library.load_by_name(backend, POCKET_A, sizeof POCKET_A - 1, &g), OLD_OK);
    RUN(raw_prompts_have_the_same_completion);
    RUN(each_goes_on_without_the_other);
}
