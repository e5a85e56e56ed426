#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-timeout: 600
# ctest-alone
"""Engines of several workers on a switch whose choice of queues nobody can foretell, and that harms frames: all messages arrive, intact and in order."""
import contextlib
import os
import signal

import harness
import test_many
import test_stall
from harness import Engine, Skip, nics, send, serve, two_engines

MANY_HANDOVERS = ("--seed", "5")  # keys that send most flows between two workers each to the wrong one, in both directions
SIZES = "0,1,64,1400,1500,9000,65536,70000"


@contextlib.contextmanager
def switch(workers, *options):
    """Puts the engines of this test on a switch of its own."""
    version = harness.run_program("machnetd", "--version").stdout
    old_nic, old_net = harness.NIC, harness.NET
    try:
        nic = nics.Switch("127.0.0", version, workers, *options)
    except nics.Lacking as reason:
        raise Skip(reason) from None
    harness.NIC, harness.NET = nic, nic.net
    try:
        yield nic
    finally:
        nic.close()
        harness.NIC, harness.NET = old_nic, old_net
    assert nic.counts is not None, "the switch ended with %d" % nic.process.returncode


def exchange(one, two, pairs=4, flows=2, count=40, first_port=7000, sizes=SIZES):
    """Many channels, which an engine gives to its workers in turn, with flows both ways; all that is sent comes back."""
    directions = [(one, two) if i % 2 == 0 else (two, one) for i in range(pairs)]
    options = ("--echo", "--flows", flows, "--sizes", sizes)
    servers = [serve(b, first_port + i, *options) for i, (_, b) in enumerate(directions)]
    clients = [send(a, b.address(first_port + i), *options, "--count", count, "--window", 16) for i, (a, b) in enumerate(directions)]
    for process in clients + servers:
        end = process.done(90)
        assert end["sent"] == end["received"] == flows * count, end


def total(engine, part, *names):
    """The sum of counters over all workers."""
    workers = engine.status()["workers"]
    return sum((worker[part] if part else worker)[name] for worker in workers for name in names)


def check_handovers(engine):
    """What one worker gave away, another got, once it is quiet."""
    def counts():
        workers = engine.status()["workers"]
        over, taken, lost = (sum(worker[name] for worker in workers) for name in ("handed_over", "handed_in", "handover_dropped"))
        return over == taken > 0 and (over, lost)
    print("    handed over on %s: %d, lost on the way: %d" % (engine.ip, *harness.wait_until(counts, 5, "equal counts of hand-overs")))


# ---- Flows of all kinds, whatever the hash does ----

WHAT_CROSSES_THE_NETWORK = (
    test_many.test_200_flows,
    test_many.test_1000_flows_opened_at_once,
    test_many.test_applications_on_both_sides,
    test_many.test_flood_in_both_directions_of_small_messages,
    test_many.test_flood_in_both_directions_of_large_messages,
    test_many.test_flood_through_small_arenas,
    test_many.test_refused_in_one_round_trip,
    test_stall.test_a_stopped_flow_beside_others_of_its_application,
    test_stall.test_a_borrower_while_large_messages_wait,
    test_stall.test_a_borrower_of_small_messages,
)


def all_that_crosses_the_network(workers):
    if harness.SANITIZED:
        raise Skip("a sanitizer sees as much when the messages below are handed over, and these tests without a switch")
    with switch(workers) as nic:
        for test in WHAT_CROSSES_THE_NETWORK:
            test()
    for lane in nic.counts:
        assert sum(frames > 0 for frames in lane["by_queue"]) >= min(workers, 2), lane


def test_many_and_stall_with_one_queue():
    all_that_crosses_the_network(1)


def test_many_and_stall_with_two_queues():
    all_that_crosses_the_network(2)


def test_many_and_stall_with_four_queues():
    all_that_crosses_the_network(4)


def test_one_worker_hands_nothing_over():
    with switch(1), two_engines() as (one, two):
        exchange(one, two)
        assert total(one, None, "handed_over", "handed_in") == total(two, None, "handed_over", "handed_in") == 0


def handovers(workers, *options):
    with switch(workers, *options) as nic:
        with two_engines() as (one, two):
            exchange(one, two, pairs=4 * workers)
            check_handovers(one)
            check_handovers(two)
    return nic.counts


def test_handovers_between_two_workers():
    handovers(2, *MANY_HANDOVERS)


def test_handovers_between_four_workers():
    handovers(4)


def test_other_keys():
    for seed in (1, 2, 3):
        with switch(2, "--seed", str(seed)), two_engines() as (one, two):
            exchange(one, two)  # some of all keys happen to need no hand-over


def test_every_packet_into_any_queue():
    for lane in handovers(4, "--hash", "packet"):
        assert min(lane["by_queue"]) > 0.2 * lane["delivered"], lane


def test_keys_that_change_under_the_flows():
    for lane in handovers(4, "--rehash", "5"):
        assert lane["rehashes"] > 10, lane


# ---- Harm ----

def harmed(workers, *options, **keywords):
    """Returns what the switch counted in both directions together, and the NICs' and transports' counters of both engines."""
    with switch(workers, *options) as nic:
        with two_engines() as (one, two):
            exchange(one, two, **keywords)
            counters = {"%s %s" % (part, name): total(one, part, name) + total(two, part, name) for part, name in (
                ("nic", "bad_checksum"), ("nic", "malformed_frames"), ("nic", "not_ours"), ("transport", "bad_checksum"),
                ("transport", "packets_retransmitted"), ("transport", "duplicate_packets"))}
    counts = {name: sum(lane[name] for lane in nic.counts) for name in nic.counts[0] if name != "by_queue"}
    print("    %s" % counters)
    return counts, counters


def test_loss():
    for workers in (4,) if harness.SANITIZED else (1, 2, 4):
        counts, counters = harmed(workers, "--drop", "0.01")
        assert 0.005 < counts["dropped"] / counts["frames"] < 0.02, counts
        assert counters["transport packets_retransmitted"] > 0, counters


def test_reordering_and_repetition():
    for workers in (1, 4):
        counts, counters = harmed(workers, "--reorder", "0.05", "--repeat", "0.02")
        assert counts["reordered"] > 0.03 * counts["frames"] and counts["repeated"] > 0.01 * counts["frames"], counts
        assert counters["transport duplicate_packets"] > 0, counters


def test_corruption_is_dropped_and_counted():
    """Frames of which one bit was turned are all found out, by the checksums of IPv4 and UDP or by lengths that make no sense."""
    counts, counters = harmed(2, "--corrupt", "0.01")
    found = counters["nic bad_checksum"] + counters["nic malformed_frames"] + counters["nic not_ours"]
    assert counts["corrupted"] > 0.005 * counts["frames"], counts
    assert counters["nic bad_checksum"] > 0.9 * counts["corrupted"], (counts, counters)
    assert counts["corrupted"] - counts["full"] - 8 <= found <= counts["corrupted"], (counts, counters)  # the last may still be under way
    assert counters["transport bad_checksum"] == 0, counters


def test_delay():
    counts, _ = harmed(2, "--delay", "300", count=16)
    assert counts["delivered"] > 0 and counts["full"] == 0, counts


def test_all_at_once():
    harmed(4, "--drop", "0.01", "--repeat", "0.01", "--reorder", "0.05", "--corrupt", "0.005", "--delay", "100", "--rehash", "20",
           count=16)


# ---- The rest ----

def test_jumbo_frames():
    with switch(2, *MANY_HANDOVERS), two_engines("--mtu", "9001") as (one, two):
        exchange(one, two, sizes="100,8900,9000,70000,3000000", count=10)
        check_handovers(one)
        check_handovers(two)
        server = serve(two, 6000)
        client = send(one, two.address(6000), "--count", 1, "--sizes", 800000, "--keep")
        harness.wait_until(lambda: server.report()["received"] == 1, 10, "the message")
        [packets] = [flow["packets_sent"] for flow in one.status()["flows"] if flow["remote"] == two.address(6000)]
        print("    %d packets for 800,000 bytes" % packets)
        assert packets < 300, "%d packets for 800,000 bytes" % packets
        client.quit()
        server.quit()


def test_killed_engine_and_its_successor():
    """The other engine stays, tells its applications in time, and reaches the successor."""
    with switch(2), Engine(harness.NET + ".2", "--dead-peer-ms", "500") as one:
        two = Engine(harness.NET + ".3")
        server = serve(two, 7000)
        client = send(one, two.address(7000), "--flows", 4, "--count", 100000000, "--sizes", 5000)
        harness.wait_until(lambda: server.report()["received"] > 1000, 10, "messages")
        two.signal(signal.SIGKILL)
        server.expect("gone")
        server.wait()
        two.wait()
        assert client.expect("closed", 3)["status"] == "MACHNET_EPEERDEAD"
        client.wait()
        with Engine(harness.NET + ".3", directory=two.directory) as successor:
            exchange(one, successor)
        two.clean_up()


def test_hashing_by_the_kernel():
    """Beside our switch: two queues of af_packet, between which the kernel chooses. Its key is new at each start of the machine, so for a few UDP ports
    all packets may happen to come right; then others are tried."""
    version = harness.run_program("machnetd", "--version").stdout
    net = "10.%d.%d" % (1 + os.getpid() % 250, os.getpid() // 250 % 250)
    old_nic, over = harness.NIC, 0
    try:
        harness.NIC = nics.Veth("af_packet", "127." + net.split(".", 1)[1], version)
    except nics.Lacking as reason:
        raise Skip(reason) from None
    try:
        harness.NIC.arguments = ",qpairs=2"
        for udp_port in range(31700, 31900, 20):
            flags = ("--workers", "2", "--udp-port", str(udp_port))
            with Engine(net + ".2", *flags) as one, Engine(net + ".3", *flags) as two:
                exchange(one, two, pairs=8)
                over = total(one, None, "handed_over") + total(two, None, "handed_over")
                print("    UDP ports from %d: %d handed over" % (udp_port, over))
            if over > 0:
                break
    finally:
        harness.NIC.close()
        harness.NIC = old_nic
    assert over > 0


if __name__ == "__main__":
    harness.main(globals())
