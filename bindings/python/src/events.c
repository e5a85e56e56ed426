/* SPDX-License-Identifier: MIT */
/* What happened on a channel: taken from the library, and settled in the tables of Python. */
#include "sides.h"

enum {
    EVENTS = 64, /* taken in one call */
};

/* The part of the mask that holds now. */
PyObject *sides_look(PyObject *object, PyObject *mask)
{
    unsigned long bits = PyLong_AsUnsignedLong(mask);
    if (PyErr_Occurred())
        return NULL;
    machnet_channel *channel = sides_channel((Sides *)object);
    if (channel == NULL)
        return NULL;
    int32_t status = bits > UINT32_MAX ? MACHNET_EINVAL : machnet_channel_wait(channel, (uint32_t)bits, 0);
    if (status == MACHNET_ETIMEDOUT)
        status = 0;
    return status < 0 ? sides_raise(status, 0) : PyLong_FromLong(status);
}

static bool append(PyObject *list, const machnet_event *event)
{
    PyObject *item =
        Py_BuildValue("(IiKKK)", (unsigned)event->type, (int)event->status, (unsigned long long)event->flow,
                      (unsigned long long)event->listener, (unsigned long long)event->value);
    bool done = item != NULL && PyList_Append(list, item) == 0;

    Py_XDECREF(item);
    return done;
}

/* events(list): appends (type, status, flow, listener, value) of each event that came, at most EVENTS; how many. In one call, so that an
 * exception of a signal handler loses none. A finaliser that the collector runs meanwhile gets none, so that they stay in order. */
PyObject *sides_events(PyObject *object, PyObject *list)
{
    Sides *self = (Sides *)object;
    machnet_event events[EVENTS];
    machnet_channel *channel = sides_channel(self);

    if (channel == NULL)
        return NULL;
    if (self->taking)
        return PyLong_FromLong(0);
    int32_t count = machnet_channel_events(channel, events, EVENTS, 0);
    if (count < 0 && count != MACHNET_EAGAIN)
        return sides_raise(count, 0);
    bool done = true;
    self->taking = true;
    for (int32_t i = 0; i < count && done; i++)
        done = append(list, &events[i]);
    self->taking = false;
    return !done ? NULL : PyLong_FromLong(count < 0 ? 0 : count);
}

/* settle(taken, event, calls): if the event is still the first of what was taken, it is taken off, and each of the calls, which are (function,
 * tuple of arguments), is made: whether it was. Made of functions in C alone they are one step: no signal handler comes in between. */
PyObject *sides_settle(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *function, *rest;

    (void)module;
    if (count != 3 || !PyList_Check(arguments[0]) || !PyList_Check(arguments[2]))
        return PyErr_Format(PyExc_TypeError, "settle(taken, event, calls)");
    if (PyList_Size(arguments[0]) == 0 || PyList_GetItem(arguments[0], 0) != arguments[1])
        Py_RETURN_FALSE;
    for (Py_ssize_t i = 0; i < PyList_Size(arguments[2]); i++) {
        if (!PyArg_ParseTuple(PyList_GetItem(arguments[2], i), "OO", &function, &rest))
            return NULL;
        PyObject *result = PyObject_CallObject(function, rest);
        if (result == NULL)
            return NULL;
        Py_DECREF(result);
    }
    if (PyList_SetSlice(arguments[0], 0, 1, NULL) < 0)
        return NULL;
    Py_RETURN_TRUE;
}
