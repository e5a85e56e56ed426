#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-nics: af_packet memif af_xdp mixed switch1 switch2 switch4
# ctest-workers: 2
"""Messages of all sizes, by all calls, over all kinds of address: intact, in order, each once."""
import harness
from harness import Engine, NET, Skip, send, serve, two_engines

MESSAGE_MAX = 8 << 20
# UDP payloads of an Ethernet path (1500), of the least any path carries (1280) and of a jumbo path; of the rest, header and
# trailer (32), frame (8), fragment (8) and tag (8) are taken off in all the ways a packet may have.
PAYLOADS = [1472, 1452, 1232, 8972, 8952]


def edges():
    sizes = {0, 1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129}
    for payload in PAYLOADS:
        for headers in (32, 40, 48, 56):
            area = payload - headers
            sizes.update({area - 1, area, area + 1, 2 * area - 1, 2 * area, 2 * area + 1})
        sizes.update({payload - 1, payload, payload + 1})
    for power in range(8, 16):
        sizes.update({(1 << power) - 1, 1 << power, (1 << power) + 1})
    return sorted(sizes)


LARGE = [65535, 65536, 65537, 131071, 131072, 131073, 1 << 20, MESSAGE_MAX - 1, MESSAGE_MAX]


def exchange(one, two, sizes, *arguments, port=7000, receiver=(), ip=None, local=None):
    """Sends each size once and all of them back; both sides check."""
    text = ",".join(map(str, sizes))
    server = serve(two, port, "--echo", "--sizes", text, "--flows", 1, *arguments, *receiver, ip=ip)
    own = ("--local", local) if local else ()
    client = send(one, two.address(port, ip), "--echo", "--sizes", text, "--count", len(sizes), *arguments, *own)
    for end in (client.done(), server.done()):
        assert end["sent"] == end["received"] == len(sizes), end
        assert end["bytes"] == sum(sizes), end


def all_sizes(one, two, *arguments, port=7000, **keywords):
    small = edges()
    for part in range(0, len(small), 200):
        exchange(one, two, small[part:part + 200], *arguments, port=port, **keywords)
    exchange(one, two, LARGE, *arguments, port=port, **keywords)


def test_copied():
    with two_engines() as (one, two):
        all_sizes(one, two, "--mode", "copy")


def test_copied_with_tags():
    with two_engines() as (one, two):
        all_sizes(one, two, "--mode", "copy", "--tag")


def test_packed():
    with two_engines() as (one, two):
        all_sizes(one, two, "--mode", "packed")


def test_packed_with_tags():
    with two_engines() as (one, two):
        all_sizes(one, two, "--mode", "packed", "--tag")


def test_zero_copy():
    with two_engines() as (one, two):
        all_sizes(one, two, "--mode", "zero-copy")


def test_zero_copy_with_tags_and_blocking_wait():
    with two_engines() as (one, two):
        all_sizes(one, two, "--mode", "zero-copy", "--tag", "--blocking")


def test_largest_messages_one_after_another():
    with two_engines() as (one, two):
        exchange(one, two, [MESSAGE_MAX] * 24)


def test_many_empty_messages():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--flows", 1)
        client = send(one, two.address(7000), "--sizes", 0, "--count", 50000, "--mode", "packed")
        assert client.done()["sent"] == 50000
        assert server.done()["received"] == 50000


def test_too_long_is_refused():
    with two_engines() as (one, two):
        server = serve(two, 7000)
        client = send(one, two.address(7000), "--sizes", MESSAGE_MAX + 1)
        client.expect("wrong", status="MACHNET_EMSGSIZE")
        assert client.wait() == 1
        server.quit()


def test_same_engine():
    with Engine(NET + ".2") as engine:
        for mode in ("copy", "packed", "zero-copy"):
            all_sizes(engine, engine, "--mode", mode, "--tag")


def test_two_addresses_of_one_engine():
    with Engine([NET + ".2", NET + ".4"]) as engine, Engine(NET + ".3") as other:
        exchange(engine, engine, edges()[:200], ip=NET + ".4", local=NET + ".2:0")
        exchange(other, engine, edges()[:200], ip=NET + ".4")
        exchange(other, engine, edges()[:200], ip=NET + ".2")


def test_listener_on_any_address():
    with two_engines() as (one, two):
        server = harness.Peer(two, "serve", ":7000", "--echo", "--flows", 1)
        server.expect("listening")
        send(one, two.address(7000), "--echo", "--count", 10).done()
        server.done()


def test_ipv6_same_engine():
    with ipv6_engine("::1") as engine:
        all_sizes(engine, engine, "--tag")


def test_ipv6_two_engines():
    others = global_ipv6_addresses()
    if not others:
        raise Skip("no second IPv6 address beside ::1")
    with ipv6_engine("::1") as one, ipv6_engine(others[0]) as two:
        all_sizes(one, two, "--tag")
        all_sizes(two, one, "--tag")


def ipv6_addresses():
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as file:
            return [line.split() for line in file]
    except FileNotFoundError:
        return []


def global_ipv6_addresses():
    """Addresses of this machine beside ::1 that may be bound without a scope; traffic to them stays on this machine."""
    return [":".join(words[0][i:i + 4] for i in range(0, 32, 4)) for words in ipv6_addresses()
            if words[3] == "00" and int(words[4], 16) & 0x60 == 0]


def ipv6_engine(ip):
    harness.needs_kernel_sockets()
    if not ipv6_addresses():
        raise Skip("no IPv6 on this machine")
    return Engine(ip, "--udp-port", str(20000 + harness.os.getpid() % 20000))


if __name__ == "__main__":
    harness.main(globals())
