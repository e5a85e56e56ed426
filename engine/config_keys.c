/* SPDX-License-Identifier: MIT */
#include "config_keys.h"

#include <stdio.h>
#include <string.h>

#include "config_network.h"

static const char not_allowed[] = "is not allowed";

/* Decimal digits only. */
static bool read_digits(const char **text, uint64_t *value)
{
    const char *start = *text;
    *value = 0;
    for (; **text >= '0' && **text <= '9'; ++*text) {
        uint64_t digit = (uint64_t)(**text - '0');
        if (*value > (UINT64_MAX - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return *text != start;
}

static const char *set_number(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
    uint64_t value;
    if (!read_digits(&text, &value) || *text != '\0' || value < min || value > max)
        return not_allowed;
    *number = value;
    return NULL;
}

static const char *set_small(const char *text, uint32_t min, uint32_t max, uint32_t *number)
{
    uint64_t value = *number;
    const char *wrong = set_number(text, min, max, &value);
    *number = (uint32_t)value;
    return wrong;
}

/* A number of units of unit_ns. */
static const char *set_duration(const char *text, uint64_t min, uint64_t max, uint64_t unit_ns, uint64_t *ns)
{
    uint64_t value;
    const char *wrong = set_number(text, min, max, &value);
    if (wrong == NULL)
        *ns = value * unit_ns;
    return wrong;
}

/* Which of the names; -1: none. */
static int find_name(const char *text, const char *const *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0)
            return (int)i;
    }
    return -1;
}

static const char *set_size(const char *text, uint64_t min, uint64_t max, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    uint64_t value;
    if (!read_digits(&text, &value))
        return not_allowed;
    const char *unit = *text != '\0' ? strchr(units, *text) : NULL;
    unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    if (unit != NULL)
        text++;
    if (*text != '\0' || value > UINT64_MAX >> shift || value << shift < min || value << shift > max)
        return not_allowed;
    *bytes = value << shift;
    return NULL;
}

static const char *set_text(const char *text, char *place, size_t capacity)
{
    size_t length = strlen(text);
    if (length == 0)
        return "is empty";
    if (length >= capacity)
        return "is too long";
    memcpy(place, text, length + 1);
    return NULL;
}

static const char *set_udp_port(struct config *config, const char *text)
{
    uint32_t port = config->udp_port;
    const char *wrong = set_small(text, 1, UINT16_MAX, &port);
    config->udp_port = (uint16_t)port;
    return wrong;
}

static const char *set_socket(struct config *config, const char *text)
{
    return set_text(text, config->socket_path, sizeof config->socket_path);
}

static const char *set_socket_mode(struct config *config, const char *text)
{
    uint32_t mode = 0;
    size_t digits = strlen(text);
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '7')
            return not_allowed;
        mode = mode << 3 | (uint32_t)(text[i] - '0');
    }
    if (digits < 3 || digits > 4 || mode > 0777)
        return not_allowed;
    config->socket_mode = mode;
    return NULL;
}

static const char *set_socket_group(struct config *config, const char *text)
{
    return set_text(text, config->socket_group, sizeof config->socket_group);
}

static const char *set_quota_channels(struct config *config, const char *text)
{
    return set_number(text, 1, 65536, &config->quota_channels);
}

static const char *set_quota_bytes(struct config *config, const char *text)
{
    return set_size(text, UINT64_C(4) << 20, UINT64_C(1) << 40, &config->quota_bytes);
}

static const char *set_quota_flows(struct config *config, const char *text)
{
    return set_number(text, 1, 1 << 20, &config->quota_flows);
}

static const char *set_quota_listeners(struct config *config, const char *text)
{
    return set_number(text, 1, 1 << 20, &config->quota_listeners);
}

static const char *set_spin(struct config *config, const char *text)
{
    return set_duration(text, 0, 1000000, 1000, &config->spin_ns);
}

static const char *set_workers(struct config *config, const char *text)
{
    return set_small(text, 1, HANDOVER_WORKERS_MAX, &config->workers);
}

static const char *set_poll(struct config *config, const char *text)
{
    static const char *const names[] = {
        [WORKER_POLL_ADAPTIVE] = "adaptive", [WORKER_POLL_SPIN] = "spin", [WORKER_POLL_SLEEP] = "sleep"};
    int poll = find_name(text, names, sizeof names / sizeof names[0]);
    if (poll < 0)
        return not_allowed;
    config->poll = (enum worker_poll)poll;
    return NULL;
}

/* "3" or "0,2-3" */
static const char *set_cpus(struct config *config, const char *text)
{
    config->cpu_count = 0;
    for (;; text++) {
        uint64_t first, last;
        if (!read_digits(&text, &first))
            return not_allowed;
        last = first;
        if (*text == '-') {
            text++;
            if (!read_digits(&text, &last))
                return not_allowed;
        }
        if (first > last || last >= CONFIG_CPUS_MAX || config->cpu_count + (last - first) >= CONFIG_CPUS_MAX)
            return not_allowed;
        while (first <= last)
            config->cpus[config->cpu_count++] = (uint16_t)first++;
        if (*text == '\0')
            return NULL;
        if (*text != ',')
            return not_allowed;
    }
}

static const char *set_dead_peer(struct config *config, const char *text)
{
    return set_duration(text, 100, 3600000, 1000000, &config->dead_peer_ns);
}

static const char *set_congestion(struct config *config, const char *text)
{
    return congestion_by_name(text, &config->congestion) ? NULL : not_allowed;
}

static const char *set_log_level(struct config *config, const char *text)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    int level = find_name(text, names, sizeof names / sizeof names[0]);
    if (level < 0)
        return not_allowed;
    config->log_level = (enum log_level)level;
    return NULL;
}

static const char *set_mtu(struct config *config, const char *text)
{
    return set_small(text, 1300, 9001, &config->mtu);
}

const struct config_key config_keys[] = {
    {"ip", "ADDRESS[/LENGTH]", CONFIG_STRINGS, config_set_ip,
     "up to 64 different IPv4 or IPv6 addresses of this machine, such as 10.0.0.2 or 10.0.0.2/24",
     "An address of this machine that the engine serves, for --nic dpdk with the length of its network; may be repeated"},
    {"udp-port", "PORT", CONFIG_NUMBER, set_udp_port, "a number from 1 to 65535",
     "UDP port of the first worker, the next ones follow; the same in all engines that talk to each other (31700)"},
    {"socket", "PATH", CONFIG_STRING, set_socket, "a path of at most 107 bytes",
     "Where applications attach (as root /run/machnet/machnet.sock, else $XDG_RUNTIME_DIR/machnet.sock)"},
    {"socket-mode", "MODE", CONFIG_STRING, set_socket_mode, "an octal mode of three or four digits, such as 0660, at most 0777; in JSON as a string",
     "Who may attach: permissions of the socket (0660)"},
    {"socket-group", "NAME", CONFIG_STRING, set_socket_group, "the name of a group, at most 63 bytes",
     "Group of the socket"},
    {"quota-channels", "N", CONFIG_NUMBER, set_quota_channels, "a number from 1 to 65536",
     "Most channels of one user (256, root 4096)"},
    {"quota-bytes", "SIZE", CONFIG_SIZE, set_quota_bytes,
     "a size from 4M to 1T, in bytes or with K, M, G or T behind it", "Most shared memory of one user (1G, root 16G)"},
    {"quota-flows", "N", CONFIG_NUMBER, set_quota_flows, "a number from 1 to 1048576",
     "Most flows of one user (65536, root 1048576)"},
    {"quota-listeners", "N", CONFIG_NUMBER, set_quota_listeners, "a number from 1 to 1048576",
     "Most listeners of one user (4096, root 65536)"},
    {"workers", "N", CONFIG_NUMBER, set_workers, "a number from 1 to 64",
     "Threads, each with a queue of the network interface and a UDP port (1)"},
    {"cpus", "LIST", CONFIG_STRING, set_cpus, "numbers below 1024 and ranges of them, such as 0,2-3",
     "Worker i runs on the i-th of these cpus alone"},
    {"poll", "HOW", CONFIG_STRING, set_poll, "spin, adaptive or sleep",
     "What a worker does without work: spin for ever, spin and then sleep, or sleep at once (adaptive)"},
    {"spin-us", "N", CONFIG_NUMBER, set_spin, "a number of microseconds from 0 to 1000000",
     "An adaptive worker polls so long for what is awaited, if that pays, before it sleeps (250)"},
    {"dead-peer-ms", "N", CONFIG_NUMBER, set_dead_peer, "a number of milliseconds from 100 to 3600000",
     "A peer engine that was silent so long is dead (10000)"},
    {"congestion", "HOW", CONFIG_STRING, set_congestion, "swift or aimd",
     "Congestion control: by delay, swift, or by loss, aimd (swift)"},
    {"log-level", "LEVEL", CONFIG_STRING, set_log_level, "error, warning, info or debug",
     "What is logged to standard error (info)"},
    {"nic", "NAME", CONFIG_STRING, config_set_nic, config_nics,
     "Network back end: udp, kernel sockets, or dpdk (udp)"},
    {"device", "DEVICE", CONFIG_STRING, config_set_device,
     "a PCI address such as 0000:00:06.0, a MAC address, or a device of DPDK with its arguments, such as "
     "net_af_packet0,iface=eth1",
     "The network interface of --nic dpdk"},
    {"eal", "ARGUMENTS", CONFIG_STRING, config_set_eal, "at most 511 bytes, separated by blanks",
     "More arguments for DPDK's EAL"},
    {"mtu", "BYTES", CONFIG_NUMBER, set_mtu, "a number from 1300 to 9001",
     "MTU of the device of --nic dpdk (its own, at most 1500)"},
    {"route", "PREFIX[,via=GATEWAY]", CONFIG_STRINGS, config_set_route,
     "up to 64 IPv4 prefixes, such as 10.1.0.0/16 or 0.0.0.0/0,via=10.0.0.1",
     "Where --nic dpdk sends to, by the longest prefix; may be repeated (all addresses are on the link)"},
    {"neighbour", "ADDRESS,MAC", CONFIG_STRINGS, config_set_neighbour,
     "up to 256 IPv4 addresses with their MACs, such as 10.0.0.3,02:00:00:00:00:03",
     "A MAC address that --nic dpdk need not ask for; may be repeated"},
    {0},
};

const struct config_key *config_key_find(const char *name)
{
    for (const struct config_key *key = config_keys; key->name != NULL; key++) {
        if (strcmp(key->name, name) == 0)
            return key;
    }
    return NULL;
}
