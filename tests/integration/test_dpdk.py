#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What happens to a network under DPDK: links that go down, engines that start in any order, many queues, what is told when it cannot run."""
import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time

import harness
from harness import Engine, Skip, nics, send, serve

NET = "10.%d.%d" % (1 + os.getpid() % 250, os.getpid() // 250 % 250)


class Host:
    """Starts engines over a network of this test's own."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        version = harness.run_program("machnetd", "--version").stdout
        try:
            harness.NIC = nics.open_nic(self.name, "127." + NET.split(".", 1)[1], version)
        except nics.Lacking as reason:
            raise Skip(reason) from None
        return harness.NIC

    def __exit__(self, *_):
        harness.NIC.close()
        harness.NIC = nics.Udp(NET)


def exchange(one, two, count=200, port=7000):
    sizes = ("--sizes", "0,64,1400,9000,70000", "--count", count)
    server = serve(two, port, "--echo", "--flows", 1, *sizes)
    assert send(one, two.address(port), "--echo", *sizes).done()["received"] == count
    server.done()


def cpu_seconds(engine):
    with open("/proc/%d/stat" % engine.pid, encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share_of_a_core(engine, seconds=1.0):
    start = cpu_seconds(engine)
    time.sleep(seconds)
    return (cpu_seconds(engine) - start) / seconds


def test_link_down_and_up():
    with Host("af_packet") as net, Engine(NET + ".2") as one, Engine(NET + ".3") as two:
        exchange(one, two)
        server = serve(two, 7001, "--echo")
        client = send(one, two.address(7001), "--echo", "--count", 1000000, "--sizes", 1000)
        server.expect("accepted")
        net.run(0, "ip", "link", "set", "v0", "down")
        one.expect_log("link is down", 3)
        two.expect_log("link is down", 3)
        time.sleep(0.5)
        for engine in (one, two):
            assert share_of_a_core(engine) < 0.3 * harness.SLOW, "an engine without a link spins"
        received = server.report()["received"]
        net.run(0, "ip", "link", "set", "v0", "up")
        one.expect_log("link is up", 3)
        harness.wait_until(lambda: server.report()["received"] > received + 100, 10, "messages go on")
        client.kill()
        server.kill()
        exchange(one, two)


def test_idle_engines_sleep():
    with Host("af_packet"), Engine(NET + ".2") as one, Engine(NET + ".3") as two:
        exchange(one, two)
        time.sleep(0.3)
        assert share_of_a_core(one, 2) < 0.03 * harness.SLOW
        assert share_of_a_core(two, 1) < 0.03 * harness.SLOW


def test_two_queues_with_hashing_by_the_kernel():
    with Host("af_packet") as net:
        net.arguments = ",qpairs=2"
        with Engine(NET + ".2", "--workers", "2") as one, Engine(NET + ".3", "--workers", "2") as two:
            for port in range(7000, 7006):
                exchange(one, two, port=port)


def test_jumbo_frames_over_af_packet():
    with Host("af_packet") as net:
        for i in (0, 1):
            net.run(i, "ip", "link", "set", "v%d" % i, "mtu", "9001")
        net.arguments = ",framesz=9216,blocksz=36864,framecnt=256"
        with Engine(NET + ".2", "--mtu", "9001") as one, Engine(NET + ".3", "--mtu", "9001") as two:
            server = serve(two, 7000)
            client = send(one, two.address(7000), "--count", 1, "--sizes", 800000, "--keep")
            harness.wait_until(lambda: server.report()["received"] == 1, 10, "the message")
            packets = one.status()["flows"][0]["packets_sent"]
            assert packets < 150, "%d packets for 800,000 bytes" % packets
            client.quit()
            server.quit()


def test_jumbo_frames_over_memif():
    with Host("memif"), Engine(NET + ".2", "--mtu", "9001") as one, Engine(NET + ".3", "--mtu", "9001") as two:
        exchange(one, two)


def wait_for_link(engine):
    """An engine that had a link before it first looked says nothing of it."""
    start = time.monotonic()

    def linked():
        said = [line for line in engine.log if "link is" in line]
        return "up" in said[-1] if said else time.monotonic() - start > harness.SLOW
    harness.wait_until(linked, 5, "a link")


def test_memif_engines_start_in_any_order_and_again():
    with Host("memif"):
        with Engine(NET + ".3") as client:
            with Engine(NET + ".2") as server:
                client.expect_log("link is up", 5)
                exchange(client, server)
        with Engine(NET + ".3") as client:
            for _ in range(2):
                with Engine(NET + ".2") as server:
                    wait_for_link(server)
                    exchange(client, server)


def refused(net, place, *flags):
    """The one line of a machnetd that cannot run."""
    with tempfile.TemporaryDirectory() as directory:
        command = [*net.enter(place), harness.program("machnetd"), "--ip", NET + ".2", "--socket", directory + "/s", *flags]
        result = subprocess.run(command, capture_output=True, text=True, timeout=20 * harness.SLOW, check=False)
        lines = result.stderr.splitlines()
        assert result.returncode == 1 and len(lines) == 1 and result.stdout == "", result
        return lines[0]


def test_what_is_told_when_it_cannot_run():
    with Host("af_packet") as net:
        def words(line, *wanted):
            for word in wanted:
                assert word in line, (word, line)
        dpdk = ("--nic", "dpdk", "--device")
        words(refused(net, 0, *dpdk, "net_af_packet0,iface=v7"), "v7", "ip link")
        words(refused(net, 0, *dpdk, "net_af_packet0,iface=v0", "--mtu", "9001"), "9001", "1500", "ip link set v0 mtu 9001")
        words(refused(net, 0, *dpdk, "net_af_packet0,iface=v0", "--workers", "2"), "--workers 1", "qpairs=N")
        words(refused(net, 0, *dpdk, "net_af_packet0,iface=v0,qpairs=0"), "net_af_packet0")
        words(refused(net, 0, *dpdk, "net_memif0,role=client,socket=/tmp/never,socket-abstract=no", "--mtu", "9001"), "9001", "bsize=9216")
        words(refused(net, 0, *dpdk, "0000:ff:1f.7"), "0000:ff:1f.7", "lspci")
        words(refused(net, 0, *dpdk, "02:00:00:00:00:01"), "02:00:00:00:00:01", "dpdk-devbind.py")
        net.run(0, "ip", "link", "set", "v0", "mtu", "9001")
        words(refused(net, 0, *dpdk, "net_af_packet0,iface=v0", "--mtu", "9001"), "framesz=")


NOBODY = 65534


def install_for_others(directory):
    """machnetd and its back end, where other users may read, which they may not if this tree lies in a home."""
    os.chown(directory, NOBODY, NOBODY)
    os.mkdir(directory + "/bin")
    shutil.copy(harness.program("machnetd"), directory + "/bin")
    with contextlib.suppress(FileNotFoundError):  # it is part of the program
        shutil.copytree(os.path.join(harness.BUILD, "lib", "machnet"), directory + "/lib/machnet")


def run_without_root(net, directory, *capabilities):
    """Status and standard error of an engine of a user with these capabilities alone, who is asked to end when it is ready."""
    few = "-all" + "".join(",+" + capability for capability in capabilities)
    wrapper = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--no-new-privs",
               "--inh-caps", few, "--ambient-caps", few, "--bounding-set", few]
    command = [*net.enter(0), *wrapper, directory + "/bin/machnetd", "--ip", NET + ".2/24", "--socket", directory + "/machnet.sock",
               "--nic", "dpdk", "--device", "net_af_packet0,iface=v0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as engine:
        timer = threading.Timer(20 * harness.SLOW, engine.kill)
        timer.start()
        said = []
        for line in engine.stderr:
            said.append(line)
            if "ready" in line:
                engine.terminate()
        timer.cancel()
    return engine.returncode, "".join(said)


def test_without_root():
    if os.geteuid() != 0:
        raise Skip("needs root to give it up")
    with Host("af_packet") as net, tempfile.TemporaryDirectory() as directory:
        install_for_others(directory)
        status, said = run_without_root(net, directory)
        assert status == 1 and "CAP_NET_RAW" in said, said
        status, said = run_without_root(net, directory, "net_raw")
        assert status == 1 and "CAP_NET_ADMIN" in said, said
        status, said = run_without_root(net, directory, "net_raw", "net_admin")
        assert status == 0 and "ready" in said, said


if __name__ == "__main__":
    harness.main(globals())
