/* SPDX-License-Identifier: MIT */
/* The choice of congestion control. */
#ifndef MACHNET_TESTS_SIM_ALGORITHM_H
#define MACHNET_TESTS_SIM_ALGORITHM_H

#include "flow/congestion.h"
#include "flow/transport.h"

/* Returns false if there is none of that name. NULL: the transport's own choice. */
static inline bool algorithm_set(struct transport_config *config, const char *name)
{
#ifdef CONGESTION_PACKET
    return !name || congestion_by_name(name, &config->algorithm);
#else
    (void)config;
    return !name;
#endif
}

#endif /* MACHNET_TESTS_SIM_ALGORITHM_H */
