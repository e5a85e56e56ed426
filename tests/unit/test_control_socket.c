/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control_socket.h"

static char directory[64], path[100], lock[112], error[CONTROL_SOCKET_ERROR_BYTES];

static void make_place(void)
{
    snprintf(directory, sizeof directory, "/tmp/machnet-test-socket-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s", directory);
    snprintf(lock, sizeof lock, "%s.lock", path);
}

static void remove_place(void)
{
    unlink(path);
    unlink(lock);
    rmdir(directory);
}

TestSuite(control_socket, .init = make_place, .fini = remove_place);

static int connect_there(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int result = connect(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    return result;
}

Test(control_socket, open__makes_a_socket_with_the_mode_and_leaves_nothing)
{
    struct control_socket control;
    struct stat status;
    cr_assert_eq(control_socket_open(&control, path, 0640, "", false, error), 0, "%s", error);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert(S_ISSOCK(status.st_mode) && (status.st_mode & 07777) == 0640);
    cr_assert_eq(connect_there(), 0);
    control_socket_close(&control);
    control_socket_close(&control);
    cr_assert_neq(access(path, F_OK), 0);
    cr_assert_neq(access(lock, F_OK), 0);
}

Test(control_socket, open__refuses_the_socket_of_a_live_engine)
{
    struct control_socket first, second;
    cr_assert_eq(control_socket_open(&first, path, 0600, "", false, error), 0);
    cr_assert_eq(control_socket_open(&second, path, 0600, "", false, error), -1);
    cr_assert(strstr(error, path) && strstr(error, "an engine that runs"), "%s", error);
    cr_assert_eq(connect_there(), 0, "the first still has it");
    control_socket_close(&first);
}

Test(control_socket, open__refuses_a_live_engine_whose_socket_was_removed)
{
    struct control_socket first, second;
    cr_assert_eq(control_socket_open(&first, path, 0600, "", false, error), 0);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(control_socket_open(&second, path, 0600, "", false, error), -1);
    cr_assert(strstr(error, "an engine that runs"), "%s", error);
    control_socket_close(&first);
}

Test(control_socket, open__replaces_the_socket_of_a_dead_engine)
{
    pid_t child = fork();
    if (child == 0) {
        struct control_socket dead;
        _exit(control_socket_open(&dead, path, 0600, "", false, error) == 0 ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0);
    cr_assert_eq(access(path, F_OK), 0);
    struct control_socket control;
    cr_assert_eq(control_socket_open(&control, path, 0600, "", false, error), 0, "%s", error);
    cr_assert_eq(connect_there(), 0);
    control_socket_close(&control);
}

Test(control_socket, open__leaves_alone_what_is_not_a_socket)
{
    struct control_socket control;
    close(open(path, O_CREAT | O_WRONLY, 0600));
    cr_assert_eq(control_socket_open(&control, path, 0600, "", false, error), -1);
    cr_assert(strstr(error, "not a socket"), "%s", error);
    cr_assert_eq(access(path, F_OK), 0);
    cr_assert_neq(access(lock, F_OK), 0);
}

Test(control_socket, open__names_a_group_that_is_not_there)
{
    struct control_socket control;
    cr_assert_eq(control_socket_open(&control, path, 0600, "no-such-group", false, error), -1);
    cr_assert(strstr(error, "no-such-group"), "%s", error);
    cr_assert_neq(access(path, F_OK), 0);
}

Test(control_socket, open__of_two_at_once_one_wins)
{
    enum { RACERS = 8 };
    int go[2], held[2];
    char c = 0;
    cr_assert_eq(pipe(go), 0);
    cr_assert_eq(pipe(held), 0);
    pid_t racers[RACERS];
    for (int i = 0; i < RACERS; i++) {
        racers[i] = fork();
        if (racers[i] == 0) {
            struct control_socket control;
            close(go[1]);
            close(held[1]);
            (void)!read(go[0], &c, 1);
            int won = control_socket_open(&control, path, 0600, "", false, error) == 0;
            if (won)
                (void)!read(held[0], &c, 1); /* keeps it until all have tried */
            _exit(won);
        }
    }
    close(go[1]);
    int winners = 0, status, done = 0;
    while (done < RACERS - 1) {
        wait(&status);
        winners += WEXITSTATUS(status);
        done++;
    }
    cr_assert_eq(winners, 0);
    close(held[1]);
    wait(&status);
    cr_assert_eq(WEXITSTATUS(status), 1);
}
