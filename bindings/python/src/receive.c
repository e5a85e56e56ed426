/* SPDX-License-Identifier: MIT */
#include "sides.h"

#include <string.h>

enum {
    SMALL_BYTES = 2048, /* messages up to this are received without asking for their length first */
};

PyObject *sides_owner(PyObject *owner, uint64_t token)
{
    if (!PyDict_Check(owner))
        return owner;
    PyObject *key = PyLong_FromUnsignedLongLong(token);
    if (key == NULL)
        return NULL;
    PyObject *flow = PyDict_GetItemWithError(owner, key);
    Py_DECREF(key);
    if (flow == NULL && !PyErr_Occurred())
        flow = Py_None;
    return flow;
}

/* ---- One message ---- */

static PyObject *none_or_raise(int32_t status, uint64_t value)
{
    if (status != MACHNET_EAGAIN)
        return sides_raise_of_flow(status, value);
    Py_RETURN_NONE;
}

/* A message that is known to be there, of so many bytes. */
static PyObject *take_long(machnet_channel *channel, const machnet_message *known, PyObject *owner)
{
    machnet_message message = {0};
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)known->length);

    if (data == NULL)
        return NULL;
    int32_t status = machnet_recv_copy(channel, known->flow, PyBytes_AsString(data), known->length, &message, 0);
    if (status < 0) {
        Py_DECREF(data);
        return none_or_raise(status, message.length);
    }
    return message_new(data, message.tag, owner);
}

static PyObject *take(machnet_channel *channel, uint64_t token, uint64_t limit, PyObject *owner)
{
    char small[SMALL_BYTES];
    machnet_message message = {0};

    int32_t status = machnet_recv_copy(channel, token, small, limit < sizeof small ? limit : sizeof small, &message, 0);
    if (status == MACHNET_EMSGSIZE && message.length <= limit) {
        owner = sides_owner(owner, message.flow);
        return owner == NULL ? NULL : take_long(channel, &message, owner);
    }
    if (status < 0)
        return none_or_raise(status, message.length);
    owner = sides_owner(owner, message.flow);
    if (owner == NULL)
        return NULL;
    return message_new(PyBytes_FromStringAndSize(small, (Py_ssize_t)message.length), message.tag, owner);
}

static PyObject *receive(Sides *sides, uint64_t token, PyObject *owner, PyObject *limit)
{
    uint64_t most = MACHNET_MESSAGE_MAX;

    if (limit != NULL && !sides_number(limit, "limit", &most))
        return NULL;
    machnet_channel *channel = sides_channel(sides);
    return channel == NULL ? NULL : take(channel, token, most, owner);
}

PyObject *flow_try_receive(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    FlowBase *flow = (FlowBase *)self;

    if (count > 1)
        return PyErr_Format(PyExc_TypeError, "try_receive(limit=MESSAGE_MAX)");
    return receive(flow->sides, flow->token, self, count == 1 ? arguments[0] : NULL);
}

/* receive(flows, limit) */
PyObject *sides_receive(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "receive(flows, limit)");
    return receive((Sides *)self, MACHNET_ANY_FLOW, arguments[0], arguments[1]);
}

PyObject *flow_try_receive_into(PyObject *self, PyObject *buffer)
{
    FlowBase *flow = (FlowBase *)self;
    machnet_message message = {0};
    Py_buffer view;

    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) < 0)
        return NULL;
    machnet_channel *channel = sides_channel(flow->sides);
    int32_t status = MACHNET_EINVAL;
    if (channel != NULL)
        status = machnet_recv_copy(channel, flow->token, view.buf, (uint64_t)view.len, &message, 0);
    PyBuffer_Release(&view);
    if (channel == NULL)
        return NULL;
    if (status < 0)
        return none_or_raise(status, message.length);
    return Py_BuildValue("(KK)", (unsigned long long)message.length, (unsigned long long)message.tag);
}

/* ---- Many ---- */

/* Makes messages of what lies in the arena. The list, which has room, gets them; false with an exception. */
static bool unpack(Sides *sides, const machnet_record *records, int32_t count, PyObject *owner, PyObject *list)
{
    bool known = !PyDict_Check(owner);

    for (int32_t i = 0; i < count; i++) {
        const machnet_record *record = &records[i];
        PyObject *flow = known ? owner : sides_owner(owner, record->flow);
        if (flow == NULL)
            return false;
        PyObject *data =
            PyBytes_FromStringAndSize((const char *)sides->arena + record->offset, (Py_ssize_t)record->length);
        PyObject *message = message_new(data, record->tag, flow);
        if (message == NULL || PyList_SetItem(list, i, message) < 0)
            return false;
    }
    return true;
}

/* How many messages the list got; negative: none, with an exception, or MACHNET_EAGAIN without. */
static int32_t take_many(Sides *sides, uint64_t token, PyObject *owner, uint32_t max, PyObject *list)
{
    machnet_record records[SIDES_BATCH];
    machnet_channel *channel = sides_channel(sides);

    if (channel == NULL)
        return MACHNET_ESHUTDOWN;
    int32_t count = machnet_recv_packed(channel, token, records, max, sides->arena, SIDES_ARENA_BYTES, 0);
    if (count >= 0)
        return unpack(sides, records, count, owner, list) ? count : MACHNET_ENOMEM;
    if (count == MACHNET_EMSGSIZE) {
        PyObject *message = take(channel, records[0].flow, MACHNET_MESSAGE_MAX, owner);
        return message != NULL && PyList_SetItem(list, 0, message) == 0 ? 1 : MACHNET_ENOMEM;
    }
    if (count != MACHNET_EAGAIN)
        sides_raise_of_flow(count, 0);
    return count;
}

static PyObject *receive_many(Sides *sides, uint64_t token, PyObject *owner, PyObject *most)
{
    long max = most == NULL ? 32 : PyLong_AsLong(most);

    if (max < 1)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "max is less than 1");
    if (max > SIDES_BATCH)
        max = SIDES_BATCH;
    PyObject *list = PyList_New(max); /* before receiving: a new list may run the collector */
    if (list == NULL)
        return NULL;
    int32_t count = take_many(sides, token, owner, (uint32_t)max, list);
    if (count < 0 && PyErr_Occurred())
        Py_CLEAR(list);
    else if (count < max && PyList_SetSlice(list, count < 0 ? 0 : count, max, NULL) < 0)
        Py_CLEAR(list);
    return list;
}

PyObject *flow_try_receive_many(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    FlowBase *flow = (FlowBase *)self;

    if (count > 1)
        return PyErr_Format(PyExc_TypeError, "try_receive_many(max=32)");
    return receive_many(flow->sides, flow->token, self, count == 1 ? arguments[0] : NULL);
}

/* receive_many(flows, max) */
PyObject *sides_receive_many(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "receive_many(flows, max)");
    return receive_many((Sides *)self, MACHNET_ANY_FLOW, arguments[0], arguments[1]);
}

/* ---- Who can receive ---- */

static bool is_ready(machnet_channel *channel, uint64_t token)
{
    machnet_flow_info info;
    return machnet_flow_info_get(channel, token, &info) < 0 || info.messages_queued > 0 ||
           info.state == MACHNET_FLOW_ENDED;
}

/* ready(flows): those of a dict by flow that have a message, or have ended, as a list. Other calls sort deliveries into flows before. */
PyObject *sides_ready(PyObject *self, PyObject *flows)
{
    Sides *sides = (Sides *)self;
    Py_ssize_t at = 0;
    PyObject *key, *value;
    PyObject *list = PyList_New(0);

    while (list != NULL && PyDict_Next(flows, &at, &key, &value)) {
        if (!PyObject_TypeCheck(key, flow_type))
            continue;
        if ((sides->channel == NULL || is_ready(sides->channel, ((FlowBase *)key)->token)) &&
            PyList_Append(list, key) < 0)
            Py_CLEAR(list);
    }
    return list;
}
