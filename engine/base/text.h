/* SPDX-License-Identifier: MIT */
/* Text that others chose, for people. */
#ifndef MACHNET_ENGINE_BASE_TEXT_H
#define MACHNET_ENGINE_BASE_TEXT_H

#include <stddef.h>

/*
 * Copies UTF-8 into to[0 .. capacity), as far as whole characters find room, and ends it with 0; capacity >= 1. A '?' stands for each byte that is
 * not UTF-8 (RFC 3629), and for each character that would do something to a terminal or to the text around it: control characters (C0, DEL, C1),
 * line and paragraph separators, marks of direction. A character that is cut off at the end of `from` is left out.
 */
void text_copy_printable(char *to, size_t capacity, const char *from);

#endif /* MACHNET_ENGINE_BASE_TEXT_H */
