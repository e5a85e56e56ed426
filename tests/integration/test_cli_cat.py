# SPDX-License-Identifier: MIT
"""machnet cat when something is wrong, on either side: what it says, and how it ends."""
import os
import pty
import subprocess
import tempfile
import time

import harness
from harness import Engine, NET, Process, run_program, send, serve, two_engines


def shell(command):
    """A wrapper for a program: `command` is a line of the shell that ends with the program, "$@"."""
    return ["sh", "-c", command, "sh"]


def cat(engine, *arguments, **keywords):
    keywords.setdefault("stdin", subprocess.DEVNULL)
    return Process([harness.program("machnet"), "cat", *arguments], env=engine.env(), **keywords)


def ends(process, status, *words, seconds=15):
    """It ends with this status, and one line that holds the words."""
    assert process.wait(seconds) == status, (process.process.returncode, process.log)
    lines = [line for line in process.log if line.startswith("machnet cat: ")]
    assert len(lines) == 1, process.log
    for word in words:
        assert word in lines[0], (word, lines[0])


def listen(engine, *arguments, **keywords):
    receiver = cat(engine, "--listen", engine.address(7000), *arguments, **keywords)
    harness.wait_for_listener(engine, engine.address(7000))
    return receiver


def test_closed_descriptors():
    with Engine(NET + ".2") as engine:
        ends(cat(engine, engine.address(7000), wrapper=shell('exec "$@" <&-')), 1, "standard input is closed")
        ends(cat(engine, "--listen", engine.address(7000), wrapper=shell('exec "$@" >&-')), 1, "standard output is closed")
        for redirection in ("<&- >&-", "<&- >&- 2>&-", "0>/dev/null"):
            assert cat(engine, engine.address(7000), wrapper=shell('exec "$@" ' + redirection)).wait(10) == 1, redirection


def test_descriptors_that_are_not_needed_may_be_closed():
    with two_engines() as (one, two), tempfile.TemporaryDirectory() as directory:
        copy = os.path.join(directory, "copy")
        receiver = listen(two, wrapper=shell('exec "$@" <&- 2>&- >' + copy))
        sender = cat(one, two.address(7000), wrapper=shell('echo hello | "$@" >&- 2>&-'))
        assert sender.wait(10) == 0 and receiver.wait(10) == 0
        with open(copy, encoding="ascii") as file:
            assert file.read() == "hello\n"


def test_port_that_the_engine_chooses():
    with two_engines() as (one, two):
        for address in (two.address(0), ":0"):
            receiver = cat(two, "--listen", address)
            port = int(receiver.expect_log(r"machnet cat: listening at [0-9.]*:(\d+)$").group(1))
            assert port >= 49152
            assert cat(one, two.address(port)).wait(10) == 0
            assert receiver.wait(10) == 0


def test_listening_at_all_addresses():
    with Engine(NET + ".2") as one, Engine([NET + ".3", NET + ".4"]) as two:
        receiver = cat(two, "--listen", ":7000")
        harness.wait_for_listener(two, ":7000")
        assert cat(one, two.address(7000, NET + ".4")).wait(10) == 0
        assert receiver.wait(10) == 0


def transfer_that_goes_on(one, two, count):
    receiver = listen(two, stdout=subprocess.DEVNULL)
    sender = cat(one, two.address(7000), stdin=subprocess.PIPE)
    sender.process.stdin.write(bytes(count))
    sender.process.stdin.flush()
    harness.wait_until(lambda: two.status()["channels"][0]["bytes_received"] >= count, 10, "the bytes")
    time.sleep(0.1)
    return receiver, sender


def test_broken_transfers_name_peer_bytes_and_next_step():
    with two_engines() as (one, two):
        receiver, sender = transfer_that_goes_on(one, two, 100_000)
        sender.kill()
        ends(receiver, 1, "from %s:" % one.ip, "incomplete after 100000 bytes", "See what the sender said")
        receiver, sender = transfer_that_goes_on(one, two, 100_000)
        receiver.kill()
        ends(sender, 1, "to " + two.address(7000), "incomplete after 100000 bytes", "See what the receiver said")


def test_engine_that_ends_in_between():
    with Engine(NET + ".2") as one:
        two = Engine(NET + ".3")
        receiver, sender = transfer_that_goes_on(one, two, 100_000)
        two.stop()
        ends(receiver, 1, "from %s:" % one.ip, "100000 bytes", "See the log of machnetd on this machine")
        ends(sender, 1, "to " + two.address(7000), "100000 bytes", "start both again")


def test_receiver_that_is_not_cat():
    with two_engines() as (one, two), tempfile.TemporaryFile() as source:
        source.write(os.urandom(3_000_000))
        for size in (100, 3_000_000):  # of 3 MB the answers come while there is more to send
            source.truncate(size)
            source.seek(0)
            hello = Process([harness.program("hello"), "listen", two.address(7000)], env=two.env())
            harness.wait_for_listener(two, two.address(7000))
            sender = cat(one, two.address(7000), stdin=source)
            ends(sender, 1, "to " + two.address(7000), "`machnet cat --listen`")
            hello.wait()
        talker = serve(two, 7000, "--flood", "--count", 5, "--sizes", 1000)
        sender = cat(one, two.address(7000), stdin=subprocess.PIPE)  # which has nothing to send yet
        ends(sender, 1, "not `machnet cat --listen`", "1000 bytes")
        talker.kill()


def test_sender_that_is_not_cat():
    with two_engines() as (one, two):
        receiver = listen(two)
        client = send(one, two.address(7000), "--count", 10)
        ends(receiver, 1, "from %s:" % one.ip, "not `machnet cat`", "Start that there")
        client.wait()


def test_limit_of_file_sizes():
    with two_engines() as (one, two), tempfile.TemporaryDirectory() as directory:
        with tempfile.TemporaryFile() as source:
            source.write(bytes(1_000_000))
            source.seek(0)
            receiver = listen(two, wrapper=shell('ulimit -f 100; exec "$@" >%s/copy' % directory))
            sender = cat(one, two.address(7000), stdin=source)
            ends(receiver, 1, "cannot write standard output", "File too large")
            assert sender.wait(10) == 1


def test_limit_of_descriptors():
    if harness.SANITIZED:
        raise harness.Skip("a sanitizer needs descriptors of its own")
    with Engine(NET + ".2") as engine:
        for most in (7, 8, 9):
            line = cat(engine, engine.address(7000), wrapper=shell('ulimit -n %d; exec "$@"' % most))
            ends(line, 1, "Too many open files", "limit")


def test_addresses_of_no_family_of_ours():
    with Engine(NET + ".2") as engine:
        ends(cat(engine, "[2001:db8::7]:7000"), 1, "[2001:db8::7]:7000", "has no IPv6 address", "--ip")


def test_nobody_there():
    with Engine(NET + ".2") as engine:
        ends(cat(engine, NET + ".9:7000"), 1, NET + ".9:7000", "machnetd runs there", "same --udp-port")


def progress_of(engine, stderr):
    receiver = listen(engine, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryFile() as source:
        source.write(bytes(10_000_000))
        source.seek(0)
        subprocess.run([harness.program("machnet"), "cat", "-p", engine.address(7000)], env=dict(os.environ, **engine.env()),
                       stdin=source, stderr=stderr, timeout=60, check=True)
    assert receiver.wait(10) == 0


def test_progress_is_plain_where_no_terminal_is():
    with Engine(NET + ".2") as engine, tempfile.TemporaryFile() as said:
        progress_of(engine, said)
        said.seek(0)
        text = said.read()
        assert text.startswith(b"10.00 MB, ") and text.endswith(b"B/s\n") and b"\r" not in text and b"\x1b" not in text, text
        mine, its = pty.openpty()
        progress_of(engine, its)
        os.close(its)
        text = os.read(mine, 10000)
        os.close(mine)
        assert text.startswith(b"\r") and b"10.00 MB" in text and text.endswith(b"\x1b[K\r\n"), text


if __name__ == "__main__":
    harness.main(globals())
