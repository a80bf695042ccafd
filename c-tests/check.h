/* Checks that print and count, for C test programs: what failed, where, and with which values.
 *
 * Knows nothing of the library. A program runs its cases between `check_begin` and `check_end`, and ends with what
 * `check_end` returns: 0 only if at least one check ran, none failed, and nothing was written to stdout meanwhile.
 * All output goes to stderr, because the library promises never to write to stdout and every program watches that.
 * Checks may be made from any thread. */

#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Counts a check, prints it when `condition` is false, and goes on. True if it held. */
#define CHECK(condition) check_true((condition), #condition, __FILE__, __LINE__)

/* Two integers are equal. */
#define CHECK_EQ(got, want) check_equal((long long)(got), (long long)(want), #got, #want, __FILE__, __LINE__)

/* Two C strings are equal; NULL equals nothing. */
#define CHECK_STR(got, want) check_string((got), (want), #got, __FILE__, __LINE__)

/* The C string `text` contains `part`. */
#define CHECK_CONTAINS(text, part) check_contains((text), (part), true, #text, __FILE__, __LINE__)

/* The C string `text` does not contain `part`. */
#define CHECK_LACKS(text, part) check_contains((text), (part), false, #text, __FILE__, __LINE__)

/* As CHECK, for what the rest of the program stands upon: ends the program when it fails. */
#define REQUIRE(condition) \
    do { \
        if (!CHECK(condition)) { check_abandon(); } \
    } while (0)

/* As CHECK_EQ, ends the program when it fails. */
#define REQUIRE_EQ(got, want) \
    do { \
        if (!CHECK_EQ(got, want)) { check_abandon(); } \
    } while (0)

/* Runs one case, a function without arguments, under its own name. */
#define RUN(function) \
    do { \
        check_case(#function); \
        function(); \
    } while (0)

/* Sends stdout to an empty file, so that `check_end` can tell whether anybody wrote to it. */
void check_begin(void);

/* Prints the sum and returns the exit status of the program. */
int check_end(void);

bool check_true(bool held, const char *text, const char *file, int line);
bool check_equal(long long got, long long want, const char *got_text, const char *want_text, const char *file,
                 int line);
bool check_string(const char *got, const char *want, const char *text, const char *file, int line);
bool check_contains(const char *text, const char *part, bool wanted, const char *name, const char *file, int line);
void check_case(const char *name);
_Noreturn void check_abandon(void);

/* Checks that failed so far; what a forked child reports to its parent. */
int check_failures(void);

#endif
