# SPDX-License-Identifier: MIT
"""Plays the steps of one case, and compares answers with what the case expects."""
import os
import re
import signal
import time

import payload

AT_ONCE = 100  # requests in the pipe; more could fill it while the agent's answers fill the other
STREAM_FIELDS = ("seed", "tag", "count", "lengths")
SENDERS = ("send_stream", "exchange")
RECEIVERS = ("receive_stream", "exchange", "cancel_waits", "gc_stress")
EXPECTATIONS = ("expect", "at_least", "at_most", "is", "are", "error", "outcome", "stream", "save", "repeat", "begin")


class Wrong(Exception):
    """An answer is not what the case expects."""


class NotApplicable(Exception):
    """The agent's language cannot do this."""


def substitute(value, names):
    """Replaces "$name" by its value, and {name} inside a text."""
    if isinstance(value, dict):
        return {key: substitute(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [substitute(one, names) for one in value]
    if isinstance(value, str):
        if value[:1] == "$":
            return names[value[1:]]
        return re.sub(r"\{(\w+)\}", lambda match: str(names[match[1]]), value)
    return value


def with_tags_as_text(value):
    if isinstance(value, dict):
        return {key: str(one) if key == "tag" else with_tags_as_text(one) for key, one in value.items()}
    if isinstance(value, list):
        return [with_tags_as_text(one) for one in value]
    return value


def differs(wanted, got, path=""):
    """None, or how `got` lacks something of `wanted`."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key, one in wanted.items():
            problem = differs(one, got.get(key), "%s.%s" % (path, key) if path else key)
            if problem:
                return problem
        return None
    return None if wanted == got else "%s is %s, not %s" % (path or "the answer", got, wanted)


def look_up(value, path):
    """All values at the path, in which * is every element of a list."""
    if not path:
        return [value]
    if path[0] == "*":
        return [found for one in value for found in look_up(one, path[1:])]
    return look_up(value[path[0]], path[1:]) if path[0] in value else []


class Player:
    """One case in a session."""

    def __init__(self, session, case):
        self.session, self.case = session, case
        self.names = dict(session.names)
        self.begun = {}  # name: (agent, step)

    def play(self):
        for number, step in enumerate(self.case.steps, 1):
            role = next(role for role in (*self.session.agents, "driver") if role in step)
            try:
                self.step(role, step)
            except Wrong as problem:
                raise Wrong("step %d, %s %s: %s" % (number, role, step[role], problem)) from None

    def step(self, role, step):
        if role == "driver":
            self.driver_step(step)
            return
        agent = self.session.agents[role]
        if step[role] == "finish":
            begun = self.begun.pop(step["begun"])
            self.check({**begun, **step, role: begun[role]}, agent.answer(), self.names)
            return
        count = step.get("repeat", 1)
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(count, first + AT_ONCE))
            for i in numbers:
                agent.begin(step[role], **self.request(role, step, dict(self.names, i=i)))
            if "begin" in step:
                self.begun[step["begin"]] = step
                return
            answers = [agent.answer() for _ in numbers]
            for i, answer in zip(numbers, answers):
                self.check(step, answer, dict(self.names, i=i))

    def stream(self, step, names):
        """The stream of a step, or None: the case's, with what the step changes."""
        if "stream" not in step:
            return None
        own = step["stream"] if isinstance(step["stream"], dict) else {}
        return substitute(dict(self.case.stream or {}, **own), names)

    def request(self, role, step, names):
        fields = {key: value for key, value in step.items() if key != role and key not in EXPECTATIONS}
        stream = self.stream(step, names)
        if stream:
            wanted = STREAM_FIELDS if step[role] in SENDERS else ("count",)
            fields.update({key: stream[key] for key in wanted if key in stream})
        return with_tags_as_text(substitute(fields, names))

    def check(self, step, answer, names):
        if "na" in answer:
            raise NotApplicable(answer["na"])
        status = answer["error"]["status"] if "error" in answer else "ok"
        allowed = substitute(step.get("outcome", step.get("error", "ok")), names)
        if status not in ([allowed] if isinstance(allowed, str) else allowed):
            raise Wrong("answers %s instead of %s" % (answer.get("error", answer.get("ok")), allowed))
        result = answer["error"] if status != "ok" else answer["ok"]
        self.check_result(step, result, names)
        for name, field in step.get("save", {}).items():
            self.names[name] = result[field]

    def check_result(self, step, result, names):
        stream = self.stream(step, names)
        op = next(value for key, value in step.items() if key in self.session.agents)
        wanted = [with_tags_as_text(substitute(step.get("expect", {}), names))]
        if stream and op in RECEIVERS:
            wanted.append(payload.stream(**stream))
        if "is" in step:
            wanted.append(payload.message(**substitute(step["is"], names)))
        if "are" in step:
            wanted.append({"messages": [payload.message(**one) for one in substitute(step["are"], names)]})
        for one in wanted:
            problem = self.differs_in_list(one, result) if "messages" in one else differs(one, result)
            if problem:
                raise Wrong(problem)
        for word, sign in (("at_least", 1), ("at_most", -1)):
            for field, bound in substitute(step.get(word, {}), names).items():
                if sign * result[field] < sign * bound:
                    raise Wrong("%s is %s, not %s %s" % (field, result[field], word.replace("_", " "), bound))

    @staticmethod
    def differs_in_list(wanted, result):
        got = result.get("messages", [])
        if len(got) != len(wanted["messages"]):
            return "%d messages, not %d" % (len(got), len(wanted["messages"]))
        return next(filter(None, (differs(one, other) for one, other in zip(wanted["messages"], got))), None)

    # What the driver does itself

    def driver_step(self, step):
        of = step.get("of")
        agent = self.session.agents.get(of)
        action = step["driver"]
        if action == "sleep":
            time.sleep(step["ms"] / 1000)
        elif action == "kill_engine":
            self.session.engine(of).kill()
        elif action == "start_engine":
            self.session.start_engine(of)
        elif action == "kill_agent":
            agent.kill()
        elif action == "signal":
            for _ in range(step.get("times", 1)):
                os.kill(agent.pid, signal.SIGUSR1)
                time.sleep(step.get("every_ms", 0) / 1000)
        elif action == "mappings":
            self.until(lambda: agent.mappings() == step["count"], lambda: "%d mappings" % agent.mappings())
        elif action == "mapped":
            self.until(lambda: agent.mappings() > 0, lambda: "no memory of a channel is mapped")
        elif action == "count_descriptors":
            self.names[step["save"]] = len(agent.descriptors())
        elif action == "descriptors":
            most = self.names[step["at_most"]]
            self.until(lambda: len(agent.descriptors()) <= most, lambda: "descriptors: %s" % agent.descriptors())
        elif action == "measure_memory":
            self.names[step["save"]] = agent.memory()
        elif action == "memory":
            most = self.names[step["than"]] + step["at_most_more"]
            self.until(lambda: agent.memory() <= most, lambda: "%d bytes, not at most %d" % (agent.memory(), most))
        elif action == "contains":
            found = look_up(self.names[step["in"][1:]], step["path"].split("."))
            if step["value"] not in found:
                raise Wrong("%s is %s, not %s" % (step["path"], found, step["value"]))
        elif action == "one_of":
            value = substitute(step["value"], self.names)
            if value not in step["list"]:
                raise Wrong("%s is none of %s" % (value, step["list"]))
        elif action == "equal":
            values = substitute(step["values"], self.names)
            if values[0] != values[1]:
                raise Wrong("%s is not %s" % tuple(values))
        else:
            raise Wrong("the driver cannot do this")

    @staticmethod
    def until(condition, describe, seconds=5):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise Wrong(describe())
            time.sleep(0.01)
