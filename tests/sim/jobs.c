/* SPDX-License-Identifier: MIT */
#include "jobs.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS_MAX = 256 };

struct queue {
    _Atomic uint64_t next;
    _Atomic bool stop;
};

void *jobs_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("sim: mmap");
        exit(EXIT_FAILURE);
    }
    return memory;
}

static void work_off(struct queue *queue, uint64_t count, bool (*work)(uint64_t index, void *arg), void *arg)
{
    uint64_t index;
    while (!atomic_load(&queue->stop) && (index = atomic_fetch_add(&queue->next, 1)) < count) {
        if (!work(index, arg)) {
            atomic_store(&queue->stop, true);
        }
    }
}

bool jobs_run(uint64_t count, uint32_t jobs, bool (*work)(uint64_t index, void *arg), void *arg)
{
    struct queue *queue = jobs_memory(sizeof *queue);
    pid_t children[JOBS_MAX];
    uint32_t started = 0;
    bool well = true;
    if (jobs <= 1) {
        work_off(queue, count, work, arg);
        return true;
    }
    fflush(NULL);
    for (; started < jobs && started < JOBS_MAX; started++) {
        children[started] = fork();
        if (children[started] == 0) {
            work_off(queue, count, work, arg);
            fflush(NULL);
            _exit(EXIT_SUCCESS);
        }
        if (children[started] < 0) {
            perror("sim: fork");
            well = false;
            break;
        }
    }
    for (uint32_t i = 0; i < started; i++) {
        int status;
        well = waitpid(children[i], &status, 0) == children[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0 && well;
    }
    return well;
}
