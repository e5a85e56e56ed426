/* SPDX-License-Identifier: MIT */
#include "sides.h"

#include <stddef.h>
#include <string.h>

machnet_channel *sides_channel(Sides *sides)
{
    if (sides->channel == NULL)
        sides_raise(MACHNET_ESHUTDOWN, 0);
    return sides->channel;
}

static PyObject *nothing_or_raise(int32_t status)
{
    if (status < 0)
        return sides_raise(status, 0);
    Py_RETURN_NONE;
}

/* False: MACHNET_EAGAIN. */
static PyObject *done_or_raise(int32_t status)
{
    if (status < 0 && status != MACHNET_EAGAIN)
        return sides_raise(status, 0);
    return PyBool_FromLong(status >= 0);
}

/* ---- Sides: life ---- */

static PyObject *sides_construct(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    unsigned long long address;

    (void)names;
    if (!PyArg_ParseTuple(arguments, "K:Sides", &address))
        return NULL;
    Sides *self = (Sides *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->arena = PyMem_Malloc(SIDES_ARENA_BYTES);
    if (self->arena == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->channel = (machnet_channel *)(uintptr_t)address;
    return (PyObject *)self;
}

static PyObject *sides_close(PyObject *object, PyObject *unused)
{
    Sides *self = (Sides *)object;
    machnet_channel *channel = self->channel;

    (void)unused;
    self->channel = NULL;
    if (channel != NULL) {
        machnet_channel_shutdown(channel);
        machnet_channel_unref(channel);
    }
    Py_RETURN_NONE;
}

static void sides_destroy(PyObject *object)
{
    Sides *self = (Sides *)object;

    machnet_channel_unref(self->channel);
    PyMem_Free(self->arena);
    sides_free(object);
}

static PyObject *sides_hold(PyObject *object, PyObject *unused)
{
    machnet_channel *channel = sides_channel((Sides *)object);

    (void)unused;
    if (channel == NULL)
        return NULL;
    int32_t status = machnet_channel_ref(channel);
    return status < 0 ? sides_raise(status, 0) : PyLong_FromUnsignedLongLong((uintptr_t)channel);
}

static PyObject *sides_shutdown(PyObject *object, PyObject *unused)
{
    machnet_channel *channel = sides_channel((Sides *)object);

    (void)unused;
    return channel == NULL ? NULL : nothing_or_raise(machnet_channel_shutdown(channel));
}

static PyObject *sides_wake(PyObject *object, PyObject *unused)
{
    machnet_channel *channel = sides_channel((Sides *)object);

    (void)unused;
    return channel == NULL ? NULL : nothing_or_raise(machnet_channel_wake(channel));
}

static PyMethodDef sides_methods[] = {
    {"close", sides_close, METH_NOARGS, NULL},
    {"hold", sides_hold, METH_NOARGS, NULL},
    {"shutdown", sides_shutdown, METH_NOARGS, NULL},
    {"wake", sides_wake, METH_NOARGS, NULL},
    {"look", sides_look, METH_O, NULL},
    {"events", sides_events, METH_O, NULL},
    {"send_many", (PyCFunction)(void (*)(void))sides_send_many, METH_FASTCALL, NULL},
    {"receive", (PyCFunction)(void (*)(void))sides_receive, METH_FASTCALL, NULL},
    {"receive_many", (PyCFunction)(void (*)(void))sides_receive_many, METH_FASTCALL, NULL},
    {"ready", sides_ready, METH_O, NULL},
    {"borrow", sides_borrow, METH_O, NULL},
    {0},
};

static PyType_Slot sides_slots[] = {
    {Py_tp_doc, "The two sides of a channel."},
    {Py_tp_new, sides_construct},
    {Py_tp_dealloc, sides_destroy},
    {Py_tp_methods, sides_methods},
    {0, NULL},
};

PyType_Spec sides_spec = {
    .name = "machnet._sides.Sides",
    .basicsize = sizeof(Sides),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = sides_slots,
};

/* ---- FlowBase ---- */

static PyObject *flow_construct(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *sides = PyTuple_GetItem(arguments, 0);
    PyObject *number = sides == NULL ? NULL : PyTuple_GetItem(arguments, 1);

    (void)names;
    if (number == NULL || !PyObject_TypeCheck(sides, sides_type))
        return PyErr_Format(PyExc_TypeError, "flows are made by open_flow and accept");
    uint64_t token = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred())
        return NULL;
    FlowBase *self = (FlowBase *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(sides);
    self->sides = (Sides *)sides;
    self->token = token;
    return (PyObject *)self;
}

/* Opens it. The table gets it in the same call, so that no signal handler comes between. */
static PyObject *enter(FlowBase *self, uint64_t token, PyObject *flows)
{
    PyObject *key = PyLong_FromUnsignedLongLong(token);

    self->token = token;
    if (key == NULL || PyDict_SetItem(flows, key, (PyObject *)self) < 0) {
        Py_XDECREF(key);
        machnet_flow_close(self->sides->channel, token, MACHNET_CLOSE_ABORT);
        return NULL;
    }
    Py_DECREF(key);
    Py_RETURN_TRUE;
}

/* open(flows, local, remote, options): flows is a dict by token, the addresses are the 32 bytes of machnet_address (local may be None),
 * options the number of a pointer. False: MACHNET_EAGAIN. */
static PyObject *flow_open(PyObject *object, PyObject *arguments)
{
    FlowBase *self = (FlowBase *)object;
    PyObject *flows;
    const char *local, *remote;
    Py_ssize_t local_bytes, remote_bytes;
    unsigned long long options;
    machnet_address from, to;
    machnet_error error = {0};
    uint64_t token;

    if (!PyArg_ParseTuple(arguments, "O!z#y#K:open", &PyDict_Type, &flows, &local, &local_bytes, &remote, &remote_bytes,
                          &options))
        return NULL;
    if (self->token != 0 || (local != NULL && local_bytes != sizeof from) || remote_bytes != sizeof to)
        return sides_raise(MACHNET_EINVAL, 0);
    memcpy(&to, remote, sizeof to);
    if (local != NULL)
        memcpy(&from, local, sizeof from);
    machnet_channel *channel = sides_channel(self->sides);
    if (channel == NULL)
        return NULL;
    int32_t status = machnet_flow_open(channel, local != NULL ? &from : NULL, &to,
                                       (const machnet_options *)(uintptr_t)options, 0, &token, &error);
    if (status == MACHNET_EAGAIN)
        Py_RETURN_FALSE;
    return status < 0 ? sides_raise_error(status, &error) : enter(self, token, flows);
}

static void flow_destroy(PyObject *object)
{
    Py_XDECREF((PyObject *)((FlowBase *)object)->sides);
    sides_free(object);
}

/* False: the ring is full, call again. */
static PyObject *flow_try_close(PyObject *object, PyObject *flags)
{
    FlowBase *self = (FlowBase *)object;
    unsigned long bits = PyLong_AsUnsignedLong(flags);
    if (PyErr_Occurred())
        return NULL;
    machnet_channel *channel = sides_channel(self->sides);
    return channel == NULL ? NULL : done_or_raise(machnet_flow_close(channel, self->token, (uint32_t)bits));
}

static PyMethodDef flow_methods[] = {
    {"try_send", (PyCFunction)(void (*)(void))flow_try_send, METH_FASTCALL,
     "try_send(data, tag=0)\n\nSends a message without waiting. False: no space now."},
    {"try_send_many", (PyCFunction)(void (*)(void))flow_try_send_many, METH_FASTCALL,
     "try_send_many(messages, start=0)\n\nSends messages[start:], each bytes-like, (data, tag) or a Message, without "
     "waiting.\n"
     "Returns how many went out, in order; 0: no space now."},
    {"try_receive", (PyCFunction)(void (*)(void))flow_try_receive, METH_FASTCALL,
     "try_receive(limit=MESSAGE_MAX)\n\nThe next message, or None if there is none now. One longer than limit bytes "
     "stays:\n"
     "MessageSizeError has its length."},
    {"try_receive_many", (PyCFunction)(void (*)(void))flow_try_receive_many, METH_FASTCALL,
     "try_receive_many(max=32)\n\nUp to max messages (at most 256) that are there, as a list, which may be empty."},
    {"try_receive_into", flow_try_receive_into, METH_O,
     "try_receive_into(buffer)\n\nThe next message into a writable buffer: (length, tag), or None if there is none "
     "now.\n"
     "One longer than the buffer stays: MessageSizeError has its length."},
    {"_open", flow_open, METH_VARARGS, NULL},
    {"_borrow", flow_borrow, METH_NOARGS, NULL},
    {"_reserve", flow_reserve, METH_O, NULL},
    {"_try_close", flow_try_close, METH_O, NULL},
    {0},
};

static PyMemberDef flow_members[] = {
    {"token", T_ULONGLONG, offsetof(FlowBase, token), READONLY, "The number that names the flow on its channel."},
    {"_refused", T_BOOL, offsetof(FlowBase, refused), 0, NULL},
    {0},
};

static PyType_Slot flow_slots[] = {
    {Py_tp_doc, "The calls on a flow that do not wait."},
    {Py_tp_new, flow_construct},
    {Py_tp_dealloc, flow_destroy},
    {Py_tp_methods, flow_methods},
    {Py_tp_members, flow_members},
    {0, NULL},
};

PyType_Spec flow_spec = {
    .name = "machnet._sides.FlowBase",
    .basicsize = sizeof(FlowBase),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = flow_slots,
};
