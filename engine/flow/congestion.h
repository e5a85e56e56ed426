/* SPDX-License-Identifier: MIT */
/*
 * How many packets of a flow may be in flight, and how far apart they are sent. Decisions only: an algorithm sees acknowledgements,
 * losses and timeouts, and knows nothing of packets. It writes `window` and `gap_ns`; everybody else reads them.
 */
#ifndef MACHNET_ENGINE_FLOW_CONGESTION_H
#define MACHNET_ENGINE_FLOW_CONGESTION_H

#include <stdbool.h>
#include <stdint.h>

enum congestion_kind {
    CONGESTION_SWIFT, /* by delay; the default */
    CONGESTION_AIMD,  /* by loss: slow start and AIMD (RFC 5681, in packets) */
    CONGESTION_COUNT,
};

/* Windows are counted in 1/65536 packets. */
#define CONGESTION_PACKET UINT32_C(65536)
#define CONGESTION_WINDOW_MAX UINT32_C(32768) /* packets */

struct congestion {
    uint32_t window;        /* in flight at most, in 1/CONGESTION_PACKET */
    uint32_t window_max;    /* the same */
    uint32_t threshold;     /* the same: where slow start ends; swift: growth is slow from here on, after losses */
    uint32_t host_noise_ns; /* of a delay so much may come from the hosts */
    uint32_t gap_ns;        /* between two packets; 0: not paced */
    uint32_t undo;          /* the window before the newest answer to losses */
    uint32_t undo_timeout;  /* swift: the window before silence was answered, until that proves right; 0 */
    uint32_t held_back;     /* swift: of the window, for the rest of this round */
    uint64_t answered_from, answered; /* losses of packets in [answered_from, answered) were answered together */
    uint64_t round_end;               /* swift: a round is over when a packet from this number on is acknowledged */
    uint64_t emptied_at;              /* swift: when the path was last found without a queue */
    uint32_t round_delay_ns;          /* sum of the delays of this round */
    uint16_t undo_losses;             /* so many losses must turn out to have arrived for the answer to be taken back */
    uint16_t round_acknowledged;      /* packets */
    uint16_t round_samples;           /* how many */
    uint16_t tally_acknowledged, tally_lost; /* packets since losses were last weighed */
    uint8_t kind;                            /* enum congestion_kind */
    bool slow_start;                         /* swift: the window doubles in a round trip */
};

/* Packets were acknowledged. */
struct congestion_ack {
    uint64_t now;
    uint64_t rtt_ns;              /* of this acknowledgement; 0: no sample, or one not to be trusted */
    uint64_t min_rtt_ns, srtt_ns; /* 0: not known */
    uint64_t largest;             /* the largest number acknowledged */
    uint64_t next;                /* number of the next packet to be sent */
    uint32_t acknowledged;        /* packets newly acknowledged */
    uint32_t in_flight;           /* before they were */
    bool limited;                 /* the window, not the application, kept the sender from sending more */
};

/* What an algorithm is. */
struct congestion_algorithm {
    const char *name;
    void (*init)(struct congestion *congestion); /* window_max is set, the rest is zero */
    void (*acknowledged)(struct congestion *congestion, const struct congestion_ack *ack);
    void (*lost)(struct congestion *congestion, uint64_t number, uint64_t next, uint64_t now);
    void (*timed_out)(struct congestion *congestion, uint64_t now);
    void (*spurious)(struct congestion *congestion, uint64_t number);
};
extern const struct congestion_algorithm congestion_swift, congestion_aimd;

/* `window_max` in packets; `host_noise_ns`: how late the hosts are with packets, as transport_config has it. */
void congestion_init(struct congestion *congestion, enum congestion_kind kind, uint32_t window_max,
                     uint32_t host_noise_ns);
void congestion_acknowledged(struct congestion *congestion, const struct congestion_ack *ack);
/* Packet `number` was declared lost; `next` is the number of the next packet to be sent. */
void congestion_lost(struct congestion *congestion, uint64_t number, uint64_t next, uint64_t now);
/* Nothing was heard for two probe timeouts in a row. */
void congestion_timed_out(struct congestion *congestion, uint64_t now);
/* Packet `number`, declared lost, has been acknowledged after all. */
void congestion_spurious(struct congestion *congestion, uint64_t number);

/* Packets that may be in flight, >= 1: the window rounded up. What it is less is kept by the gap between packets. */
static inline uint32_t congestion_window(const struct congestion *congestion)
{
    return (congestion->window + CONGESTION_PACKET - 1) / CONGESTION_PACKET;
}

/* How long after a packet the next one may be sent, in the long run; ns, 0: at once. */
static inline uint32_t congestion_gap_ns(const struct congestion *congestion)
{
    return congestion->gap_ns;
}

const char *congestion_name(enum congestion_kind kind);
/* Returns false if no algorithm is called so. */
bool congestion_by_name(const char *name, enum congestion_kind *kind);

#endif /* MACHNET_ENGINE_FLOW_CONGESTION_H */
