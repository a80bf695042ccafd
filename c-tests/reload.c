/* dlopen, use, dlclose, dlopen again: with nothing closed, with everything closed, and with nothing ever used. */

#include <dlfcn.h>
#include <string.h>
#include <time.h>

#include "old_host.h"

enum { TEXT = 8192 };

static struct old_library library;

static void pause_ms(long ms) {
    struct timespec time = {.tv_sec = 0, .tv_nsec = ms * 1000000};
    nanosleep(&time, NULL);
}

static void *talk(uint32_t *context) {
    static char question[] = "What is your name?";
    static const char config[] = "{\"sampling\":{\"temp\":0,\"repeat_penalty\":1},\"model\":{\"ctx_size\":256}}";
    void *backend = NULL;
    run_of_6 run;
    old_tensor input = {NULL, 4, (uint8_t *)question};
    char answer[TEXT];
    uint32_t size = TEXT, g = 0;
    memcpy(&run, &library.run_inference, sizeof run);
    REQUIRE_EQ(library.init_backend_with_config(&backend, config, sizeof config - 1), OLD_OK);
    REQUIRE_EQ(library.load_by_name(backend, MODELS "/pocket-a.gguf", sizeof MODELS "/pocket-a.gguf" - 1, &g), OLD_OK);
    REQUIRE_EQ(library.init_execution_context(backend, g, context), OLD_OK);
    CHECK_EQ(run(backend, *context, 0, &input, (uint8_t *)answer, &size), OLD_OK);
    CHECK_CONTAINS(answer, "Pip");
    return backend;
}

static void opened_and_closed_without_use(void) {
    for (int i = 0; i < 20; i++) {
        library = old_open(LIBRARY);
        CHECK_EQ(dlclose(library.handle), 0);
    }
}

static void closed_with_everything_closed(void) {
    for (int i = 0; i < 3; i++) {
        uint32_t context = 0;
        library = old_open(LIBRARY);
        void *backend = talk(&context);
        CHECK_EQ(library.close_execution_context(backend, context), OLD_OK);
        CHECK_EQ(library.deinit_backend(backend), OLD_OK);
        CHECK_EQ(dlclose(library.handle), 0);
    }
}

static void closed_with_live_backends(void) {
    for (int i = 0; i < 3; i++) {
        uint32_t context = 0;
        library = old_open(LIBRARY);
        talk(&context);
        pause_ms(100);
        CHECK_EQ(dlclose(library.handle), 0);
        pause_ms(100);
    }
}

int main(void) {
    check_begin();
    RUN(opened_and_closed_without_use);
    RUN(closed_with_everything_closed);
    RUN(closed_with_live_backends);
    return check_end();
}
