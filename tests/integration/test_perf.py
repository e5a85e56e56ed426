#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-alone
"""machnet perf between two engines: every mode, what it prints, and how it fails."""
import json
import os
import signal
import subprocess
import time

import harness
from harness import Engine, NET, Process, SLOW, run_program, serve, two_engines

PORT = 7000
SHORT = ("--duration", "0.3", "--warmup", "0.05")
PERCENTILES = ("p50", "p90", "p99", "p99_9", "max")


def start(engine, *arguments, **keywords):
    return Process([harness.program("machnet"), "perf", *map(str, arguments)], env=engine.env(), **keywords)


def listen(engine, *arguments, address=None):
    server = start(engine, "--listen", *arguments, address or engine.address(PORT))
    server.expect_log("serving at")
    return server


def end_server(server):
    server.signal(signal.SIGINT)
    assert server.wait(10) == 0, server.log
    assert len(server.log) == 1, server.log


def measure(engine, address, *arguments, status=0, seconds=40):
    """The JSON object of a run, whose parts must agree with each other."""
    client = start(engine, *SHORT, *arguments, "--json", address)
    assert client.wait(seconds) == status, (client.process.returncode, client.lines, client.log)
    assert status != 0 or client.log == [], client.log
    assert len(client.lines) == 1, client.lines
    result = json.loads(client.lines[0])
    check_result(result)
    return result


def check_result(result):
    assert abs(result["messages_per_second"] * result["seconds"] - result["messages"]) < 1 + result["messages"] * 1e-6, result
    bits = result["messages_per_second"] * result["size"] * 8 / 1e9
    assert abs(result["gigabits_per_second"] - bits) <= bits * 1e-6 + 1e-9, result
    values = [result["rtt_us"][name] for name in PERCENTILES]
    if None not in values:
        assert values == sorted(values) and values[0] > 0, result


def check_cpu(result):
    cpu = result["cpu_ns_per_message"]
    for name in ("client", "server", "engine", "peer_engine"):
        assert 0 < cpu[name] < 1e9, result
        # nobody has more than the time there was, on one processor each
        assert cpu[name] * result["messages"] < (result["seconds"] + 0.5) * 1.1e9, (name, result)
    total = sum(cpu[name] for name in ("client", "server", "engine", "peer_engine"))
    assert abs(cpu["total"] - total) < total * 1e-6 + 1e-3, cpu


def perf_error(engine, *arguments, status=1, seconds=30):
    """The one line that a run says when it fails."""
    result = run_program("machnet", "perf", *map(str, arguments), env=engine.env() if engine else
                         {"MACHNET_SOCKET": "/nonexistent/machnet.sock"}, seconds=seconds)
    assert result.returncode == status, result
    assert result.stdout == "", result.stdout
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("machnet perf: "), lines
    return lines[0]


def wait_for_messages(engine, count):
    """Until the client's flows sent so many."""
    def sent():
        return sum(flow["messages_sent"] for flow in engine.status()["flows"]) >= count
    harness.wait_until(sent, 10, "%d messages are sent" % count)


# ---- What it measures ----

def test_closed_loop():
    with two_engines() as (one, two):
        server = listen(two)
        for arguments in ((), ("--window", 32), ("--window", 32, "--flows", 5), ("--size", 0, "--window", 8),
                          ("--size", 3000), ("--size", 1000000, "--window", 3), ("--no-verify",)):
            result = measure(one, two.address(PORT), *arguments)
            assert result["errors"] == 0 and result["messages"] > 5, result
            assert result["mode"] == "request-response" and result["rate"] is None and result["late_us"] is None, result
            assert 0.29 < result["seconds"] < 2 * SLOW, result
            check_cpu(result)
        end_server(server)


def test_every_way_to_wait():
    for poll in ("spin", "adaptive", "sleep"):
        with two_engines() as (one, two):
            server = listen(two, "--poll", poll)
            result = measure(one, two.address(PORT), "--poll", poll, "--window", 4)
            assert result["poll"] == poll and result["errors"] == 0 and result["messages"] > 50, result
            result = measure(one, two.address(PORT), "--poll", poll, "--stream")
            assert result["errors"] == 0 and result["messages"] > 1000, result
            end_server(server)


def test_longest_message():
    with two_engines() as (one, two):
        server = listen(two)
        for mode in ((), ("--stream",)):
            result = measure(one, two.address(PORT), "--size", 8388608, *mode)
            assert result["errors"] == 0 and result["messages"] >= 1, result
        end_server(server)


def test_stream():
    with two_engines() as (one, two):
        server = listen(two)
        for arguments in ((), ("--size", 0), ("--size", 65536, "--flows", 3), ("--size", 300000)):
            result = measure(one, two.address(PORT), "--stream", *arguments)
            assert result["mode"] == "stream" and result["window"] is None and result["errors"] == 0, result
            assert result["messages"] > 20 and result["rtt_us"]["p50"] > 0, result
            check_cpu(result)
        end_server(server)


def test_open_loop():
    with two_engines() as (one, two):
        server = listen(two)
        for arguments in ((), ("--flows", 7), ("--stream",)):
            result = measure(one, two.address(PORT), "--rate", 2000, *arguments)
            # nothing that was due is left out, however late it was
            assert result["messages"] == 600 and result["errors"] == 0 and result["unsent"] == 0, result
            assert result["rate"] == 2000 and result["arrivals"] == "even", result
            assert 0.2 < result["seconds"] < 2 * SLOW, result
            assert None not in result["late_us"].values(), result
        result = measure(one, two.address(PORT), "--rate", 2000, "--arrivals", "poisson")
        assert 450 < result["messages"] < 750 and result["arrivals"] == "poisson", result
        end_server(server)


def test_open_loop_counts_from_the_intended_time():
    """A server that stands still for 0.3 s is seen by every request that was due in that time."""
    with two_engines() as (one, two):
        server = listen(two)
        client = start(one, "--rate", 1000, "--window", 8, "--duration", 1.2, "--warmup", 0, "--json", two.address(PORT))
        time.sleep(0.3)
        server.signal(signal.SIGSTOP)
        time.sleep(0.3)
        server.signal(signal.SIGCONT)
        assert client.wait() == 0, client.log
        result = json.loads(client.lines[0])
        assert result["messages"] == 1200 and result["errors"] == 0, result
        assert result["rtt_us"]["max"] > 250000, result
        assert result["rtt_us"]["p90"] > 100000, result  # a quarter of all requests waited for it
        assert result["rtt_us"]["p50"] < 100000 or harness.SANITIZED, result
        end_server(server)


def test_open_loop_too_fast():
    with two_engines() as (one, two):
        server = listen(two)
        began = time.monotonic()
        result = measure(one, two.address(PORT), "--rate", 1e8, "--window", 16)
        assert time.monotonic() - began < 10 * SLOW
        assert result["unsent"] > 1e6 and result["messages"] + result["unsent"] == 3e7 and result["errors"] == 0, result
        assert result["rtt_us"]["p50"] > 10000, result
        end_server(server)


def test_many_flows():
    with two_engines() as (one, two):
        server = listen(two)
        result = measure(one, two.address(PORT), "--flows", 500, "--window", 2)
        assert result["flows"] == 500 and result["errors"] == 0 and result["messages"] >= 1000, result
        assert 0 < result["connect_seconds"] < 5 * SLOW, result
        harness.wait_until(lambda: two.status()["flow_count"] == 0, 5, "flows of the client gone")
        end_server(server)


def test_two_clients_at_once():
    with two_engines() as (one, two):
        server = listen(two)
        clients = [start(one, "--duration", 0.5, "--json", *more, two.address(PORT))
                   for more in (("--window", 4), ("--stream", "--size", 1000))]
        for client in clients:
            assert client.wait() == 0, client.log
            assert json.loads(client.lines[0])["errors"] == 0, client.lines
        end_server(server)


def test_within_one_engine():
    with Engine(NET + ".2") as engine:
        server = listen(engine)
        result = measure(engine, engine.address(PORT), "--window", 4)
        assert result["errors"] == 0 and result["messages"] > 50, result
        assert result["cpu_ns_per_message"]["peer_engine"] == 0 < result["cpu_ns_per_message"]["engine"], result
        end_server(server)


def test_table():
    with two_engines() as (one, two):
        server = listen(two, "--once")
        result = run_program("machnet", "perf", *SHORT, "--rate", "1000", two.address(PORT), env=one.env())
        assert result.returncode == 0 and result.stderr == "", result
        for word in (two.address(PORT), "64 bytes", "messages/s", "Gbit/s", "round trip", "p99.9", "sent late", "client",
                     "peer's engine"):
            assert word in result.stdout, (word, result.stdout)
        assert server.wait(5) == 0, server.log  # --once


# ---- Ctrl-C ----

def test_interrupted():
    with two_engines() as (one, two):
        server = listen(two)
        for more in ((), ("--stream",), ("--rate", 100), ("--window", 8, "--poll", "spin")):
            client = start(one, "--duration", 600, "--warmup", 0.05, "--json", *more, two.address(PORT))
            wait_for_messages(one, 40)
            time.sleep(0.3)
            client.signal(signal.SIGINT)
            assert client.wait(5) == 0, client.log
            result = json.loads(client.lines[0])
            assert result["interrupted"] and result["messages"] > 10 and result["errors"] == 0, result
            assert 0.1 < result["seconds"] < 2 * SLOW, result
            check_result(result)
        end_server(server)


def test_interrupted_before_measuring():
    with two_engines() as (one, two):
        server = listen(two)
        client = start(one, "--warmup", 600, two.address(PORT))
        wait_for_messages(one, 40)
        client.signal(signal.SIGINT)
        assert client.wait(5) == 130 and client.lines == [] and len(client.log) == 1, client.log
        end_server(server)


# ---- What goes wrong ----

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
