/* SPDX-License-Identifier: MIT */
/*
 * A bridge between two network interfaces that loses frames by chance, where the kernel has no netem:
 *
 *   lossy_bridge INTERFACE INTERFACE CHANCE SEED
 *
 * It prints "ready", and at SIGTERM what it counted. Packet sockets, one thread; at most an hour.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_BYTES_MAX = 10000, BURST = 64, HOUR_MS = 3600 * 1000, BUFFER_BYTES = 8 << 20 };

static struct side {
    const char *name;
    int fd;
    uint64_t passed, lost, full; /* frames that came here */
} sides[2];

static uint64_t state;
static atomic_bool ended; /* set by a signal */

static void end(int signal_number)
{
    (void)signal_number;
    ended = true;
}

static void die(const char *what, const char *name)
{
    fprintf(stderr, "lossy_bridge: %s: %s: %s\n", name, what, strerror(errno));
    exit(1);
}

/* splitmix64 (Steele, Lea, Flood, 2014). */
static uint64_t draw(void)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void open_side(struct side *side, const char *name)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    const int one = 1, bytes = BUFFER_BYTES;
    side->name = name;
    address.sll_ifindex = (int)if_nametoindex(name);
    side->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    if (address.sll_ifindex == 0 || side->fd < 0) {
        die("open", name);
    }
    struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    setsockopt(side->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous);
    setsockopt(side->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(side->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    setsockopt(side->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    if (bind(side->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        die("bind", name);
    }
}

/* Returns how many frames came. */
static int carry(struct side *from, struct side *to, uint64_t below)
{
    static uint8_t frame[FRAME_BYTES_MAX];
    int count = 0;
    for (; count < BURST; count++) {
        ssize_t length = recv(from->fd, frame, sizeof frame, 0);
        if (length < 0) {
            break;
        }
        if (draw() < below) {
            from->lost++;
        } else if (send(to->fd, frame, (size_t)length, 0) < 0) {
            from->full++;
        } else {
            from->passed++;
        }
    }
    return count;
}

static uint64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    if (argc != 5 || atof(argv[3]) < 0 || atof(argv[3]) > 0.9) {
        fputs("usage: lossy_bridge INTERFACE INTERFACE CHANCE SEED\n", stderr);
        return 2;
    }
    const uint64_t below = (uint64_t)(atof(argv[3]) * 18446744073709551615.0);
    state = strtoull(argv[4], NULL, 10);
    signal(SIGTERM, end);
    signal(SIGINT, end);
    open_side(&sides[0], argv[1]);
    open_side(&sides[1], argv[2]);
    puts("ready");
    fflush(stdout);
    const uint64_t stop = now_ms() + HOUR_MS;
    struct pollfd polled[2] = {{.fd = sides[0].fd, .events = POLLIN}, {.fd = sides[1].fd, .events = POLLIN}};
    while (!ended && now_ms() < stop) {
        if (carry(&sides[0], &sides[1], below) + carry(&sides[1], &sides[0], below) == 0) {
            poll(polled, 2, 100);
        }
    }
    for (int i = 0; i < 2; i++) {
        printf("%s: %llu passed, %llu lost, %llu found no room\n", sides[i].name, (unsigned long long)sides[i].passed,
               (unsigned long long)sides[i].lost, (unsigned long long)sides[i].full);
    }
    return 0;
}
