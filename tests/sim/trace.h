/* SPDX-License-Identifier: MIT */
/* Packets and flows in words. */
#ifndef MACHNET_TESTS_SIM_TRACE_H
#define MACHNET_TESTS_SIM_TRACE_H

#include <stddef.h>

#include "ledger.h"
#include "nic/nic.h"

struct world;

/* Prints a line about a packet that is put on a link. */
void trace_packet(const struct world *world, const struct nic_packet *packet);
/* Writes what is known of a side, for a person; returns the characters written. */
size_t trace_end(const struct end *end, char *text, size_t capacity);

#endif /* MACHNET_TESTS_SIM_TRACE_H */
