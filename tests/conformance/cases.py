# SPDX-License-Identifier: MIT
"""Reads cases.toml, and says what is wrong with it before anything runs."""
import os
import tomllib

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.toml")
ROLES = {"pair": ("client", "server"), "alone": ("subject", "peer")}
SETUPS = ("flow", "own", "channels")


class Case:
    """`kind` is pair or alone; the rest is what cases.toml says at its top."""

    def __init__(self, kind, entry):
        self.kind = kind
        self.id, self.title, self.steps = entry.pop("id"), entry.pop("title"), entry.pop("steps")
        self.setup = entry.pop("setup", "flow")
        self.options = entry.pop("options", {})
        self.stream = entry.pop("stream", None)
        self.may_lack = entry.pop("may_lack", False)
        self.disturbs = entry.pop("disturbs", False)
        self.needs = entry.pop("needs", None)
        assert not entry, "%s: unknown: %s" % (self.id, ", ".join(entry))
        assert self.setup in SETUPS, "%s: setup %s" % (self.id, self.setup)
        for step in self.steps:
            who = [role for role in (*ROLES[kind], "driver") if role in step]
            assert len(who) == 1, "%s: who does %s?" % (self.id, step)


def load(word=""):
    """All cases with `word` in their id."""
    with open(FILE, "rb") as file:
        tables = tomllib.load(file)
    cases = [Case(kind, entry) for kind in ROLES for entry in tables[kind]]
    ids = [case.id for case in cases]
    assert len(set(ids)) == len(ids), "ids are there twice: %s" % {name for name in ids if ids.count(name) > 1}
    return [case for case in cases if word in case.id]
