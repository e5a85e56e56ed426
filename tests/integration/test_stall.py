#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-nics: memif
# ctest-timeout: 600
# ctest-workers: 2
# ctest-alone
"""A reader that stops, or keeps what it was lent, harms its own flows only, and these go on when it does."""
import math
import signal
import statistics
import time

import harness
from harness import SLOW, send, serve, two_engines

MESSAGE_MAX = 8 << 20
MANY = 1000000  # messages: more than any flow has room for
STEADY = ("--echo", "--window", 16, "--sizes", 4000, "--mode", "zero-copy")
ON_DEMAND = ("--count", 0, "--keep")
KEPT = 0.9
PHASE, ROUNDS_MIN, SECONDS_MAX = 0.1, 11, 40  # seconds, rounds, seconds
ROUNDS_SANITIZED = 2  # the rates of such a build say nothing: what counts is that all goes on


def wait_until_stuck(client, flow=None, quiet=0.3):
    """Until its sends make no progress. Returns how many it has sent."""
    last = [-1, time.monotonic()]

    def stuck():
        sent = count(client, "sent", flow)
        if sent != last[0]:
            last[:] = [sent, time.monotonic()]
        time.sleep(0.01)
        return time.monotonic() - last[1] > quiet
    harness.wait_until(stuck, 20, "a sender whose reader stopped gets no space")
    return last[0]


def count(process, what, flow=None):
    """Messages of one flow, or of all."""
    report = process.report()
    return report[what] if flow is None else report["by_flow"][flow][what]


class Stoppable:
    """A reader and a sender that has nothing for it; after stop() a sender that is stuck, as the reader has stopped."""

    def __init__(self, reader, sender, reader_flow=None, sender_flow=0, echo=False):
        self.reader, self.sender, self.reader_flow, self.sender_flow, self.echo = reader, sender, reader_flow, sender_flow, echo

    def halt(self):
        self.reader.command("pause" if self.reader_flow is None else "pause %d" % self.reader_flow)

    def go_on(self):
        self.reader.command("resume" if self.reader_flow is None else "resume %d" % self.reader_flow)

    def sent(self):
        return count(self.sender, "sent", self.sender_flow)

    def stop(self):
        self.halt()
        self.sender.command("more %d %d" % (self.sender_flow, MANY))
        return wait_until_stuck(self.sender, self.sender_flow, quiet=0.06)

    def resume(self):
        self.sender.command("enough %d" % self.sender_flow)
        sent = self.sent()
        self.go_on()
        harness.wait_until(lambda: count(self.reader, "received", self.reader_flow) == sent, 20, "a reader that goes on gets all")
        if self.echo:
            harness.wait_until(lambda: count(self.sender, "received", self.sender_flow) == sent, 20, "all comes back")


class Hanging(Stoppable):
    """The reader's process does nothing at all."""

    def halt(self):
        self.reader.signal(signal.SIGSTOP)

    def go_on(self):
        self.reader.signal(signal.SIGCONT)


class Borrower(Stoppable):
    """The reader keeps what it gets."""

    def halt(self):
        self.reader.command("hold")

    def go_on(self):
        self.reader.command("release")

    def stop(self):
        self.halt()
        self.sender.command("more %d %d" % (self.sender_flow, MANY))
        self.reader.expect("stalled", 20)
        held = -1
        while held != (held := self.reader.report()["held"]):  # what was granted before is still under way
            time.sleep(0.2)
        return wait_until_stuck(self.sender, self.sender_flow, quiet=0.06)


def phase(client, what, flow):
    """Messages of the client in a second, and in a second of processor time of all that the test has started."""
    def look():
        cpu = sum(process.cpu_seconds() for process in harness.open_things)
        report = client.report()
        return (report if flow is None else report["by_flow"][flow])[what], report["ns"] / 1e9, cpu
    before = look()
    time.sleep(PHASE)
    messages, seconds, cpu = (b - a for a, b in zip(before, look()))
    return max(messages, 0.1) / seconds, max(messages, 0.1) / cpu


def refuted(shares):
    """That the median is KEPT or more: a sign test, which says yes wrongly once in 1,000 times at most."""
    n, kept = len(shares), sum(share >= KEPT for share in shares)
    return sum(math.comb(n, i) for i in range(kept + 1)) < 0.001 * 2 ** n


def expect_kept(client, stoppable, what="received", flow=None):
    """The client's rate beside a reader that has stopped is 90 % of that beside the same one when nothing is sent to it, at least.

    Both have the same processes, channels and flows. Others use this machine, too: so short phases of both alternate, what counts is the
    median of the ratios of neighbours, and more are taken while it is too low. By the clock that shows what waits; by the processor time, which
    noise changes little, what works more. A machine so noisy that 0.9 cannot be refuted in the end passes, and is told of."""
    shares, end = [], time.monotonic() + SECONDS_MAX
    calm = phase(client, what, flow)

    def medians():
        return [statistics.median(kind) for kind in zip(*shares)]
    def enough():
        return len(shares) >= ROUNDS_SANITIZED if harness.SANITIZED else len(shares) >= ROUNDS_MIN and min(medians()) >= KEPT
    while time.monotonic() < end and not enough():
        sent = stoppable.stop()
        stuck = phase(client, what, flow)
        truly = stoppable.sent() == sent  # else it was only slow
        stoppable.resume()
        before, calm = calm, phase(client, what, flow)
        if truly:
            shares.append([b / math.sqrt(a * c) for a, b, c in zip(before, stuck, calm)])
    print("    kept: %.2f of the rate, %.2f of it by processor time; %d rounds: %s" % (
        *medians(), len(shares), " ".join("%.2f/%.2f" % tuple(share) for share in shares)))
    if harness.SANITIZED:
        return
    assert not any(refuted(kind) for kind in zip(*shares)), medians()
    if min(medians()) < KEPT:
        print("    too noisy a machine to tell whether it is less than %g" % KEPT)


def steady(one, two, *arguments):
    """A server and a client, with one flow."""
    good = serve(two, 7000, "--echo", "--mode", "zero-copy", *arguments)
    return good, send(one, two.address(7000), *STEADY, "--seconds", 1000)


def kill(*processes):
    for process in processes:
        process.kill()


def test_others_keep_their_rate_beside_a_reader_that_stops():
    with two_engines() as (one, two):
        good, client = steady(one, two)
        stopped, blocked = serve(two, 7001), send(one, two.address(7001), *ON_DEMAND, "--sizes", "1000,60000")
        stopped.expect("accepted")
        expect_kept(client, Stoppable(stopped, blocked))
        kill(client, blocked, good, stopped)


def test_others_keep_their_rate_beside_a_program_that_hangs():
    with two_engines() as (one, two):
        good, client = steady(one, two)
        hung, blocked = serve(two, 7001), send(one, two.address(7001), *ON_DEMAND, "--sizes", "1000,60000")
        hung.expect("accepted")
        expect_kept(client, Hanging(hung, blocked))
        kill(client, blocked, good, hung)


def test_others_keep_their_rate_beside_a_borrower_while_large_messages_wait():
    with two_engines() as (one, two):
        good, client = steady(one, two)
        holder = serve(two, 7001, "--mode", "zero-copy", "--receive-bytes", 3 * MESSAGE_MAX)
        blocked = send(one, two.address(7001), *ON_DEMAND, "--sizes", MESSAGE_MAX, "--mode", "zero-copy")
        holder.expect("accepted")
        expect_kept(client, Borrower(holder, blocked))
        kill(client, blocked, good, holder)


def test_a_flow_keeps_its_rate_beside_a_stopped_one_of_its_reader():
    with two_engines() as (one, two):
        server, client = steady(one, two, "--receive-bytes", 4 << 20)  # a sender alone could fill that
        server.expect("accepted", flow=0)
        blocked = send(one, two.address(7000), *ON_DEMAND, "--echo", "--sizes", 4000)
        server.expect("accepted", flow=1)
        expect_kept(client, Stoppable(server, blocked, reader_flow=1, echo=True))
        kill(client, blocked, server)


def test_a_stuck_remote_reader_beside_other_flows_of_the_sender():
    with two_engines() as (one, two):
        good, stopped = serve(two, 7000, "--mode", "zero-copy"), serve(two, 7001)
        client = send(one, two.address(7000), two.address(7001), "--flows", 2, *ON_DEMAND, "--sizes", 4000, "--mode", "zero-copy")
        stopped.expect("accepted")
        client.command("more 0 %d" % (MANY * MANY))
        expect_kept(client, Stoppable(stopped, client, sender_flow=1), "sent", 0)
        kill(client, good, stopped)


def test_a_stuck_flow_needs_neither_processor_nor_network():
    with two_engines() as (one, two):
        stopped, blocked = serve(two, 7001), send(one, two.address(7001), *ON_DEMAND, "--sizes", "1000,60000")
        stopped.expect("accepted")

        def need():
            """Packets, and milliseconds of processor time, in a second."""
            def look():
                packets = sum(worker["nic"]["packets_sent"] for engine in (one, two) for worker in engine.status()["workers"])
                return packets, 1000 * sum(process.cpu_seconds() for process in harness.open_things)
            before = look()
            time.sleep(1)
            return [b - a for a, b in zip(before, look())]

        def little():
            """Once what is under way has come."""
            packets, milliseconds = need()
            print("    idle %d packets and %.1f ms of processor time in a second, stuck %d and %.1f" % (*idle, packets, milliseconds))
            return packets <= idle[0] + 10 and milliseconds <= idle[1] + 20 * SLOW
        idle = need()
        Stoppable(stopped, blocked).stop()
        harness.wait_until(little, 10, "a stuck flow is quiet")
        kill(blocked, stopped)


def test_a_stopped_reader_gets_all_when_it_reads_again():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--paused", "--flows", 1, "--sizes", "1000,60000,64")
        client = send(one, two.address(7000), "--count", 30000, "--sizes", "1000,60000,64")
        sent = wait_until_stuck(client)
        assert sent < 30000, "nothing limits what a reader that stopped is sent"
        server.command("resume")
        client.done()
        assert server.done()["received"] == 30000


def test_a_stopped_flow_beside_others_of_its_application():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--flows", 4)
        client = send(one, two.address(7000), "--flows", 4, "--count", 100000000, "--sizes", 4000)
        server.expect("accepted", flow=3)
        server.command("pause 2")
        time.sleep(0.5)
        before = server.report()["by_flow"]

        def moved():
            return [now["received"] - then["received"] for now, then in zip(server.report()["by_flow"], before)]
        harness.wait_until(lambda: all(moved()[i] > 1000 for i in (0, 1, 3)), 20, "the flows that are read go on")
        assert moved()[2] == 0
        server.command("resume 2")
        harness.wait_until(lambda: moved()[2] > 0, 10, "the flow goes on when its reader does")
        client.kill()
        server.kill()


def test_a_borrower_while_large_messages_wait():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--hold", "--flows", 1, "--receive-bytes", 3 * MESSAGE_MAX, "--sizes", MESSAGE_MAX)
        client = send(one, two.address(7000), "--count", 8, "--sizes", MESSAGE_MAX, "--mode", "zero-copy")
        stalled = server.expect("stalled", 20)
        assert stalled["value"] >= stalled["held"] * MESSAGE_MAX, stalled
        harness.wait_until(lambda: server.report()["held"] >= 1, 20, "a message is lent")
        wait_until_stuck(client)
        held = server.report()["held"]
        assert 1 <= held <= 3, held
        server.command("release")
        client.done()
        assert server.done()["received"] == 8


def test_a_borrower_of_small_messages():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--hold", "--flows", 1, "--receive-bytes", 2 << 20, "--sizes", 20000)
        client = send(one, two.address(7000), "--count", 1000, "--sizes", 20000, "--send-bytes", 1 << 20)
        sent = wait_until_stuck(client)
        held = server.report()["held"]
        assert 0 < held <= sent < 1000, (held, sent)
        assert held * 20000 <= 2 << 20, held
        server.command("release")
        client.done()
        assert server.done()["received"] == 1000


def test_a_borrower_beside_flows_of_other_applications():
    with two_engines() as (one, two):
        holder = serve(two, 7000, "--hold", "--receive-bytes", 2 * MESSAGE_MAX)
        waiting = send(one, two.address(7000), "--count", 6, "--sizes", MESSAGE_MAX)
        holder.expect("stalled", 20)
        server = serve(two, 7001, "--echo", "--flows", 1)
        client = send(one, two.address(7001), "--echo", "--count", 6, "--sizes", "%d,100" % MESSAGE_MAX)
        client.done()
        server.done()
        holder.kill()
        waiting.expect("closed", status="MACHNET_ERESET")
        assert waiting.wait() == 1


def test_what_is_borrowed_stays_readable_after_the_flow():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--hold", "--sizes", "100,70000")
        send(one, two.address(7000), "--count", 10, "--sizes", "100,70000").done()
        server.expect("closed", status="MACHNET_ECLOSED")
        assert server.report()["held"] == 10
        server.command("release")
        send(one, two.address(7000), "--count", 10, "--sizes", "100,70000").done()
        server.expect("closed", status="MACHNET_ECLOSED")
        server.quit()


if __name__ == "__main__":
    harness.main(globals())
