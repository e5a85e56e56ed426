#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What others on the link do to engines under DPDK: wrong checksums, lies about who has an address, routers, new network cards."""
import contextlib
import os
import subprocess
import sys
import time

import harness
from harness import Engine, send, serve
from test_dpdk import NET, Host, exchange

RAW_FRAMES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "raw_frames.py")
COUNT = 48  # of each kind of frame: with all of them together, a stalled engine's ring of 512 frames is not half full
FRESH_SECONDS, CHANGE_SECONDS = 4, 4.6  # engine/path/neighbours.h


def raw_frames(net, what, interface, mac, *arguments):
    """By somebody in the second namespace."""
    command = [*net.enter(1), sys.executable, RAW_FRAMES, what, interface, mac, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process, seconds=20):
    """What it printed."""
    try:
        output = process.communicate(timeout=seconds * harness.SLOW)[0]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    return output


def output_of(net, place, *command):
    return subprocess.run([*net.enter(place), *command], check=True, capture_output=True, text=True).stdout


def mac_of(net, place):
    return output_of(net, place, "ip", "-o", "link", "show", "v%d" % place).split("link/ether ")[1].split()[0]


def counter(engine, name):
    return engine.status()["workers"][0]["nic"][name]


class Echo:
    """A flow that is used all the time."""

    def __init__(self, one, two):
        self.server = serve(two, 7001, "--echo")
        self.client = send(one, two.address(7001), "--echo", "--window", 4, "--seconds", 3600, "--sizes", "64,3000")
        self.client.expect("opened")
        self.received = 0
        self.must_go_on(5)

    def must_go_on(self, seconds):
        """Within so many seconds more messages come back."""
        self.received = self.client.report()["received"]
        harness.wait_until(lambda: self.client.report()["received"] > self.received + 20, seconds, "the flow goes on")

    def finish(self):
        assert self.client.quit()["failed"] == 0
        self.server.quit()


def test_wrong_checksums_are_dropped_and_counted():
    with Host("af_packet") as net, Engine(NET + ".2") as one, Engine(NET + ".3") as two:
        echo = Echo(one, two)
        before = {name: counter(one, name) for name in ("bad_checksum", "malformed_frames", "icmp_echoes")}
        finish(raw_frames(net, "checksums", "v1", mac_of(net, 0), NET + ".9", NET + ".2", 31700, COUNT))
        with contextlib.suppress(AssertionError):
            harness.wait_until(lambda: counter(one, "bad_checksum") - before["bad_checksum"] >= 3 * COUNT, 3, "all are counted")
        echo.must_go_on(5)
        counted = {name: counter(one, name) - value for name, value in before.items()}
        assert counted == {"bad_checksum": 3 * COUNT, "malformed_frames": 0, "icmp_echoes": 0}, counted
        assert counter(two, "bad_checksum") == 0
        echo.finish()


def test_lies_about_an_address_do_not_redirect_a_flow():
    """They go on for longer than an entry is used without being confirmed."""
    seconds = FRESH_SECONDS + 2
    with Host("af_packet") as net, Engine(NET + ".2") as one, Engine(NET + ".3") as two:
        echo = Echo(one, two)
        ignored = counter(one, "arp_ignored")
        liar = raw_frames(net, "spoof", "v1", mac_of(net, 0), NET + ".2", NET + ".3", seconds)
        try:
            while liar.poll() is None:
                echo.must_go_on(1)
                time.sleep(0.1)
        finally:
            lied, caught = map(int, finish(liar).split())
        print("    %d lies" % lied)
        assert lied > 100 and caught == 0, (lied, caught)
        assert counter(one, "arp_ignored") - ignored > 50
        echo.finish()


def test_a_peer_that_changes_its_mac_is_found_again():
    """The flow lives on, as the kernel on the other side does not even say that it has a new one."""
    with Host("mixed") as net, Engine(NET + ".2") as one, Engine(NET + ".3") as two:
        echo = Echo(one, two)
        net.run(0, "ip", "link", "set", "v0", "address", "02:00:00:00:00:77")
        start = time.monotonic()
        echo.must_go_on(CHANGE_SECONDS + 2)
        print("    found after %.1f s" % (time.monotonic() - start))
        echo.finish()
        exchange(one, two)


def put_router_between(net):
    """A third namespace with NET.1 towards the first, and NET.4 towards the second."""
    net.hold([], net.enter(0))
    net.run(0, "ip", "link", "delete", "v0")
    for i, (ours, theirs) in enumerate(((1, 2), (4, 3))):
        net.run(2, "ip", "link", "add", "r%d" % i, "type", "veth", "peer", "name", "v%d" % i, "netns", str(net.pids[i]))
        net.run(2, "ip", "address", "add", "%s.%d/32" % (NET, ours), "dev", "r%d" % i)
        net.run(2, "ip", "link", "set", "r%d" % i, "up")
        net.run(2, "ip", "route", "add", "%s.%d/32" % (NET, theirs), "dev", "r%d" % i)
        net.run(i, "ip", "link", "set", "v%d" % i, "up")
    net.run(2, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")


def forwarded(net):
    names, values = [line.split() for line in output_of(net, 2, "cat", "/proc/net/snmp").splitlines() if line.startswith("Ip:")]
    return int(values[names.index("ForwDatagrams")])


def test_through_a_router():
    with Host("af_packet") as net:
        put_router_between(net)
        with Engine(NET + ".2", "--route", "0.0.0.0/0,via=%s.1" % NET) as one, \
                Engine(NET + ".3", "--route", "%s.0/24,via=%s.4" % (NET, NET)) as two:
            exchange(one, two)
            exchange(two, one, port=7002)
            assert forwarded(net) > 1000, forwarded(net)
            assert counter(one, "bad_checksum") == counter(two, "bad_checksum") == 0


if __name__ == "__main__":
    harness.main(globals())
