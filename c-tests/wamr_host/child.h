/* Cases that need a process of their own: another environment, or an end that is worth watching. The plugin must not be
 * open in the parent. */

#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>

#include "../check.h"

/* Runs a case in a child; counts as one check, which holds if no check failed in there. */
#define RUN_IN_CHILD(function) \
    do { \
        check_case(#function); \
        CHECK_EQ(child_status(function), 0); \
    } while (0)

/* The status with which a child ends that runs `work`: 0 or 1 by its checks if `work` returns, 128 and the signal if
 * one ended it, 124 if it had to be ended after a minute. */
int child_status(void (*work)(void));

/* In a child: true if a check has failed since it began. */
bool child_has_failed(void);

#endif
