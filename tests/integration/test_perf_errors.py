#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""machnet perf: how it fails, and that it says why."""
import json
import os
import signal
import subprocess
import time

import harness
from harness import Engine, NET, Process, SLOW, run_program, serve, two_engines
from perf_runs import PORT, SHORT, check_result, end_server, listen, measure, start, wait_for_messages


def perf_error(engine, *arguments, status=1, seconds=30):
    """The one line that a run says when it fails."""
    result = run_program("machnet", "perf", *map(str, arguments), env=engine.env() if engine else
                         {"MACHNET_SOCKET": "/nonexistent/machnet.sock"}, seconds=seconds)
    assert result.returncode == status, result
    assert result.stdout == "", result.stdout
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("machnet perf: "), lines
    return lines[0]


def test_wrong_use():
    address = "127.0.0.3:7000"
    for arguments, word in (((), "ADDRESS:PORT"), (("nowhere",), "nowhere"), (("--size", "8388609", address), "8388608"),
                            (("--fly", address), "--fly"), ((address, "--size"), "--size"),
                            (("--listen", "--rate", "5", address), "--rate"), (("--duration", "soon", address), "soon")):
        assert word in perf_error(None, *arguments, status=2), arguments
    result = run_program("machnet", "perf", "--help")
    assert result.returncode == 0 and "--arrivals" in result.stdout and "coordinated" in result.stdout, result


def test_no_engine():
    for arguments in (("127.0.0.3:7000",), ("--listen", "127.0.0.3:7000")):
        line = perf_error(None, *arguments)
        assert "/nonexistent/machnet.sock" in line and "machnetd" in line, line


def test_nobody_there():
    with two_engines() as (one, two):
        assert two.address(PORT) in perf_error(one, two.address(PORT))
        assert "192.0.2.7:7000" in perf_error(two, "--listen", "192.0.2.7:7000")
        server = listen(two)
        assert two.address(PORT) in perf_error(two, "--listen", two.address(PORT))
        end_server(server)


def wrong_server(engine, how):
    server = Process([harness.program("integration_perf_liar"), engine.address(PORT), how], env=engine.env())
    server._wait_for_line(server.lines, lambda _, line: line == "listening" or None, 10, "listening")
    return server


def test_another_version():
    with two_engines() as (one, two):
        server = wrong_server(two, "version")
        line = perf_error(one, two.address(PORT))
        assert "version 2" in line and "1" in line, line
        server.kill()


def test_not_a_perf_server():
    with two_engines() as (one, two):
        server = serve(two, PORT, "--echo")
        line = perf_error(one, two.address(PORT))
        assert two.address(PORT) in line, line
        server.kill()
        server = wrong_server(two, "silent")
        assert "machnet perf --listen" in perf_error(one, two.address(PORT))
        server.kill()


def test_not_a_perf_client():
    with two_engines() as (one, two):
        server = listen(two)
        client = harness.send(one, two.address(PORT), "--count", 10, "--keep")
        server.expect_log("dropped: it is not")
        client.kill()
        result = measure(one, two.address(PORT))
        assert result["errors"] == 0, result
        server.signal(signal.SIGINT)
        assert server.wait(10) == 0, server.log


def test_wrong_payloads_are_errors():
    with two_engines() as (one, two):
        server = wrong_server(two, "corrupt")
        result = measure(one, two.address(PORT), status=1)
        assert abs(result["errors"] - result["messages"] / 10) <= 1, result
        result = measure(one, two.address(PORT), "--no-verify")
        assert result["errors"] == 0, result
        server.kill()


def test_wrong_requests_are_errors():
    with two_engines() as (one, two):
        server = listen(two)
        result = run_program("integration_perf_liar", two.address(PORT), "requests", env=one.env())
        assert result.stdout == "10 messages, 3 errors\n", result
        end_server(server)


def test_missing_answers_are_errors():
    with two_engines() as (one, two):
        server = wrong_server(two, "swallow")
        result = measure(one, two.address(PORT), "--warmup", 0, "--window", 5, status=1, seconds=30)
        assert result["messages"] == 99 and result["errors"] == 5, result
        server.kill()


def start_long_run(one, two, *arguments):
    client = start(one, "--duration", 600, "--warmup", 0, "--json", *arguments, two.address(PORT))
    wait_for_messages(one, 100)
    time.sleep(0.2)
    assert client.running(), client.log
    return client


def expect_broken_run(client, seconds):
    assert client.wait(seconds) == 1, client.log
    assert len(client.log) == 1 and client.log[0].startswith("machnet perf: "), client.log
    result = json.loads(client.lines[0])
    assert result["messages"] > 10, result
    assert result["cpu_ns_per_message"]["server"] is None, result
    check_result(result)


def test_server_dies_in_the_run():
    with two_engines() as (one, two):
        for arguments in ((), ("--stream",), ("--rate", 500)):
            server = listen(two)
            client = start_long_run(one, two, *arguments)
            server.kill()
            expect_broken_run(client, 5)


def test_own_engine_dies_in_the_run():
    two = Engine(NET + ".3")
    one = Engine(NET + ".2")
    server = listen(two)
    client = start_long_run(one, two)
    one.kill()
    expect_broken_run(client, 5)
    two.kill()
    assert server.wait(5) == 1 and len(server.log) == 2, server.log
    one.clean_up()
    two.clean_up()


def test_engine_of_the_peer_dies_in_the_run():
    with Engine(NET + ".2", "--dead-peer-ms", "500") as one:
        two = Engine(NET + ".3")
        server = listen(two)
        client = start_long_run(one, two, "--window", 4)
        two.kill()
        expect_broken_run(client, 10)
        assert server.wait(5) == 1, server.log
        two.clean_up()


def test_client_that_stands_still():
    """It does not keep the server from others, nor from ending."""
    with two_engines() as (one, two):
        server = listen(two)
        still = start_long_run(one, two, "--window", 60000, "--size", 2000)
        still.signal(signal.SIGSTOP)
        time.sleep(0.2)
        result = measure(one, two.address(PORT), seconds=60)
        assert result["errors"] == 0, result
        still.signal(signal.SIGCONT)
        still.kill()
        server.signal(signal.SIGINT)
        assert server.wait(10) == 0, server.log


def test_output_that_cannot_be_written():
    with two_engines() as (one, two), open("/dev/full", "wb") as full:
        server = listen(two)
        client = start(one, *SHORT, "--json", two.address(PORT), stdout=full, stdin=subprocess.DEVNULL)
        assert client.wait() == 1 and "No space left" in client.log[0], client.log
        end_server(server)


def test_progress_only_on_a_terminal():
    master, slave = os.openpty()
    with two_engines() as (one, two):
        server = listen(two)
        client = subprocess.Popen([harness.program("machnet"), "perf", "--json", "--duration", "2.2", "--warmup", "0",
                                   two.address(PORT)], env=dict(os.environ, **one.env()), stderr=slave, stdout=subprocess.PIPE)
        os.close(slave)
        output, _ = client.communicate(timeout=20 * SLOW)
        assert client.returncode == 0 and json.loads(output)["errors"] == 0, output
        shown = os.read(master, 65536).decode()
        assert "p99" in shown and shown.count("answers") >= 1, shown
        end_server(server)
    os.close(master)


if __name__ == "__main__":
    harness.main(globals())
