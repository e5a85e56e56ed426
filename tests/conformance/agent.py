# SPDX-License-Identifier: MIT
"""One agent: a process that answers JSON lines, and what it leaves in /proc."""
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import tempfile
import time

DIRECTORIES = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "agents")]
PATIENCE_S = 40  # for one answer: longer than any request may take


def program(language):
    """Its run script, or None."""
    paths = [os.path.join(directory, language, "run") for directory in DIRECTORIES]
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def find():
    """All languages that have an agent."""
    names = {name for directory in filter(os.path.isdir, DIRECTORIES) for name in os.listdir(directory)}
    return sorted(name for name in names if program(name))


class Broken(Exception):
    """The agent died, is silent, or speaks no protocol."""


class Agent:
    def __init__(self, language, trace=False):
        self.language, self.trace = language, trace
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([program(language)], stdin=subprocess.PIPE, bufsize=0,
                                        stdout=subprocess.PIPE, stderr=self.log)
        self.pid = self.process.pid
        self.number, self.expected, self.buffer = 0, [], b""
        self.start = None  # descriptors, memory: see mark()

    def begin(self, op, **fields):
        """Sends a request, whose answer comes after those of the requests before."""
        self.number += 1
        request = dict(fields, id=self.number, op=op)
        self.say(">", request)
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
        except OSError as problem:
            raise Broken("%s agent: %s%s" % (self.language, problem, self.last_words())) from None
        self.expected.append(self.number)

    def answer(self):
        """The next answer."""
        end = time.monotonic() + PATIENCE_S
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Broken("%s agent: no answer within %d s%s" % (self.language, PATIENCE_S, self.last_words()))
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                raise Broken("%s agent: ended with %s%s" % (self.language, self.process.wait(), self.last_words()))
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        try:
            answer = json.loads(line)
            number = answer["id"]
        except (ValueError, KeyError, TypeError):
            raise Broken("%s agent: no answer: %s" % (self.language, line[:500])) from None
        self.say("<", answer)
        if number != self.expected.pop(0):
            raise Broken("%s agent: answers %s out of turn" % (self.language, number))
        return answer

    def call(self, op, **fields):
        """One request that must succeed."""
        self.begin(op, **fields)
        while len(self.expected) > 1:
            self.answer()
        answer = self.answer()
        if "ok" not in answer:
            raise Broken("%s agent: %s: %s" % (self.language, op, answer))
        return answer["ok"]

    def say(self, direction, value):
        if self.trace:
            print("%.3f %s %d %s %s" % (time.monotonic(), self.language, self.pid, direction, json.dumps(value)), flush=True)

    def last_words(self):
        size = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, size - 3000))
        text = self.log.read().decode(errors="replace").strip()
        return "\n      stderr: " + text.replace("\n", "\n              ") if text else ""

    def running(self):
        return self.process.poll() is None

    def kill(self):
        with contextlib.suppress(OSError):
            self.process.send_signal(signal.SIGKILL)
        self.close_pipes()
        self.process.wait()

    def close_pipes(self):
        for stream in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(OSError):
                stream.close()

    def finish(self):
        """Ends its input; it must end well. Returns what is wrong, or None."""
        self.process.stdin.close()
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            wrong = "does not end with its input"
            self.kill()
        else:
            wrong = "ended with %d%s" % (status, self.last_words()) if status else None
        self.close_pipes()
        return wrong

    # What it leaves behind

    def descriptors(self):
        """{number: what it is} of all that a channel may have; a run-time opens files of its own when it likes."""
        directory, found = "/proc/%d/fd" % self.pid, {}
        for name in os.listdir(directory):
            with contextlib.suppress(OSError):
                what = os.readlink(os.path.join(directory, name))
                if what[:1] != "/" or what.startswith("/memfd:machnet"):
                    found[int(name)] = what
        return found

    def mappings(self):
        """How many parts of channels' memory are mapped."""
        with open("/proc/%d/maps" % self.pid, encoding="utf-8", errors="replace") as file:
            return sum("/memfd:machnet" in line for line in file)

    def memory(self):
        """Bytes of its own memory that are resident."""
        with open("/proc/%d/status" % self.pid, encoding="ascii", errors="replace") as file:
            return int(re.search(r"RssAnon:\s+(\d+) kB", file.read()).group(1)) << 10

    def mark(self):
        self.start = len(self.descriptors())


def build(language):
    """Builds an agent. Returns None, or why it was skipped; raises Broken."""
    result = subprocess.run([program(language), "--build"], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if result.returncode == 77:
        lines = [line for line in result.stdout.splitlines() if line.startswith("skipped:")]
        return lines[-1][len("skipped:"):].strip() if lines else "its tools are missing"
    if result.returncode != 0:
        raise Broken("%s agent: cannot be built (%d):\n%s" % (language, result.returncode, result.stdout))
    return None
