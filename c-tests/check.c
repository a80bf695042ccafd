/* The counting behind check.h. */

#include "check.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int checks;
static atomic_int failures;

void check_begin(void) {
    FILE *file = tmpfile();
    if (file == NULL || dup2(fileno(file), STDOUT_FILENO) < 0) {
        perror("cannot redirect stdout");
        exit(2);
    }
    fclose(file);
}

int check_end(void) {
    struct stat written;
    fflush(stdout);
    check_case("stdout_stays_empty");
    CHECK(fstat(STDOUT_FILENO, &written) == 0);
    CHECK_EQ(written.st_size, 0);
    /* The two checks above always run: a program that has made no other one has tested nothing. */
    if (checks <= 2) {
        fprintf(stderr, "no check ran\n");
        return 1;
    }
    fprintf(stderr, "%d checks, %d failed\n", checks, failures);
    return failures != 0;
}

bool check_true(bool held, const char *text, const char *file, int line) {
    checks++;
    if (!held) {
        failures++;
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    }
    return held;
}

bool check_equal(long long got, long long want, const char *got_text, const char *want_text, const char *file,
                 int line) {
    checks++;
    if (got != want) {
        failures++;
        fprintf(stderr, "%s:%d: failed: %s is %lld, must be %s = %lld\n", file, line, got_text, got, want_text, want);
    }
    return got == want;
}

bool check_string(const char *got, const char *want, const char *text, const char *file, int line) {
    bool equal = got != NULL && want != NULL && strcmp(got, want) == 0;
    checks++;
    if (!equal) {
        failures++;
        fprintf(stderr, "%s:%d: failed: %s is \"%s\", must be \"%s\"\n", file, line, text, got ? got : "(null)",
                want ? want : "(null)");
    }
    return equal;
}

bool check_contains(const char *text, const char *part, bool wanted, const char *name, const char *file, int line) {
    bool held = text != NULL && part != NULL && (strstr(text, part) != NULL) == wanted;
    checks++;
    if (!held) {
        failures++;
        fprintf(stderr, "%s:%d: failed: %s is \"%s\", must %scontain \"%s\"\n", file, line, name,
                text ? text : "(null)", wanted ? "" : "not ", part ? part : "(null)");
    }
    return held;
}

void check_case(const char *name) {
    fprintf(stderr, "- %s\n", name);
}

_Noreturn void check_abandon(void) {
    fprintf(stderr, "the rest of the program stands upon this check: abandoned\n");
    /* Without the exit handlers: a program that stops half-way has contexts and threads left, and the leaks that
     * follow from that would hide the one line that matters. */
    _exit(1);
}

int check_failures(void) {
    return failures;
}
