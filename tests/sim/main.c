/* SPDX-License-Identifier: MIT */
/* ctest-timeout: 600 */
#include <argp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "algorithm.h"
#include "jobs.h"
#include "table.h"
#include "world.h"

enum {
    TWICE_EVERY = 23 /* and not a divisor or multiple of how many scenarios there are, which seeds go round */,
    FAILURES_MAX = 20,
    SEED_SECONDS_MAX = 120
};

struct arguments {
    const struct scenario *scenario; /* NULL: by seed */
    uint64_t first, last;
    uint32_t jobs;
    bool verbose, table;
    const char *plot; /* a file; NULL: none */
    struct options options;
};

/* Of all processes. */
struct totals {
    _Atomic uint64_t runs, failures, packets, messages;
};

struct work {
    const struct arguments *arguments;
    struct totals *totals;
    struct outcome outcome;
};

/* For the line that a crash leaves behind. */
static struct {
    const char *program;
    const char *scenario;
    uint64_t seed;
} current;

static int replay_command(char *text, size_t capacity)
{
    return snprintf(text, capacity, "replay: %s --scenario %s --seeds %llu..%llu --verbose\n", current.program,
                    current.scenario, (unsigned long long)current.seed, (unsigned long long)current.seed);
}

/* snprintf is not async-signal-safe by the book, but all is lost anyway, and the seed is worth it. */
static void on_crash(int signal_number)
{
    char text[512];
    int length =
        snprintf(text, sizeof text, "\nFAILED: %s\n",
                 signal_number == SIGALRM ? "a run takes too long (an endless loop?)" : strsignal(signal_number));
    length += replay_command(text + length, sizeof text - (size_t)length);
    ssize_t written = write(STDERR_FILENO, text, (size_t)length);
    (void)written;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* A sanitizer's own handlers stay. */
static void catch_crashes(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction old;
        sigaction(signals[i], NULL, &old);
        if (old.sa_handler == SIG_DFL) {
            signal(signals[i], on_crash);
        }
    }
}

static void run_quietly(const struct scenario *scenario, uint64_t seed, const struct options *options,
                        struct outcome *outcome)
{
    current.scenario = scenario->name;
    current.seed = seed;
    alarm(SEED_SECONDS_MAX);
    world_run(scenario, seed, options, outcome);
    alarm(0);
}

static void print_outcome(const struct outcome *outcome)
{
    printf("%s seed %llu: digest %016llx, %u engines, %u sides, %llu messages, %llu bytes, "
           "%llu packets (lost %llu, repeated %llu, reordered %llu, corrupted %llu), %.3f s\n",
           current.scenario, (unsigned long long)current.seed, (unsigned long long)outcome->digest, outcome->nodes,
           outcome->flows, (unsigned long long)outcome->messages, (unsigned long long)outcome->bytes,
           (unsigned long long)outcome->packets, (unsigned long long)outcome->network.lost,
           (unsigned long long)outcome->network.repeated, (unsigned long long)outcome->network.reordered,
           (unsigned long long)outcome->network.corrupted, (double)outcome->virtual_ns / 1e9);
}

/* Returns true if the run was in order. */
static bool run_seed(const struct arguments *arguments, uint64_t seed, struct outcome *outcome)
{
    const struct scenario *scenario = arguments->scenario ? arguments->scenario : scenario_of_seed(seed);
    run_quietly(scenario, seed, &arguments->options, outcome);
    if (arguments->verbose) {
        print_outcome(outcome);
    }
    if (outcome->measured.valid) {
        printf("%s seed %llu:\n", scenario->name, (unsigned long long)seed);
        measured_print(&outcome->measured);
    }
    if (!outcome->failed && seed % TWICE_EVERY == 0) {
        struct options quiet = arguments->options;
        uint64_t digest = outcome->digest;
        quiet.trace = false;
        quiet.plot = NULL;
        run_quietly(scenario, seed, &quiet, outcome);
        if (outcome->digest != digest) {
            outcome->failed = true;
            snprintf(outcome->text, sizeof outcome->text, "the same seed gave two digests: %016llx and %016llx",
                     (unsigned long long)digest, (unsigned long long)outcome->digest);
        }
    }
    if (outcome->failed) {
        char command[256];
        replay_command(command, sizeof command);
        printf("FAILED: %s, seed %llu: %s\n%s", scenario->name, (unsigned long long)seed, outcome->text, command);
    }
    fflush(stdout);
    return !outcome->failed;
}

static void list_scenarios(void)
{
    for (uint32_t i = 0; i < random_scenario_count; i++) {
        printf("%-16s %s\n", random_scenarios[i].name, random_scenarios[i].text);
    }
    printf("\nMeasured:\n");
    for (uint32_t i = 0; i < measured_scenario_count; i++) {
        printf("%-16s %s\n", measured_scenarios[i].name, measured_scenarios[i].text);
    }
}

static bool parse_seeds(const char *text, struct arguments *arguments)
{
    char *end;
    if (*text < '0' || *text > '9') {
        return false;
    }
    arguments->first = arguments->last = strtoull(text, &end, 10);
    if (strncmp(end, "..", 2) == 0 && end[2] >= '0' && end[2] <= '9') {
        arguments->last = strtoull(end + 2, &end, 10);
    }
    return *end == '\0' && arguments->first <= arguments->last;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 's':
        arguments->scenario = scenario_find(value);
        if (!arguments->scenario) {
            argp_error(state, "no scenario '%s'; --list shows them", value);
        }
        return 0;
    case 'n':
        if (!parse_seeds(value, arguments)) {
            argp_error(state, "--seeds wants A or A..B, not '%s'", value);
        }
        return 0;
    case 'v':
        arguments->verbose = true;
        return 0;
    case 't':
        arguments->options.trace = arguments->verbose = true;
        return 0;
    case 'a':
        arguments->options.algorithm = value;
        if (!algorithm_set(&(struct transport_config){0}, value)) {
            argp_error(state, "no algorithm '%s'", value);
        }
        return 0;
    case 'j':
        arguments->jobs = (uint32_t)strtoul(value, NULL, 10);
        return 0;
    case 'p':
        arguments->plot = value;
        return 0;
    case 'm':
        arguments->table = true;
        return 0;
    case 'l':
        list_scenarios();
        exit(EXIT_SUCCESS);
    case ARGP_KEY_END:
        if (arguments->last < arguments->first) { /* not named */
            arguments->last = arguments->table ? TABLE_SEEDS : 100;
        }
        if (arguments->table && arguments->last - arguments->first >= TABLE_SEEDS_MAX) {
            argp_error(state, "the table takes at most %d seeds", TABLE_SEEDS_MAX);
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"scenario", 's', "NAME", 0, "this scenario only; without it each seed picks one", 0},
    {"seeds", 'n', "A..B", 0, "the seeds to run; default 1..100, of the table 1..5", 0},
    {"verbose", 'v', NULL, 0, "print a line with the digest of all packets for each run", 0},
    {"trace", 't', NULL, 0, "print every packet and event, too", 0},
    {"algorithm", 'a', "NAME", 0, "of congestion control: swift or aimd; default: the transport's own", 0},
    {"jobs", 'j', "N", 0, "spread the runs over N processes; default 1", 0},
    {"plot", 'p', "FILE", 0, "draw cwnd, RTT and goodput of the first seed over time (SVG)", 0},
    {"table", 'm', NULL, 0,
     "run what is measured, with seeds 1..5 or those that --seeds names, and print the table; fails if a row is not "
     "reached",
     0},
    {"list", 'l', NULL, 0, "list the scenarios", 0},
    {0},
};

static bool work(uint64_t index, void *arg)
{
    struct work *work = arg;
    struct totals *totals = work->totals;
    bool well = run_seed(work->arguments, work->arguments->first + index, &work->outcome);
    atomic_fetch_add(&totals->failures, !well);
    atomic_fetch_add(&totals->runs, 1);
    atomic_fetch_add(&totals->packets, work->outcome.packets);
    atomic_fetch_add(&totals->messages, work->outcome.messages);
    return atomic_load(&totals->failures) < FAILURES_MAX;
}

static bool run_all(const struct arguments *arguments)
{
    static struct work state;
    struct timespec begin, end;
    state.arguments = arguments;
    state.totals = jobs_memory(sizeof *state.totals);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    bool well = jobs_run(arguments->last - arguments->first + 1, arguments->jobs, work, &state);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    uint64_t failures = state.totals->failures;
    printf("%llu runs, %llu failed; %llu packets, %llu messages in %.1f s\n", (unsigned long long)state.totals->runs,
           (unsigned long long)failures, (unsigned long long)state.totals->packets,
           (unsigned long long)state.totals->messages, seconds);
    return well && failures == 0;
}

static bool draw(const struct arguments *arguments)
{
    static struct outcome outcome;
    struct arguments first = *arguments;
    char title[128];
    first.options.plot = plot_new();
    bool well = run_seed(&first, first.first, &outcome);
    snprintf(title, sizeof title, "%s, seed %llu%s%s", current.scenario, (unsigned long long)first.first,
             first.options.algorithm ? ", " : "", first.options.algorithm ? first.options.algorithm : "");
    if (!plot_write(first.options.plot, first.plot, title)) {
        perror(first.plot);
        well = false;
    }
    plot_free(first.options.plot);
    return well;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .doc = "Runs engines on a simulated network under a virtual clock and checks what arrives.\v"
               "Exits 0 if every run was in order, 1 if one was not, 2 for bad usage."};
    struct arguments arguments = {.first = 1, .last = 0, .jobs = 1};
    bool well;
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    current.program = argv[0];
    catch_crashes();
    if (arguments.table) {
        const uint64_t seeds = arguments.last - arguments.first + 1;
        well = table_print(arguments.first, (uint32_t)seeds, arguments.jobs, &arguments.options);
    } else if (arguments.plot) {
        well = draw(&arguments);
    } else {
        well = run_all(&arguments);
    }
    return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
