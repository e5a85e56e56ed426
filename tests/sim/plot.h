/* SPDX-License-Identifier: MIT */
/* A run over time, as a picture (SVG): congestion window, round trip and goodput of the first flows, and how long packets waited at ports. */
#ifndef MACHNET_TESTS_SIM_PLOT_H
#define MACHNET_TESTS_SIM_PLOT_H

#include <stdbool.h>
#include <stdint.h>

struct world;
struct plot;

struct plot *plot_new(void);
void plot_free(struct plot *plot);

/* The run begins. */
void plot_begin(struct plot *plot, const struct world *world);
/* When plot_tick is to be called next. */
uint64_t plot_next(const struct plot *plot);
/* Looks at the flows if it is time. */
void plot_tick(struct plot *plot, const struct world *world);
/* A packet waited at a port. */
void plot_note_wait(struct plot *plot, uint64_t waited_ns);

/* Returns false, with errno set, if the file cannot be written. */
bool plot_write(const struct plot *plot, const char *path, const char *title);

#endif /* MACHNET_TESTS_SIM_PLOT_H */
