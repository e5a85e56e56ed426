/* SPDX-License-Identifier: MIT */
#include "closer.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* sockets[first .. first + count), round the end: not closed yet; the first is being closed. */
struct closer {
    pthread_mutex_t lock;
    pthread_cond_t more;
    uint32_t capacity, first, count;
    bool running; /* there is the thread; it frees all this if it is the last to go */
    bool ended;
    int sockets[];
};

struct closer *closer_new(uint32_t capacity)
{
    struct closer *closer = calloc(1, sizeof *closer + capacity * sizeof closer->sockets[0]);
    if (closer == NULL)
        return NULL;
    pthread_mutex_init(&closer->lock, NULL);
    pthread_cond_init(&closer->more, NULL);
    closer->capacity = capacity;
    return closer;
}

static void destroy(struct closer *closer)
{
    pthread_cond_destroy(&closer->more);
    pthread_mutex_destroy(&closer->lock);
    free(closer);
}

static void *run(void *arg)
{
    struct closer *closer = arg;
    pthread_mutex_lock(&closer->lock);
    while (!closer->ended) {
        if (closer->count == 0) {
            pthread_cond_wait(&closer->more, &closer->lock);
            continue;
        }
        int socket = closer->sockets[closer->first];
        pthread_mutex_unlock(&closer->lock);
        close(socket);
        pthread_mutex_lock(&closer->lock);
        closer->first = (closer->first + 1) % closer->capacity;
        closer->count--;
    }
    pthread_mutex_unlock(&closer->lock);
    destroy(closer);
    return NULL;
}

/* If there can be no thread now, the next socket tries again. */
static bool start(struct closer *closer)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, NULL, run, closer) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        (void)pthread_detach(thread);
    return started;
}

void closer_close(struct closer *closer, int socket)
{
    pthread_mutex_lock(&closer->lock);
    assert(closer->count < closer->capacity);
    closer->sockets[(closer->first + closer->count++) % closer->capacity] = socket;
    if (!closer->running)
        closer->running = start(closer);
    pthread_cond_signal(&closer->more);
    pthread_mutex_unlock(&closer->lock);
}

uint32_t closer_count(struct closer *closer)
{
    pthread_mutex_lock(&closer->lock);
    uint32_t count = closer->count;
    pthread_mutex_unlock(&closer->lock);
    return count;
}

void closer_free(struct closer *closer)
{
    if (closer == NULL)
        return;
    pthread_mutex_lock(&closer->lock);
    bool running = closer->running;
    closer->ended = true;
    pthread_cond_signal(&closer->more);
    pthread_mutex_unlock(&closer->lock);
    if (!running)
        destroy(closer);
}
