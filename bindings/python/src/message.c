/* SPDX-License-Identifier: MIT */
/* A message: its bytes, its tag, its flow. Not looked at by the collector: it points to nothing that points back. */
#include "sides.h"

#include <stddef.h>

static PyObject *allocate(PyTypeObject *type, PyObject *data, uint64_t tag, PyObject *flow)
{
    Message *message = PyObject_New(Message, type);

    if (message == NULL) {
        Py_DECREF(data);
        return NULL;
    }
    Py_INCREF(flow);
    message->data = data;
    message->flow = flow;
    message->tag = tag;
    return (PyObject *)message;
}

PyObject *message_new(PyObject *data, uint64_t tag, PyObject *flow)
{
    return data == NULL ? NULL : allocate(message_type, data, tag, flow);
}

static PyObject *construct(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    static char *keywords[] = {"data", "tag", "flow", NULL};
    PyObject *data, *tag = NULL, *flow = Py_None;
    uint64_t number = 0;

    if (!PyArg_ParseTupleAndKeywords(arguments, names, "S|OO:Message", keywords, &data, &tag, &flow))
        return NULL;
    if (flow != Py_None && !PyObject_TypeCheck(flow, flow_type))
        return PyErr_Format(PyExc_TypeError, "flow must be a Flow or None");
    if (tag != NULL && !sides_number(tag, "tag", &number))
        return NULL;
    Py_INCREF(data);
    return allocate(type, data, number, flow);
}

static void destroy(PyObject *self)
{
    Message *message = (Message *)self;

    Py_DECREF(message->data);
    Py_DECREF(message->flow);
    sides_free(self);
}

static PyObject *represent(PyObject *self)
{
    Message *message = (Message *)self;
    return PyUnicode_FromFormat("Message(%R, tag=%llu)", message->data, (unsigned long long)message->tag);
}

static Py_ssize_t length(PyObject *self)
{
    return PyBytes_Size(((Message *)self)->data);
}

static PyMemberDef members[] = {
    {"data", T_OBJECT_EX, offsetof(Message, data), READONLY, "The bytes."},
    {"tag", T_ULONGLONG, offsetof(Message, tag), READONLY, "The number that its sender gave, 0 to 2**64 - 1."},
    {"flow", T_OBJECT_EX, offsetof(Message, flow), READONLY, "The flow that it came on."},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc,
     "Message(data, tag=0, flow=None)\n--\n\nThe bytes of a message, its tag, and the flow that it belongs to."},
    {Py_tp_new, construct},
    {Py_tp_dealloc, destroy},
    {Py_tp_repr, represent},
    {Py_tp_members, members},
    {Py_mp_length, length},
    {0, NULL},
};

PyType_Spec message_spec = {
    .name = "machnet.Message",
    .basicsize = sizeof(Message),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};
