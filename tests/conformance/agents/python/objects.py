# SPDX-License-Identifier: MIT
"""The things that the driver has named."""
import gc

import machnet


class Fault(Exception):
    """Of the driver or the agent."""


class Unavailable(Exception):
    """The API makes it impossible or needless."""


class Closed(Exception):
    """The binding itself refuses what was closed."""


class Thing:
    def __init__(self, kind, value, parent):
        self.kind, self.value, self.parent = kind, value, parent


# In this order they are closed.
CLOSERS = {
    "message": lambda value: value.release(),
    "buffer": lambda value: value.abandon(),
    "flow": lambda value: value.close(),
    "listener": lambda value: value.close(),
    "channel": lambda value: value.close(),
    "context": lambda value: value.close(),
}


class Objects:
    def __init__(self):
        self.things = {}

    def put(self, kind, name, value, parent=None):
        self.things[name] = Thing(kind, value, parent)

    def get(self, kind, name):
        thing = self.things.get(name)
        if thing is None or thing.kind != kind:
            raise Fault("no %s %s" % (kind, name))
        return thing.value

    def name(self, value):
        for name, thing in self.things.items():
            if thing.value is value:
                return name
        return None

    def reset(self, keep):
        kept = set()
        for name in keep:
            while name is not None and name in self.things and name not in kept:
                kept.add(name)
                name = self.things[name].parent
        for kind, close in CLOSERS.items():
            for name in [name for name, thing in self.things.items() if thing.kind == kind and name not in kept]:
                thing = self.things.pop(name)
                try:
                    close(thing.value)
                except (machnet.MachnetError, BufferError):
                    pass
                thing = None
        gc.collect()

    def lose(self, names):
        for name in names:
            self.things.pop(name, None)
        gc.collect()


def timeout(request, default=5000):
    milliseconds = request.get("timeout_ms", default)
    return None if milliseconds < 0 else milliseconds / 1000


def tag(request):
    return int(request.get("tag", "0"))
