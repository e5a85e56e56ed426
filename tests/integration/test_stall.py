#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-nics: af_packet memif
# ctest-workers: 2
"""A reader that stops, or keeps what it was lent, harms its own flows only, and these go on when it does."""
import statistics
import time

import harness
from harness import SLOW, send, serve, two_engines

MESSAGE_MAX = 8 << 20
STEADY = ("--echo", "--window", 16, "--sizes", 4000, "--mode", "zero-copy")


def rate(client, seconds):
    """Messages per second that come back to it."""
    before = client.report()
    time.sleep(seconds)
    after = client.report()
    return (after["received"] - before["received"]) / (after["ns"] - before["ns"]) * 1e9


def wait_until_stuck(client):
    """Until its sends make no progress."""
    last = [-1, time.monotonic()]

    def stuck():
        sent = client.report()["sent"]
        if sent != last[0]:
            last[:] = [sent, time.monotonic()]
        time.sleep(0.02)
        return time.monotonic() - last[1] > 0.3
    harness.wait_until(stuck, 20, "a sender whose reader stopped gets no space")
    return client.report()["sent"]


def kept_share(client, disturb, calm, rounds=5, seconds=0.3):
    """Median of the rate while disturbed over the rate just before."""
    shares = []
    for _ in range(rounds):
        before = rate(client, seconds)
        state = disturb()
        during = rate(client, seconds)
        calm(state)
        after = rate(client, seconds)
        shares.append(during / ((before + after) / 2))
    print("    shares kept: %s" % " ".join("%.2f" % share for share in shares))
    return statistics.median(shares)


def expect_kept(client, disturb, calm):
    """Nobody is starved: three quarters of the rate at least. The aim is 90 %; what is kept is printed, and on two cores that the clients share
    with both engines it lies between 80 and 100 %. Measured again, and longer, when the machine was disturbed by something else."""
    best = 0.0
    for attempt in range(8):
        best = max(best, kept_share(client, disturb, calm, seconds=0.3 * min(attempt + 1, 3)))
        if best >= 0.75:
            return
    raise AssertionError("only %.2f of the rate is kept" % best)


def test_others_keep_their_rate_beside_a_reader_that_stops():
    with two_engines() as (one, two):
        good = serve(two, 7000, "--echo", "--mode", "zero-copy")
        client = send(one, two.address(7000), *STEADY, "--seconds", 1000)

        def disturb():
            stopped = serve(two, 7001, "--paused")
            blocked = send(one, two.address(7001), "--count", 1000000, "--sizes", "1000,60000")
            wait_until_stuck(blocked)
            return stopped, blocked

        def calm(state):
            for process in state:
                process.kill()

        expect_kept(client, disturb, calm)
        client.kill()
        good.quit()


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
        time.sleep(0.5)
        after = server.report()["by_flow"]
        for i in range(4):
            moved = after[i]["received"] - before[i]["received"]
            assert (moved == 0) if i == 2 else (moved > 1000 / SLOW), (i, moved)
        server.command("resume 2")
        time.sleep(0.2)
        assert server.report()["by_flow"][2]["received"] > after[2]["received"]
        client.kill()
        server.kill()


def test_a_stuck_remote_reader_beside_other_flows_of_the_sender():
    with two_engines() as (one, two):
        good = serve(two, 7000, "--mode", "zero-copy")
        stopped = serve(two, 7001)
        client = send(one, two.address(7000), "--flows", 2, "--count", 100000000, "--sizes", 4000, "--mode", "zero-copy",
                      two.address(7001))
        stopped.expect("accepted")

        def moved(flow):
            before = client.report()["by_flow"][flow]["sent"]
            time.sleep(0.4)
            return client.report()["by_flow"][flow]["sent"] - before
        together = statistics.median(moved(0) for _ in range(3))
        stopped.command("pause")
        harness.wait_until(lambda: moved(1) == 0, 20, "the flow to the reader that stopped gets no space")
        alone = statistics.median(moved(0) for _ in range(3))
        print("    beside a running flow %d, beside a stuck one %d messages" % (together, alone))
        assert alone >= 0.9 * together, (together, alone)
        stopped.command("resume")
        harness.wait_until(lambda: moved(1) > 0, 10, "the flow goes on when its reader does")
        client.kill()
        good.kill()
        stopped.kill()


def test_a_borrower_while_large_messages_wait():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--hold", "--flows", 1, "--receive-bytes", 3 * MESSAGE_MAX, "--sizes", MESSAGE_MAX)
        client = send(one, two.address(7000), "--count", 8, "--sizes", MESSAGE_MAX, "--mode", "zero-copy")
        stalled = server.expect("stalled", 20)
        held = server.report()["held"]
        assert 1 <= held <= 3, held
        assert stalled["value"] >= held * MESSAGE_MAX, (stalled, held)
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
