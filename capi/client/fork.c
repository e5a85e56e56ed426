/* SPDX-License-Identifier: MIT */
#include "client/fork.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

_Atomic uint64_t *mn_process_number;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mn_handle *handles; /* under lock */
static uint64_t numbers_given;    /* under lock; a child goes on from its parent's, so no number is met twice */

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    /* Kernels before 4.14 do not wipe the page. */
    atomic_store_explicit(mn_process_number, 0, memory_order_relaxed);
    for (struct mn_handle *handle = handles; handle != NULL; handle = handle->next)
        handle->child(handle);
    pthread_mutex_unlock(&lock);
}

/* Under lock. 0, or an errno. */
static int prepare_process(void)
{
    if (mn_process_number == NULL) {
        size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
        void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
            return errno;
        (void)madvise(page, bytes, MADV_WIPEONFORK); /* refused by an old kernel: in_child does it */
        int error = pthread_atfork(before_fork, in_parent, in_child);
        if (error != 0) {
            munmap(page, bytes);
            return error;
        }
        mn_process_number = page;
    }
    if (atomic_load_explicit(mn_process_number, memory_order_relaxed) == 0)
        atomic_store_explicit(mn_process_number, ++numbers_given, memory_order_relaxed);
    return 0;
}

int mn_handle_enter(struct mn_handle *handle, void (*child)(struct mn_handle *))
{
    pthread_mutex_lock(&lock);
    int error = prepare_process();
    if (error == 0) {
        handle->process = numbers_given;
        handle->child = child;
        handle->previous = NULL;
        handle->next = handles;
        if (handles != NULL)
            handles->previous = handle;
        handles = handle;
    }
    pthread_mutex_unlock(&lock);
    return error;
}

void mn_handle_leave(struct mn_handle *handle)
{
    pthread_mutex_lock(&lock);
    if (handle->previous != NULL)
        handle->previous->next = handle->next;
    else
        handles = handle->next;
    if (handle->next != NULL)
        handle->next->previous = handle->previous;
    pthread_mutex_unlock(&lock);
}
