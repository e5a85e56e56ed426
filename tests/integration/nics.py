# SPDX-License-Identifier: MIT
"""The network under the engines of a test: MACHNET_TEST_NIC says which.

    udp        kernel sockets on 127.x.y.* (the default)
    af_packet  two network namespaces joined by a veth pair, DPDK on both ends
    af_xdp     the same with AF_XDP; needs root
    mixed      the same, kernel sockets on one end and DPDK (af_packet) on the other
    memif      DPDK's shared-memory link between two engines
    switch<N>  engines of N workers on a switch of ours (tests/switch), which spreads packets over their queues as it likes

The hosts are x.y.z.2 and .3. On DPDK any other address is a host that nobody is connected to. Namespaces live as long as a process
of ours in them, which ends with us, however we end.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SWITCH = os.path.join(os.environ.get("MACHNET_BUILD") or os.path.join(ROOT, "build", "release"), "bin", "switch")
AF_XDP = 44
STX_CHECKSUM_OFF = """
import array, fcntl, socket, struct, sys
value = array.array("B", struct.pack("II", 0x17, 0))
request = struct.pack("16sP", sys.argv[1].encode(), value.buffer_info()[0])
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8946, request)
"""


class Lacking(Exception):
    """This machine or this build has no such network."""


class Udp:
    """Engines on addresses of the loopback interface."""
    name, kernel = "udp", True

    def __init__(self, net):
        self.net, self.pids = net, []

    def engine(self, ips):
        """What to put before machnetd, and more flags for it."""
        return [], []

    def close(self):
        pass


class Dpdk:
    """What the networks over DPDK share."""
    kernel = False

    def __init__(self, net, version):
        if "dpdk" not in version:
            raise Lacking("machnetd was built without DPDK")
        self.net, self.pids = "10." + net.split(".", 1)[1], []
        self.arguments = ""  # more of the device

    def place(self, ips):
        """0 or 1 for the two hosts; None for others."""
        host = ips[0].rsplit(".", 1)[1]
        return int(host) - 2 if host in ("2", "3") else None

    def flags(self, device):
        return ["--nic", "dpdk", "--device", device + self.arguments]

    def close(self):
        pass


class Memif(Dpdk):
    name = "memif"

    def __init__(self, net, version):
        super().__init__(net, version)
        self.directory = tempfile.mkdtemp(prefix="machnet-memif-")

    def engine(self, ips):
        place = self.place(ips)
        if place is None:
            return [], self.flags("net_ring0")
        path = os.path.join(self.directory, "link")
        role = "client" if place else "server"
        if role == "server" and os.path.exists(path):
            os.unlink(path)  # of an engine that was killed
        mac = "02:00:00:00:00:0%d" % (place + 2)  # as a real device it keeps it when its engine starts again
        return [], self.flags("net_memif0,role=%s,socket=%s,socket-abstract=no,mac=%s,bsize=9216" % (role, path, mac))

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)


class Switch(Dpdk):
    """Engines may come, go and be killed: the switch stays."""
    name = "switch"

    def __init__(self, net, version, workers, *options):
        super().__init__(net, version)
        self.net = "10.77.0"  # always the same, as nobody else sees them: so a seed always hashes alike
        self.workers, self.counts = workers, None
        self.directory = tempfile.mkdtemp(prefix="machnet-switch-")
        try:
            self.process = subprocess.Popen([SWITCH, *options, *map(self.socket, (0, 1))], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.pids = [self.process.pid]
            if self.process.stdout.readline() != b"ready\n":
                raise RuntimeError("the switch does not run")
        except BaseException:
            self.close()
            raise

    def socket(self, place):
        return os.path.join(self.directory, "side%d" % place)

    def engine(self, ips):
        place = self.place(ips)
        if place is None:
            return [], self.flags("net_ring0")
        mac = "02:00:00:00:00:0%d" % (place + 2)
        device = "net_memif0,role=client,socket=%s,socket-abstract=no,mac=%s,bsize=9216" % (self.socket(place), mac)
        return [], [*self.flags(device), "--workers", str(self.workers)]

    def close(self):
        """Leaves what the switch counted in `counts`: a list, [i] towards host i."""
        if self.pids:
            output = self.process.communicate(timeout=20)[0]
            self.pids = []
            if self.process.returncode == 0:
                self.counts = json.loads(output)["towards"]
                print("switch: %s" % output.decode().strip())
        shutil.rmtree(self.directory, ignore_errors=True)


class Veth(Dpdk):
    """Host i is a namespace with the interface v<i>."""

    def __init__(self, name, net, version):
        super().__init__(net, version)
        self.name, self.root, self.holders = name, os.geteuid() == 0, []
        for tool in ("unshare", "nsenter", "ip"):
            if shutil.which(tool) is None:
                raise Lacking("%s is not installed" % tool)
        if name == "af_xdp":
            self.check_af_xdp()
        try:
            self.hold([] if self.root else ["-U", "-r"], [])
            self.hold([], self.enter(0))
            self.run(0, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", str(self.pids[1]))
            for i in (0, 1):
                for interface in ("lo", "v%d" % i):
                    self.run(i, "ip", "link", "set", interface, "up")
            if name == "mixed":
                self.run(0, "ip", "address", "add", self.net + ".2/24", "dev", "v0")
                # Nothing fills in later what the kernel leaves out on a veth pair.
                self.run(0, sys.executable, "-c", STX_CHECKSUM_OFF, "v0")
        except BaseException:
            self.close()
            raise

    def check_af_xdp(self):
        if not self.root:
            raise Lacking("af_xdp needs root")
        try:
            socket.socket(AF_XDP, socket.SOCK_RAW).close()
        except OSError as problem:
            raise Lacking("this kernel has no af_xdp: %s" % problem) from None

    def hold(self, options, before):
        """Starts a process in a namespace of its own."""
        process = subprocess.Popen([*before, "unshare", "-n", *options, "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        self.holders.append(process)
        self.pids.append(process.pid)
        ours = os.stat("/proc/self/ns/net").st_ino
        others = [os.stat("/proc/%d/ns/net" % pid).st_ino for pid in self.pids[:-1]]
        while process.poll() is None:
            with open("/proc/%d/comm" % process.pid, encoding="ascii") as comm:
                entered = comm.read() == "cat\n"
            if entered and os.stat("/proc/%d/ns/net" % process.pid).st_ino not in (ours, *others):
                return
            time.sleep(0.005)
        raise Lacking("no network namespaces, neither as root nor by user namespaces: %s" % process.stderr.read().decode().strip())

    def enter(self, place):
        user = [] if self.root else ["-U", "--preserve-credentials"]
        return ["nsenter", "-t", str(self.pids[place]), *user, "-n"]

    def run(self, place, *command):
        subprocess.run([*self.enter(place), *command], check=True)

    def engine(self, ips):
        place = self.place(ips)
        if place is None:
            return [], self.flags("net_ring0")
        if self.name == "mixed" and place == 0:
            for ip in ips[1:]:
                subprocess.run([*self.enter(0), "ip", "address", "replace", ip + "/24", "dev", "v0"], check=True)
            return self.enter(0), []
        if self.name == "af_xdp":
            # DPDK's driver loses 80 bytes when it ends: of leaks alone the address sanitizer says nothing.
            no_leaks = "ASAN_OPTIONS=%s:detect_leaks=0" % os.environ.get("ASAN_OPTIONS", "")
            return [*self.enter(place), "env", no_leaks], self.flags("net_af_xdp0,iface=v%d" % place)
        return self.enter(place), self.flags("net_af_packet0,iface=v%d" % place)

    def close(self):
        for process in self.holders:
            process.stdin.close()
            process.stderr.close()
            process.wait()
        self.holders, self.pids = [], []


def open_nic(name, net, version):
    """Raises Lacking."""
    if name == "udp":
        return Udp(net)
    if name.startswith("switch"):
        return Switch(net, version, int(name[len("switch"):]))
    return Memif(net, version) if name == "memif" else Veth(name, net, version)
