/* fork and wait behind child.h. */

#define _GNU_SOURCE
#include "child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "guest.h"
#include "library.h"

enum { PATIENCE_MS = 60000, STEP_MS = 2 };

/* Checks that the parent had failed. */
static int inherited;

bool child_has_failed(void) { return check_failures() != inherited; }

int child_status(void (*work)(void)) {
    int status = 0;
    REQUIRE(library.handle == NULL);
    fflush(NULL);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        inherited = check_failures();
        work();
        exit(child_has_failed());
    }
    for (int waited = 0; waitpid(child, &status, WNOHANG) == 0; waited += STEP_MS) {
        pause_ms(STEP_MS);
        if (waited >= PATIENCE_MS) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return 124;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
