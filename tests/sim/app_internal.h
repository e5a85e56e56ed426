/* SPDX-License-Identifier: MIT */
/* What the files of an application share: app.c (what all do), app_callbacks.c, app_random.c and load.c (when they do it). */
#ifndef MACHNET_TESTS_SIM_APP_INTERNAL_H
#define MACHNET_TESTS_SIM_APP_INTERNAL_H

#include "app.h"

void app_listen(struct app *app);
/* Opens a flow; local_port 0: the transport chooses. */
void app_open(struct app *app, const struct app *target, uint16_t local_port, uint16_t remote_port,
              uint64_t timeout_ns);
/* Returns false if the flow has ended. */
bool app_send(struct app *app, struct end *end, uint32_t length, uint64_t tag);
/* Reads the oldest delivery, of which there is one, and gives it back, or keeps it for a while (`hold_it`). Returns whose it is. */
struct end *app_read(struct app *app, bool hold_it, uint32_t *length);
/* Gives up ends[index]. */
void app_close(struct app *app, uint32_t index, bool abort_it);
/* Adds to `ends`. */
void app_keep_end(struct app *app, struct end *end);
/* Messages of the flow that were delivered and not given back. */
uint32_t app_lent(const struct app *app, const struct end *end);

void app_read_at_random(struct app *app);
void app_act_at_random(struct app *app);

#endif /* MACHNET_TESTS_SIM_APP_INTERNAL_H */
