/* SPDX-License-Identifier: MIT */
#include "channel/pages.h"

#include <stddef.h>
#include <sys/mman.h>

/* calloc gives fresh pages only until the first large block was freed: from then on malloc may take as large a block out of its heap, and clear it. */
void *mn_pages_new(uint64_t count, uint64_t size)
{
    void *pages = mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void mn_pages_free(void *pages, uint64_t count, uint64_t size)
{
    if (pages != NULL)
        (void)munmap(pages, count * size);
}
