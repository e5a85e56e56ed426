/* SPDX-License-Identifier: MIT */
#include "sides.h"

#include <string.h>

/* ---- One message ---- */

/* Sends any bytes-like object. MACHNET_OK, MACHNET_EAGAIN, or MACHNET_EINVAL with an exception. */
static int32_t send_one(FlowBase *flow, PyObject *data, uint64_t tag)
{
    Py_buffer view;

    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return MACHNET_EINVAL;
    machnet_channel *channel = sides_channel(flow->sides); /* behind GetBuffer, which may run Python code */
    int32_t status = MACHNET_EINVAL;
    if (channel != NULL) {
        status = machnet_send_copy(channel, flow->token, view.buf, (uint64_t)view.len, tag, 0);
        if (status == MACHNET_EAGAIN)
            flow->refused = true;
        else if (status < 0)
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
    if (count == 2 && !sides_number(arguments[1], "tag", &tag))
        return NULL;
    int32_t status = send_one(flow, arguments[0], tag);
    if (PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(status >= 0);
}

/* ---- Many ---- */

/* What is gathered for one call of machnet_send_packed: messages of exactly the type bytes, which are copied without running Python code. */
struct batch {
    Sides *sides;
    FlowBase *first; /* flow of records[0]; not owned */
    uint32_t count;
    uint64_t bytes;
    machnet_record records[SIDES_BATCH];
};

/* One element of what the caller gave. Its objects are not owned. */
struct element {
    PyObject *data;
    FlowBase *flow;
    uint64_t tag;
};

static bool flow_of(Sides *sides, PyObject *object, FlowBase **flow)
{
    if (!PyObject_TypeCheck(object, flow_type)) {
        PyErr_SetString(PyExc_TypeError, "a message for send_many of a channel needs its flow");
        return false;
    }
    *flow = (FlowBase *)object;
    if ((*flow)->sides != sides) {
        PyErr_SetString(PyExc_ValueError, "the flow is not of this channel");
        return false;
    }
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
    if (any_flow && !flow_of(sides, PyTuple_GetItem(item, 0), &element->flow))
        return false;
    if (!sides_number(PyTuple_GetItem(item, at + 1), "tag", &element->tag))
        return false;
    element->data = PyTuple_GetItem(item, at);
    return true;
}

/* Runs no Python code, unless it fails: to make an exception may run the collector. `flow` is NULL on a channel. */
static bool parse(Sides *sides, PyObject *item, FlowBase *flow, struct element *element)
{
    element->flow = flow;
    element->tag = 0;
    element->data = item;
    if (flow != NULL && PyBytes_CheckExact(item))
        return true;
    if (Py_TYPE(item) == message_type) {
        const Message *message = (const Message *)item;
        if (flow == NULL && !flow_of(sides, message->flow, &element->flow))
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
    if (sent == MACHNET_EAGAIN)
        batch->first->refused = true;
    else if (sent < 0)
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
    if (batch->count == 0)
        batch->first = element->flow;
    batch->records[batch->count++] = (machnet_record){
        .flow = element->flow->token, .tag = element->tag, .offset = batch->bytes, .length = (uint64_t)length};
    batch->bytes += (uint64_t)length;
    return true;
}

/* Nothing is gathered. As send_batch. */
static int32_t send_alone(const struct element *element)
{
    PyObject *data = element->data, *flow = (PyObject *)element->flow;

    Py_INCREF(data); /* Python code may take them out of the caller's list */
    Py_INCREF(flow);
    int32_t sent = send_one(element->flow, data, element->tag);
    Py_DECREF(data);
    Py_DECREF(flow);
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

/* Gathers items[at .. end) as far as they fit, and sends them; an item that can not be gathered goes alone. How many went out; or as send_batch. */
static int32_t send_some(struct batch *batch, PyObject *items, Py_ssize_t at, Py_ssize_t end, FlowBase *flow)
{
    const Py_ssize_t start = at, size = size_of(items);
    struct element element;

    for (batch->count = 0, batch->bytes = 0; at < end && at < size; at++) {
        if (!parse(batch->sides, item_at(items, at), flow, &element)) {
            if (at == start)
                return MACHNET_EINVAL;
            PyErr_Clear();                                   /* it is raised when its turn comes */
            return send_some(batch, items, start, at, flow); /* the arena may have been used meanwhile */
        }
        if (gather(batch, &element))
            continue;
        if (batch->count == 0)
            return send_alone(&element);
        break;
    }
    return batch->count == 0 ? 0 : send_batch(batch);
}

/* `flow` is NULL on a channel. How many went out, in order. An exception only where nothing did. */
static PyObject *send_items(Sides *sides, FlowBase *flow, PyObject *items, Py_ssize_t start)
{
    struct batch batch;
    Py_ssize_t at = start;

    batch.sides = sides; /* the rest is written when it is needed */
    while (at < size_of(items)) {
        int32_t sent = send_some(&batch, items, at, PY_SSIZE_T_MAX, flow);
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

static PyObject *send_many(Sides *sides, FlowBase *flow, PyObject *const *arguments, Py_ssize_t count)
{
    Py_ssize_t start = 0;

    if (count < 1 || count > 2)
        return PyErr_Format(PyExc_TypeError, "try_send_many(messages, start=0)");
    if (count == 2 && (start = PyLong_AsSsize_t(arguments[1])) < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "start is negative");
    if (!PySequence_Check(arguments[0])) /* of an iterator nobody could send the rest */
        return PyErr_Format(PyExc_TypeError, "messages must be a sequence, such as a list");
    PyObject *items = PySequence_Fast(arguments[0], "messages must be a sequence, such as a list");
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
