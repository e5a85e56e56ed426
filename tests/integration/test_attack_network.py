#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-labels: attack
# ctest-workers: 2
"""Datagrams of strangers, forged, damaged and repeated ones neither stop the engine nor touch the flows of others.

MACHNET_ATTACK_DATAGRAMS sets how many there are (default: 10^5).
"""
import contextlib
import os
import time

import attacks
import harness
from harness import NET, send, two_engines

DATAGRAMS = int(os.environ.get("MACHNET_ATTACK_DATAGRAMS", 100000))
SEED = int(os.environ.get("MACHNET_ATTACK_SEED", time.time_ns() % 1000000))
UDP_PORT = 31700
BAD = ("bad_checksum", "bad_version", "malformed", "unknown_flow")


def counters(engine):
    return engine.status()["workers"][0]["transport"]


def attack(engine, *arguments):
    print("    seed %d" % SEED)
    return attacks.attack(engine, "network", *arguments)


@contextlib.contextmanager
def engines_with_bystander():
    with two_engines("--socket-mode", "0666") as (one, two):
        bystander = attacks.Bystander(one, two)
        before = counters(two)
        descriptors, resident = attacks.descriptors_of(two), attacks.resident_bytes(two)
        others = []
        yield one, two, bystander, before, others
        attacks.check_resources(two, descriptors, resident)
        print("    the bystander's messages:", bystander.finish(sum(others)))


def test_strangers():
    with engines_with_bystander() as (_, two, bystander, before, _):
        attacker = attack(two, "stranger", two.address(UDP_PORT), DATAGRAMS, SEED)
        done = bystander.watch(attacker, max(60, DATAGRAMS // 2000))
        after = counters(two)
        print("    %(packets)d datagrams, %(flows)d flows opened" % done,
              ", ".join("%s %d" % (name, after[name] - before[name]) for name in BAD))
        for name in BAD:
            assert after[name] - before[name] > DATAGRAMS / 1000, (name, before, after)
        assert done["flows"] > DATAGRAMS / 5000, done


def test_forged_and_repeated_packets():
    if harness.WORKERS:
        raise harness.Skip("the relay stands before one worker")
    with engines_with_bystander() as (one, two, bystander, before, _):
        front = NET + ".9:%d" % UDP_PORT
        relay = attack(two, "relay", front, DATAGRAMS, SEED, one.address(UDP_PORT), two.address(UDP_PORT))
        relay.expect("relaying")
        server = harness.serve(two, 7000, "--echo")
        client = send(one, NET + ".9:7000", "--echo", "--window", 8, "--seconds", 3600, "--sizes", "100,5000,64,70000,1")
        client.expect("opened")
        relay.expect("attacked", max(60, DATAGRAMS // 2000))
        bystander.must_go_on()
        middle = client.report()["received"]
        harness.wait_until(lambda: client.report()["received"] > middle + 100, 10, "the attacked flow goes on")
        after = counters(two)
        print("    %d messages through the attacker;" % middle,
              ", ".join("%s %d" % (name, after[name] - before[name]) for name in (*BAD, "duplicate_packets", "resets_ignored")))
        for name in ("bad_checksum", "unknown_flow", "duplicate_packets"):
            assert after[name] - before[name] > DATAGRAMS / 1000, (name, before, after)
        assert after["peers_restarted"] == before["peers_restarted"], after
        assert client.quit()["failed"] == 0
        server.quit()
        relay.command("")
        relay.done()


def test_half_open_flows():
    with engines_with_bystander() as (one, two, bystander, before, others):
        flows = two.status()["flow_count"]
        attacker = attack(two, "half-open", two.address(UDP_PORT), DATAGRAMS, SEED)
        harness.wait_until(lambda: counters(two)["retries_sent"] > before["retries_sent"], 20, "openings are answered with RETRY")
        while attacker.running():
            others.append(send(one, two.address(7100), "--echo", "--count", 3).done()["sent"])
            bystander.must_go_on()
        attacker.done()
        after = counters(two)
        print("    %d flows opened meanwhile, %d answers RETRY, %d flows at most half open" % (
            len(others), after["retries_sent"] - before["retries_sent"], two.status()["flow_count"] - flows))
        assert len(others) >= 3
        harness.wait_until(lambda: two.status()["flow_count"] == flows, 10, "half-open flows are forgotten")


if __name__ == "__main__":
    harness.main(globals())
