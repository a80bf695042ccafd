/* What the library does to its host's process: threads come with the first load and go with the last backend, signals
 * and the working directory stay the host's, and a forked child may not use its parent's handles. */

#include <dirent.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

static int threads_now(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    REQUIRE(folder != NULL);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count;
}

static int files_now(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    REQUIRE(folder != NULL);
    while (readdir(folder) != NULL) { count++; }
    closedir(folder);
    return count;
}

static void no_thread_exists_before_the_first_load(void) {
    int before = threads_now();
    void *backend = open_backend(GREEDY);
    graph_execution_context context;
    CHECK_EQ(init_execution_context(backend, 0, &context), INVALID_ARGUMENT);
    status(backend, 0);
    CHECK_EQ(threads_now(), before);
    close_backend(backend);
    CHECK_EQ(threads_now(), before);
}

static void threads_and_files_go_with_the_last_backend(void) {
    int threads = threads_now(), files = files_now();
    void *one = open_with_model(POCKET_A, GREEDY);
    void *two = open_with_model(POCKET_B, GREEDY);
    char answer[TEXT];
    say(one, open_context(one), "Hello!", answer);
    say(two, open_context(two), "Hello!", answer);
    CHECK(threads_now() > threads);
    close_backend(one);
    close_backend(two);
    /* A joined thread may stand in the table for a moment. */
    for (int i = 0; i < 100 && threads_now() > threads; i++) { sleep_ms(10); }
    CHECK_EQ(threads_now(), threads);
    CHECK_EQ(files_now(), files);
}

static void signals_locale_and_folder_stay_the_hosts(void) {
    struct sigaction before[65], after;
    sigset_t mask_before, mask_after;
    char folder_before[4096], folder_after[4096], locale_before[256], answer[TEXT];
    for (int number = 1; number < 65; number++) { sigaction(number, NULL, &before[number]); }
    pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    REQUIRE(getcwd(folder_before, sizeof folder_before) != NULL);
    strncpy(locale_before, setlocale(LC_ALL, NULL), sizeof locale_before - 1);
    locale_before[sizeof locale_before - 1] = '\0';

    void *backend = open_with_model(POCKET_A, GREEDY);
    say(backend, open_context(backend), "Hello!", answer);
    close_backend(backend);

    for (int number = 1; number < 65; number++) {
        memset(&after, 0, sizeof after);
        if (sigaction(number, NULL, &after) == 0) { CHECK(after.sa_handler == before[number].sa_handler); }
    }
    pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    for (int number = 1; number < 65; number++) {
        CHECK_EQ(sigismember(&mask_after, number), sigismember(&mask_before, number));
    }
    REQUIRE(getcwd(folder_after, sizeof folder_after) != NULL);
    CHECK_STR(folder_after, folder_before);
    CHECK_STR(setlocale(LC_ALL, NULL), locale_before);
}

/* The parent's handles in the child: every answer is 4, and none of them hangs on a thread that was not forked. */
static void check_child(void *backend, uint32_t context) {
    char answer[TEXT];
    graph g;
    graph_execution_context opened;
    tensor input = text_tensor("Hello!");
    CHECK_EQ(turn(backend, context, "Hello!", NULL, answer), RUNTIME_ERROR);
    CHECK_EQ(load_by_name(backend, POCKET_A, 0, &g), RUNTIME_ERROR);
    CHECK_EQ(init_execution_context(backend, 0, &opened), RUNTIME_ERROR);
    CHECK_EQ(set_input(backend, context, 0, &input), RUNTIME_ERROR);
    CHECK_EQ(close_execution_context(backend, context), RUNTIME_ERROR);
    CHECK_EQ(get_backend_status(backend, 0, answer, TEXT), RUNTIME_ERROR);
    CHECK_EQ(deinit_backend(backend), RUNTIME_ERROR);
    CHECK_EQ(wasi_nn_get_last_error(NULL, answer, TEXT), OK);
    CHECK_CONTAINS(answer, "process");
}

static void a_forked_child_gets_4(void) {
    void *backend = open_with_model(POCKET_A, GREEDY);
    uint32_t context = open_context(backend);
    char answer[TEXT];
    say(backend, context, "My name is Zorvath.", answer);
    pid_t child = fork();
    if (child == 0) {
        int before = check_failures();
        alarm(30);
        check_child(backend, context);
        _exit(check_failures() == before ? 0 : 1);
    }
    int status_of_child = -1;
    REQUIRE(waitpid(child, &status_of_child, 0) == child);
    CHECK_EQ(status_of_child, 0);
    CHECK_CONTAINS(say(backend, context, "What is my name?", answer), "Zorvath");
    close_backend(backend);
}

static void live_backends_at_exit_are_allowed(void) {
    pid_t child = fork();
    if (child == 0) {
        char answer[TEXT];
        alarm(60);
        void *backend = open_with_model(POCKET_A, GREEDY);
        say(backend, open_context(backend), "Hello!", answer);
        /* By way of the exit handlers and the destructors of every library. */
        exit(check_failures() == 0 ? 0 : 1);
    }
    int status_of_child = -1;
    REQUIRE(waitpid(child, &status_of_child, 0) == child);
    CHECK_EQ(status_of_child, 0);
}

int main(void) {
    check_begin();
    RUN(no_thread_exists_before_the_first_load);
    RUN(live_backends_at_exit_are_allowed);
    RUN(threads_and_files_go_with_the_last_backend);
    RUN(signals_locale_and_folder_stay_the_hosts);
    RUN(a_forked_child_gets_4);
    return check_end();
}
