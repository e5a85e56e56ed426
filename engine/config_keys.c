/* SPDX-License-Identifier: MIT */
#include "config_keys.h"

#include <stdio.h>
#include <string.h>

#include "base/address.h"

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

static const char *set_ip(struct config *config, const char *text)
{
    struct endpoint ip;
    if (!address_parse_ip(text, &ip))
        return "is no IP address";
    if (!address_is_usable(&ip))
        return "is an address that no engine can have";
    for (uint32_t i = 0; i < config->ip_count; i++) {
        if (endpoint_equal(&config->ips[i], &ip))
            return "is given twice";
    }
    if (config->ip_count == PATH_ADDRESSES_MAX)
        return "is one too many";
    config->ips[config->ip_count++] = ip;
    return NULL;
}

static const char *set_udp_port(struct config *config, const char *text)
{
    uint64_t port;
    const char *wrong = set_number(text, 1, UINT16_MAX, &port);
    if (wrong == NULL)
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

static const char *set_spin(struct config *config, const char *text)
{
    uint64_t us;
    const char *wrong = set_number(text, 0, 1000000, &us);
    if (wrong == NULL)
        config->spin_ns = us * 1000;
    return wrong;
}

static const char *set_dead_peer(struct config *config, const char *text)
{
    uint64_t ms;
    const char *wrong = set_number(text, 100, 3600000, &ms);
    if (wrong == NULL)
        config->dead_peer_ns = ms * 1000000;
    return wrong;
}

static const char *set_log_level(struct config *config, const char *text)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            config->log_level = (enum log_level)i;
            return NULL;
        }
    }
    return not_allowed;
}

static const char *set_nic(struct config *config, const char *text)
{
    (void)config;
    if (strcmp(text, "dpdk") == 0)
        return "needs a DPDK back end, and this build has none";
    return strcmp(text, "udp") == 0 ? NULL : not_allowed;
}

const struct config_key config_keys[] = {
    {"ip", "ADDRESS", CONFIG_STRINGS, set_ip,
     "up to 64 different IPv4 or IPv6 addresses of this machine, such as 10.0.0.2",
     "An address of this machine that the engine serves; may be repeated"},
    {"udp-port", "PORT", CONFIG_NUMBER, set_udp_port, "a number from 1 to 65535",
     "UDP port of the first worker, the next ones follow (31700)"},
    {"socket", "PATH", CONFIG_STRING, set_socket, "a path of at most 107 bytes",
     "Where applications attach (as root /run/machnet/machnet.sock, else $XDG_RUNTIME_DIR/machnet.sock)"},
    {"socket-mode", "MODE", CONFIG_STRING, set_socket_mode, "an octal mode from 000 to 0777, in JSON as a string",
     "Who may attach: permissions of the socket (0660)"},
    {"socket-group", "NAME", CONFIG_STRING, set_socket_group, "the name of a group, at most 63 bytes",
     "Group of the socket"},
    {"quota-channels", "N", CONFIG_NUMBER, set_quota_channels, "a number from 1 to 65536",
     "Most channels of one user (256, root 4096)"},
    {"quota-bytes", "SIZE", CONFIG_SIZE, set_quota_bytes,
     "a size from 4M to 1T, in bytes or with K, M, G or T behind it", "Most shared memory of one user (1G, root 16G)"},
    {"quota-flows", "N", CONFIG_NUMBER, set_quota_flows, "a number from 1 to 1048576",
     "Most flows of one channel (65536, root 1048576)"},
    {"spin-us", "N", CONFIG_NUMBER, set_spin, "a number of microseconds from 0 to 1000000",
     "Poll so long without work before sleeping (50)"},
    {"dead-peer-ms", "N", CONFIG_NUMBER, set_dead_peer, "a number of milliseconds from 100 to 3600000",
     "A peer engine that was silent so long is dead (10000)"},
    {"log-level", "LEVEL", CONFIG_STRING, set_log_level, "error, warning, info or debug",
     "What is logged to standard error (info)"},
    {"nic", "NAME", CONFIG_STRING, set_nic, "udp", "Network back end (udp)"},
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
