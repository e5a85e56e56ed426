# SPDX-License-Identifier: MIT
"""examples/quickstart.sh with the programs of this build: what it shows is there, and nothing is left, also after Ctrl-C."""
import contextlib
import glob
import os
import re
import signal
import subprocess
import tempfile

import harness

QUICKSTART = os.path.join(harness.ROOT, "examples", "quickstart.sh")


# Its addresses are fixed: a loopback interface of its own, where it can be had.
ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
if subprocess.run([*ALONE, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
    ALONE = []


class Quickstart:
    """A run in a session of its own, as on a terminal."""

    def __init__(self, *arguments, **more):
        if harness.SANITIZED:
            raise harness.Skip("the quickstart shows what is built to be installed, without sanitizers")
        self.directory = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen([*ALONE, "bash", QUICKSTART, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                        env={**os.environ, "MACHNET_BUILD": harness.BUILD, "TMPDIR": self.directory.name, **more})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.directory, self.process:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGTERM)
                self.process.communicate()

    def end(self):
        """Its status and what it has printed since; that it left nothing."""
        text, _ = self.process.communicate(timeout=90)
        assert self.left() == [], self.left()
        return self.process.returncode, text

    def left(self):
        """What it makes: files, network namespaces, and processes that have its directory in their arguments."""
        found = os.listdir(self.directory.name) + glob.glob("/run/netns/machnet-quickstart-%d-*" % self.process.pid)
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                command = file.read()
                if self.directory.name.encode() in command:
                    found.append(command.replace(b"\0", b" ").decode())
        return found


def test_quickstart():
    with Quickstart() as run:
        status, text = run.end()
    assert status == 0, text
    halves = 1 if "SKIPPED: " in text else 2
    print("; ".join(re.findall("SKIPPED: .*", text)) or "both halves")
    assert text.count("received: hello, world") == text.count("received: hello, too") == halves, text
    hashes = re.findall(r"([0-9a-f]{64}) \(both sides\)", text)
    assert len(hashes) == halves and len(set(hashes)) == 1, text
    assert int(re.search(r"sent +(\d+) bytes in", text).group(1)) >= 100000000, text
    rows = re.findall(r"^  \S.*? +([0-9.]+) +([0-9.]+) +([0-9]+)$", text, re.M)
    assert len(rows) == (6 if halves == 2 else 0) and all(float(number) > 0 for row in rows for number in row), text


def test_interrupted():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell cannot trap what was ignored when it began, as of a job in the background
    with Quickstart() as run:
        for line in run.process.stdout:
            if "A large file" in line:
                break
        os.killpg(run.process.pid, signal.SIGINT)
        status, text = run.end()
    assert status == 130 and "quickstart: interrupted" in text, (status, text)


def test_wrong_use():
    with Quickstart("--fast") as run:
        status, text = run.end()
    assert status == 2 and text.startswith("Usage: "), text
    with Quickstart(MACHNET_BUILD="/nowhere") as run:
        status, text = run.end()
    assert status == 1 and "unset MACHNET_BUILD" in text, text


if __name__ == "__main__":
    harness.main(globals())
