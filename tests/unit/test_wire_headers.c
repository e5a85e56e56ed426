/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/headers.h"

enum { US = 0x0a000001, PEER = 0x0a000002, PAYLOAD = 37 };

static const uint8_t our_mac[MAC_BYTES] = {0x02, 0, 0, 0, 0, 1};

/* A frame as tcpdump shows it: 192.168.0.1 asks for 192.168.0.2. */
static const uint8_t arp_frame[] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06,
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01,
    0xc0, 0xa8, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc0, 0xa8, 0x00, 0x02,
};

/* A well-known header: its checksum is b861. */
static const uint8_t ipv4_packet[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                      0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};

/* ---- Ethernet and ARP ---- */

Test(headers, ethernet__decoded_and_encoded_again)
{
    struct ethernet_header header;
    uint8_t again[ETHERNET_BYTES];
    cr_assert(ethernet_decode(arp_frame, sizeof arp_frame, &header));
    cr_assert_eq(header.type, ETHERNET_ARP);
    cr_assert_arr_eq(header.source, our_mac, MAC_BYTES);
    cr_assert_not(mac_is_unicast(header.destination));
    cr_assert(mac_is_unicast(header.source));
    ethernet_encode(again, &header);
    cr_assert_arr_eq(again, arp_frame, ETHERNET_BYTES);
    cr_assert_not(ethernet_decode(arp_frame, ETHERNET_BYTES - 1, &header));
}

Test(headers, mac_is_unicast__not_zero)
{
    static const uint8_t zero[MAC_BYTES];
    cr_assert_not(mac_is_unicast(zero));
}

Test(headers, arp__decoded_and_encoded_again)
{
    struct arp arp;
    uint8_t again[ARP_BYTES];
    cr_assert(arp_decode(arp_frame + ETHERNET_BYTES, ARP_BYTES, &arp));
    cr_assert_eq(arp.operation, ARP_REQUEST);
    cr_assert_eq(arp.sender_ip, 0xc0a80001);
    cr_assert_eq(arp.target_ip, 0xc0a80002);
    cr_assert_arr_eq(arp.sender_mac, our_mac, MAC_BYTES);
    arp_encode(again, &arp);
    cr_assert_arr_eq(again, arp_frame + ETHERNET_BYTES, ARP_BYTES);
}

Test(headers, arp_decode__refuses_what_is_not_ipv4_over_ethernet)
{
    struct arp arp;
    static const uint8_t at[] = {1, 2, 3, 4, 5, 7};
    cr_assert_not(arp_decode(arp_frame + ETHERNET_BYTES, ARP_BYTES - 1, &arp));
    for (size_t i = 0; i < sizeof at; i++) {
        uint8_t packet[ARP_BYTES];
        memcpy(packet, arp_frame + ETHERNET_BYTES, ARP_BYTES);
        packet[at[i]] ^= 4;
        cr_assert_not(arp_decode(packet, ARP_BYTES, &arp), "byte %u", at[i]);
    }
}

/* ---- IPv4 ---- */

Test(headers, ipv4__decoded_and_encoded_again)
{
    struct ipv4_header header;
    uint8_t packet[0x73] = {0}, again[IPV4_BYTES];
    memcpy(packet, ipv4_packet, sizeof ipv4_packet);
    cr_assert_eq(ipv4_decode(packet, sizeof packet, &header), IPV4_OK);
    cr_assert_eq(header.header_length, IPV4_BYTES);
    cr_assert_eq(header.length, 0x73);
    cr_assert_eq(header.protocol, IPV4_UDP);
    cr_assert_eq(header.source, 0xc0a80001);
    cr_assert_eq(header.destination, 0xc0a800c7);
    cr_assert(ipv4_checksum_is_good(packet, header.header_length));
    ipv4_encode(again, &header, true);
    cr_assert_arr_eq(again, ipv4_packet, IPV4_BYTES);
    ipv4_encode(again, &header, false);
    cr_assert_eq(get_u16(again + 10), 0);
}

Test(headers, ipv4_decode__options_and_padding_are_passed_over)
{
    struct ipv4_header header;
    uint8_t packet[64] = {0x46, 0, 0, 30};
    cr_assert_eq(ipv4_decode(packet, sizeof packet, &header), IPV4_OK);
    cr_assert_eq(header.header_length, 24);
    cr_assert_eq(header.length, 30);
    put_u16(packet + 10, (uint16_t)~checksum_add(0, packet, 24));
    cr_assert(ipv4_checksum_is_good(packet, 24));
    packet[23] ^= 1;
    cr_assert_not(ipv4_checksum_is_good(packet, 24));
}

Test(headers, ipv4_decode__refuses)
{
    struct ipv4_header header;
    uint8_t packet[40] = {0x45, 0, 0, 40};
    cr_assert_eq(ipv4_decode(packet, 40, &header), IPV4_OK);
    cr_assert_eq(ipv4_decode(packet, 39, &header), IPV4_EMALFORMED, "longer than the frame");
    cr_assert_eq(ipv4_decode(packet, IPV4_BYTES - 1, &header), IPV4_EMALFORMED);
    packet[0] = 0x65;
    cr_assert_eq(ipv4_decode(packet, 40, &header), IPV4_EMALFORMED, "version 6");
    packet[0] = 0x44;
    cr_assert_eq(ipv4_decode(packet, 40, &header), IPV4_EMALFORMED, "a header of 16 bytes");
    packet[0] = 0x4f;
    cr_assert_eq(ipv4_decode(packet, 40, &header), IPV4_EMALFORMED, "a header longer than the packet");
    packet[0] = 0x45;
    packet[6] = 0x20;
    cr_assert_eq(ipv4_decode(packet, 40, &header), IPV4_EFRAGMENT, "the first");
    packet[6] = 0x00, packet[7] = 1;
    cr_assert_eq(ipv4_decode(packet, 40, &header), IPV4_EFRAGMENT, "a later one");
    packet[6] = 0x40, packet[7] = 0;
    cr_assert_eq(ipv4_decode(packet, 40, &header), IPV4_OK, "not to be fragmented");
}

/* ---- UDP ---- */

static void udp_packet(uint8_t *packet, struct ipv4_header *ip, struct udp_header *udp, enum udp_checksum checksum)
{
    *ip = (struct ipv4_header){
        .source = US, .destination = PEER, .protocol = IPV4_UDP, .length = IPV4_BYTES + UDP_BYTES + PAYLOAD};
    *udp = (struct udp_header){.source = 31700, .destination = 31701, .payload_length = PAYLOAD};
    memset(packet + UDP_BYTES, 0x5a, PAYLOAD);
    udp_encode(packet, ip, udp, checksum);
}

Test(headers, udp__checksum_is_good_until_a_bit_flips)
{
    uint8_t packet[UDP_BYTES + PAYLOAD];
    struct ipv4_header ip;
    struct udp_header udp, decoded;
    udp_packet(packet, &ip, &udp, UDP_CHECKSUM_FULL);
    cr_assert(udp_decode(packet, sizeof packet, &decoded));
    cr_assert_eq(decoded.source, 31700);
    cr_assert_eq(decoded.destination, 31701);
    cr_assert_eq(decoded.payload_length, PAYLOAD);
    cr_assert(udp_checksum_is_good(packet, &ip, &udp));
    for (size_t bit = 0; bit < 8 * sizeof packet; bit++) {
        if (bit / 8 == 4 || bit / 8 == 5) /* the length: udp_decode */
            continue;
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_not(udp_checksum_is_good(packet, &ip, &udp), "bit %zu", bit);
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ip.source++;
    cr_assert_not(udp_checksum_is_good(packet, &ip, &udp), "another address");
}

Test(headers, udp__none_or_left_to_the_device_is_good)
{
    uint8_t packet[UDP_BYTES + PAYLOAD];
    struct ipv4_header ip;
    struct udp_header udp;
    udp_packet(packet, &ip, &udp, UDP_CHECKSUM_PSEUDO_HEADER);
    cr_assert(udp_checksum_is_good(packet, &ip, &udp));
    /* The device adds up what is there, and the result is the full one. */
    uint16_t completed = (uint16_t)~checksum_add(0, packet, sizeof packet);
    put_u16(packet + 6, 0);
    cr_assert(udp_checksum_is_good(packet, &ip, &udp));
    udp_encode(packet, &ip, &udp, UDP_CHECKSUM_FULL);
    cr_assert_eq(get_u16(packet + 6), completed);
}

Test(headers, udp_encode__a_sum_of_zero_is_sent_as_ones)
{
    uint8_t packet[UDP_BYTES + 2] = {0};
    struct ipv4_header ip = {.source = US, .destination = PEER};
    struct udp_header udp = {.source = 1, .destination = 2, .payload_length = 2};
    udp_encode(packet, &ip, &udp, UDP_CHECKSUM_FULL);
    memcpy(packet + UDP_BYTES, packet + 6, 2); /* now the sum of all is all ones, its complement 0 */
    udp_encode(packet, &ip, &udp, UDP_CHECKSUM_FULL);
    cr_assert_eq(get_u16(packet + 6), 0xffff);
    cr_assert(udp_checksum_is_good(packet, &ip, &udp));
}

Test(headers, udp_decode__refuses)
{
    uint8_t packet[20] = {0, 1, 0, 2, 0, 20};
    struct udp_header udp;
    cr_assert(udp_decode(packet, 20, &udp));
    cr_assert_not(udp_decode(packet, 19, &udp));
    cr_assert_not(udp_decode(packet, 7, &udp));
    packet[5] = 7;
    cr_assert_not(udp_decode(packet, 20, &udp));
}

/* ---- ICMP ---- */

Test(headers, icmp_reply__is_good)
{
    uint8_t message[57] = {ICMP_ECHO, 0, 0, 0, 0x12, 0x34, 0, 1, 'a', 'b', 'c'};
    put_u16(message + 2, (uint16_t)~checksum_add(0, message, sizeof message));
    cr_assert(icmp_is_good(message, sizeof message));
    icmp_reply(message, sizeof message);
    cr_assert(icmp_is_good(message, sizeof message));
    cr_assert_eq(message[0], ICMP_ECHO_REPLY);
    cr_assert_eq(get_u16(message + 4), 0x1234);
    message[20] ^= 1;
    cr_assert_not(icmp_is_good(message, sizeof message));
    cr_assert_not(icmp_is_good(message, ICMP_BYTES - 1));
}

Test(headers, icmp_too_long_decode__of_a_packet_with_options)
{
    uint8_t message[ICMP_BYTES + 24 + UDP_BYTES] = {
        ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, 0, 0, 0, 0, 0x05, 0xdc};
    uint8_t *ours = message + ICMP_BYTES;
    struct icmp_too_long notice;
    ours[0] = 0x46;
    ours[9] = IPV4_UDP;
    put_u32(ours + 12, US);
    put_u32(ours + 16, PEER);
    put_u16(ours + 24, 31700);
    put_u16(ours + 26, 31701);
    cr_assert(icmp_too_long_decode(message, sizeof message, &notice));
    cr_assert_eq(notice.mtu, 1500);
    cr_assert_eq(notice.source, US);
    cr_assert_eq(notice.destination, PEER);
    cr_assert_eq(notice.source_port, 31700);
    cr_assert_eq(notice.destination_port, 31701);
    cr_assert_not(icmp_too_long_decode(message, sizeof message - 1, &notice));
    ours[9] = 6;
    cr_assert_not(icmp_too_long_decode(message, sizeof message, &notice), "TCP");
    ours[9] = IPV4_UDP;
    message[1] = 3;
    cr_assert_not(icmp_too_long_decode(message, sizeof message, &notice), "port unreachable");
}
