/* SPDX-License-Identifier: MIT */
/* A switch between two memifs: README.md. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "switch/lane.h"

enum { SIDES = 2, BURST = 32, FDS = 2 + SIDES * MEMIF_FDS };

#define PATIENCE_NS UINT64_C(50000)
#define NAP_MIN_NS UINT64_C(50000)
#define NAP_MAX_NS UINT64_C(1000000)
#define LOOK_NS UINT64_C(1000000) /* how often a busy switch looks at its sockets */

struct options {
    struct lane_config lane;
    uint64_t seed, duration_ns;
    const char *sockets[SIDES];
};

struct network {
    struct memif *sides[SIDES];
    struct lane lanes[SIDES]; /* lanes[i] leads to sides[i] */
    int signals;
    bool ending;
};

/* ---- Command line ---- */

const char *argp_program_version = "switch " MACHNET_PACKAGE_VERSION;

enum { KEY_HASH = 256, KEY_REHASH, KEY_DROP, KEY_REPEAT, KEY_REORDER, KEY_CORRUPT, KEY_DELAY, KEY_SEED, KEY_DURATION };

static const struct argp_option option_list[] = {
    {"hash", KEY_HASH, "flow|packet", 0,
     "Queue by a secret Toeplitz key over the 5-tuple (default), or any for each frame", 0},
    {"rehash", KEY_REHASH, "MS", 0, "New keys so often", 0},
    {"drop", KEY_DROP, "CHANCE", 0, "Of each frame, from 0 to 1 (as those that follow): it is lost", 0},
    {"repeat", KEY_REPEAT, "CHANCE", 0, "It comes twice", 0},
    {"reorder", KEY_REORDER, "CHANCE", 0, "It is held back by 20 to 1000 us while others pass", 0},
    {"corrupt", KEY_CORRUPT, "CHANCE", 0, "One bit behind the Ethernet header is turned (IPv4 only)", 0},
    {"delay", KEY_DELAY, "US", 0, "Every frame takes so long", 0},
    {"seed", KEY_SEED, "N", 0, "Of the keys and of all chances (1)", 0},
    {"duration", KEY_DURATION, "SECONDS", 0, "End by itself after so long (600)", 0},
    {0},
};

static double parse_number(const char *text, double max, struct argp_state *state)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value <= max))
        argp_error(state, "'%s' is not a number from 0 to %g", text, max);
    return value;
}

static uint32_t parse_chance(const char *text, struct argp_state *state)
{
    return (uint32_t)(parse_number(text, 1, state) * 1e6 + 0.5);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_HASH:
        if (strcmp(text, "flow") != 0 && strcmp(text, "packet") != 0)
            argp_error(state, "--hash is flow or packet");
        options->lane.hash = text[0] == 'f' ? LANE_HASH_FLOW : LANE_HASH_PACKET;
        return 0;
    case KEY_REHASH:
        options->lane.rehash_ns = (uint64_t)(parse_number(text, 1e6, state) * 1e6);
        return 0;
    case KEY_DROP:
        options->lane.drop = parse_chance(text, state);
        return 0;
    case KEY_REPEAT:
        options->lane.repeat = parse_chance(text, state);
        return 0;
    case KEY_REORDER:
        options->lane.reorder = parse_chance(text, state);
        return 0;
    case KEY_CORRUPT:
        options->lane.corrupt = parse_chance(text, state);
        return 0;
    case KEY_DELAY:
        options->lane.delay_ns = (uint64_t)(parse_number(text, 1e6, state) * 1e3);
        return 0;
    case KEY_SEED:
        options->seed = (uint64_t)parse_number(text, 1e15, state);
        return 0;
    case KEY_DURATION:
        options->duration_ns = (uint64_t)(parse_number(text, 1e6, state) * 1e9);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num >= SIDES)
            return ARGP_ERR_UNKNOWN;
        options->sockets[state->arg_num] = text;
        return 0;
    case ARGP_KEY_END:
        if (state->arg_num != SIDES)
            argp_error(state, "two sockets are needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {option_list,
                                 parse_option,
                                 "SOCKET SOCKET",
                                 "Joins two clients of memif, one on each Unix socket, as an Ethernet switch with an "
                                 "opaque hash for their queues, and harms their frames on request."
                                 "\vPrints \"ready\", and at its end one JSON line with what it counted for the frames "
                                 "towards each side. Ends on SIGTERM, SIGINT or the end of its "
                                 "standard input.",
                                 NULL,
                                 NULL,
                                 NULL};

/* ---- Work ---- */

/* Takes a burst of each queue of `side` and sends it on. Returns the number of frames. */
static uint32_t forward(struct network *network, uint32_t side, uint64_t now)
{
    static uint8_t frame[LANE_FRAME_MAX];
    struct memif *from = network->sides[side];
    uint32_t count = 0, length = 1;
    for (uint32_t queue = 0; queue < memif_receive_queues(from); queue++, length = 1) {
        /* The number of queues is asked for anew: it is 0 after a client that talks nonsense. */
        for (uint32_t i = 0; i < BURST && length > 0 && queue < memif_receive_queues(from); i++) {
            length = memif_receive(from, queue, frame, sizeof frame);
            if (length == 0)
                continue;
            lane_forward(&network->lanes[1 - side], frame, length, now);
            count++;
        }
    }
    return count;
}

/* Waits for words on the sockets, signals, or the end of the standard input. */
static void look(struct network *network, uint64_t timeout_ns)
{
    struct pollfd polled[FDS] = {{.fd = network->signals, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / CLOCK_SECOND_NS),
                                     .tv_nsec = (long)(timeout_ns % CLOCK_SECOND_NS)};
    for (uint32_t i = 0; i < SIDES; i++) {
        int fds[MEMIF_FDS];
        memif_fds(network->sides[i], fds);
        for (uint32_t j = 0; j < MEMIF_FDS; j++)
            polled[2 + i * MEMIF_FDS + j] = (struct pollfd){.fd = fds[j], .events = POLLIN};
    }
    if (ppoll(polled, FDS, &timeout, NULL) <= 0)
        return;
    char ignored[64];
    if (polled[0].revents != 0 || (polled[1].revents != 0 && read(STDIN_FILENO, ignored, sizeof ignored) <= 0))
        network->ending = true;
    for (uint32_t i = 0; i < SIDES; i++) {
        for (uint32_t j = 0; j < MEMIF_FDS; j++) {
            if (polled[2 + i * MEMIF_FDS + j].revents != 0)
                memif_control(network->sides[i]);
        }
    }
}

static uint64_t earlier(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* Without work: the processor is for those that have some; first for a moment, then for longer and longer. */
static void rest(struct network *network, uint64_t idle_ns, uint64_t now)
{
    if (idle_ns < PATIENCE_NS) {
        sched_yield();
        return;
    }
    const uint64_t due = earlier(lane_due(&network->lanes[0]), lane_due(&network->lanes[1]));
    const uint64_t nap = idle_ns < NAP_MIN_NS ? NAP_MIN_NS : earlier(idle_ns, NAP_MAX_NS);
    look(network, due > now ? earlier(nap, due - now) : 0);
}

static void run(struct network *network, uint64_t start, uint64_t duration_ns)
{
    uint64_t now = start, last_work = start, last_look = 0;
    for (; !network->ending && now - start < duration_ns; now = clock_now_ns()) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < SIDES; i++)
            count += forward(network, i, now) + lane_release(&network->lanes[i], now);
        if (count > 0)
            last_work = now;
        else
            rest(network, now - last_work, now);
        if (now - last_look >= LOOK_NS) {
            last_look = now;
            look(network, 0);
        }
    }
}

static void print_counts(const struct network *network, uint64_t seed, uint64_t duration_ns)
{
    printf("{\"seed\": %" PRIu64 ", \"seconds\": %.3f, \"towards\": [", seed, (double)duration_ns / 1e9);
    lane_print(&network->lanes[0], stdout);
    printf(", ");
    lane_print(&network->lanes[1], stdout);
    printf("]}\n");
}

static int catch_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
    struct options options = {.seed = 1, .duration_ns = 600 * CLOCK_SECOND_NS};
    static struct network network;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    prctl(PR_SET_TIMERSLACK, 1UL);
    network.signals = catch_signals();
    const uint64_t start = clock_now_ns();
    uint64_t seed = options.seed;
    int status = 0;
    for (uint32_t i = 0; i < SIDES && status == 0; i++) {
        network.sides[i] = memif_open(options.sockets[i]);
        if (network.sides[i] == NULL) {
            fprintf(stderr, "switch: %s: %s\n", options.sockets[i], strerror(errno));
            status = 1;
        }
        lane_init(&network.lanes[i], &options.lane, network.sides[i], prng_splitmix(&seed), start);
    }
    if (status == 0) {
        printf("ready\n");
        fflush(stdout);
        run(&network, start, options.duration_ns);
        print_counts(&network, options.seed, clock_now_ns() - start);
    }
    for (uint32_t i = 0; i < SIDES; i++) {
        lane_fini(&network.lanes[i]);
        memif_close(network.sides[i]);
    }
    return status;
}
