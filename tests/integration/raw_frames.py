#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Somebody on the link who makes frames by hand. Run in a network namespace, by test_link.py:

    raw_frames.py checksums INTERFACE MAC FROM TO PORT COUNT   UDP, IPv4 and ICMP to TO, each COUNT times with a wrong checksum, and UDP as often with right ones
    raw_frames.py spoof INTERFACE MAC VICTIM MASTER SECONDS    tells VICTIM, whose MAC address is MAC, that MASTER is here; prints how many frames for MASTER came
"""
import socket
import struct
import sys
import time

OUR_MAC = bytes.fromhex("020000000066")
BROADCAST = b"\xff" * 6
ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 3, 0x0800, 0x0806
ICMP, UDP = 1, 17
REQUEST, REPLY = 1, 2


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff or 0xffff


def ipv4(protocol, source, destination, payload, error=0):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, source, destination)
    return header[:10] + struct.pack("!H", checksum(header) ^ error) + header[12:] + payload


def udp(source, destination, port, data, error=0):
    length = 8 + len(data)
    pseudo = source + destination + struct.pack("!BBH", 0, UDP, length)
    header = struct.pack("!HHHH", port, port, length, 0)
    return header[:6] + struct.pack("!H", checksum(pseudo + header + data) ^ error) + data


def icmp_echo(error=0):
    header = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
    return header[:2] + struct.pack("!H", checksum(header) ^ error) + header[4:]


def checksums(link, mac, source, destination, port, count):
    source, destination, port = socket.inet_aton(source), socket.inet_aton(destination), int(port)
    start = mac + OUR_MAC + struct.pack("!H", ETH_P_IP)
    data = b"not a packet of an engine"
    for i in range(int(count)):
        error = 1 << i % 16
        for packet in (ipv4(UDP, source, destination, udp(source, destination, port, data, error)),
                       ipv4(UDP, source, destination, udp(source, destination, port, data), error),
                       ipv4(ICMP, source, destination, icmp_echo(error)),
                       ipv4(UDP, source, destination, udp(source, destination, port, data))):
            link.send(start + packet)
        time.sleep(0.001)


def arp(to, operation, sender_mac, sender, target_mac, target):
    return to + OUR_MAC + struct.pack("!HHHBBH6s4s6s4s", ETH_P_ARP, 1, ETH_P_IP, 6, 4, operation, sender_mac, sender, target_mac, target)


def spoof(link, mac, victim, master, seconds):
    victim, master = socket.inet_aton(victim), socket.inet_aton(master)
    lies = [arp(mac, REPLY, OUR_MAC, master, mac, victim),
            arp(BROADCAST, REPLY, OUR_MAC, master, BROADCAST, master),
            arp(BROADCAST, REQUEST, OUR_MAC, master, bytes(6), master),
            arp(mac, REQUEST, OUR_MAC, master, bytes(6), victim)]
    caught, lied, end = 0, 0, time.monotonic() + float(seconds)
    link.settimeout(0.001)
    while time.monotonic() < end:
        link.send(lies[lied % len(lies)])
        lied += 1
        until = time.monotonic() + 0.001
        while time.monotonic() < until:
            try:
                frame = link.recv(2048)
            except TimeoutError:
                break
            caught += frame[:6] == OUR_MAC and frame[12:14] == struct.pack("!H", ETH_P_IP)
    print("%d %d" % (lied, caught))


def main():
    what, interface, mac, *arguments = sys.argv[1:]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as link:
        link.bind((interface, 0))
        {"checksums": checksums, "spoof": spoof}[what](link, bytes.fromhex(mac.replace(":", "")), *arguments)


if __name__ == "__main__":
    main()
