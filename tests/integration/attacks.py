# SPDX-License-Identifier: MIT
"""What the tests test_attack_*.py share: an application that must notice nothing, and what the engine must not lose."""
import contextlib
import os
import time

import harness
from harness import Peer, serve, wait_until

ATTACKER_PORT = 20000


class Bystander:
    """Ping-pong between two applications, all of it checked. It must go on all the time and lose nothing."""

    def __init__(self, engine, other=None):
        other = other or engine
        self.server = serve(other, 7100, "--echo")
        self.client = Peer(engine, "send", other.address(7100), "--echo", "--window", 1, "--seconds", 3600, "--sizes",
                           "64,1,1400,20000,300")
        self.client.expect("opened")
        self.received = 0
        self.must_go_on()

    def must_go_on(self, seconds=5):
        """Within so many seconds one more message comes back."""
        def moved():
            for peer in (self.server, self.client):
                assert peer.running(), "a bystander has ended: %s" % (peer.lines[-3:] + peer.log)
            received = self.client.report()["received"]
            went_on = received > self.received
            self.received = received
            return went_on
        wait_until(moved, seconds, "the bystander goes on")

    def watch(self, attacker, seconds):
        """Looks after itself until `attacker` has ended well. Returns the attacker's last line."""
        end = time.monotonic() + seconds * harness.SLOW
        while attacker.running():
            self.must_go_on()
            assert time.monotonic() < end, "the attacker takes longer than %g s" % seconds
            time.sleep(0.1)
        return attacker.done()

    def finish(self, others=0):
        """`others`: messages that its server had from others. Returns how many came back."""
        self.must_go_on()
        done = self.client.quit()
        assert done["failed"] == 0 and done["sent"] - done["received"] <= 1, done
        served = self.server.quit()
        assert abs(served["received"] - others - done["sent"]) <= 1, (served, done)
        return done["received"]


def attack(engine, program, *arguments):
    return Peer(engine, arguments[0], *arguments[1:], program_name="integration_attack_" + program)


def descriptors_of(engine):
    directory = "/proc/%d/fd" % engine.pid
    names = []
    for name in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):
            names.append(name + " " + os.readlink(os.path.join(directory, name)))
    return names


def resident_bytes(engine):
    with open("/proc/%d/statm" % engine.pid, encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def check_resources(engine, descriptors, resident):
    """The engine is back at its descriptors, and has not grown by much (sanitizers keep what was freed for a while)."""
    wait_until(lambda: len(descriptors_of(engine)) <= len(descriptors), 10,
               "the engine has its %d descriptors again, not %s" % (len(descriptors), descriptors_of(engine)))
    grown = resident_bytes(engine) - resident
    assert grown < (768 if harness.SANITIZED else 48) << 20, "the engine has grown by %d KiB" % (grown >> 10)
