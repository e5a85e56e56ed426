/* SPDX-License-Identifier: MIT */
/* Applications whose traffic is measured. Each acts as soon as its engine has told it something. */
#ifndef MACHNET_TESTS_SIM_LOAD_H
#define MACHNET_TESTS_SIM_LOAD_H

#include <stdint.h>

struct app;
struct plan;

/* Nodes and applications that the loads of a plan need: node 0 with a server for each load, then the clients. */
uint32_t load_nodes(const struct plan *plan);
uint32_t load_apps(const struct plan *plan);
uint32_t load_clients(const struct plan *plan);
/* Which node application `index` is on. */
uint32_t load_node_of(const struct plan *plan, uint32_t index);
/* Sets what application `index` does. */
void load_assign(struct app *app, const struct plan *plan, uint32_t index);
/* Does what may be done now; next_act_ns is set if it is known when there is more. */
void load_act(struct app *app);

#endif /* MACHNET_TESTS_SIM_LOAD_H */
