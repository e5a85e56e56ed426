# SPDX-License-Identifier: MIT
"""Two agents on two engines, through many cases; at the end nothing may be left."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness  # pylint: disable=wrong-import-position
from agent import Agent, Broken
from cases import ROLES
from play import NotApplicable, Player, Wrong

KEEP = ["context", "channel", "listener"]
MEMORY_BYTES = 384 << 20  # an agent that has given all back holds less, whatever its run-time
DEAD_PEER_MS = 2000
END = "nothing-left"  # the check at the end of each session, shown as a case


def udp_port_with_ipv6(first):
    """A port from `first` on that is free on ::1, or None where there is no IPv6."""
    for port in range(first, first + 100):
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.bind(("::1", port))
            return port
        except OSError:
            continue
    return None


class Lane:
    """Two engines that sessions use one after another."""

    def __init__(self, number):
        first = 20000 + (os.getpid() * 8 + number) % 300 * 100
        port = udp_port_with_ipv6(first)
        self.ipv6 = port is not None
        self.flags = ["--udp-port", str(port or first), "--dead-peer-ms", str(DEAD_PEER_MS)]
        ips = ["%s.%d" % (harness.NET, 2 + 2 * number + i) for i in (0, 1)]
        self.addresses = [[ips[0]], [ips[1], "::1"] if self.ipv6 else [ips[1]]]
        self.nowhere = "%s.%d:7000" % (harness.NET, 200 + number)
        self.engines = [None, None]
        for index in (0, 1):
            self.start(index)

    def start(self, index):
        """A killed engine starts again in its directory."""
        old = self.engines[index]
        directory = old.directory if old else None
        self.engines[index] = harness.Engine(self.addresses[index], *self.flags, directory=directory)
        if old:
            self.engines[index].own_directory = True

    def stop(self):
        """None, or what is wrong with the engines' end."""
        try:
            for engine in self.engines:
                engine.stop()
        except AssertionError as problem:
            return str(problem)
        return None

    def clean_up(self):
        for engine in self.engines:
            if engine:
                engine.clean_up()


class Session:
    """`results` is a list of (case id, "ok" | "FAIL" | "n/a" | "skipped", why)."""

    def __init__(self, lane, kind, languages, trace=False):
        self.lane, self.kind, self.trace = lane, kind, trace
        self.languages = dict(zip(ROLES[kind], languages))
        self.agents, self.names, self.results = {}, {}, []

    def index(self, role):
        return ROLES[self.kind].index(role)

    def engine(self, role):
        return self.lane.engines[self.index(role)]

    def start_engine(self, role):
        self.lane.start(self.index(role))

    # Before, between and after cases

    def start_agents(self):
        """Those that do not run. They go through everything once, so that their run-times have what they need for good."""
        for role, language in self.languages.items():
            if role not in self.agents or not self.agents[role].running():
                self.agents[role] = Agent(language, self.trace)
        fresh = [agent for agent in self.agents.values() if agent.start is None]
        if not fresh:
            return
        self.set_up()
        self.open_flow("channel", "listener", self.names["address"])
        for one, other in (self.agents.values(), reversed(list(self.agents.values()))):
            one.call("send", flow="flow", seed=1, length=1000)
            other.call("receive", flow="flow")
            one.call("send", flow="flow", seed=1, length=100000)
            other.call("borrow", flow="flow", message="message")
            other.call("release", message="message")
        for agent in self.agents.values():
            agent.call("reset")
        for agent in fresh:
            agent.mark()

    def stop_agents(self):
        for agent in self.agents.values():
            agent.kill()
        self.agents = {}

    def set_up(self):
        self.names = {"nowhere": self.lane.nowhere, "ipv6": "[::1]:0"}
        for role, agent in self.agents.items():
            ip = self.engine(role).ip
            self.names.update({role + "_socket": self.engine(role).socket, role + "_ip": ip})
            agent.call("hello")
            agent.call("open_context", context="context", socket=self.engine(role).socket)
            agent.call("open_channel", context="context", channel="channel")
            listening = agent.call("listen", channel="channel", listener="listener", address=ip + ":0")
            self.names[role + "_address"] = listening["address"]
        self.names["address"] = self.names[ROLES[self.kind][1] + "_address"]

    def open_flow(self, channel, listener, address):
        """A case may have left flows that nobody has accepted: they are passed over."""
        first, second = self.agents.values()
        first.call("open_flow", channel=channel, flow="flow", remote=address)
        near = first.call("addresses", flow="flow")["local"]
        second.call("accept", listener=listener, flow="flow")
        while second.call("addresses", flow="flow")["remote"] != near:
            second.call("close_flow", flow="flow")
            second.call("accept", listener=listener, flow="flow")

    def prepare(self, case):
        if case.setup == "flow":
            self.open_flow("channel", "listener", self.names["address"])
        elif case.setup == "own":
            for role, agent in self.agents.items():
                agent.call("open_channel", context="context", channel="c", **case.options)
                listening = agent.call("listen", channel="c", listener="l", address=self.names[role + "_ip"] + ":0")
                self.names["own_address"] = listening["address"]
            self.open_flow("c", "l", self.names["own_address"])

    def recover(self, case, failed):
        """Makes all as it was before the case."""
        if failed:
            self.stop_agents()
        for role in self.languages:
            if not self.engine(role).running():
                self.start_engine(role)
        if not failed and not case.disturbs:
            for agent in self.agents.values():
                agent.begin("reset", keep=KEEP)
            for agent in self.agents.values():
                agent.call("hello")
            return
        for agent in self.agents.values():
            if agent.running():
                agent.call("reset")
        self.start_agents()
        self.set_up()

    # Cases

    def attempt(self, case):
        """What the page says of it: (word, why)."""
        if case.needs == "ipv6" and not self.lane.ipv6:
            return "skipped", "this machine has no IPv6"
        try:
            self.prepare(case)
            Player(self, case).play()
        except NotApplicable as reason:
            if not case.may_lack:
                return "FAIL", "n/a is no answer here: %s" % reason
            return "n/a", str(reason)
        except (Wrong, Broken, AssertionError, OSError, KeyError) as problem:
            words = [agent.last_words() for agent in self.agents.values() if not agent.log.closed]
            return "FAIL", (str(problem) if isinstance(problem, (Wrong, Broken)) else repr(problem)) + "".join(words)
        return "ok", ""

    def run(self, cases):
        try:
            self.start_agents()
            self.set_up()
            for case in cases:
                if case.kind != self.kind:
                    continue
                start = time.monotonic()
                word, why = self.attempt(case)
                self.results.append((case.id, word, why, time.monotonic() - start))
                self.recover(case, word == "FAIL")
            wrong = self.look_for_leftovers()
        except (Broken, Wrong, AssertionError, OSError) as problem:
            wrong = [repr(problem) if isinstance(problem, OSError) else str(problem)]
        finally:
            self.stop_agents()
        self.results.append((END, "FAIL" if wrong else "ok", "; ".join(wrong), 0))

    def look_for_leftovers(self):
        wrong = []
        for role, agent in self.agents.items():
            agent.call("reset")
            for found in (self.leftovers(agent), agent.finish()):
                if found:
                    wrong.append("%s (%s): %s" % (role, agent.language, found))
        for engine in self.lane.engines:
            if eventually(lambda e=engine: e.status()["channels"] == [], "not in time"):
                wrong.append("the engine on %s still has channels" % engine.ip)
        return wrong

    @staticmethod
    def leftovers(agent):
        """None, or what the agent holds still, though it has given everything up."""
        return (eventually(lambda: agent.mappings() == 0, "memory of channels is mapped still: something is borrowed")
                or eventually(lambda: len(agent.descriptors()) <= agent.start,
                              "more descriptors than the %d at the start: %s" % (agent.start, agent.descriptors()))
                or eventually(lambda: agent.memory() <= MEMORY_BYTES, "%d bytes of memory" % agent.memory()))


def eventually(condition, otherwise, seconds=3):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return otherwise
        time.sleep(0.02)
    return None
