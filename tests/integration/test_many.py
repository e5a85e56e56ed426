#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-nics: af_packet memif
# ctest-workers: 4
"""Many flows and applications at once; what is refused, and how soon, and with which words."""
import contextlib
import os
import shutil
import signal
import socket
import struct
import tempfile
import time

import harness
from harness import Engine, NET, SLOW, Skip, send, serve, two_engines

MIXED = "0,1,64,1000,1400,1500,5000,65536,70000"


def test_200_flows():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--echo", "--flows", 200, "--sizes", MIXED)
        client = send(one, two.address(7000), "--echo", "--flows", 200, "--count", 18, "--sizes", MIXED)
        assert client.done()["received"] == 200 * 18
        assert server.done()["received"] == 200 * 18


def test_1000_flows_opened_at_once():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--flows", 1000)
        client = send(one, two.address(7000), "--async", "--flows", 1000, "--count", 2, "--sizes", "100,2000")
        assert client.done()["sent"] == 2000
        assert server.done()["received"] == 2000


def test_applications_on_both_sides():
    with two_engines() as (one, two):
        servers = [serve(engine, 7000 + i, "--echo", "--flows", 2, "--sizes", MIXED) for engine in (one, two) for i in range(4)]
        pairs = [(one, two), (two, one), (one, one), (two, two)]
        clients = [send(a, b.address(7000 + i), "--echo", "--count", 200, "--window", 20, "--sizes", MIXED)
                   for a, b in pairs for i in range(4)]
        for process in clients + servers:
            process.done()


def flood(one, two, sizes, count, flows, *arguments):
    text = ",".join(map(str, sizes))
    server = serve(two, 7000, "--flood", "--count", count, "--expect", count, "--flows", flows, "--sizes", text, *arguments)
    client = send(one, two.address(7000), "--count", count, "--expect", count, "--flows", flows, "--sizes", text, *arguments)
    for process in (client, server):
        end = process.done(90)
        assert end["received"] == count * flows, end


def test_flood_in_both_directions_of_small_messages():
    with two_engines() as (one, two):
        flood(one, two, [64], 50000, 4, "--mode", "packed")


def test_flood_in_both_directions_of_large_messages():
    with two_engines() as (one, two):
        flood(one, two, [1 << 20, 8 << 20, 65536, 3000000], 16, 3, "--mode", "zero-copy")


def test_flood_in_both_directions_within_one_engine():
    with Engine(NET + ".2") as engine:
        flood(engine, engine, [64, 9000, 65536, 1 << 20], 400, 2)


def test_flood_through_small_arenas():
    with two_engines() as (one, two):
        flood(one, two, [64, 1000, 30000, 65536], 2000, 4, "--send-bytes", 1 << 20, "--receive-bytes", 1 << 20)


# ---- Refused ----

def open_failure(engine, address, *arguments):
    client = send(engine, address, *arguments)
    error, opened = client.expect("error"), client.expect("opened")
    assert client.wait() == 1
    return error, opened["ns"] / 1e9


def test_refused_in_one_round_trip():
    with two_engines() as (one, two):
        serve(two, 7001).quit()  # and a port that was open once
        times = []
        for port in (7000, 7001, 7000, 7001, 7000):
            error, seconds = open_failure(one, two.address(port))
            assert error["status"] == "MACHNET_EREFUSED", error
            assert two.address(port) in error["message"], error
            times.append(seconds)
        assert min(times) < 0.005 * SLOW, times


def test_refused_within_the_engine():
    with Engine(NET + ".2") as engine:
        error, _ = open_failure(engine, engine.address(7000))
        assert error["status"] == "MACHNET_EREFUSED", error


def test_refused_without_waiting():
    with two_engines() as (one, two):
        client = send(one, two.address(7000), "--async", "--count", 5)
        client.expect("closed", status="MACHNET_EREFUSED")
        assert client.wait() == 1


def test_unreachable_within_three_seconds():
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if harness.NIC.kernel:  # on others nobody has the address
        silent.bind((NET + ".9", 31700))
    with silent, Engine(NET + ".2") as engine:
        error, seconds = open_failure(engine, NET + ".9:7000")
        assert error["status"] == "MACHNET_EUNREACHABLE", error
        assert NET + ".9:7000" in error["message"], error
        assert 2.5 < seconds < 3.2 * SLOW, seconds
        error, seconds = open_failure(engine, NET + ".9:7000", "--open-timeout-ms", 200)
        assert error["status"] == "MACHNET_EUNREACHABLE", error
        assert 0.15 < seconds < 0.6 * SLOW, seconds


def test_unreachable_without_engine():
    with Engine(NET + ".2") as engine:
        error, seconds = open_failure(engine, NET + ".8:7000")
        assert error["status"] == "MACHNET_EUNREACHABLE", error
        assert seconds < 3.2 * SLOW, seconds


def listen_failure(engine, address):
    server = harness.Peer(engine, "serve", address)
    error = server.expect("error", call="listener_open")
    assert server.wait() == 1
    return error


def test_address_in_use():
    with Engine([NET + ".2", NET + ".4"]) as engine:
        server = serve(engine, 7000)
        error = listen_failure(engine, engine.address(7000))
        assert error["status"] == "MACHNET_EADDRINUSE" and "7000" in error["message"], error
        assert listen_failure(engine, ":7000")["status"] == "MACHNET_EADDRINUSE"
        other = serve(engine, 7000, ip=NET + ".4")
        server.quit()
        serve(engine, 7000).quit()
        other.quit()


def test_address_not_available():
    with Engine(NET + ".2") as engine:
        error = listen_failure(engine, NET + ".3:7000")
        assert error["status"] == "MACHNET_EADDRNOTAVAIL" and NET + ".3" in error["message"], error
        error, _ = open_failure(engine, NET + ".2:7000", "--local", NET + ".3:0")
        assert error["status"] == "MACHNET_EADDRNOTAVAIL", error


def attach_failure(engine, *arguments, **keywords):
    client = harness.Peer(engine, "serve", engine.address(7999), *arguments, **keywords)
    error = client.expect("error")
    assert client.wait() == 1
    return error


def wait_until_left(engine, what, left):
    """What a program had is given back shortly after its end."""
    harness.wait_until(lambda: sum(user[what] for user in engine.status()["users"]) <= left, 2, "%s given back" % what)


def test_quota_of_channels():
    with Engine(NET + ".2", "--quota-channels", "2") as engine:
        first, second = serve(engine, 7000), serve(engine, 7001)
        error = attach_failure(engine)
        assert error["status"] == "MACHNET_EQUOTA", error
        assert "2" in error["message"] and "channel" in error["message"], error
        first.quit()
        wait_until_left(engine, "channels", 1)
        serve(engine, 7000).quit()
        second.quit()


def test_quota_of_bytes():
    with Engine(NET + ".2", "--quota-bytes", "4M") as engine:
        held = [serve(engine, 7000)]
        error = None
        for i in range(1, 4):
            peer = harness.Peer(engine, "serve", engine.address(7000 + i))
            first = harness.wait_until(lambda p=peer: p.lines, 10, "a line")[0]
            if "error" in first:
                error = peer.expect("error")
                peer.wait()
                break
            held.append(peer)
        assert error and error["status"] == "MACHNET_EQUOTA" and "bytes" in error["message"].lower(), error
        for peer in held:
            peer.quit()


def test_quota_of_flows():
    with Engine(NET + ".2", "--quota-flows", "8") as one, Engine(NET + ".3") as two:
        server = serve(two, 7000)
        error, _ = open_failure(one, two.address(7000), "--flows", 9)
        assert error["status"] == "MACHNET_EQUOTA" and "flow" in error["message"], error
        wait_until_left(one, "flows", 0)
        send(one, two.address(7000), "--flows", 8, "--count", 3).done()
        server.quit()


def test_quota_of_flows_is_of_all_channels():
    with Engine(NET + ".2", "--quota-flows", "8") as one, Engine(NET + ".3") as two:
        server, holder = serve(two, 7000), serve(two, 7001, "--hold")
        first = send(one, two.address(7001), "--flows", 6, "--count", 100000, "--sizes", 60000)
        harness.wait_until(lambda: holder.report()["held"] > 6, 10, "the first has its flows")
        error, _ = open_failure(one, two.address(7000), "--flows", 3)
        assert error["status"] == "MACHNET_EQUOTA" and "flow" in error["message"], error
        send(one, two.address(7000), "--flows", 2, "--count", 3).done()
        first.kill()
        wait_until_left(one, "flows", 0)
        send(one, two.address(7000), "--flows", 8, "--count", 3).done()
        server.quit()
        holder.kill()


def as_another_user(*arguments):
    for tool in (["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], ["runuser", "-u", "nobody"]):
        if shutil.which(tool[0]):
            return [*tool, *arguments]
    raise Skip("neither setpriv nor runuser")


@contextlib.contextmanager
def peer_for_others():
    """integration_peer where other users may read it."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield shutil.copy(harness.program("integration_peer"), directory)


def test_permission():
    with Engine(NET + ".2", "--socket-mode", "0600" if os.geteuid() == 0 else "000") as engine:
        if os.geteuid() != 0:
            error = attach_failure(engine)
        else:
            with peer_for_others() as copy:
                other = harness.Process([copy, "serve", engine.address(7000)], env=engine.env(), wrapper=as_another_user())
                assert other.wait() == 1, other.lines
                error = harness.json.loads(other.lines[0])
        assert error["status"] == "MACHNET_EACCES" and engine.socket in error["message"], error


def test_permission_given_by_mode():
    if os.geteuid() != 0:
        raise Skip("not root: cannot be another user")
    with Engine(NET + ".2", "--socket-mode", "0666", "--quota-channels", "1") as engine, peer_for_others() as copy:
        mine = serve(engine, 7000)
        other = harness.Process([copy, "send", engine.address(7000), "--count", "3"], env=engine.env(), wrapper=as_another_user())
        assert other.wait() == 0, other.lines  # quotas are counted for each user
        mine.quit()


def test_permission_given_by_group():
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        raise Skip("not root, or no setpriv: cannot be of another group")
    with Engine(NET + ".2", "--socket-mode", "0660", "--socket-group", "nogroup") as engine, peer_for_others() as copy:
        server = serve(engine, 7000)
        for group, wanted in (("1", 1), ("65534", 0)):  # daemon's, nogroup's
            wrapper = ["setpriv", "--reuid=65534", "--regid=" + group, "--clear-groups"]
            other = harness.Process([copy, "send", engine.address(7000), "--count", "3"], env=engine.env(), wrapper=wrapper)
            assert other.wait() == wanted, other.lines
            assert wanted == 0 or harness.json.loads(other.lines[0])["status"] == "MACHNET_EACCES", other.lines
        server.quit()


CONTROL_MAGIC, HELLO, CLOSING = 0x54434e4d, 1, 18


def hello(engine, versions, layouts):
    """Says HELLO as a library of another version would; returns (status, message)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(5 * SLOW)
        client.connect(engine.socket)
        client.send(struct.pack("=IHHIi4HQ32s192s", CONTROL_MAGIC, HELLO, 256, 1, 0, *versions, *layouts, 0, b"9.9", b""))
        reply = client.recv(512)
        return struct.unpack_from("=i", reply, 12)[0], reply[-192:].split(b"\0")[0].decode()


def test_attach_of_another_version():
    with Engine(NET + ".2") as engine:
        for versions, layouts in (((90, 99), (1, 1)), ((1, 1), (90, 99))):
            status, message = hello(engine, versions, layouts)
            assert status == -5, (status, message)
            assert "version" in message, message
        serve(engine, 7000).quit()


def test_engine_paused_and_going_on():
    """Nothing is lost while an engine does not run for a moment, as in a migration of its machine."""
    with two_engines() as (one, two):
        server = serve(two, 7000, "--flows", 2)
        client = send(one, two.address(7000), "--flows", 2, "--seconds", 2, "--sizes", "1000,20000")
        time.sleep(0.4)
        two.signal(signal.SIGSTOP)
        time.sleep(0.8)
        two.signal(signal.SIGCONT)
        assert client.done()["sent"] == server.done()["received"]


if __name__ == "__main__":
    harness.main(globals())
