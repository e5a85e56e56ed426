#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-labels: attack
"""What comes over the control socket, and in which number, harms whoever sends it only."""
import contextlib
import time

import attacks
import harness
from harness import NET, Engine

MESSAGES = 100000


@contextlib.contextmanager
def engine_with_bystander(*flags):
    with Engine(NET + ".2", "--socket-mode", "0666", *flags) as engine:
        bystander = attacks.Bystander(engine)
        engine.status()
        descriptors, resident = attacks.descriptors_of(engine), attacks.resident_bytes(engine)
        yield engine, bystander
        attacks.check_resources(engine, descriptors, resident)
        bystander.finish()
        assert harness.machnet(engine, "status").returncode == 0


def run(role, count):
    with engine_with_bystander() as (engine, bystander):
        attacker = attacks.attack(engine, "control", role, engine.address(attacks.ATTACKER_PORT), count)
        done = bystander.watch(attacker, 60)
        print("    %(messages)d messages over %(connections)d connections" % done)
        assert done["messages"] >= count, done
        return engine.status()["counters"]


def test_malformed_messages():
    counters = run("messages", MESSAGES)
    assert counters["control_messages_malformed"] > MESSAGES / 50, counters
    assert counters["channels_broken"] == 0, counters


def test_answers_that_nobody_reads():
    run("deaf", 20000)


def test_descriptors_that_take_long_to_close():
    """Where the kernel does not refuse them (before Linux 6.16) the engine has to get rid of them; tests/unit/test_controller_descriptors.c
    does that anywhere."""
    with engine_with_bystander() as (engine, bystander):
        attacker = attacks.attack(engine, "control", "lingering", engine.address(attacks.ATTACKER_PORT), 20)
        slowest = 0
        while attacker.running():
            begin = time.monotonic()
            engine.status()
            slowest = max(slowest, time.monotonic() - begin)
            bystander.must_go_on()
        attacker.done()
        print("    slowest status: %.0f ms" % (slowest * 1000))
        assert slowest < 1 * harness.SLOW, slowest


def test_too_many_connections():
    with engine_with_bystander("--quota-channels", "64") as (engine, bystander):
        attacker = attacks.attack(engine, "control", "flood", engine.address(attacks.ATTACKER_PORT), 100)
        full = attacker.expect("full", 30)
        print("    %(kept)d connections kept, %(refused)d refused" % full)
        assert full["kept"] <= 64 + 256 and full["refused"] == 100, full
        bystander.must_go_on()
        attacker.command("")
        attacker.done()
        assert engine.status()["counters"]["connections_refused"] >= 100


if __name__ == "__main__":
    harness.main(globals())
