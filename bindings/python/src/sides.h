/* SPDX-License-Identifier: MIT */
/*
 * machnet._sides: what belongs to one side of a channel (machnet.h, "Threads"), and the fast path of messages. What any thread may call goes
 * through cffi (machnet._native).
 *
 * Every function here holds the interpreter's lock from its first use of the channel to its last and none of them waits: so two threads take
 * turns on a side, whatever a program does. Who waits does it in Python, on the channel's descriptor.
 *
 * An invariant of shared buffers (`arena`): between filling and using it, nothing is called that could run Python code.
 */
#ifndef MACHNET_PYTHON_SIDES_H
#define MACHNET_PYTHON_SIDES_H

#define PY_SSIZE_T_CLEAN
#include <patchlevel.h>
#if PY_VERSION_HEX >= 0x030b0000 /* the first whose limited API has the buffer protocol */
#define Py_LIMITED_API 0x030b0000
#endif
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>

#include <machnet/machnet.h>

#ifdef Py_GIL_DISABLED
#error "machnet needs an interpreter with its lock"
#endif

enum {
    SIDES_BATCH = 256,         /* messages that go through the library in one call */
    SIDES_ARENA_BYTES = 65536, /* and their bytes; longer messages go alone */
};

/* A channel, with one reference until it is closed. */
typedef struct {
    PyObject_HEAD machnet_channel *channel; /* NULL: closed */
    uint8_t *arena;                         /* SIDES_ARENA_BYTES */
    bool taking;                            /* events are being taken */
} Sides;

/* What a flow is to the fast path; Python's classes of flows inherit it. */
typedef struct {
    PyObject_HEAD Sides *sides;
    uint64_t token; /* 0: not opened yet */
    char refused;   /* a send answered MACHNET_EAGAIN, and MACHNET_EVENT_SEND_SPACE was not handed on since */
} FlowBase;

typedef struct {
    PyObject_HEAD PyObject *data; /* bytes */
    PyObject *flow;               /* None: of no flow, or of one that is not known any more */
    uint64_t tag;
} Message;

extern PyTypeObject *sides_type, *flow_type, *message_type, *buffer_type;

extern PyType_Spec sides_spec, flow_spec, message_spec, buffer_spec;

/* Raises what machnet.errors makes of a status; `value` is the length for MACHNET_EMSGSIZE, else 0. Returns NULL. */
PyObject *sides_raise(int32_t status, uint64_t value);
/* The same for what a call on a flow answered, to which some statuses say that it has ended. */
PyObject *sides_raise_of_flow(int32_t status, uint64_t value);
/* The same with the words of a control call. */
PyObject *sides_raise_error(int32_t status, const machnet_error *error);
/* machnet._sides.set_raiser: the function that makes it. In the main interpreter only. */
PyObject *sides_set_raiser(PyObject *module, PyObject *raiser);

/* A tag, limit or length, of which `name` is the name; false with an exception. */
bool sides_number(PyObject *object, const char *name, uint64_t *number);

/* The channel, or NULL with an exception: it is closed. */
machnet_channel *sides_channel(Sides *sides);

/* A new message; takes the reference to `data`, which may be NULL (an exception is set): then NULL. */
PyObject *message_new(PyObject *data, uint64_t tag, PyObject *flow);

/* Frees an object of a heap type, and its reference to the type. */
void sides_free(PyObject *self);

/* send.c: methods of FlowBase (self) and of Sides (for any flow). */
PyObject *flow_try_send(PyObject *self, PyObject *const *arguments, Py_ssize_t count);
PyObject *flow_try_send_many(PyObject *self, PyObject *const *arguments, Py_ssize_t count);
PyObject *sides_send_many(PyObject *self, PyObject *const *arguments, Py_ssize_t count);

/* receive.c; `owner` is the flow, or a dict of flows by token. */
PyObject *flow_try_receive(PyObject *self, PyObject *const *arguments, Py_ssize_t count);
PyObject *flow_try_receive_many(PyObject *self, PyObject *const *arguments, Py_ssize_t count);
PyObject *flow_try_receive_into(PyObject *self, PyObject *buffer);
PyObject *sides_receive(PyObject *self, PyObject *const *arguments, Py_ssize_t count);
PyObject *sides_receive_many(PyObject *self, PyObject *const *arguments, Py_ssize_t count);
PyObject *sides_ready(PyObject *self, PyObject *flows);
/* The flow of a message: borrowed reference; NULL with an exception. */
PyObject *sides_owner(PyObject *owner, uint64_t token);

/* events.c: methods of Sides. */
PyObject *sides_look(PyObject *self, PyObject *mask);
PyObject *sides_events(PyObject *self, PyObject *list);
PyObject *sides_settle(PyObject *module, PyObject *const *arguments, Py_ssize_t count);

/* buffer.c */
PyObject *flow_borrow(PyObject *self, PyObject *unused);
PyObject *flow_reserve(PyObject *self, PyObject *length);
PyObject *sides_borrow(PyObject *self, PyObject *owner);

#endif /* MACHNET_PYTHON_SIDES_H */
