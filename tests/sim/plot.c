/* SPDX-License-Identifier: MIT */
#include "plot.h"

#include <stdio.h>
#include <stdlib.h>

#include "world.h"

enum { POINTS = 1000, FLOWS_MAX = 16 };
enum { WIDTH = 1000, PANEL = 200, LEFT = 70, RIGHT = 20, TOP = 40, GAP = 40, LINES = 4 };
enum series { WINDOW, ROUND_TRIP, GOODPUT, SERIES };

struct plot {
    uint64_t every_ns, next_ns;
    uint32_t points, flows;
    double values[SERIES][FLOWS_MAX][POINTS]; /* packets, us, Gbps; below 0: there is none */
    double waits[POINTS];                     /* us, mean */
    uint64_t read_bytes[FLOWS_MAX];
    uint64_t waited_ns, waits_count;
};

struct plot *plot_new(void)
{
    return calloc(1, sizeof(struct plot));
}

void plot_free(struct plot *plot)
{
    free(plot);
}

void plot_begin(struct plot *plot, const struct world *world)
{
    *plot = (struct plot){.every_ns = world->plan.active_ns / POINTS + 1};
    plot->next_ns = plot->every_ns;
}

uint64_t plot_next(const struct plot *plot)
{
    return plot->points < POINTS ? plot->next_ns : UINT64_MAX;
}

static void sample(struct plot *plot, uint32_t flow, const struct end *end)
{
    const uint32_t at = plot->points;
    const uint64_t bytes = end->read_bytes + (end->peer ? end->peer->read_bytes : 0);
    struct transport_flow_info info = {0};
    if (end->flow) {
        transport_flow_info(end->flow, &info);
    }
    plot->values[WINDOW][flow][at] = end->flow && end->established ? (double)info.window_packets : -1;
    plot->values[ROUND_TRIP][flow][at] = info.srtt_ns > 0 ? (double)info.srtt_ns / 1e3 : -1;
    plot->values[GOODPUT][flow][at] = (double)(bytes - plot->read_bytes[flow]) * 8 / (double)plot->every_ns;
    plot->read_bytes[flow] = bytes;
}

void plot_tick(struct plot *plot, const struct world *world)
{
    if (world->now_ns < plot_next(plot)) {
        return;
    }
    uint32_t flows = 0;
    for (uint32_t i = 0; i < world->ledger.count && flows < FLOWS_MAX; i++) {
        if (world->ledger.ends[i]->opener) {
            sample(plot, flows++, world->ledger.ends[i]);
        }
    }
    for (uint32_t i = plot->flows; i < flows; i++) { /* those that are new */
        for (uint32_t at = 0; at < plot->points; at++) {
            plot->values[WINDOW][i][at] = plot->values[ROUND_TRIP][i][at] = -1;
        }
    }
    plot->flows = flows;
    plot->waits[plot->points] = plot->waits_count > 0 ? (double)plot->waited_ns / (double)plot->waits_count / 1e3 : 0;
    plot->waited_ns = plot->waits_count = 0;
    plot->points++;
    plot->next_ns += plot->every_ns;
}

void plot_note_wait(struct plot *plot, uint64_t waited_ns)
{
    if (waited_ns != UINT64_MAX) {
        plot->waited_ns += waited_ns;
        plot->waits_count++;
    }
}

/* ---- The picture ---- */

static double largest(const struct plot *plot, enum series series)
{
    double most = 0;
    for (uint32_t flow = 0; flow < plot->flows; flow++) {
        for (uint32_t at = 0; at < plot->points; at++) {
            most = plot->values[series][flow][at] > most ? plot->values[series][flow][at] : most;
        }
    }
    for (uint32_t at = 0; series == ROUND_TRIP && at < plot->points; at++) {
        most = plot->waits[at] > most ? plot->waits[at] : most;
    }
    return most > 0 ? most : 1;
}

static double x_of(const struct plot *plot, double at)
{
    return LEFT + at * (WIDTH - LEFT - RIGHT) / (plot->points > 1 ? plot->points - 1 : 1);
}

/* A line through the values, with gaps where there is none. */
static void write_line(FILE *file, const struct plot *plot, const double *values, double y, double most,
                       const char *style)
{
    bool open = false;
    for (uint32_t at = 0; at < plot->points; at++) {
        if (values[at] < 0) {
            fputs(open ? "\"/>\n" : "", file);
            open = false;
            continue;
        }
        if (!open) {
            fprintf(file, "<polyline fill=\"none\" %s points=\"", style);
        }
        open = true;
        fprintf(file, "%.1f,%.1f ", x_of(plot, at), y + PANEL - values[at] / most * PANEL);
    }
    fputs(open ? "\"/>\n" : "", file);
}

static void write_grid(FILE *file, const struct plot *plot, double y, double most, const char *label)
{
    for (uint32_t i = 0; i <= LINES; i++) {
        const double line = y + PANEL - (double)i * PANEL / LINES;
        fprintf(file,
                "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n",
                LEFT, line, WIDTH - RIGHT, LEFT - 5, line + 4, most * i / LINES);
    }
    for (uint32_t i = 0; i <= LINES; i++) {
        const double x = LEFT + (double)i * (WIDTH - LEFT - RIGHT) / LINES;
        fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.4g ms</text>\n", x, y + PANEL + 15,
                (double)(plot->every_ns * plot->points) * i / LINES / 1e6);
    }
    fprintf(file, "<text x=\"%d\" y=\"%.1f\" font-weight=\"bold\">%s</text>\n", LEFT, y - 6, label);
}

static void write_panel(FILE *file, const struct plot *plot, enum series series, const char *label)
{
    const double y = TOP + (double)series * (PANEL + GAP), most = largest(plot, series);
    char style[64];
    write_grid(file, plot, y, most, label);
    for (uint32_t flow = 0; flow < plot->flows; flow++) {
        snprintf(style, sizeof style, "stroke=\"hsl(%u,70%%,45%%)\"", flow * 137 % 360);
        write_line(file, plot, plot->values[series][flow], y, most, style);
    }
    if (series == ROUND_TRIP) {
        write_line(file, plot, plot->waits, y, most, "stroke=\"#000\" stroke-dasharray=\"2 2\"");
    }
}

bool plot_write(const struct plot *plot, const char *path, const char *title)
{
    FILE *file = fopen(path, "w");
    if (!file) {
        return false;
    }
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
            "font-size=\"12\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
            "<text x=\"%d\" y=\"16\" font-size=\"14\">%s</text>\n",
            WIDTH, TOP + SERIES * (PANEL + GAP), LEFT, title);
    write_panel(file, plot, WINDOW, "congestion window, packets");
    write_panel(file, plot, ROUND_TRIP, "smoothed round trip, us (dashed: mean wait at ports)");
    write_panel(file, plot, GOODPUT, "goodput, Gbps");
    fputs("</svg>\n", file);
    return fclose(file) == 0;
}
