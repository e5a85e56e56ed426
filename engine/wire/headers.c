/* SPDX-License-Identifier: MIT */
#include "wire/headers.h"

#include <string.h>

#include "wire/bytes.h"
#include "wire/checksum.h"

enum { ARP_HARDWARE_ETHERNET = 1, ARP_LENGTHS = MAC_BYTES << 8 | 4 };
enum { IPV4_VERSION = 0x40, IPV4_DONT_FRAGMENT = 0x4000, IPV4_FRAGMENT_MASK = 0x3fff };
enum { CHECKSUM_GOOD = 0xffff }; /* the sum of anything together with its checksum */

/* ---- Ethernet II ---- */

bool ethernet_decode(const uint8_t *frame, size_t length, struct ethernet_header *header)
{
    if (length < ETHERNET_BYTES)
        return false;
    memcpy(header->destination, frame, MAC_BYTES);
    memcpy(header->source, frame + MAC_BYTES, MAC_BYTES);
    header->type = get_u16(frame + 2 * MAC_BYTES);
    return true;
}

void ethernet_encode(uint8_t *frame, const struct ethernet_header *header)
{
    memcpy(frame, header->destination, MAC_BYTES);
    memcpy(frame + MAC_BYTES, header->source, MAC_BYTES);
    put_u16(frame + 2 * MAC_BYTES, header->type);
}

bool mac_is_unicast(const uint8_t mac[MAC_BYTES])
{
    static const uint8_t zero[MAC_BYTES];
    return (mac[0] & 1) == 0 && memcmp(mac, zero, MAC_BYTES) != 0;
}

/* ---- ARP ---- */

bool arp_decode(const uint8_t *packet, size_t length, struct arp *arp)
{
    if (length < ARP_BYTES || get_u16(packet) != ARP_HARDWARE_ETHERNET || get_u16(packet + 2) != ETHERNET_IPV4 ||
        get_u16(packet + 4) != ARP_LENGTHS)
        return false;
    arp->operation = get_u16(packet + 6);
    memcpy(arp->sender_mac, packet + 8, MAC_BYTES);
    arp->sender_ip = get_u32(packet + 14);
    memcpy(arp->target_mac, packet + 18, MAC_BYTES);
    arp->target_ip = get_u32(packet + 24);
    return arp->operation == ARP_REQUEST || arp->operation == ARP_REPLY;
}

void arp_encode(uint8_t *packet, const struct arp *arp)
{
    put_u16(packet, ARP_HARDWARE_ETHERNET);
    put_u16(packet + 2, ETHERNET_IPV4);
    put_u16(packet + 4, ARP_LENGTHS);
    put_u16(packet + 6, arp->operation);
    memcpy(packet + 8, arp->sender_mac, MAC_BYTES);
    put_u32(packet + 14, arp->sender_ip);
    memcpy(packet + 18, arp->target_mac, MAC_BYTES);
    put_u32(packet + 24, arp->target_ip);
}

/* ---- IPv4 ---- */

int ipv4_decode(const uint8_t *packet, size_t length, struct ipv4_header *header)
{
    if (length < IPV4_BYTES || (packet[0] & 0xf0) != IPV4_VERSION)
        return IPV4_EMALFORMED;
    header->header_length = (packet[0] & 0x0fu) * 4;
    header->length = get_u16(packet + 2);
    header->id = get_u16(packet + 4);
    header->protocol = packet[9];
    header->source = get_u32(packet + 12);
    header->destination = get_u32(packet + 16);
    if (header->header_length < IPV4_BYTES || header->length < header->header_length || header->length > length)
        return IPV4_EMALFORMED;
    return (get_u16(packet + 6) & IPV4_FRAGMENT_MASK) == 0 ? IPV4_OK : IPV4_EFRAGMENT;
}

bool ipv4_checksum_is_good(const uint8_t *packet, uint32_t header_length)
{
    return checksum_add(0, packet, header_length) == CHECKSUM_GOOD;
}

/* Sums are made of the values, not of the bytes just written: those would have to come out of the store buffer first. */
static uint16_t add_addresses(uint16_t sum, const struct ipv4_header *ip)
{
    sum = checksum_add_word(sum, (uint16_t)(ip->source >> 16));
    sum = checksum_add_word(sum, (uint16_t)ip->source);
    sum = checksum_add_word(sum, (uint16_t)(ip->destination >> 16));
    return checksum_add_word(sum, (uint16_t)ip->destination);
}

static uint16_t ipv4_sum(const struct ipv4_header *header)
{
    uint16_t sum = checksum_add_word((IPV4_VERSION | IPV4_BYTES / 4) << 8, (uint16_t)header->length);
    sum = checksum_add_word(sum, header->id);
    sum = checksum_add_word(sum, IPV4_DONT_FRAGMENT);
    sum = checksum_add_word(sum, (uint16_t)(IPV4_TTL << 8 | header->protocol));
    return add_addresses(sum, header);
}

void ipv4_encode(uint8_t *packet, const struct ipv4_header *header, bool checksum)
{
    packet[0] = IPV4_VERSION | IPV4_BYTES / 4;
    packet[1] = 0;
    put_u16(packet + 2, (uint16_t)header->length);
    put_u16(packet + 4, header->id);
    put_u16(packet + 6, IPV4_DONT_FRAGMENT);
    packet[8] = IPV4_TTL;
    packet[9] = header->protocol;
    put_u16(packet + 10, checksum ? (uint16_t)~ipv4_sum(header) : 0);
    put_u32(packet + 12, header->source);
    put_u32(packet + 16, header->destination);
}

/* ---- UDP ---- */

bool udp_decode(const uint8_t *packet, size_t length, struct udp_header *header)
{
    if (length < UDP_BYTES)
        return false;
    header->source = get_u16(packet);
    header->destination = get_u16(packet + 2);
    uint32_t udp_length = get_u16(packet + 4);
    if (udp_length < UDP_BYTES || udp_length > length)
        return false;
    header->payload_length = udp_length - UDP_BYTES;
    return true;
}

static uint16_t pseudo_header_sum(const struct ipv4_header *ip, uint16_t udp_length)
{
    return add_addresses(checksum_add_word(IPV4_UDP, udp_length), ip);
}

bool udp_checksum_is_good(const uint8_t *packet, const struct ipv4_header *ip, const struct udp_header *header)
{
    uint16_t checksum = get_u16(packet + 6), udp_length = (uint16_t)(UDP_BYTES + header->payload_length);
    if (checksum == 0)
        return true;
    uint16_t pseudo = pseudo_header_sum(ip, udp_length);
    return checksum == pseudo || checksum_add(pseudo, packet, udp_length) == CHECKSUM_GOOD;
}

void udp_encode(uint8_t *packet, const struct ipv4_header *ip, const struct udp_header *header,
                enum udp_checksum checksum)
{
    uint16_t udp_length = (uint16_t)(UDP_BYTES + header->payload_length);
    put_u16(packet, header->source);
    put_u16(packet + 2, header->destination);
    put_u16(packet + 4, udp_length);
    uint16_t sum = pseudo_header_sum(ip, udp_length);
    if (checksum == UDP_CHECKSUM_FULL) {
        sum = checksum_add_word(sum, header->source);
        sum = checksum_add_word(sum, header->destination);
        sum = checksum_add_word(sum, udp_length);
        sum = (uint16_t)~checksum_add(sum, packet + UDP_BYTES, header->payload_length);
        sum = sum == 0 ? 0xffff : sum; /* 0 would say that there is none */
    }
    put_u16(packet + 6, sum);
}

/* ---- ICMP ---- */

bool icmp_is_good(const uint8_t *message, size_t length)
{
    return length >= ICMP_BYTES && checksum_add(0, message, length) == CHECKSUM_GOOD;
}

void icmp_reply(uint8_t *message, size_t length)
{
    message[0] = ICMP_ECHO_REPLY;
    message[1] = 0;
    put_u16(message + 2, 0);
    put_u16(message + 2, (uint16_t)~checksum_add(0, message, length));
}

bool icmp_too_long_decode(const uint8_t *message, size_t length, struct icmp_too_long *notice)
{
    if (message[0] != ICMP_UNREACHABLE || message[1] != ICMP_FRAGMENTATION_NEEDED ||
        length < ICMP_BYTES + IPV4_BYTES + UDP_BYTES)
        return false;
    const uint8_t *ours = message + ICMP_BYTES; /* only its beginning: lengths say nothing here */
    size_t header_length = (ours[0] & 0x0fu) * 4;
    if ((ours[0] & 0xf0) != IPV4_VERSION || header_length < IPV4_BYTES || ours[9] != IPV4_UDP ||
        length < ICMP_BYTES + header_length + UDP_BYTES)
        return false;
    *notice = (struct icmp_too_long){
        .source = get_u32(ours + 12),
        .destination = get_u32(ours + 16),
        .source_port = get_u16(ours + header_length),
        .destination_port = get_u16(ours + header_length + 2),
        .mtu = get_u16(message + 6),
    };
    return true;
}
