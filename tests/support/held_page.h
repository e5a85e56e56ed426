/* SPDX-License-Identifier: MIT */
/*
 * A page that is not there as long as its owner likes: who touches it, be it the kernel on behalf of a system call, waits. An ordinary user has
 * such memory from a file system of his own (FUSE); here userfaultfd makes it, which takes root for faults in the kernel.
 */
#ifndef MACHNET_TESTS_SUPPORT_HELD_PAGE_H
#define MACHNET_TESTS_SUPPORT_HELD_PAGE_H

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HELD_PAGE_BYTES = 4096 };

struct held_page {
    void *bytes;
    int fd;
    struct uffdio_range range;
};

/* False: this user may not. */
static inline bool held_page_open(struct held_page *page)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register missing = {.mode = UFFDIO_REGISTER_MODE_MISSING};
    page->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    page->bytes = mmap(NULL, HELD_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    missing.range = page->range = (struct uffdio_range){(uint64_t)(uintptr_t)page->bytes, HELD_PAGE_BYTES};
    return page->fd >= 0 && page->bytes != MAP_FAILED && ioctl(page->fd, UFFDIO_API, &api) == 0 &&
           ioctl(page->fd, UFFDIO_REGISTER, &missing) == 0;
}

/* Waits until somebody waits for the page. */
static inline bool held_page_wanted(const struct held_page *page)
{
    struct uffd_msg fault;
    return read(page->fd, &fault, sizeof fault) == sizeof fault;
}

/* Lets them go on: the page is there, zero. */
static inline bool held_page_release(const struct held_page *page)
{
    return ioctl(page->fd, UFFDIO_UNREGISTER, &page->range) == 0;
}

#endif /* MACHNET_TESTS_SUPPORT_HELD_PAGE_H */
