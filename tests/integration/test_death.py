#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-nics: af_packet
# ctest-workers: 2
"""Applications and engines that die: the others hear of it, at once and with the right reason, and all is given back."""
import os
import signal
import socket
import statistics
import time

import harness
from harness import Engine, NET, Process, SLOW, send, serve, two_engines

RECLAIM_NS = 10_000_000
SLACK = 3  # the kernel takes the process down first, and a program is told last


def stream(one, two, sizes="1000,65536,300000"):
    """A server and a client in the middle of a transfer."""
    server = serve(two, 7000)
    client = send(one, two.address(7000), "--count", 100000000, "--sizes", sizes)
    server.expect("accepted")
    harness.wait_until(lambda: server.report()["received"] > 50, 10, "messages")
    return server, client


def kill_and_time(victim, other, status):
    """ns until the other side knew."""
    start = time.monotonic_ns()
    victim.signal(signal.SIGKILL)
    closed = other.expect("closed", 5)
    victim.wait()
    assert closed["status"] == status, closed
    return closed["ns"] - start


def answer_ns(process):
    """How long this machine now takes to run a program that has something to do."""
    times = []
    for _ in range(11):
        start = time.monotonic_ns()
        process.report()
        times.append(time.monotonic_ns() - start)
    return max(times)


def expect_soon(kill):
    """kill() says how long it took; the median must be short. A machine that is busy otherwise gets more time, and more tries."""
    with Engine(NET + ".7") as engine:
        watch = serve(engine, 7000)
        for _ in range(4):
            times, noise = [], 0
            for _ in range(5):
                noise += answer_ns(watch)
                times.append(kill())
            limit = (RECLAIM_NS * SLACK + noise) * SLOW
            if statistics.median(times) < limit:
                break
        else:
            raise AssertionError("%s ns, limit %d ns" % (times, limit))
        watch.quit()


def test_sender_killed_in_mid_transfer():
    with two_engines() as (one, two):
        def kill():
            server, client = stream(one, two, "1000,4000")
            took = kill_and_time(client, server, "MACHNET_ERESET")
            server.quit()
            return took
        expect_soon(kill)
        check_all_reclaimed(one, two)


def test_receiver_killed_in_mid_transfer_and_its_port_free_at_once():
    with two_engines() as (one, two):
        def kill():
            server, client = stream(one, two, "1000,4000")
            took = kill_and_time(server, client, "MACHNET_ERESET")
            assert client.wait() == 1
            serve(two, 7000).quit()
            return took
        expect_soon(kill)
        check_all_reclaimed(one, two)


def test_killed_within_one_engine():
    with Engine(NET + ".2") as engine:
        for _ in range(3):
            server, client = stream(engine, engine)
            kill_and_time(server, client, "MACHNET_ERESET")
            client.wait()
            server, client = stream(engine, engine)
            kill_and_time(client, server, "MACHNET_ERESET")
            server.quit()
        check_all_reclaimed(engine)


def test_killed_while_it_holds_what_it_borrowed():
    with two_engines() as (one, two):
        for _ in range(3):
            server = serve(two, 7000, "--hold", "--receive-bytes", 16 << 20)
            client = send(one, two.address(7000), "--count", 20, "--sizes", 8 << 20)
            server.expect("stalled", 20)
            kill_and_time(server, client, "MACHNET_ERESET")
            client.wait()
        check_all_reclaimed(one, two)


def channels(engine):
    return engine.status()["channels"]


def check_all_reclaimed(*engines):
    for engine in engines:
        harness.wait_until(lambda e=engine: channels(e) == [] and e.status()["flows"] == [], 2, "no channel and no flow is left")


def descriptors(engine):
    return len(os.listdir("/proc/%d/fd" % engine.pid))


def mapped_shared_kb(engine):
    with open("/proc/%d/status" % engine.pid, encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("RssShmem"))


def test_nothing_leaks_in_the_engine():
    with two_engines() as (one, two):
        def once():
            server, client = stream(one, two)
            victim, other = (server, client) if once.turn % 2 else (client, server)
            once.turn += 1
            kill_and_time(victim, other, "MACHNET_ERESET")
            other.kill()
            check_all_reclaimed(one, two)
        once.turn = 0
        once()
        before = [(descriptors(engine), mapped_shared_kb(engine)) for engine in (one, two)]
        for _ in range(6):
            once()
        for engine, (fds, kb) in zip((one, two), before):
            # the connection that the last status came by may be there a moment longer
            harness.wait_until(lambda e=engine, most=fds: descriptors(e) <= most, 2, "no descriptor is left")
            assert mapped_shared_kb(engine) <= kb + 256, (before, mapped_shared_kb(engine))


def test_aborted_by_its_application():
    with two_engines() as (one, two):
        server, client = stream(one, two)
        client.command("abort")
        server.expect("closed", status="MACHNET_ERESET")
        client.kill()
        server.quit()


def test_closed_by_its_application_after_the_last_message():
    with two_engines() as (one, two):
        server, client = stream(one, two)
        client.command("close")
        closed = client.expect("closed", status="MACHNET_OK")
        assert server.expect("closed", status="MACHNET_ECLOSED")["received"] == closed["sent"]
        client.wait()
        server.quit()


# ---- Engines ----

def expect_gone(process):
    process.expect("gone", 5, status="MACHNET_EENGINEGONE")
    assert process.wait(5) == 3


def test_engine_killed_under_its_applications():
    with Engine(NET + ".3") as two:
        one = Engine(NET + ".2")
        server, client = stream(one, two)
        waiting = serve(one, 7001)
        blocking = serve(one, 7002, "--blocking")
        one.signal(signal.SIGKILL)
        for process in (client, waiting, blocking):
            expect_gone(process)
        one.wait()
        with Engine(NET + ".2", directory=one.directory):  # the socket that was left is no hindrance
            server.expect("closed", 5)
            again = send(one, two.address(7000), "--count", 100, "--sizes", 3000)
            again.done()
            server.expect("closed", status="MACHNET_ECLOSED")
            server.quit()
        one.clean_up()


def test_engine_stopped_under_its_applications():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Engine(NET + ".3") as two:
            one = Engine(NET + ".2")
            server, client = stream(one, two)
            waiting = serve(one, 7001, "--blocking")
            start = time.monotonic_ns()
            one.stop(number)
            expect_gone(client)
            expect_gone(waiting)
            closed = server.expect("closed", 5, status="MACHNET_ERESET")
            assert closed["ns"] - start < 1e9 * SLOW, closed
            server.quit()


def test_engine_stopped_while_applications_attach():
    with Engine(NET + ".2") as engine:
        processes = [send(engine, engine.address(7000)) for _ in range(6)]
        time.sleep(0.005)
        engine.stop()
        for process in processes:
            assert process.wait(10) in (1, 3)


def test_dead_peer():
    with Engine(NET + ".2", "--dead-peer-ms", "500") as one:
        two = Engine(NET + ".3")
        server, client = stream(one, two)
        idle_server = serve(two, 7001)
        idle = send(one, two.address(7001), "--count", 1, "--keep")
        idle_server.expect("accepted")
        start = time.monotonic_ns()
        two.signal(signal.SIGSTOP)  # as a machine that hangs: nothing says that it is gone
        for process in (client, idle):
            closed = process.expect("closed", 5)
            assert closed["status"] == "MACHNET_EPEERDEAD", closed
            assert 0.3e9 < closed["ns"] - start < 2e9 * SLOW, closed["ns"] - start
        two.kill()
        for process in (client, idle):
            process.kill()
        for process in (server, idle_server):
            expect_gone(process)
        two.clean_up()


def test_dead_peer_that_comes_back():
    """Who was asleep, as in a long migration, hears that its flows are gone: at once when it sends on them, by its next
    probe when it does not; new flows work."""
    with Engine(NET + ".2", "--dead-peer-ms", "500") as one, Engine(NET + ".3") as two:
        server = serve(two, 7000, "--flood", "--count", 100000000, "--sizes", 1000)
        client = send(one, two.address(7000), "--count", 0, "--keep", "--sizes", 1000)
        server.expect("accepted")
        idle_server = serve(two, 7001)
        idle = send(one, two.address(7001), "--count", 1, "--keep")
        idle_server.expect("accepted")
        two.signal(signal.SIGSTOP)
        for process in (client, idle):
            process.expect("closed", 5, status="MACHNET_EPEERDEAD")
        two.signal(signal.SIGCONT)
        server.expect("closed", 5, status="MACHNET_ERESET")
        idle_server.expect("closed", 10, status="MACHNET_ERESET")
        for process in (client, idle):
            process.kill()
        client = send(one, two.address(7000), "--count", 10, "--sizes", 1000)
        client.done()
        for process in (server, idle_server):
            process.quit()


def test_killed_peer_engine():
    with Engine(NET + ".2", "--dead-peer-ms", "500") as one:
        two = Engine(NET + ".3")
        server, client = stream(one, two)
        start = time.monotonic_ns()
        two.signal(signal.SIGKILL)
        closed = client.expect("closed", 5, status="MACHNET_EPEERDEAD")
        assert closed["ns"] - start < 2e9 * SLOW, closed
        client.wait()
        expect_gone(server)
        two.clean_up()


def restarted_peer(*arguments):
    with Engine(NET + ".2") as one:
        two = Engine(NET + ".3")
        server = serve(two, 7000)
        client = send(one, two.address(7000), "--sizes", 5000, "--keep", *arguments)
        server.expect("accepted")
        two.signal(signal.SIGKILL)
        expect_gone(server)
        two.wait()
        with Engine(NET + ".3", directory=two.directory):
            start = time.monotonic_ns()
            closed = client.expect("closed", 12)
            assert closed["status"] == "MACHNET_EPEERRESTARTED", closed
            client.kill()
            again = serve(two, 7000, "--flows", 1)
            send(one, two.address(7000), "--count", 50).done()
            again.done()
        two.clean_up()
        return (closed["ns"] - start) / 1e9


def test_restarted_peer_of_a_flow_that_sends():
    assert restarted_peer("--count", 100000000) < 2 * SLOW


def test_restarted_peer_of_an_idle_flow():
    assert restarted_peer("--count", 1) < 6 * SLOW  # it is probed each 2.5 s


def test_restarted_peer_is_noticed_by_a_new_flow():
    with Engine(NET + ".2") as one:
        two = Engine(NET + ".3")
        server = serve(two, 7000)
        idle = send(one, two.address(7000), "--keep")
        server.expect("accepted")
        two.signal(signal.SIGKILL)
        expect_gone(server)
        two.wait()
        with Engine(NET + ".3", directory=two.directory):
            server = serve(two, 7000, "--flows", 1)
            start = time.monotonic_ns()
            send(one, two.address(7000)).done()
            server.done()
            closed = idle.expect("closed", 5)
            assert closed["status"] == "MACHNET_EPEERRESTARTED", closed
            assert closed["ns"] - start < 1e9 * SLOW, closed
            idle.kill()
        two.clean_up()


# ---- What a process does to itself ----

def run_process(engine, *arguments):
    process = Process([harness.program("integration_process"), *arguments], env=engine.env())
    assert process.wait(20) == 0, process.lines + process.log
    return process.lines


def test_fork():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--echo")
        run_process(one, "fork", two.address(7000))
        server.expect("closed")
        server.expect("closed")
        server.quit()
        check_all_reclaimed(one, two)


def test_signal_during_wait():
    with Engine(NET + ".2") as engine:
        run_process(engine, "signal")


def test_unknown_abi_version():
    with Engine(NET + ".2") as engine:
        for message in run_process(engine, "version"):
            assert "version" in message.lower(), message


def test_half_open_control_connections_harm_nobody():
    """Connections that say nothing, and such that end at once."""
    with Engine(NET + ".2") as engine:
        silent = []
        for i in range(100):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.connect(engine.socket)
            if i % 2:
                client.close()
            else:
                silent.append(client)
        server = serve(engine, 7000, "--echo", "--flows", 1)
        send(engine, engine.address(7000), "--echo", "--count", 10).done()
        server.done()
        for client in silent:
            client.close()


def test_programs_that_follow_one_another_at_the_quota():
    """Each starts as soon as the one before it is gone, and must not find its channel taken."""
    with Engine(NET + ".2", "--quota-channels", "1") as engine:
        for i in range(40):
            server = serve(engine, 7000)
            if i % 2:
                server.signal(signal.SIGKILL)
                server.wait()
            else:
                server.quit()
        assert engine.status()["counters"]["attaches_refused"] == 0


if __name__ == "__main__":
    harness.main(globals())
