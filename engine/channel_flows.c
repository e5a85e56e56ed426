/* SPDX-License-Identifier: MIT */
/* The tables of a channel's flows. */
#include <assert.h>

#include "channel/pages.h"
#include "channel_internal.h"

/* The tables are as long as the application's flows may become many, but untouched pages of them take no memory. */
bool channel_flows_init(struct channel *channel)
{
    channel->opened = mn_pages_new(channel->max_flows, sizeof *channel->opened);
    channel->accepted = mn_pages_new(channel->max_flows, sizeof *channel->accepted);
    channel->accepted_free = mn_pages_new(channel->max_flows, sizeof *channel->accepted_free);
    return channel->opened != NULL && channel->accepted != NULL && channel->accepted_free != NULL;
}

void channel_flows_fini(struct channel *channel)
{
    for (; channel->flows_counted > 0; channel->flows_counted--)
        quota_flow_give(channel->user_flows);
    mn_pages_free(channel->opened, channel->max_flows, sizeof *channel->opened);
    mn_pages_free(channel->accepted, channel->max_flows, sizeof *channel->accepted);
    mn_pages_free(channel->accepted_free, channel->max_flows, sizeof *channel->accepted_free);
}

static uint32_t index_of(uint64_t token)
{
    return (uint32_t)token & ~MN_TOKEN_ACCEPTED;
}

/* The place of a token's index, or NULL if it is out of range. */
static struct channel_flow *place_of(const struct channel *channel, uint64_t token)
{
    if (index_of(token) >= channel->max_flows)
        return NULL;
    struct channel_flow *table = (uint32_t)token & MN_TOKEN_ACCEPTED ? channel->accepted : channel->opened;
    return &table[index_of(token)];
}

struct channel_flow *channel_flow_find(const struct channel *channel, uint64_t token)
{
    struct channel_flow *flow = place_of(channel, token);
    return flow != NULL && token != 0 && flow->token == token ? flow : NULL;
}

bool channel_flow_token_free(const struct channel *channel, uint64_t token)
{
    const struct channel_flow *place = place_of(channel, token);
    return ((uint32_t)token & MN_TOKEN_ACCEPTED) == 0 && token >> 32 != 0 && place != NULL && place->token == 0;
}

struct channel_flow *channel_flow_add(struct channel *channel, uint64_t token)
{
    struct channel_flow *flow = place_of(channel, token);
    *flow = (struct channel_flow){.token = token, .counted = quota_flow_take(channel->user_flows)};
    channel->flow_count++;
    channel->flows_counted += flow->counted;
    return flow;
}

static void drop(struct channel *channel, struct channel_flow *flow)
{
    channel->flow_count--;
    if (flow->counted) {
        channel->flows_counted--;
        quota_flow_give(channel->user_flows);
    }
    *flow = (struct channel_flow){0};
}

struct channel_flow *channel_flow_add_accepted(struct channel *channel)
{
    if (channel->flow_count >= channel->max_flows)
        return NULL;
    bool reuse = channel->accepted_free_count > 0;
    uint32_t index = reuse ? channel->accepted_free[channel->accepted_free_count - 1] : channel->accepted_high;
    uint32_t generation = channel->accepted_generation + 1 == 0 ? 1 : channel->accepted_generation + 1;
    struct channel_flow *flow = channel_flow_add(channel, (uint64_t)generation << 32 | MN_TOKEN_ACCEPTED | index);
    if (!flow->counted) {
        drop(channel, flow);
        return NULL;
    }
    channel->accepted_generation = generation;
    if (reuse)
        channel->accepted_free_count--;
    else
        channel->accepted_high++;
    return flow;
}

void channel_flow_settle(struct channel *channel, struct channel_flow *flow)
{
    if (!flow->close_taken || !flow->closed_posted)
        return;
    assert(flow->flow == NULL);
    if ((uint32_t)flow->token & MN_TOKEN_ACCEPTED)
        channel->accepted_free[channel->accepted_free_count++] = index_of(flow->token);
    drop(channel, flow);
}
