/* SPDX-License-Identifier: MIT */
/*
 * The build includes this before every source of libmachnet: what machnet.h declares is exported, the rest is hidden.
 * The public header itself stays free of attributes that FFI generators cannot read.
 */
#ifndef MN_CLIENT_VISIBILITY_H
#define MN_CLIENT_VISIBILITY_H

#pragma GCC visibility push(default)
#include <machnet/machnet.h>
#pragma GCC visibility pop

#endif
