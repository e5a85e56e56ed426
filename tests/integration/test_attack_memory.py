#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-labels: attack
"""An application that breaks the rules of its shared memory loses its channel; the engine and other applications notice nothing.

MACHNET_ATTACK_DESCRIPTORS sets how many mutated descriptors the engine must have taken (default: a million; 10^8 for a long run, which takes an
hour or so, more than ctest allows: MACHNET_ATTACK_DESCRIPTORS=100000000 /usr/bin/python3 tests/integration/test_attack_memory.py mutated).
MACHNET_ATTACK_SEED chooses the run.
"""
import os
import signal
import time

import attacks
import harness
from harness import NET, Engine

DESCRIPTORS = int(os.environ.get("MACHNET_ATTACK_DESCRIPTORS", 1000000))
SEED = int(os.environ.get("MACHNET_ATTACK_SEED", time.time_ns() % 1000000))


def run(role, count, seconds):
    print("    seed %d" % SEED)
    with Engine(NET + ".2", "--socket-mode", "0666") as engine:
        bystander = attacks.Bystander(engine)
        descriptors, resident = attacks.descriptors_of(engine), attacks.resident_bytes(engine)
        attacker = attacks.attack(engine, "memory", role, engine.address(attacks.ATTACKER_PORT), count, SEED)
        done = bystander.watch(attacker, seconds)
        broken = engine.status()["counters"]["channels_broken"]
        assert broken >= done["closed"] > 0, (broken, done)
        attacks.check_resources(engine, descriptors, resident)
        print("    %(descriptors)d descriptors or words, %(channels)d channels, %(closed)d closed by the engine" % done,
              "; the bystander's messages:", bystander.finish())
        return done


def test_mutated_descriptors():
    seconds = max(90, DESCRIPTORS // 10000)
    signal.alarm(2 * harness.SLOW * seconds)
    done = run("descriptors", DESCRIPTORS, seconds)
    assert done["descriptors"] >= DESCRIPTORS, done


def test_garbage_in_each_word():
    run("garbage", 20, 60)


if __name__ == "__main__":
    harness.main(globals())
