/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "config.h"
#include "nic/nic_dpdk.h"

static struct config config;
static char error[CONFIG_ERROR_BYTES];

/* Parses the words of `line` as flags. */
static int parse(const char *line)
{
    static char copy[1024];
    char *argv[64] = {(char *)"machnetd"};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    return config_parse(&config, argc, argv, error);
}

static int load(const char *text)
{
    config_init(&config);
    return config_load_text(&config, "engine.json", text, strlen(text), error);
}

#define REFUSED(call, ...)                                                                               \
    do {                                                                                                 \
        const char *const parts[] = {__VA_ARGS__};                                                       \
        cr_assert_eq(call, -1);                                                                          \
        for (size_t i_ = 0; i_ < sizeof parts / sizeof parts[0]; i_++)                                   \
            cr_assert(strstr(error, parts[i_]) != NULL, "\"%s\" does not say \"%s\"", error, parts[i_]); \
        cr_assert(strchr(error, '\n') == NULL, "more than one line: %s", error);                         \
    } while (0)

Test(config, parse__reads_every_flag)
{
    cr_assert_eq(
        parse(
            "--ip 10.0.0.2 --ip=fd00::2 --udp-port 40000 --socket /tmp/x.sock --socket-mode 0666 --socket-group users "
            "--quota-channels 7 --quota-bytes 64M --quota-flows 9 --quota-listeners 8 --spin-us 0 --dead-peer-ms 2000 --log-level debug "
            "--nic udp --workers 3 --poll sleep --cpus 7,0-1,3"),
        0, "%s", error);
    char text[ADDRESS_TEXT_BYTES];
    cr_assert_eq(config.ip_count, 2);
    cr_assert_str_eq(address_format_ip(&config.ips[0], text), "10.0.0.2");
    cr_assert_str_eq(address_format_ip(&config.ips[1], text), "fd00::2");
    cr_assert_eq(config.udp_port, 40000);
    cr_assert_str_eq(config.socket_path, "/tmp/x.sock");
    cr_assert_not(config.socket_is_default);
    cr_assert_eq(config.socket_mode, 0666);
    cr_assert_str_eq(config.socket_group, "users");
    cr_assert_eq(config.quota_channels, 7);
    cr_assert_eq(config.quota_bytes, 64u << 20);
    cr_assert_eq(config.quota_flows, 9);
    cr_assert_eq(config.quota_listeners, 8);
    cr_assert_eq(config.workers, 3);
    cr_assert_eq(config.poll, WORKER_POLL_SLEEP);
    cr_assert_eq(config.cpu_count, 4);
    cr_assert_eq(config.cpus[0], 7);
    cr_assert_eq(config.cpus[1], 0);
    cr_assert_eq(config.cpus[2], 1);
    cr_assert_eq(config.cpus[3], 3);
    cr_assert_eq(config.spin_ns, 0);
    cr_assert_eq(config.dead_peer_ns, UINT64_C(2000000000));
    cr_assert_eq(config.log_level, LOG_LEVEL_DEBUG);
}

Test(config, parse__has_the_documented_defaults)
{
    cr_assert_eq(parse("--ip 127.0.0.2 --socket s"), 0);
    cr_assert_eq(config.udp_port, 31700);
    cr_assert_eq(config.socket_mode, 0660);
    cr_assert_eq(config.workers, 1);
    cr_assert_eq(config.poll, WORKER_POLL_ADAPTIVE);
    cr_assert_eq(config.cpu_count, 0);
    cr_assert_eq(config.spin_ns, 250000);
    cr_assert_eq(config.dead_peer_ns, UINT64_C(10000000000));
    cr_assert_eq(config.log_level, LOG_LEVEL_INFO);
}

Test(config, parse__default_socket_depends_on_the_user)
{
    setenv("XDG_RUNTIME_DIR", "/run/user/1000", 1);
    cr_assert_eq(parse("--ip 127.0.0.2"), 0);
    cr_assert(config.socket_is_default);
    cr_assert_str_eq(config.socket_path, geteuid() == 0 ? "/run/machnet/machnet.sock" : "/run/user/1000/machnet.sock");
}

Test(config, parse__tells_in_one_line_what_is_wrong_and_what_is_allowed)
{
    REFUSED(parse(""), "--ip 127.0.0.2");
    REFUSED(parse("--ip 10.0.0.2.3"), "--ip", "10.0.0.2.3", "allowed", "IPv4 or IPv6");
    REFUSED(parse("--ip 0.0.0.0"), "no engine can have");
    REFUSED(parse("--ip ::"), "no engine can have");
    REFUSED(parse("--ip fe80::1"), "no engine can have");
    REFUSED(parse("--ip 224.0.0.1"), "no engine can have");
    REFUSED(parse("--ip 127.0.0.2 --ip 127.0.0.2"), "is given twice");
    REFUSED(parse("--ip ::ffff:127.0.0.2 --ip 127.0.0.2"), "is given twice");
    REFUSED(parse("--ip 127.0.0.2 --udp-port 65536"), "--udp-port", "1 to 65535");
    REFUSED(parse("--ip 127.0.0.2 --udp-port -1"), "--udp-port", "1 to 65535");
    REFUSED(parse("--ip 127.0.0.2 --udp-port 18446744073709551617"), "--udp-port");
    REFUSED(parse("--ip 127.0.0.2 --quota-bytes 64X"), "--quota-bytes", "K, M, G or T");
    REFUSED(parse("--ip 127.0.0.2 --quota-bytes 99999999999999999999"), "--quota-bytes");
    REFUSED(parse("--ip 127.0.0.2 --quota-bytes 18014398509481984K"), "--quota-bytes");
    REFUSED(parse("--ip 127.0.0.2 --socket-mode 0888"), "--socket-mode", "octal");
    REFUSED(parse("--ip 127.0.0.2 --workers 0"), "--workers", "1 to 64");
    REFUSED(parse("--ip 127.0.0.2 --workers 65"), "--workers", "1 to 64");
    REFUSED(parse("--ip 127.0.0.2 --workers 4 --udp-port 65533"), "--workers", "4 workers", "up to 65532");
    REFUSED(parse("--ip 127.0.0.2 --poll often"), "--poll", "often", "spin, adaptive or sleep");
    REFUSED(parse("--ip 127.0.0.2 --cpus 0,"), "--cpus", "ranges of them, such as 0,2-3");
    REFUSED(parse("--ip 127.0.0.2 --cpus 3-1"), "--cpus", "3-1");
    REFUSED(parse("--ip 127.0.0.2 --cpus 1-"), "--cpus", "1-");
    REFUSED(parse("--ip 127.0.0.2 --cpus 1024"), "--cpus", "below 1024");
    REFUSED(parse("--ip 127.0.0.2 --cpus 0-1023,0"), "--cpus");
    REFUSED(parse("--ip 127.0.0.2 --workers 3 --cpus 0-1"), "--cpus", "2 cpus for 3 workers");
    REFUSED(parse("--ip 127.0.0.2 --log-level loud"), "loud", "error, warning, info or debug");
    REFUSED(parse("--ip 127.0.0.2 --nic e1000"), "--nic", "allowed: udp");
    REFUSED(parse("--ip"), "--ip needs a value");
    REFUSED(parse("--ip 127.0.0.2 --check=1"), "--check takes no value");
    REFUSED(parse("--bogus 3"), "--bogus", "--help");
    REFUSED(parse("-z"), "-z", "--help");
    REFUSED(parse("--ip 127.0.0.2 extra"), "extra", "--help");
    REFUSED(parse("--config /nowhere/engine.json"), "/nowhere/engine.json", "No such file");
}

Test(config, load_text__takes_the_same_names)
{
    cr_assert_eq(
        load("{\"ip\": [\"127.0.0.2\", \"::1\"], \"udp-port\": 5000, \"socket\": \"/tmp/y\", \"socket-mode\": \"600\","
             "\"quota-bytes\": \"2G\", \"quota-channels\": 3, \"spin-us\": 10, \"log-level\": \"error\", \"nic\": "
             "\"udp\"}"),
        0, "%s", error);
    cr_assert_eq(config.ip_count, 2);
    cr_assert_eq(config.udp_port, 5000);
    cr_assert_eq(config.socket_mode, 0600);
    cr_assert_eq(config.quota_bytes, UINT64_C(2) << 30);
    cr_assert_eq(load("{\"quota-bytes\": 4194304}"), 0);
    cr_assert_eq(config.quota_bytes, 4194304);
}

Test(config, load_text__names_file_line_or_key)
{
    REFUSED(load("{\n\"ip\": [\n}"), "engine.json:3:");
    REFUSED(load(""), "engine.json:1:");
    REFUSED(load("[]"), "engine.json", "object");
    REFUSED(load("{\"ipp\": []}"), "engine.json", "\"ipp\"", "allowed: ip, udp-port");
    REFUSED(load("{\"ip\": \"127.0.0.2\"}"), "\"ip\"", "an array of strings");
    REFUSED(load("{\"ip\": [1]}"), "\"ip\"", "element 0");
    REFUSED(load("{\"ip\": [\"127.0.0.2\", \"nonsense\"]}"), "\"ip\"", "nonsense");
    REFUSED(load("{\"udp-port\": \"5000\"}"), "\"udp-port\"", "an integer");
    REFUSED(load("{\"udp-port\": 5000.0}"), "\"udp-port\"", "an integer");
    REFUSED(load("{\"udp-port\": -7}"), "\"udp-port\"", "1 to 65535");
    REFUSED(load("{\"socket-mode\": 432}"), "\"socket-mode\"", "a string");
    REFUSED(load("{\"spin-us\": null}"), "\"spin-us\"");
    REFUSED(load("{\"udp-port\": 1, \"udp-port\": 2}"), "engine.json:1:", "duplicate");
    REFUSED(load("{\"config\": \"x\"}"), "\"config\"", "unknown");
}

Test(config, parse__flags_override_the_file)
{
    char path[] = "/tmp/machnet-test-config-XXXXXX", line[256];
    int fd = mkstemp(path);
    const char text[] = "{\"ip\": [\"127.0.0.2\", \"127.0.0.3\"], \"udp-port\": 5000, \"spin-us\": 7}";
    cr_assert_eq(write(fd, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    close(fd);
    snprintf(line, sizeof line, "--udp-port 6000 --config %s", path);
    int from_file = parse(line);
    uint32_t file_ips = config.ip_count;
    snprintf(line, sizeof line, "--ip 127.0.0.9 --config %s", path);
    int with_ip = parse(line);
    unlink(path);
    cr_assert_eq(from_file, 0, "%s", error);
    cr_assert_eq(file_ips, 2);
    cr_assert_eq(with_ip, 0, "%s", error);
    cr_assert_eq(config.ip_count, 1);
    cr_assert_eq(config.ips[0].ip[15], 9);
    cr_assert_eq(config.udp_port, 5000);
    cr_assert_eq(config.spin_ns, 7000);
}

/* ---- The network ---- */

#define DPDK "--ip 10.0.0.2 --socket s --nic dpdk --device net_ring0 "

Test(config, parse__nic_of_a_build_without_dpdk)
{
    if (!nic_dpdk_is_built())
        REFUSED(parse("--ip 127.0.0.2 --nic dpdk"), "--nic", "DPDK", "this build has none", "allowed: udp", "libdpdk-dev");
}

Test(config, parse__reads_the_flags_of_dpdk)
{
    if (!nic_dpdk_is_built())
        return;
    cr_assert_eq(parse("--ip 10.0.0.2/24 --ip 10.1.0.2 --socket s --nic dpdk --device net_af_packet0,iface=eth1 --mtu 9001 "
                       "--eal=--log-level=8 --route 0.0.0.0/0,via=10.0.0.1 --route 10.2.0.0/16 "
                       "--neighbour 10.0.0.3,02:00:00:00:00:0a"),
                 0, "%s", error);
    cr_assert_eq(config.nic, CONFIG_NIC_DPDK);
    cr_assert_str_eq(config.device, "net_af_packet0,iface=eth1");
    cr_assert_str_eq(config.eal, "--log-level=8");
    cr_assert_eq(config.mtu, 9001);
    cr_assert_eq(config.routes.count, 3, "two, and that of 10.0.0.2/24");
    cr_assert_eq(routes_next_hop(&config.routes, 0x0a000007), 0x0a000007);
    cr_assert_eq(routes_next_hop(&config.routes, 0x0a020007), 0x0a020007);
    cr_assert_eq(routes_next_hop(&config.routes, 0x0b000007), 0x0a000001);
    cr_assert_eq(config.neighbour_count, 1);
    cr_assert_eq(config.neighbours[0].ip, 0x0a000003);
    cr_assert_eq(config.neighbours[0].mac[5], 10);
}

Test(config, parse__flags_replace_the_lists_of_the_file)
{
    if (!nic_dpdk_is_built())
        return;
    FILE *file = fopen("routes.json", "w");
    fputs("{\"ip\": [\"10.0.0.2\"], \"nic\": \"dpdk\", \"device\": \"net_ring0\", \"route\": [\"10.1.0.0/16\", \"10.2.0.0/16\"], "
          "\"neighbour\": [\"10.0.0.3,02:00:00:00:00:03\"]}",
          file);
    fclose(file);
    cr_assert_eq(parse("--config routes.json --socket s --route 10.3.0.0/16"), 0, "%s", error);
    unlink("routes.json");
    cr_assert_eq(config.routes.count, 1);
    cr_assert_eq(config.routes.items[0].network, 0x0a030000);
    cr_assert_eq(config.neighbour_count, 1);
}

Test(config, parse__refuses_a_wrong_network)
{
    REFUSED(parse("--ip 10.0.0.2/33"), "10.0.0.2/33", "no IP address", "10.0.0.2/24");
    REFUSED(parse("--ip 10.0.0.2/"), "--ip");
    REFUSED(parse("--ip fd00::2/129"), "--ip");
    REFUSED(parse("--ip 127.0.0.2 --nic e1000"), "--nic", "allowed: udp");
    REFUSED(parse("--ip 10.0.0.2 --device eth0"), "--device", "eth0", "allowed: a PCI address");
    REFUSED(parse("--ip 10.0.0.2 --mtu 1299"), "--mtu", "1300 to 9001");
    REFUSED(parse("--ip 10.0.0.2 --mtu 9002"), "--mtu");
    REFUSED(parse("--ip 10.0.0.2 --route 10.0.0.1/8"), "--route", "behind the prefix");
    REFUSED(parse("--ip 10.0.0.2 --route fd00::/8"), "--route", "IPv4");
    REFUSED(parse("--ip 10.0.0.2 --route 10.0.0.0/8,by=10.0.0.1"), "--route", "gateway");
    REFUSED(parse("--ip 10.0.0.2 --route 10.0.0.0/8,via=0.0.0.0/0"), "--route");
    REFUSED(parse("--ip 10.0.0.2 --route 10.0.0.0/8,via=10.0.0.1 --route 10.0.0.0/8"), "--route", "another gateway");
    REFUSED(parse("--ip 10.0.0.2 --neighbour 10.0.0.3"), "--neighbour");
    REFUSED(parse("--ip 10.0.0.2 --neighbour 10.0.0.3,01:00:00:00:00:03"), "--neighbour", "MAC");
    REFUSED(parse("--ip 10.0.0.2 --neighbour 10.0.0.3,02:00:00:00:03"), "--neighbour");
    REFUSED(parse("--ip 10.0.0.2 --device net_ring0"), "--nic dpdk");
    REFUSED(parse("--ip 10.0.0.2 --mtu 1500"), "--nic dpdk");
    if (!nic_dpdk_is_built())
        return;
    REFUSED(parse("--ip 10.0.0.2 --nic dpdk"), "--device", "PCI");
    REFUSED(parse(DPDK "--ip fd00::2"), "IPv4");
    REFUSED(parse(DPDK "--ip 10.1.0.2/16 --route 10.1.0.0/16,via=10.0.0.1"), "--route");
}
