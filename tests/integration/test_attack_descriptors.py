#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-labels: attack
"""What an application does to the wake-up socket and the eventfd that it shares with the engine stops neither the engine nor anybody else."""
import attacks
import harness
from harness import NET, Engine


def run(user, messages):
    with Engine(NET + ".2", "--socket-mode", "0666") as engine:
        bystander = attacks.Bystander(engine)
        descriptors, resident = attacks.descriptors_of(engine), attacks.resident_bytes(engine)
        attacker = attacks.attack(engine, "descriptors", user, engine.address(attacks.ATTACKER_PORT), engine.pid)
        done = bystander.watch(attacker, 60)
        assert done["messages"] >= messages and done["signals"] > 0, done
        if not done["held"]:
            print("    SKIPPED: a reader that is stuck: no userfaultfd for faults in the kernel; run as root")
        attacks.check_resources(engine, descriptors, resident)
        bystander.finish()


def test_descriptors_of_the_same_user():
    run("same", 3800)


def test_descriptors_of_another_user():
    run("stranger", 3800)


if __name__ == "__main__":
    harness.main(globals())
