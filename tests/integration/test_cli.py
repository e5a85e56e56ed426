#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-nics: af_packet memif
# ctest-beside
"""The programs as people use them: flags, files, what they say, how they end."""
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

import harness
from harness import Engine, NET, Process, SLOW, machnet, run_program, send, serve, two_engines

NO_ENGINE = {"MACHNET_SOCKET": "/nonexistent/machnet.sock"}


# ---- machnetd: flags and files ----

def refused(*arguments, env=None):
    """The one line that machnetd says when it refuses its flags."""
    result = run_program("machnetd", *arguments, seconds=10, env=env)
    assert result.returncode == 2, (arguments, result.returncode, result.stderr)
    assert result.stdout == "", result.stdout
    lines = result.stderr.splitlines()
    assert len(lines) == 1, (arguments, lines)
    assert lines[0].startswith("machnetd: error: "), lines
    return lines[0]


def expect_words(line, *words):
    for word in words:
        assert word in line, (word, line)


def test_wrong_flags():
    ip = ("--ip", "127.0.0.2", "--socket", "/tmp/never")
    expect_words(refused("--socket", "/tmp/never"), "--ip")
    expect_words(refused("--ip", "10.0.0.300"), "--ip", "10.0.0.300", "allowed")
    expect_words(refused("--ip", "localhost"), "--ip", "localhost", "allowed")
    expect_words(refused("--ip", "0.0.0.0"), "--ip", "0.0.0.0", "allowed")
    expect_words(refused("--ip", "127.0.0.2", "--ip", "127.0.0.2"), "twice")
    expect_words(refused(*ip, "--udp-port", "0"), "--udp-port", "65535")
    expect_words(refused(*ip, "--udp-port", "65536"), "--udp-port", "65536", "65535")
    expect_words(refused(*ip, "--udp-port", "31700x"), "--udp-port", "31700x")
    expect_words(refused(*ip, "--socket-mode", "999"), "--socket-mode", "octal")
    expect_words(refused(*ip, "--quota-bytes", "1Q"), "--quota-bytes", "1Q", "K, M, G")
    expect_words(refused(*ip, "--quota-channels", "-1"), "--quota-channels", "-1", "1 to")
    expect_words(refused(*ip, "--spin-us", "fast"), "--spin-us", "fast")
    expect_words(refused(*ip, "--log-level", "loud"), "--log-level", "loud", "debug")
    expect_words(refused(*ip, "--nic", "dpdk"), "--nic", "dpdk")
    expect_words(refused(*ip, "--nic", "tap"), "--nic", "tap", "udp")
    expect_words(refused(*ip, "--no-such-flag"), "--no-such-flag", "--help")
    expect_words(refused(*ip, "--udp-port"), "--udp-port", "65535")
    expect_words(refused(*ip, "surplus"), "surplus")
    expect_words(refused("--ip", "127.0.0.2", "--socket", "x" * 200), "--socket", "107")
    expect_words(refused(*ip, "--config", "/nonexistent"), "/nonexistent", "No such file")
    expect_words(refused(*ip, "--config", ""), "--config", "is empty", "path of a file")
    expect_words(refused(*ip, "--socket-group", "no-such-group"), "no-such-group", "groupadd", "--socket-group")
    expect_words(refused(*ip, "--check", "--socket-group", "no-such-group"), "no-such-group")


def test_check():
    result = run_program("machnetd", "--ip", "127.0.0.2", "--ip", "192.0.2.77", "--socket", "/tmp/never", "--check")
    assert result.returncode == 0 and result.stdout == "", result
    warning, verdict = result.stderr.splitlines()
    expect_words(warning, "machnetd: warning: 192.0.2.77 is not an address of this machine")
    expect_words(verdict, "good")


def refused_file(text):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "machnet.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        line = refused("--config", path)
        assert path in line, line
        return line


def test_wrong_config_files():
    expect_words(refused_file(""), ":1:")
    expect_words(refused_file('{"ip": ["127.0.0.2"],\n "udp-port" 5}'), ":2:")
    expect_words(refused_file('["127.0.0.2"]'), "object")
    expect_words(refused_file('{"ipp": ["127.0.0.2"]}'), "ipp", "unknown", "allowed", "udp-port")
    expect_words(refused_file('{"ip": "127.0.0.2"}'), '"ip"', "array")
    expect_words(refused_file('{"ip": [5]}'), '"ip"', "string")
    expect_words(refused_file('{"ip": ["127.0.0.256"]}'), '"ip"', "127.0.0.256", "allowed")
    expect_words(refused_file('{"ip": ["127.0.0.2"], "udp-port": "many"}'), '"udp-port"', "integer", "65535")
    expect_words(refused_file('{"ip": ["127.0.0.2"], "udp-port": 70000}'), '"udp-port"', "70000", "65535")
    expect_words(refused_file('{"ip": ["127.0.0.2"], "udp-port": -1}'), '"udp-port"', "-1")
    expect_words(refused_file('{"ip": ["127.0.0.2"], "socket-mode": 432}'), '"socket-mode"', "string")
    expect_words(refused_file('{"ip": ["127.0.0.2"], "udp-port": 1, "udp-port": 2}'), "udp-port")
    expect_words(refused_file('{"ip": ["127.0.0.2"], "spin-us": null}'), '"spin-us"')


def test_config_file_works_and_flags_override_it():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "machnet.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"ip": ["127.0.0.99"], "udp-port": 31999, "quota-bytes": "64M", "log-level": "info"}, file)
        with Engine(NET + ".2", "--config", path) as engine:
            status = engine.status()
            assert status["udp_port"] == 31999 and status["addresses"] == [NET + ".2"], status


def test_help_and_version():
    for arguments in (["machnetd"], ["machnet"], ["machnet", "cat"], ["machnet", "status"]):
        results = [run_program(*arguments, flag, env=NO_ENGINE) for flag in ("--help", "-h", "-?")]
        for result in results:
            assert result.returncode == 0 and result.stderr == "", (arguments, result)
            assert "Usage:" in result.stdout and result.stdout == results[0].stdout, (arguments, result.stdout)
    for name in ("machnetd", "machnet"):
        result = run_program(name, "--version", env=NO_ENGINE)
        more = r"back ends: udp( dpdk)?\n" if name == "machnetd" else ""
        assert result.returncode == 0 and re.match(name + r" \d+\.\d+\.\d+\n" + more + "$", result.stdout), (name, result)


def test_output_that_cannot_be_written():
    with Engine(NET + ".2") as engine:
        for arguments in (["machnetd", "--help"], ["machnetd", "--version"], ["machnet", "--help"], ["machnet", "--version"],
                          ["machnet", "cat", "--help"], ["machnet", "status"], ["machnet", "status", "--json"]):
            with open("/dev/full", "wb") as full:
                result = subprocess.run([harness.program(arguments[0]), *arguments[1:]], env=dict(os.environ, **engine.env()), stdout=full,
                                        stderr=subprocess.PIPE, timeout=10 * SLOW, text=True, check=False)
            assert result.returncode == 1, (arguments, result)
            assert len(result.stderr.splitlines()) == 1, result.stderr
            expect_words(result.stderr, arguments[0], "cannot write standard output")


def test_help_names_every_key_of_the_config_file():
    keys = refused_file('{"?": 1}').split("allowed: ")[1].split(", ")
    assert len(keys) >= 10, keys
    help_text = run_program("machnetd", "--help").stdout
    for key in keys:
        assert "--" + key in help_text, key


def test_wrong_use_of_machnet():
    for arguments in ([], ["fly"], ["cat"], ["cat", "nowhere"], ["cat", "127.0.0.3"], ["cat", "127.0.0.3:7000", "127.0.0.4:7000"],
                      ["cat", "--fast", "127.0.0.3:7000"], ["cat", ":7000"], ["cat", "0.0.0.0:7000"], ["cat", "[::]:7000"],
                      ["cat", "127.0.0.3:0"], ["status", "please"], ["status", "--yaml"]):
        result = run_program("machnet", *arguments, env=NO_ENGINE)
        assert result.returncode == 2, (arguments, result)
        assert result.stdout == "" and result.stderr != "", (arguments, result)
        assert "machnet_" not in result.stderr, result.stderr  # no function names for users


def test_no_engine():
    for arguments in (["status"], ["cat", "127.0.0.3:7000"], ["cat", "--listen", "127.0.0.3:7000"]):
        result = run_program("machnet", *arguments, env=NO_ENGINE, stdin=subprocess.DEVNULL)
        assert result.returncode == 1 and result.stdout == "", result
        assert len(result.stderr.splitlines()) == 1, result.stderr
        expect_words(result.stderr, "/nonexistent/machnet.sock", "machnetd")


# ---- machnetd: addresses, ports, sockets ----

def fails_to_run(*flags, directory=None):
    engine = Engine(NET + ".2", *flags, directory=directory, wait=False)
    assert engine.wait(10) == 1, engine.log
    assert not any("ready" in line for line in engine.log), engine.log
    errors = [line for line in engine.log if line.startswith("machnetd: error: ")]
    assert len(errors) == 1, engine.log
    if directory is None:
        assert os.listdir(engine.directory) == [], os.listdir(engine.directory)
        engine.clean_up()
    return errors[0]


def test_udp_port_taken():
    harness.needs_kernel_sockets()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((NET + ".2", 0))
        port = str(taken.getsockname()[1])
        expect_words(fails_to_run("--udp-port", port), NET + ".2", port)


def test_engine_under_limits():
    harness.needs_kernel_sockets()
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "machnet.sock")
        engine = Process([harness.program("machnetd"), "--ip", NET + ".2", "--socket", path],
                         wrapper=["sh", "-c", 'ulimit -f 0; exec "$@"', "sh"])
        engine.expect_log("ready")
        for _ in range(2):
            result = run_program("machnet", "cat", NET + ".3:7000", env={"MACHNET_SOCKET": path}, stdin=subprocess.DEVNULL)
            assert result.returncode == 1, result
            expect_words(result.stderr, "File too large", "ulimit -f")
        engine.signal(signal.SIGTERM)
        assert engine.wait(10) == 0


def test_engine_without_standard_descriptors():
    harness.needs_kernel_sockets()
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "machnet.sock")
        engine = Process([harness.program("machnetd"), "--ip", NET + ".2", "--socket", path],
                         wrapper=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
        harness.wait_until(lambda: run_program("machnet", "status", env={"MACHNET_SOCKET": path}).returncode == 0, 10, "an engine")
        for fd in range(3):
            assert os.readlink("/proc/%d/fd/%d" % (engine.pid, fd)) == "/dev/null", fd
        engine.signal(signal.SIGTERM)
        assert engine.wait(10) == 0


def test_hangup_ends_an_engine_unless_it_is_ignored():
    harness.needs_kernel_sockets()
    Engine(NET + ".2").stop(signal.SIGHUP)
    with tempfile.TemporaryDirectory() as directory:
        engine = Process([harness.program("machnetd"), "--ip", NET + ".2", "--socket", os.path.join(directory, "machnet.sock")],
                         wrapper=["sh", "-c", 'trap "" HUP; exec "$@"', "sh"])
        engine.expect_log("ready")
        engine.signal(signal.SIGHUP)
        time.sleep(0.2)
        assert engine.running(), engine.log
        engine.signal(signal.SIGTERM)
        assert engine.wait(10) == 0


def test_address_not_on_this_machine():
    harness.needs_kernel_sockets()
    expect_words(fails_to_run("--ip", "192.0.2.77"), "192.0.2.77")


def test_socket_in_use_by_a_live_engine():
    with Engine(NET + ".3") as engine:
        line = fails_to_run(directory=engine.directory)
        expect_words(line, engine.socket)
        serve(engine, 7000).quit()


def test_stale_socket_is_replaced():
    engine = Engine(NET + ".2")
    engine.kill()
    assert os.path.exists(engine.socket)
    with Engine(NET + ".2", directory=engine.directory) as again:
        serve(again, 7000).quit()
    engine.clean_up()


def test_file_that_is_no_socket_is_left_alone():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "machnet.sock")
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        expect_words(fails_to_run(directory=directory), path)
        with open(path, encoding="ascii") as file:
            assert file.read() == "precious"


def test_no_directory_for_the_socket():
    line = fails_to_run(directory="/nonexistent")
    expect_words(line, "/nonexistent")


def test_mode_of_the_socket():
    for mode in (0o600, 0o666):
        with Engine(NET + ".2", "--socket-mode", "%o" % mode) as engine:
            assert os.stat(engine.socket).st_mode & 0o777 == mode


def test_engine_says_when_it_is_ready():
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        path = os.path.join(directory, "notify")
        notify.bind(path)
        notify.settimeout(5 * SLOW)
        with Engine(NET + ".2", env={"NOTIFY_SOCKET": path}):
            assert b"READY=1" in notify.recv(1000)


# ---- machnet status ----

def test_status():
    with two_engines() as (one, two):
        empty = one.status()
        assert empty["pid"] == one.pid and empty["addresses"] == [NET + ".2"], empty
        assert empty["channels"] == [] and empty["flows"] == [], empty
        server = serve(two, 7000)
        client = send(one, two.address(7000), "--count", 100, "--sizes", 5000, "--keep")
        harness.wait_until(lambda: server.report()["received"] == 100, 10, "messages")

        def has_measured():  # round trips while the machine is busy with others do not count
            client.command("more 0 10")
            return one.status()["flows"][0]["srtt_us"] > 0
        harness.wait_until(has_measured, 10, "a round trip")
        status = one.status()
        assert [channel["pid"] for channel in status["channels"]] == [client.pid], status
        assert status["channels"][0]["name"] == "integration_peer", status
        flow = status["flows"][0]
        assert flow["remote"] == two.address(7000) and flow["packets_sent"] > 50, flow  # 500 kB
        assert 0 < flow["srtt_us"] < 1e6 and flow["window_packets"] > 0, flow
        text = machnet(one, "status")
        assert text.returncode == 0, text
        for word in (str(client.pid), two.address(7000), NET + ".2", "integration"):
            assert word in text.stdout, (word, text.stdout)
        listeners = machnet(two, "status").stdout.split("\nlistener")[1].split("\n\n")[0]
        assert two.address(7000) in listeners, listeners
        client.quit()
        server.quit()
        harness.wait_until(lambda: one.status()["flows"] == [], 5, "no flow")


# ---- machnet cat ----

class Cat(Process):
    """One side of machnet cat with files for input and output."""

    def __init__(self, engine, *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE):
        super().__init__([harness.program("machnet"), "cat", *arguments], env=engine.env(), stdin=stdin, stdout=stdout)

    def ends(self, status, seconds=30):
        assert self.wait(seconds) == status, (self.process.returncode, self.log)
        return "\n".join(self.log)


def transfer(one, two, directory, size, *arguments):
    """Sends a file of `size` bytes; the receiver's copy must be the same. Returns what both said."""
    source, copy = os.path.join(directory, "source"), os.path.join(directory, "copy")
    with open(source, "wb") as file:
        file.write(os.urandom(size))
    with open(source, "rb") as stdin, open(copy, "wb") as stdout:
        receiver = Cat(two, "--listen", two.address(7000), stdout=stdout)
        harness.wait_for_listener(two, two.address(7000), receiver)
        sender = Cat(one, *arguments, two.address(7000), stdin=stdin)
        said = sender.ends(0), receiver.ends(0)
    hashes = []
    for path in (source, copy):
        with open(path, "rb") as file:
            hashes.append(hashlib.sha256(file.read()).hexdigest())
    assert hashes[0] == hashes[1], "size %d: %d bytes came" % (size, os.path.getsize(copy))
    return said


def test_cat():
    with two_engines() as (one, two), tempfile.TemporaryDirectory() as directory:
        for size in (0, 1, 65535, 65536, 65537, 10_000_000):
            assert transfer(one, two, directory, size) == ("", "")


def test_cat_within_one_engine():
    with Engine(NET + ".2") as engine, tempfile.TemporaryDirectory() as directory:
        transfer(engine, engine, directory, 3_000_000)


def test_cat_shows_progress():
    with two_engines() as (one, two), tempfile.TemporaryDirectory() as directory:
        said, _ = transfer(one, two, directory, 10_000_000, "--progress")
        expect_words(said, "10.00 MB", "MB/s" if "MB/s" in said else "B/s")


def slow_transfer(one, two):
    """A receiver and a sender whose input does not end."""
    receiver = Cat(two, "--listen", two.address(7000), stdout=subprocess.DEVNULL)
    harness.wait_for_listener(two, two.address(7000), receiver)
    sender = Cat(one, two.address(7000), stdin=subprocess.PIPE)
    sender.process.stdin.write(os.urandom(1_000_000))
    sender.process.stdin.flush()
    harness.wait_until(lambda: any(flow["state"] == "open" for flow in two.status()["flows"]), 10, "a flow")
    return receiver, sender


def test_cat_sender_interrupted():
    with two_engines() as (one, two):
        receiver, sender = slow_transfer(one, two)
        sender.signal(signal.SIGINT)
        assert sender.wait() != 0
        expect_words(receiver.ends(1), "incomplete")


def test_cat_receiver_interrupted():
    with two_engines() as (one, two):
        receiver, sender = slow_transfer(one, two)
        receiver.signal(signal.SIGINT)
        assert receiver.wait() != 0
        with harness.contextlib.suppress(BrokenPipeError):
            for _ in range(50):
                sender.process.stdin.write(os.urandom(100_000))
                time.sleep(0.01)
        assert sender.ends(1) != ""


def test_cat_receiver_cannot_write():
    with two_engines() as (one, two), tempfile.TemporaryFile() as source, open("/dev/full", "wb") as full:
        source.write(os.urandom(3_000_000))
        source.seek(0)
        receiver = Cat(two, "--listen", two.address(7000), stdout=full)
        harness.wait_for_listener(two, two.address(7000), receiver)
        sender = Cat(one, two.address(7000), stdin=source)
        expect_words(receiver.ends(1), "No space left")
        assert len(sender.ends(1).splitlines()) == 1


def test_cat_sender_cannot_read():
    with two_engines() as (one, two), open("/proc/self/mem", "rb") as unreadable:
        receiver = Cat(two, "--listen", two.address(7000))
        harness.wait_for_listener(two, two.address(7000), receiver)
        expect_words(Cat(one, two.address(7000), stdin=unreadable).ends(1), "cannot read")
        expect_words(receiver.ends(1), "incomplete")


def test_cat_to_nobody():
    with two_engines() as (one, two):
        said = Cat(one, two.address(7000)).ends(1)
        expect_words(said, two.address(7000))
        assert len(said.splitlines()) == 1, said


def test_cat_address_taken():
    with Engine(NET + ".2") as engine:
        server = serve(engine, 7000)
        expect_words(Cat(engine, "--listen", engine.address(7000)).ends(1), engine.address(7000))
        expect_words(Cat(engine, "--listen", "192.0.2.7:7000").ends(1), "192.0.2.7:7000")
        server.quit()


def test_cat_from_something_else():
    with two_engines() as (one, two):
        receiver = Cat(two, "--listen", two.address(7000))
        harness.wait_for_listener(two, two.address(7000), receiver)
        client = send(one, two.address(7000), "--count", 10)
        expect_words(receiver.ends(1), "not `machnet cat`")
        client.wait()


def test_cat_when_the_engine_ends():
    with Engine(NET + ".2") as one:
        two = Engine(NET + ".3")
        receiver, sender = slow_transfer(one, two)
        two.stop()
        assert receiver.ends(1) != ""
        sender.process.stdin.close()
        assert sender.ends(1) != ""


if __name__ == "__main__":
    harness.main(globals())
