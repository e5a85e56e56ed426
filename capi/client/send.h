/* SPDX-License-Identifier: MIT */
#ifndef MN_CLIENT_SEND_H
#define MN_CLIENT_SEND_H

#include "client/client.h"

/* Send side. The flow of a token, ready to be used by the functions of this side, or NULL. */
struct mn_flow *mn_send_flow(struct machnet_channel *channel, uint64_t token);
/* Send side: makes what was submitted known to the engine. */
void mn_submit(struct machnet_channel *channel);
/* Send side: forgets that the flow waits. */
void mn_send_fed(struct machnet_channel *channel, struct mn_flow *flow);

#endif /* MN_CLIENT_SEND_H */
