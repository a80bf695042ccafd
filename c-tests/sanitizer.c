/* Proves that the sanitizers are on in the build that the other tests come from: a Debug build that lost its flags
 * does not compile this file, and one whose run time lost its teeth fails here. */

#include <sanitizer/lsan_interface.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#if !defined(__SANITIZE_ADDRESS__)
#if !defined(__has_feature)
#error "AddressSanitizer is off"
#elif !__has_feature(address_sanitizer)
#error "AddressSanitizer is off"
#endif
#endif

/* The exit status of `work` in a child whose stderr is closed, since its report is what we want and not an error. */
static int status_of(void (*work)(void)) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        work();
        _exit(0);
    }
    REQUIRE(waitpid(child, &status, 0) == child);
    return status;
}

static void nothing(void) {}

static void reads_behind_its_memory(void) {
    volatile size_t behind = 8;
    volatile char *memory = malloc(8);
    (void)memory[behind];
}

static void overflows_an_integer(void) {
    volatile int number = 0x7FFFFFFF;
    number++;
}

static void *volatile kept;

static void loses_memory(void) {
    kept = malloc(1234);
    kept = NULL;
    _exit(__lsan_do_recoverable_leak_check() != 0 ? 7 : 0);
}

static void a_correct_child_ends_with_zero(void) {
    CHECK_EQ(status_of(nothing), 0);
}

static void an_overread_is_found(void) {
    CHECK(status_of(reads_behind_its_memory) != 0);
}

static void undefined_behaviour_is_found(void) {
    CHECK(status_of(overflows_an_integer) != 0);
}

static void a_leak_is_found(void) {
    int status = status_of(loses_memory);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

int main(void) {
    check_begin();
    RUN(a_correct_child_ends_with_zero);
    RUN(an_overread_is_found);
    RUN(undefined_behaviour_is_found);
    RUN(a_leak_is_found);
    return check_end();
}
