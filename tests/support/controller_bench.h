/* SPDX-License-Identifier: MIT */
/*
 * A real controller and two workers in this process, over UDP sockets of an address of its own; the client's side is spoken by hand. What does
 * not go as it must ends the test.
 */
#ifndef MACHNET_TESTS_SUPPORT_CONTROLLER_BENCH_H
#define MACHNET_TESTS_SUPPORT_CONTROLLER_BENCH_H

#include <jansson.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/control.h"
#include "controller.h"
#include "machnet/machnet.h"

enum { CONTROLLER_BENCH_WORKERS = 2, CONTROLLER_BENCH_REQUEST = 77 /* the number of every request */ };

union control_message {
    alignas(8) uint8_t bytes[MN_CONTROL_BYTES_MAX];
    struct mn_control_header header;
    struct mn_control_hello hello;
    struct mn_control_attach_offer offer;
    struct mn_control_region region;
    struct mn_control_listen listen;
    struct mn_control_plain plain;
};

/* ---- The engine ---- */

void controller_bench_start(void);
/* Ends it by SIGTERM. */
void controller_bench_stop(void);
/* Stops it, and starts one with the quota and the step_ns of `wanted`. */
void controller_bench_restart(const struct controller_config *wanted);
/* Waits for its end, which must be a good one, and frees all. */
void controller_bench_join(void);
/* Its IP address. Static, not owned. */
const char *controller_bench_address(void);
/* Its listening socket. */
int controller_bench_socket(void);
/* Longer under sanitizers, which take their time. */
uint64_t controller_bench_stretched(uint64_t ns);

/* ---- One connection ---- */

int control_connect(void);
/* Sends a message of this type, whose header need not be filled in. */
void control_say(int fd, void *message, uint16_t type);
/* Expects a message of this type and status, with so many descriptors, which are left in fds[]. */
void control_hear(int fd, union control_message *message, uint16_t type, int32_t status, int *fds, uint32_t fd_wanted);
/* Expects the end of the connection. */
void control_hear_end(int fd);
/* Connects, and has said HELLO. */
int control_greet(void);

/* The text of a status that was asked for; returns its length. */
size_t control_hear_status(int fd, char *text, size_t capacity);
/* Asks for the status, to be released by json_decref. */
json_t *engine_status(void);
/* The number `name` of `outer`; of the first of them, if that is a list. */
json_int_t engine_status_number(const char *outer, const char *name);
/* Waits until nobody has any bytes (at most a second), and returns how long that took. */
uint64_t engine_time_to_reclaim(void);

/* ---- An application ---- */

struct application {
    int fd;
    void *base[3];
    uint64_t bytes[3];
    int pipe, event;
};

/* Attaches under this name, with arenas of at most 4 MiB. */
struct application application_attach_as(const char *name);
struct application application_attach(void);
/* The first step only: it has mapped, and not said so. */
struct application application_map(const char *name);
void application_leave(struct application *application);
/* LISTEN (ip NULL: any address): the status of the answer, which is left in *reply. */
int32_t application_listen(const struct application *application, const char *ip, uint16_t port,
                           union control_message *reply);

#endif /* MACHNET_TESTS_SUPPORT_CONTROLLER_BENCH_H */
