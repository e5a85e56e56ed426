#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-labels: attack
"""Nobody can take pages out of the memory that the engine works on, and who does not finish attaching is forgotten."""
import contextlib
import time

import attacks
import harness
from harness import NET, Engine


@contextlib.contextmanager
def engine_with_bystander():
    with Engine(NET + ".2", "--socket-mode", "0666") as engine:
        bystander = attacks.Bystander(engine)
        descriptors, resident = attacks.descriptors_of(engine), attacks.resident_bytes(engine)
        yield engine, bystander
        attacks.check_resources(engine, descriptors, resident)
        bystander.finish()


def run(role, count):
    with engine_with_bystander() as (engine, bystander):
        done = bystander.watch(attacks.attack(engine, "holes", role, engine.address(attacks.ATTACKER_PORT), count), 60)
        assert engine.status()["counters"]["channels_broken"] == 0
        return done


def test_sealed_memory():
    run("sealed", 200)


def test_holes_before_it_is_sealed():
    run("mapping", 100)


def test_holes_while_it_is_sealed():
    run("racing", 100)


def test_writes_that_do_not_end_while_it_is_sealed():
    if "skipped" in run("writing", 4):
        print("    SKIPPED: no userfaultfd for faults in the kernel; run as root")


def used(engine):
    """Bytes and channels that all users have with the engine."""
    users = engine.status()["users"]
    return sum(user["bytes"] for user in users), sum(user["channels"] for user in users)


def test_attaching_by_halves():
    with engine_with_bystander() as (engine, bystander):
        before, timeouts = used(engine), engine.status()["counters"]["timeouts"]
        attacker = attacks.attack(engine, "holes", "half", engine.address(attacks.ATTACKER_PORT), 32)
        attacker.expect("half")
        during, offered = used(engine), time.monotonic()
        assert during[1] == before[1] + 32 and during[0] > before[0], (before, during)
        attacker.expect("given up", 20)
        assert 4 < time.monotonic() - offered < 8 * harness.SLOW  # 5 s
        harness.wait_until(lambda: used(engine) == before, 10, "what was half attached is given back")
        assert engine.status()["counters"]["timeouts"] == timeouts + 32
        bystander.must_go_on()
        attacker.command("")
        attacker.done()


if __name__ == "__main__":
    harness.main(globals())
