/* SPDX-License-Identifier: MIT */
/* What holds of a transport's insides between two calls from outside. */
#ifndef MACHNET_TESTS_SUPPORT_FLOW_CHECK_H
#define MACHNET_TESTS_SUPPORT_FLOW_CHECK_H

#include "flow/transport.h"

/* Asserts, of each flow and of the tables: every byte of a message is in exactly one place, packets in flight are counted right, nobody
 * goes beyond credit, gaps of a message are in order, lists and counters agree. Takes time proportional to all that is kept. */
void flow_check(const struct transport *transport);
/* Asserts that the owner's accounts are the sums of those of its flows and of `orphan_bytes`, the charges of what the readers of closed flows
 * still hold. */
void flow_check_owner(const struct transport_owner *owner, uint64_t orphan_bytes);

#endif /* MACHNET_TESTS_SUPPORT_FLOW_CHECK_H */
