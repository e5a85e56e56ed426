/* SPDX-License-Identifier: MIT */
#include "sides.h"

#include <string.h>

static bool tag_of(PyObject *number, uint64_t *tag)
{
    *tag = PyLong_AsUnsignedLongLong(number);
    return !PyErr_Occurred();
}

/* ---- One message ---- */

/* Sends any bytes-like object. MACHNET_OK, MACHNET_EAGAIN, or MACHNET_EINVAL with an exception. */
static int32_t send_one(Sides *sides, uint64_t token, PyObject *data, uint64_t tag)
{
    Py_buffer view;

    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return MACHNET_EINVAL;
    machnet_channel *channel = sides_channel(sides); /* behind GetBuffer, which may run Python code */
    int32_t status = MACHNET_EINVAL;
    if (channel != NULL) {
        status = machnet_send_copy(channel, token, view.buf, (uint64_t)view.len, tag, 0);
        if (status < 0 && status != MACHNET_EAGAIN)
            sides_raise_of_flow(status, (uint64_t)view.len);
    }
    PyBuffer_Release(&view);
    return status;
}

PyObject *flow_try_send(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    FlowBase *flow = (FlowBase *)self;
    uint64_t tag = 0;

    if (count < 1 || count > 2)
        return PyErr_Format(PyExc_TypeError, "try_send(data, tag=0)");
    if (count == 2 && !tag_of(arguments[1], &tag))
        return NULL;
    int32_t status = send_one(flow->sides, flow->token, arguments[0], tag);
    if (PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(status >= 0);
}

/* ---- Many ---- */

/* What is gathered for one call of machnet_send_packed: messages of exactly the type bytes, which are copied without running Python code. */
struct batch {
    Sides *sides;
    uint32_t count;
    uint64_t bytes;
    machnet_record records[SIDES_BATCH];
};

/* One element of what the caller gave. `data` is not owned. */
struct element {
    PyObject *data;
    uint64_t token;
    uint64_t tag;
};

static bool flow_of(Sides *sides, PyObject *object, uint64_t *token)
{
    if (!PyObject_TypeCheck(object, flow_type)) {
        PyErr_SetString(PyExc_TypeError, "a message for send_many of a channel needs its flow");
        return false;
    }
    FlowBase *flow = (FlowBase *)object;
    if (flow->sides != sides) {
        PyErr_SetString(PyExc_ValueError, "the flow is not of this channel");
        return false;
    }
    *token = flow->token;
    return true;
}

/* (data, tag), or on a channel (flow, data, tag). */
static bool parse_tuple(Sides *sides, PyObject *item, bool any_flow, struct element *element)
{
    Py_ssize_t size = PyTuple_Size(item), at = any_flow ? 1 : 0;

    if (size != at + 2) {
        PyErr_SetString(PyExc_TypeError, any_flow ? "a message is (flow, data, tag) or a Message"
                                                  : "a message is bytes-like, (data, tag) or a Message");
        return false;
    }
    if (any_flow && !flow_of(sides, PyTuple_GetItem(item, 0), &element->token))
        return false;
    if (!tag_of(PyTuple_GetItem(item, at + 1), &element->tag))
        return false;
    element->data = PyTuple_GetItem(item, at);
    return true;
}

/* Runs no Python code. `flow` is NULL on a channel. */
static bool parse(Sides *sides, PyObject *item, const FlowBase *flow, struct element *element)
{
    element->token = flow != NULL ? flow->token : 0;
    element->tag = 0;
    element->data = item;
    if (flow != NULL && PyBytes_CheckExact(item))
        return true;
    if (Py_TYPE(item) == message_type) {
        const Message *message = (const Message *)item;
        if (flow == NULL && !flow_of(sides, message->flow, &element->token))
            return false;
        element->tag = message->tag;
        element->data = message->data;
    } else if (PyTuple_Check(item)) {
        if (!parse_tuple(sides, item, flow == NULL, element))
            return false;
    } else if (flow == NULL) {
        PyErr_SetString(PyExc_TypeError, "a message is (flow, data, tag) or a Message");
        return false;
    }
    return true;
}

/* How many went out; MACHNET_EAGAIN; or another status with an exception. */
static int32_t send_batch(struct batch *batch)
{
    uint32_t count = batch->count;
    machnet_channel *channel = sides_channel(batch->sides);

    batch->count = 0;
    if (channel == NULL)
        return MACHNET_ESHUTDOWN;
    int32_t sent = machnet_send_packed(channel, batch->records, count, batch->sides->arena, batch->bytes, 0);
    batch->bytes = 0;
    if (sent < 0 && sent != MACHNET_EAGAIN)
        sides_raise_of_flow(sent, 0);
    return sent;
}

/* False: it cannot be gathered, or not any more. */
static bool gather(struct batch *batch, const struct element *element)
{
    char *bytes;
    Py_ssize_t length;

    if (!PyBytes_CheckExact(element->data) || batch->count == SIDES_BATCH)
        return false;
    PyBytes_AsStringAndSize(element->data, &bytes, &length);
    if ((uint64_t)length > SIDES_ARENA_BYTES - batch->bytes)
        return false;
    memcpy(batch->sides->arena + batch->bytes, bytes, (size_t)length);
    batch->records[batch->count++] = (machnet_record){
        .flow = element->token, .tag = element->tag, .offset = batch->bytes, .length = (uint64_t)length};
    batch->bytes += (uint64_t)length;
    return true;
}

/* Nothing is gathered. As send_batch. */
static int32_t send_alone(Sides *sides, const struct element *element)
{
    PyObject *data = element->data;

    Py_INCREF(data); /* Python code may take it out of the caller's list */
    int32_t sent = send_one(sides, element->token, data, element->tag);
    Py_DECREF(data);
    return sent < 0 ? sent : 1;
}

static PyObject *item_at(PyObject *items, Py_ssize_t at)
{
    return PyList_Check(items) ? PyList_GetItem(items, at) : PyTuple_GetItem(items, at);
}

static Py_ssize_t size_of(PyObject *items)
{
    return PyList_Check(items) ? PyList_Size(items) : PyTuple_Size(items);
}

/* Gathers items[at ...] as far as they fit, and sends them; an item that can not be gathered goes alone. As send_batch. */
static int32_t send_some(struct batch *batch, PyObject *items, Py_ssize_t at, const FlowBase *flow)
{
    struct element element;

    for (Py_ssize_t size = size_of(items); at < size; at++) {
        if (!parse(batch->sides, item_at(items, at), flow, &element)) {
            if (batch->count == 0)
                return MACHNET_EINVAL;
            PyErr_Clear(); /* it is raised when its turn comes */
            break;
        }
        if (gather(batch, &element))
            continue;
        if (batch->count == 0)
            return send_alone(batch->sides, &element);
        break;
    }
    return send_batch(batch);
}

/* `flow` is NULL on a channel. How many went out, in order. An exception only where nothing did. */
static PyObject *send_items(Sides *sides, const FlowBase *flow, PyObject *items, Py_ssize_t start)
{
    struct batch batch;
    Py_ssize_t at = start;

    batch.sides = sides; /* the records are written when they are needed */
    batch.count = 0;
    batch.bytes = 0;
    while (at < size_of(items)) {
        int32_t sent = send_some(&batch, items, at, flow);
        if (sent < 0) {
            if (PyErr_Occurred() && at == start)
                return NULL;
            PyErr_Clear(); /* the next call says it */
            break;
        }
        at += sent;
    }
    return PyLong_FromSsize_t(at - start);
}

static PyObject *send_many(Sides *sides, const FlowBase *flow, PyObject *const *arguments, Py_ssize_t count)
{
    Py_ssize_t start = 0;

    if (count < 1 || count > 2)
        return PyErr_Format(PyExc_TypeError, "try_send_many(messages, start=0)");
    if (count == 2 && (start = PyLong_AsSsize_t(arguments[1])) < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "start is negative");
    PyObject *items = PySequence_Fast(arguments[0], "messages must be a sequence");
    if (items == NULL)
        return NULL;
    PyObject *sent = send_items(sides, flow, items, start);
    Py_DECREF(items);
    return sent;
}

PyObject *flow_try_send_many(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    FlowBase *flow = (FlowBase *)self;
    return send_many(flow->sides, flow, arguments, count);
}

PyObject *sides_send_many(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    return send_many((Sides *)self, NULL, arguments, count);
}
