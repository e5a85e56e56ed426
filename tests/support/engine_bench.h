/* SPDX-License-Identifier: MIT */
/*
 * One engine on a bench: a real worker without its thread, with a clock of ours, and applications whose end of the
 * shared memory the test writes itself, right or wrong. Flows between applications of the bench run over the engine's
 * loopback port.
 */
#ifndef MACHNET_TESTS_ENGINE_BENCH_H
#define MACHNET_TESTS_ENGINE_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "channel/layout.h"
#include "channel/ring.h"
#include "nic/nic_mem.h"
#include "worker_internal.h"

enum { BENCH_CLIENTS_MAX = 8, BENCH_LISTENER = 77, BENCH_PORT = 7000 };

struct bench_client {
    struct bench *bench;
    struct channel *channel;      /* NULL: not attached */
    struct channel_memory memory; /* the engine's mappings */
    struct mn_header *header;     /* the application's */
    struct mn_ring submissions, completions, deliveries, releases;
    uint8_t *regions[MN_REGIONS_MAX]; /* the application's mappings */
    int fds[MN_REGIONS_MAX];
    int signal_fd;
    int32_t broken;  /* status of the notice that it broke the rules */
    uint64_t wanted; /* bytes of the receive region that the engine last asked for; 0: none open */
    uint32_t next_region;
    bool refuse_regions; /* the bench does not give what is asked for */
    bool slow_regions;   /* it keeps what is asked for waiting, as for an application that does not map it */
};

struct bench {
    struct nic_mem_network *network;
    struct nic *nic;
    struct path_table paths;
    struct worker *worker;
    struct quota_flows flows; /* of the user of all clients */
    uint64_t now;
    bool threaded;
    struct bench_client *clients[BENCH_CLIENTS_MAX];
    uint32_t client_count;
};

void bench_open(struct bench *bench);
/* The same with the worker's own thread and clock, over a UDP socket on `port` of 127.0.0.1: bench_run and bench_turn
 * are not for it. */
void bench_open_threaded(struct bench *bench, uint16_t port, uint64_t spin_ns);
/* Checks that nothing of the engine is lost or left behind. */
void bench_close(struct bench *bench);

/* An application with an arena of 1 MiB each, that may grow to `receive_bytes_max`. */
void bench_attach(struct bench *bench, struct bench_client *client, uint64_t receive_bytes_max, uint32_t max_flows);
void bench_detach(struct bench_client *client);
/* Accepts flows at BENCH_PORT of the bench's address. */
void bench_listen(struct bench_client *client);

/* Turns until the engine finds nothing to do, and then `ns` more of its time. */
void bench_run(struct bench *bench, uint64_t ns);
/* One turn. Returns what there was to do. */
uint32_t bench_turn(struct bench *bench);
/* Runs a command as the controller would. Returns its status. */
int32_t bench_command(struct bench *bench, struct worker_message *command);

/* ---- The application's side. Its eventfd is signalled as the library would. ---- */

void bench_submit(struct bench_client *client, const void *submission);
void bench_open_flow(struct bench_client *client, uint64_t token, uint16_t port);
/* Sends what lies in region 1 at `offset`. */
void bench_send(struct bench_client *client, uint64_t token, uint64_t offset, uint32_t length, uint64_t tag,
                uint64_t cookie);
void bench_close_flow(struct bench_client *client, uint64_t token, bool abort);
void bench_release(struct bench_client *client, uint64_t lease);
/* Takes one entry; false: there is none. */
bool bench_take_delivery(struct bench_client *client, struct mn_delivery *delivery);
bool bench_take_completion(struct bench_client *client, struct mn_completion *completion);
/* Takes the next delivery, which must be `op`. */
struct mn_delivery bench_expect(struct bench_client *client, enum mn_delivery_op op);
void bench_expect_closed(struct bench_client *client, uint64_t token, int32_t status);
void bench_expect_completion(struct bench_client *client, uint64_t cookie, int32_t status);
/* Nothing is in the rings. */
void bench_expect_silence(struct bench_client *client);
/* The bytes of a MESSAGE. */
const uint8_t *bench_bytes(const struct bench_client *client, const struct mn_delivery *message);
/* How many wake-ups have come; they are taken out. */
uint32_t bench_woken(struct bench_client *client);

/* Opens a flow `token` from one to the other, which listens. Returns the token there. */
uint64_t bench_connect(struct bench_client *from, uint64_t token, struct bench_client *to);

#endif /* MACHNET_TESTS_ENGINE_BENCH_H */
