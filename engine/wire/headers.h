/* SPDX-License-Identifier: MIT */
/*
 * The headers in front of our packets where no kernel writes them: Ethernet II, ARP for IPv4 (RFC 826), IPv4 (RFC 791), UDP (RFC 768), and as
 * much of ICMP (RFC 792) as a host needs. Pure. Decoders take any bytes and never read past the length they are given; encoders have the room
 * that their constant says. IPv4 addresses are uint32_t in host order.
 */
#ifndef MACHNET_ENGINE_WIRE_HEADERS_H
#define MACHNET_ENGINE_WIRE_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAC_BYTES = 6,
    ETHERNET_BYTES = 14,
    ARP_BYTES = 28,
    IPV4_BYTES = 20,
    UDP_BYTES = 8,
    ICMP_BYTES = 8,
    UDP_HEADERS_BYTES = ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES,
};

/* ---- Ethernet II ---- */

enum { ETHERNET_IPV4 = 0x0800, ETHERNET_ARP = 0x0806 };

struct ethernet_header {
    uint8_t destination[MAC_BYTES], source[MAC_BYTES];
    uint16_t type;
};

/* False: shorter than ETHERNET_BYTES. */
bool ethernet_decode(const uint8_t *frame, size_t length, struct ethernet_header *header);
void ethernet_encode(uint8_t *frame, const struct ethernet_header *header);

/* True if one machine can have it: neither a group's (broadcast, too) nor all zero. */
bool mac_is_unicast(const uint8_t mac[MAC_BYTES]);

/* ---- ARP ---- */

enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct arp {
    uint16_t operation;
    uint8_t sender_mac[MAC_BYTES], target_mac[MAC_BYTES];
    uint32_t sender_ip, target_ip;
};

/* False: cut off, not IPv4 over Ethernet, or neither request nor reply. Padding behind it is passed over. */
bool arp_decode(const uint8_t *packet, size_t length, struct arp *arp);
void arp_encode(uint8_t *packet, const struct arp *arp);

/* ---- IPv4 ---- */

enum { IPV4_ICMP = 1, IPV4_UDP = 17, IPV4_TTL = 64 };

struct ipv4_header {
    uint32_t source, destination;
    uint16_t id;
    uint8_t protocol;
    uint32_t header_length; /* bytes, with options */
    uint32_t length;        /* bytes, header and payload; what follows in the frame is padding */
};

enum ipv4_result { IPV4_OK = 0, IPV4_EMALFORMED = -1 /* cut off, or lengths contradict each other */, IPV4_EFRAGMENT = -2 };

/* Does not look at the checksum. Returns enum ipv4_result. */
int ipv4_decode(const uint8_t *packet, size_t length, struct ipv4_header *header);
bool ipv4_checksum_is_good(const uint8_t *packet, uint32_t header_length);
/* Writes a header without options, not to be fragmented, with IPV4_TTL; `header_length` is ignored. The checksum stays 0 if `checksum` is false. */
void ipv4_encode(uint8_t *packet, const struct ipv4_header *header, bool checksum);

/* ---- UDP ---- */

struct udp_header {
    uint16_t source, destination; /* ports */
    uint32_t payload_length;      /* bytes */
};

/* `length` is what IPv4 carries. False: cut off, or the lengths contradict each other. */
bool udp_decode(const uint8_t *packet, size_t length, struct udp_header *header);

/* True if the checksum matches, or if there is none: 0, or just the sum of the pseudo header, which is what a sender leaves to a device that has no
 * wire to put it on (veth and the like). `ip` and `header` were decoded from this packet. */
bool udp_checksum_is_good(const uint8_t *packet, const struct ipv4_header *ip, const struct udp_header *header);

enum udp_checksum { UDP_CHECKSUM_FULL, UDP_CHECKSUM_PSEUDO_HEADER /* the device does the rest */ };

/* Writes the header in front of the payload that stands there already. */
void udp_encode(uint8_t *packet, const struct ipv4_header *ip, const struct udp_header *header, enum udp_checksum checksum);

/* ---- ICMP ---- */

enum { ICMP_ECHO_REPLY = 0, ICMP_UNREACHABLE = 3, ICMP_ECHO = 8 };
enum { ICMP_FRAGMENTATION_NEEDED = 4 }; /* a code of UNREACHABLE */

/* True if the `length` bytes that IPv4 carries are an ICMP message with a good checksum. */
bool icmp_is_good(const uint8_t *message, size_t length);
/* Makes an echo reply of an echo request, in place. */
void icmp_reply(uint8_t *message, size_t length);

/* What FRAGMENTATION_NEEDED (RFC 1191) tells about a UDP packet of ours. */
struct icmp_too_long {
    uint32_t source, destination; /* of our packet */
    uint16_t source_port, destination_port;
    uint32_t mtu; /* of the next link; 0: an old router that does not say */
};

/* False: it is not one, or not about UDP. `message` is good. */
bool icmp_too_long_decode(const uint8_t *message, size_t length, struct icmp_too_long *notice);

#endif /* MACHNET_ENGINE_WIRE_HEADERS_H */
