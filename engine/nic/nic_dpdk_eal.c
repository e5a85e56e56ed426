/* SPDX-License-Identifier: MIT */
/* DPDK's environment: started once for the process, quietly. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "nic/nic_dpdk_internal.h"

enum { ARGUMENTS_MAX = 64, ARGUMENT_BYTES = 512, TEXT_BYTES = 8192, MESSAGE_BYTES = 200 };

int dpdk_fail(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, NIC_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return -1;
}

/* ---- DPDK's messages ---- */

static struct {
    pthread_mutex_t lock;
    bool capturing;
    char last_error[MESSAGE_BYTES];
} messages = {.lock = PTHREAD_MUTEX_INITIALIZER};

void dpdk_messages_capture(void)
{
    (void)pthread_mutex_lock(&messages.lock);
    messages.capturing = true;
    messages.last_error[0] = '\0';
    (void)pthread_mutex_unlock(&messages.lock);
}

void dpdk_messages_take(char *text, size_t capacity)
{
    (void)pthread_mutex_lock(&messages.lock);
    messages.capturing = false;
    (void)snprintf(text, capacity, "%s", messages.last_error);
    (void)pthread_mutex_unlock(&messages.lock);
}

/* "Failed to attach device on primary process" and the like only repeat that there was an error. */
static bool says_nothing(const char *message)
{
    return strncmp(message, "EAL: Failed to attach", 21) == 0 ||
           strncmp(message, "EAL: Driver cannot attach", 25) == 0 || strncmp(message, "EAL: FATAL", 10) == 0;
}

/* DPDK calls this with whole lines: it flushes behind each message. What it calls an error may well be none for us. */
static ssize_t take_message(void *cookie, const char *text, size_t length)
{
    (void)cookie;
    char line[MESSAGE_BYTES];
    size_t used = length < sizeof line ? length : sizeof line - 1;
    memcpy(line, text, used);
    while (used > 0 && isspace((unsigned char)line[used - 1]))
        used--;
    line[used] = '\0';
    (void)pthread_mutex_lock(&messages.lock);
    bool is_error = rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR, capturing = messages.capturing;
    if (is_error && capturing && !says_nothing(line))
        memcpy(messages.last_error, line, sizeof line);
    (void)pthread_mutex_unlock(&messages.lock);
    if (used > 0)
        log_write(is_error && !capturing ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "dpdk: %s", line);
    return (ssize_t)length;
}

static void divert_messages(void)
{
    static const cookie_io_functions_t functions = {.write = take_message};
    FILE *stream = fopencookie(NULL, "w", functions);
    if (stream == NULL)
        return;
    (void)setvbuf(stream, NULL, _IOFBF, 1024);
    rte_openlog_stream(stream);
}

/* ---- Arguments ---- */

struct arguments {
    int count;
    char *values[ARGUMENTS_MAX + 1];
    size_t used;
    char text[TEXT_BYTES];
};

static void add(struct arguments *arguments, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What finds no room makes count ARGUMENTS_MAX + 1. */
static void add(struct arguments *arguments, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    char *place = arguments->text + arguments->used;
    size_t room = sizeof arguments->text - arguments->used;
    int length = vsnprintf(place, room, format, values);
    va_end(values);
    if (arguments->count >= ARGUMENTS_MAX || (size_t)length >= room) {
        arguments->count = ARGUMENTS_MAX + 1;
        return;
    }
    arguments->values[arguments->count++] = place;
    arguments->used += (size_t)length + 1;
}

/* All processors that this thread may use, as one lcore: DPDK pins the thread to what it already has. */
static void add_lcore(struct arguments *arguments)
{
    char list[ARGUMENT_BYTES] = "";
    size_t length = 0;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return;
    for (int first = 0, last; first < CPU_SETSIZE && length < sizeof list - 16; first = last + 1) {
        for (last = first; last < CPU_SETSIZE && CPU_ISSET((size_t)last, &set); last++) {
        }
        if (last > first)
            length += (size_t)snprintf(list + length, sizeof list - length, "%s%d-%d", length > 0 ? "," : "", first,
                                       last - 1);
    }
    add(arguments, "--lcores=0@(%s)", list);
}

static bool huge_pages_are_free(uint32_t megabytes)
{
    glob_t files;
    uint64_t free_bytes = 0;
    if (glob("/sys/kernel/mm/hugepages/hugepages-*/free_hugepages", 0, NULL, &files) != 0)
        return false;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        unsigned long kilobytes = 0, pages = 0;
        const char *size = strrchr(files.gl_pathv[i], '-');
        FILE *file = fopen(files.gl_pathv[i], "re");
        if (size != NULL && sscanf(size, "-%lukB", &kilobytes) == 1 && file != NULL && fscanf(file, "%lu", &pages) == 1)
            free_bytes += (uint64_t)kilobytes * 1024 * pages;
        if (file != NULL)
            (void)fclose(file);
    }
    globfree(&files);
    return free_bytes >= (uint64_t)megabytes << 20;
}

/* Unless the user's own arguments speak of memory. */
static void add_memory(struct arguments *arguments, const struct nic_dpdk_config *config)
{
    static const char *const own[] = {"--no-huge",  "--in-memory",  "-m",           "--socket-mem",
                                      "--huge-dir", "--legacy-mem", "--huge-unlink"};
    uint32_t megabytes = dpdk_port_megabytes(config);
    for (unsigned i = 0; config->eal_arguments != NULL && i < sizeof own / sizeof own[0]; i++) {
        const char *at = strstr(config->eal_arguments, own[i]);
        if (at != NULL && (at == config->eal_arguments || at[-1] == ' ')) {
            add(arguments, "--no-shconf");
            return;
        }
    }
    if (huge_pages_are_free(megabytes)) {
        add(arguments, "--in-memory");
        return;
    }
    log_debug("dpdk: less than %u MiB in free huge pages: ordinary ones", megabytes);
    add(arguments, "--no-huge");
    add(arguments, "-m");
    add(arguments, "%u", megabytes);
    add(arguments, "--no-shconf");
    add(arguments, "--iova-mode=va");
}

/* These virtual devices stand on PCI devices. */
static bool needs_pci(const char *device)
{
    return strncmp(device, "net_vdev_netvsc", 15) == 0 || strncmp(device, "net_failsafe", 12) == 0 ||
           strncmp(device, "net_bonding", 11) == 0;
}

static void add_device(struct arguments *arguments, const char *device)
{
    enum device_name_kind kind = device_name_kind(device);
    if (kind == DEVICE_NAME_PCI || kind == DEVICE_NAME_VMBUS) {
        add(arguments, "-a");
        add(arguments, "%s", device);
    } else if (kind == DEVICE_NAME_VIRTUAL && !needs_pci(device)) {
        add(arguments, "--no-pci");
    }
}

static void add_users(struct arguments *arguments, const char *text)
{
    while (text != NULL && *(text += strspn(text, " ")) != '\0') {
        size_t length = strcspn(text, " ");
        add(arguments, "%.*s", (int)length, text);
        text += length;
    }
}

/* ---- Start ---- */

/* Where the processor does not tell its frequency, DPDK sleeps 100 ms to measure it, and only drivers' timeouts need it. In static builds
 * this is linked in place of DPDK's function (engine/CMakeLists.txt). */
uint64_t __wrap_get_tsc_freq_arch(void);
uint64_t __wrap_get_tsc_freq_arch(void)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    struct timespec start, end;
    (void)clock_gettime(CLOCK_MONOTONIC_RAW, &start);
    uint64_t first = rte_rdtsc();
    (void)nanosleep(&pause, NULL);
    (void)clock_gettime(CLOCK_MONOTONIC_RAW, &end);
    uint64_t ticks = rte_rdtsc() - first;
    double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9;
    return (uint64_t)((double)ticks / seconds);
}

/* If an argument is wrong, DPDK prints pages of usage to standard output. */
static int init_quietly(struct arguments *arguments)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (null >= 0 && saved >= 0)
        (void)dup2(null, STDOUT_FILENO);
    opterr = 0; /* nor getopt, several times, what is unknown */
    int result = rte_eal_init(arguments->count, arguments->values);
    opterr = 1;
    (void)fflush(stdout);
    if (null >= 0 && saved >= 0)
        (void)dup2(saved, STDOUT_FILENO);
    if (saved >= 0)
        (void)close(saved);
    if (null >= 0)
        (void)close(null);
    return result;
}

static void log_arguments(const struct arguments *arguments)
{
    char line[TEXT_BYTES];
    size_t length = 0;
    for (int i = 1; i < arguments->count && length < sizeof line; i++)
        length += (size_t)snprintf(line + length, sizeof line - length, " %s", arguments->values[i]);
    log_debug("dpdk: arguments:%s", line);
}

int dpdk_eal_start(const struct nic_dpdk_config *config, char *error)
{
    static bool runs;
    static struct arguments arguments; /* DPDK keeps pointers to them */
    char message[MESSAGE_BYTES];
    cpu_set_t processors;
    if (runs)
        return 0;
    add(&arguments, "machnetd");
    add(&arguments, "--file-prefix=machnet-%ld", (long)getpid());
    add(&arguments, "--no-telemetry");
    add_lcore(&arguments);
    add_memory(&arguments, config);
    add_device(&arguments, config->device);
    add_users(&arguments, config->eal_arguments);
    if (arguments.count > ARGUMENTS_MAX)
        return dpdk_fail(error, "--eal: too many arguments for DPDK");
    log_arguments(&arguments);
    divert_messages();
    dpdk_messages_capture();
    bool restore = pthread_getaffinity_np(pthread_self(), sizeof processors, &processors) == 0;
    int result = init_quietly(&arguments);
    if (restore)
        (void)pthread_setaffinity_np(pthread_self(), sizeof processors, &processors);
    dpdk_messages_take(message, sizeof message);
    if (result < 0) /* DPDK cannot be asked a second time in a process */
        return dpdk_fail(error,
                         "DPDK does not start (%.120s): look at --device and --eal, or run with --log-level debug",
                         message[0] != '\0' ? message : rte_strerror(rte_errno));
    (void)rmdir(rte_eal_get_runtime_dir()); /* without a shared configuration there is nothing in it */
    runs = true;
    return 0;
}
