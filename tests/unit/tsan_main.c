/* SPDX-License-Identifier: MIT */
/*
 * Runs Criterion tests under the thread sanitizer. Criterion's own runner cannot: it wants memory at addresses that TSan
 * keeps for itself (Snaipe/Criterion issue 274). So the thread-sanitizer build takes the tests from Criterion's section
 * and runs each in a forked child, with Criterion's meaning of init, fini, signal, exit_code, timeout and disabled.
 */
#include <criterion/criterion.h>
#include <criterion/event.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

static const struct criterion_test *running;
static atomic_bool assertion_failed;

static const struct criterion_test_extra_data *suite_of(const struct criterion_test *test)
{
    static const struct criterion_test_extra_data none;
    for (struct criterion_suite **suite = __start_cr_sts; suite < __stop_cr_sts; suite++) {
        if (strcmp((*suite)->name, test->category) == 0) {
            return (*suite)->data;
        }
    }
    return &none;
}

/* What the assertion macros and the tests' trampolines call: ours instead of libcriterion's. */

void cri_asserts_passed_incr(void)
{
}

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    fprintf(stderr, "%s:%u: assertion failed: %s\n", stats->file, stats->line, stats->message);
    atomic_store(&assertion_failed, true);
}

void criterion_continue_test(void)
{
}

void criterion_abort_test(void)
{
    _exit(EXIT_FAILURE);
}

void criterion_skip_test(const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "skipped %s/%s: ", running->category, running->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    _exit(running->data->exit_code);
}

void criterion_internal_test_setup(void)
{
    const struct criterion_test_extra_data *suite = suite_of(running);
    if (suite->init) {
        suite->init();
    }
    if (running->data->init) {
        running->data->init();
    }
}

void criterion_internal_test_main(void (*function)(void))
{
    function();
}

void criterion_internal_test_teardown(void)
{
    const struct criterion_test_extra_data *suite = suite_of(running);
    if (running->data->fini) {
        running->data->fini();
    }
    if (suite->fini) {
        suite->fini();
    }
}

static bool passes(const struct criterion_test *test)
{
    const struct criterion_test_extra_data *data = test->data;
    if (data->kind_ != CR_TEST_NORMAL) {
        fprintf(stderr, "%s/%s: parameterized tests are not supported here\n", test->category, test->name);
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        running = test;
        alarm(data->timeout > 0 ? (unsigned)data->timeout + 1 : 0);
        test->test();
        exit(atomic_load(&assertion_failed) ? EXIT_FAILURE : EXIT_SUCCESS);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fork or waitpid");
        return false;
    }
    if (WIFSIGNALED(status)) {
        return data->signal != 0 && WTERMSIG(status) == data->signal;
    }
    return data->signal == 0 && WEXITSTATUS(status) == data->exit_code;
}

int main(void)
{
    unsigned tested = 0, failed = 0;
    for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++) {
        if ((*test)->data->disabled || suite_of(*test)->disabled) {
            continue;
        }
        tested++;
        if (!passes(*test)) {
            printf("FAILED %s/%s\n", (*test)->category, (*test)->name);
            failed++;
        }
        fflush(stdout);
    }
    printf("Tested: %u | Failing: %u\n", tested, failed);
    return tested == 0 || failed > 0;
}
