/* SPDX-License-Identifier: MIT */
/*
 * A borrowed message or a reserved buffer, as an exporter of the buffer protocol. It has a reference to its channel of its own, so that its
 * bytes stay mapped; memoryviews have references to it. The memory goes back when nobody looks at it any more:
 *
 *   released      <=  exports == 0  and  (release() was called, or the object is gone)
 *   committed     <=  exports == 0  and  commit() was called
 */
#include "sides.h"

#include <stddef.h>
#include <stdio.h>

enum state {
    BORROWED = 1,
    RESERVED,
    CLOSING, /* was borrowed; goes back with its last view */
    DONE,
};

typedef struct {
    PyObject_HEAD machnet_channel *channel; /* own reference */
    PyObject *flow;
    machnet_view view;
    Py_ssize_t exports;
    enum state state;
} Buffer;

static PyObject *buffer_new(machnet_channel *channel, const machnet_view *view, PyObject *owner, enum state state)
{
    PyObject *flow = sides_owner(owner, view->flow);
    Buffer *self = flow == NULL ? NULL : PyObject_New(Buffer, buffer_type);

    if (self == NULL) {
        machnet_buffer_release(channel, view->buffer);
        return NULL;
    }
    machnet_channel_ref(channel);
    Py_INCREF(flow);
    self->channel = channel;
    self->flow = flow;
    self->view = *view;
    self->exports = 0;
    self->state = state;
    return (PyObject *)self;
}

static void give_back(Buffer *self)
{
    if (self->state == DONE)
        return;
    self->state = DONE;
    machnet_buffer_release(self->channel, self->view.buffer);
}

static void buffer_destroy(PyObject *object)
{
    Buffer *self = (Buffer *)object;

    give_back(self);
    machnet_channel_unref(self->channel);
    Py_DECREF(self->flow);
    sides_free(object);
}

/* ---- The buffer protocol ---- */

static int buffer_get(PyObject *object, Py_buffer *view, int flags)
{
    Buffer *self = (Buffer *)object;

    if (self->state == DONE || self->state == CLOSING) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "the buffer was given back");
        return -1;
    }
    if (PyBuffer_FillInfo(view, object, self->view.data, (Py_ssize_t)self->view.length, self->state == BORROWED,
                          flags) < 0)
        return -1;
    self->exports++;
    return 0;
}

static void buffer_put(PyObject *object, Py_buffer *view)
{
    Buffer *self = (Buffer *)object;

    (void)view;
    self->exports--;
    if (self->exports == 0 && self->state == CLOSING)
        give_back(self);
}

/* ---- Borrow, reserve ---- */

static PyObject *borrow(Sides *sides, uint64_t token, PyObject *owner)
{
    machnet_view view = {0};
    machnet_channel *channel = sides_channel(sides);

    if (channel == NULL)
        return NULL;
    int32_t status = machnet_recv_borrow(channel, token, &view, 0);
    if (status == MACHNET_EAGAIN)
        Py_RETURN_NONE;
    return status < 0 ? sides_raise_of_flow(status, 0) : buffer_new(channel, &view, owner, BORROWED);
}

PyObject *flow_borrow(PyObject *self, PyObject *unused)
{
    (void)unused;
    return borrow(((FlowBase *)self)->sides, ((FlowBase *)self)->token, self);
}

PyObject *sides_borrow(PyObject *self, PyObject *owner)
{
    return borrow((Sides *)self, MACHNET_ANY_FLOW, owner);
}

PyObject *flow_reserve(PyObject *self, PyObject *length)
{
    FlowBase *flow = (FlowBase *)self;
    machnet_view view = {0};
    uint64_t bytes;

    if (!sides_number(length, "length", &bytes))
        return NULL;
    machnet_channel *channel = sides_channel(flow->sides);
    if (channel == NULL)
        return NULL;
    int32_t status = machnet_send_reserve(channel, flow->token, bytes, &view, 0);
    if (status == MACHNET_EAGAIN) {
        flow->refused = true;
        Py_RETURN_NONE;
    }
    return status < 0 ? sides_raise_of_flow(status, bytes) : buffer_new(channel, &view, self, RESERVED);
}

/* ---- Methods ---- */

/* commit(length, tag). False: the ring is full, call again. */
static PyObject *buffer_commit(PyObject *object, PyObject *arguments)
{
    Buffer *self = (Buffer *)object;
    PyObject *length_number, *tag_number;
    uint64_t length, tag;
    machnet_error error;

    if (!PyArg_ParseTuple(arguments, "OO:commit", &length_number, &tag_number))
        return NULL;
    if (!sides_number(length_number, "length", &length) || !sides_number(tag_number, "tag", &tag))
        return NULL;
    if (self->exports > 0)
        return PyErr_Format(PyExc_BufferError, "a memoryview of the buffer is still in use: release it before commit");
    if (self->state != RESERVED)
        return sides_raise(MACHNET_EBADTOKEN, 0);
    if (length > self->view.length) {
        snprintf(error.message, sizeof error.message, "Cannot commit %llu bytes: %llu were reserved. Reserve more.",
                 (unsigned long long)length, (unsigned long long)self->view.length);
        return sides_raise_error(MACHNET_EINVAL, &error);
    }
    int32_t status = machnet_send_commit(self->channel, self->view.buffer, length, tag, 0);
    if (status == MACHNET_EAGAIN)
        Py_RETURN_FALSE;
    if (status < 0)
        return sides_raise_of_flow(status, 0);
    self->state = DONE;
    Py_RETURN_TRUE;
}

/* False: it was given back before. */
static PyObject *buffer_release(PyObject *object, PyObject *unused)
{
    Buffer *self = (Buffer *)object;

    (void)unused;
    if (self->state == DONE || self->state == CLOSING)
        Py_RETURN_FALSE;
    if (self->exports == 0)
        give_back(self);
    else if (self->state == BORROWED)
        self->state = CLOSING;
    else
        return PyErr_Format(PyExc_BufferError, "a memoryview of the buffer is still in use: release it before");
    Py_RETURN_TRUE;
}

static PyMethodDef methods[] = {
    {"commit", buffer_commit, METH_VARARGS, NULL},
    {"release", buffer_release, METH_NOARGS, NULL},
    {0},
};

static PyMemberDef members[] = {
    {"flow", T_OBJECT_EX, offsetof(Buffer, flow), READONLY, NULL},
    {"tag", T_ULONGLONG, offsetof(Buffer, view.tag), READONLY, NULL},
    {"length", T_ULONGLONG, offsetof(Buffer, view.length), READONLY, NULL},
    {0},
};

/* Made by borrow and reserve only. */
static PyObject *construct(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    (void)type, (void)arguments, (void)names;
    return PyErr_Format(PyExc_TypeError, "buffers are borrowed or reserved");
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "A borrowed message or a reserved buffer."},
    {Py_tp_new, construct},
    {Py_tp_dealloc, buffer_destroy},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_bf_getbuffer, buffer_get},
    {Py_bf_releasebuffer, buffer_put},
    {0, NULL},
};

PyType_Spec buffer_spec = {
    .name = "machnet._sides.Buffer",
    .basicsize = sizeof(Buffer),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};
