# SPDX-License-Identifier: MIT
"""Starts real engines and real programs for the integration tests, and looks after what they leave behind.

A test file has functions named test_*, each of which makes what it needs, and ends with `harness.main(globals())`.
MACHNET_BUILD names the build directory, MACHNET_TEST_NIC the network (nics.py), MACHNET_TEST_WORKERS how
many workers engines have. No root needed. Every test process uses a network x.y.z.*
of its own, so that test processes do not meet.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import nics

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MACHNET_BUILD") or os.path.join(ROOT, "build", "release")
BIN = os.path.join(BUILD, "bin")
SANITIZED = os.environ.get("MACHNET_SANITIZE", "") not in ("", "OFF", "none")
WORKERS = os.environ.get("MACHNET_TEST_WORKERS")
SLOW = 5 if SANITIZED else 1  # time limits are stretched by this
SANITIZER_REPORT = re.compile(r"(AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|ThreadSanitizer|runtime error:)")

open_things = []  # what the present test has started


class Skip(Exception):
    """This machine lacks something that the test needs."""


def open_nic():
    net = "127.%d.%d" % (1 + os.getpid() % 250, 1 + os.getpid() // 250 % 250)
    version = subprocess.run([os.path.join(BIN, "machnetd"), "--version"], capture_output=True, text=True, check=True).stdout
    try:
        return nics.open_nic(os.environ.get("MACHNET_TEST_NIC") or "udp", net, version)
    except nics.Lacking as reason:
        print("skipped: %s" % reason)
        sys.exit(77)


NIC = open_nic()
NET = NIC.net


def needs_kernel_sockets():
    """For tests of what only --nic udp has."""
    if not NIC.kernel:
        raise Skip("a test of --nic udp")


def program(name):
    return os.path.join(BIN, name)


def wait_until(condition, seconds, what):
    """Returns the first true value of condition()."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (seconds * SLOW, what))
        time.sleep(0.002)


def wait_for_listener(engine, address, process=None):
    """Until somebody listens at `address`: `process`, if one is named, which is not to end before."""
    def listening():
        assert process is None or process.running(), process.log
        return address in [listener["local"] for listener in engine.status()["listeners"]]
    wait_until(listening, 10, "a listener")


def stop(pid):
    """Stops a process until SIGCONT: none of its threads runs any more when this returns."""
    os.kill(pid, signal.SIGSTOP)

    def stopped():
        states = []
        for thread in os.listdir("/proc/%d/task" % pid):
            with contextlib.suppress(FileNotFoundError), open("/proc/%d/task/%s/stat" % (pid, thread), encoding="ascii", errors="replace") as file:
                states.append(file.read().rpartition(")")[2].split()[0])
        return all(state in "TZX" for state in states)
    wait_until(stopped, 10, "a process that stops")


class Process:
    """A child whose stdout and stderr are collected line by line."""

    def __init__(self, arguments, env=None, stdin=subprocess.PIPE, stdout=subprocess.PIPE, wrapper=()):
        self.name = os.path.basename(arguments[0])
        self.lines, self.log, self.threads = [], [], []
        self.changed = threading.Condition()
        environment = dict(os.environ, **(env or {}))
        self.process = subprocess.Popen([*wrapper, *arguments], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
                                        env=environment)
        self.pid = self.process.pid
        open_things.append(self)
        for stream, lines in ((self.process.stdout, self.lines), (self.process.stderr, self.log)):
            if stream is not None:
                thread = threading.Thread(target=self._collect, args=(stream, lines), daemon=True)
                thread.start()
                self.threads.append(thread)

    def _collect(self, stream, lines):
        for line in stream:
            with self.changed:
                lines.append(line.decode(errors="replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def _wait_for_line(self, lines, accept, seconds, what):
        """The first line from which accept makes something, and the place behind it."""
        end = time.monotonic() + seconds * SLOW
        at = 0
        with self.changed:
            while True:
                while at < len(lines):
                    value = accept(at, lines[at])
                    at += 1
                    if value is not None:
                        return value
                left = end - time.monotonic()
                ended = not any(thread.is_alive() for thread in self.threads)
                if left <= 0 or ended:
                    raise AssertionError("%s (pid %d) %s %s\nstdout: %s\nstderr: %s" % (
                        self.name, self.pid, "ended without:" if ended else "did not in time:", what,
                        "\n        ".join(self.lines[-20:]), "\n        ".join(self.log[-20:])))
                self.changed.wait(min(left, 0.1))

    def expect_log(self, pattern, seconds=10):
        return self._wait_for_line(self.log, lambda _, line: re.search(pattern, line), seconds, "log " + pattern)

    def wait(self, seconds=30):
        """The exit status; negative: the signal."""
        try:
            status = self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s (pid %d) still runs\nstdout: %s\nstderr: %s" % (
                self.name, self.pid, "\n        ".join(self.lines[-20:]), "\n        ".join(self.log[-20:]))) from None
        for thread in self.threads:
            thread.join(5)
        if self in open_things:
            open_things.remove(self)
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        for line in self.log:
            assert not SANITIZER_REPORT.search(line), "\n".join(self.log)
        return status

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        if number == signal.SIGSTOP:
            stop(self.pid)
        else:
            self.process.send_signal(number)

    def cpu_seconds(self):
        """The processor time it has used, to the nanosecond: its clock as clock_getcpuclockid(3) would name it."""
        return time.clock_gettime(~self.pid << 3 | 2)

    def kill(self):
        if self.running():
            self.process.kill()
        self.wait()

    def clean_up(self):
        self.kill()


class Engine(Process):
    """machnetd with a socket in a directory of its own. Use as a context: it is stopped, and must end well, at the end."""

    def __init__(self, ip, *flags, directory=None, wait=True, env=None, binary=None):
        self.ips = [ip] if isinstance(ip, str) else list(ip)
        self.ip = self.ips[0]
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="machnet-test-")
        if self.own_directory:
            os.chmod(self.directory, 0o755)
        self.socket = os.path.join(self.directory, "machnet.sock")
        arguments = [binary or program("machnetd"), "--socket", self.socket]
        for one in self.ips:
            arguments += ["--ip", one]
        wrapper, network = NIC.engine(self.ips)
        workers = ["--workers", WORKERS] if WORKERS else []
        self.arguments = [*arguments, *network, *workers, *flags]
        super().__init__(self.arguments, env=env, stdin=subprocess.DEVNULL, wrapper=wrapper)
        if wait:
            self.expect_log(r"machnetd: .*ready")

    def address(self, port, ip=None):
        ip = ip or self.ip
        return ("[%s]:%d" if ":" in ip else "%s:%d") % (ip, port)

    def env(self):
        return {"MACHNET_SOCKET": self.socket}

    def stop(self, number=signal.SIGTERM):
        """Ends it as an administrator does; it must leave nothing."""
        if not self.running():
            raise AssertionError("machnetd ended by itself with %d:\n%s" % (self.wait(), "\n".join(self.log)))
        self.signal(number)
        status = self.wait(10)
        assert status == 0, "machnetd ended with %d:\n%s" % (status, "\n".join(self.log))
        left = os.listdir(self.directory)
        assert left == [], "machnetd left files: %s" % left
        self.clean_up()

    def clean_up(self):
        if self.running():
            self.kill()
        if self in open_things:
            self.wait()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            if self in open_things:
                self.stop()
            self.clean_up()
        else:
            print("    log of machnetd on %s:\n      %s" % (self.ip, "\n      ".join(self.log[-15:])))
            self.clean_up()

    def status(self):
        """What `machnet status --json` says."""
        result = machnet(self, "status", "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)


class Peer(Process):
    """integration_peer (peer.c says what it can) attached to an engine."""

    def __init__(self, engine, role, address, *arguments, program_name="integration_peer", wrapper=()):
        super().__init__([program(program_name), role, address, *map(str, arguments)], env=engine.env(), wrapper=wrapper)
        self.seen = 0

    def command(self, text):
        self.process.stdin.write((text + "\n").encode())
        self.process.stdin.flush()

    def expect(self, event, seconds=10, **fields):
        """The next line with this event and these fields; lines before it are passed over for good."""
        def accept(at, line):
            if at < self.seen:
                return None
            try:
                value = json.loads(line)
            except ValueError:
                raise AssertionError("%s printed: %s" % (self.name, line)) from None
            if value["event"] in ("wrong", "corrupt") and event != value["event"]:
                raise AssertionError("%s: %s" % (self.name, line))
            if value["event"] == event and all(value.get(key) == wanted for key, wanted in fields.items()):
                self.seen = at + 1
                return value
            return None
        return self._wait_for_line(self.lines, accept, seconds, "event %s %s" % (event, fields or ""))

    def report(self):
        with self.changed:
            self.seen = len(self.lines)
        self.command("report")
        return self.expect("report")

    def done(self, seconds=60):
        """Waits for its end, which must be a good one; returns its counts."""
        value = self.expect("done", seconds)
        status = self.wait(10)
        assert status == 0, "%s ended with %d: %s" % (self.name, status, "\n".join(self.lines[-10:] + self.log))
        return value

    def quit(self):
        self.command("quit")
        return self.done()


def serve(engine, port, *arguments, ip=None, **keywords):
    peer = Peer(engine, "serve", engine.address(port, ip), *arguments, **keywords)
    peer.expect("listening")
    return peer


def send(engine, address, *arguments, **keywords):
    return Peer(engine, "send", address, *arguments, **keywords)


def machnet(engine, *arguments, seconds=60, **keywords):
    """Runs the machnet command to its end."""
    return run_program("machnet", *arguments, env=engine.env() if engine else {}, seconds=seconds, **keywords)


def run_program(name, *arguments, env=None, seconds=60, text=True, **keywords):
    return subprocess.run([program(name), *arguments], env=dict(os.environ, **(env or {})), capture_output=True,
                          timeout=seconds * SLOW, text=text, check=False, **keywords)


@contextlib.contextmanager
def two_engines(*flags):
    with Engine(NET + ".2", *flags) as one, Engine(NET + ".3", *flags) as two:
        yield one, two


def children():
    with open("/proc/self/task/%d/children" % os.getpid(), encoding="ascii") as file:
        return [pid for pid in file.read().split() if int(pid) not in NIC.pids]


def check_nothing_left():
    left = [thing for thing in open_things]
    for thing in left:
        with contextlib.suppress(AssertionError):
            thing.clean_up()
    open_things.clear()
    assert children() == [], "children are left: %s" % children()


def run_one(function):
    """None, or why it failed."""
    signal.alarm(int(100 * SLOW))
    try:
        function()
        assert not open_things, "still running: %s" % [thing.name for thing in open_things]
        return None
    except Skip:
        raise
    except BaseException as problem:  # pylint: disable=broad-except
        if isinstance(problem, KeyboardInterrupt):
            raise
        traceback.print_exc()
        return problem
    finally:
        signal.alarm(0)
        check_nothing_left()


def give_up(*_):
    raise AssertionError("the test takes too long")


def main(names):
    """Runs the test functions, or those named on the command line. Exit status: 0 all passed, 1 not all, 77 all were skipped."""
    signal.signal(signal.SIGALRM, give_up)
    tests = [(name, value) for name, value in names.items() if name.startswith("test_") and callable(value)]
    if len(sys.argv) > 1:
        tests = [test for test in tests if any(word in test[0] for word in sys.argv[1:])]
    failed, skipped = [], []
    for name, function in tests:
        start = time.monotonic()
        try:
            problem = run_one(function)
        except Skip as reason:
            skipped.append(name)
            print("%-52s skipped: %s" % (name, reason), flush=True)
            continue
        if problem is not None:
            failed.append(name)
        print("%-52s %s (%.1f s)" % (name, "FAILED" if problem else "ok", time.monotonic() - start), flush=True)
    NIC.close()
    print("%d passed, %d failed, %d skipped" % (len(tests) - len(failed) - len(skipped), len(failed), len(skipped)))
    if not tests:
        sys.exit("no such test")
    sys.exit(1 if failed else 77 if len(skipped) == len(tests) else 0)
