/* SPDX-License-Identifier: MIT */
#include "sides.h"

#include <string.h>

PyTypeObject *sides_type, *flow_type, *message_type, *buffer_type;

static PyObject *raise_with;

/* What is static here, and the types, would be shared by all interpreters of a process. */
PyObject *sides_set_raiser(PyObject *module, PyObject *raiser)
{
    (void)module;
    if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0)
        return PyErr_Format(
            PyExc_ImportError,
            "machnet works in the main interpreter of a process only: import it there, or use processes");
    Py_INCREF(raiser);
    Py_XDECREF(raise_with);
    raise_with = raiser;
    Py_RETURN_NONE;
}

static PyObject *raise_status(int32_t status, uint64_t value, bool of_flow, const char *words)
{
    PyObject *text =
        PyUnicode_DecodeUTF8(words, (Py_ssize_t)strlen(words), "replace"); /* it may be cut within a character */
    if (text == NULL)
        return NULL;
    PyObject *nothing = raise_with == NULL ? PyUnicode_FromString("")
                                           : PyObject_CallFunction(raise_with, "iKiO", (int)status,
                                                                   (unsigned long long)value, (int)of_flow, text);
    Py_DECREF(text);
    if (nothing != NULL) { /* it did not raise */
        Py_DECREF(nothing);
        PyErr_SetString(PyExc_RuntimeError, machnet_status_text(status));
    }
    return NULL;
}

PyObject *sides_raise(int32_t status, uint64_t value)
{
    return raise_status(status, value, false, "");
}

PyObject *sides_raise_of_flow(int32_t status, uint64_t value)
{
    return raise_status(status, value, true, "");
}

PyObject *sides_raise_error(int32_t status, const machnet_error *error)
{
    return raise_status(status, 0, false, error->message);
}

bool sides_number(PyObject *object, const char *name, uint64_t *number)
{
    *number = PyLong_AsUnsignedLongLong(object);
    if (!PyErr_Occurred())
        return true;
    PyErr_Format(PyErr_ExceptionMatches(PyExc_OverflowError) ? PyExc_OverflowError : PyExc_TypeError,
                 "%s must be an int from 0 to 2**64 - 1", name);
    return false;
}

void sides_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    release(self);
    Py_DECREF(type);
}

static PyMethodDef functions[] = {
    {"set_raiser", sides_set_raiser, METH_O, NULL},
    {"settle", (PyCFunction)(void (*)(void))sides_settle, METH_FASTCALL, NULL},
    {0},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "machnet._sides",
    .m_doc = "The two sides of a channel, and the fast path of messages.",
    .m_size = -1,
    .m_methods = functions,
};

static bool add_type(PyObject *module, PyType_Spec *spec, const char *name, PyTypeObject **type)
{
    *type = (PyTypeObject *)PyType_FromSpec(spec);
    if (*type == NULL)
        return false;
    Py_INCREF((PyObject *)*type);
    return PyModule_AddObject(module, name, (PyObject *)*type) == 0;
}

PyMODINIT_FUNC PyInit__sides(void);

PyMODINIT_FUNC PyInit__sides(void)
{
    PyObject *module = PyModule_Create(&definition);

    if (module == NULL)
        return NULL;
    if (add_type(module, &sides_spec, "Sides", &sides_type) && add_type(module, &flow_spec, "FlowBase", &flow_type) &&
        add_type(module, &message_spec, "Message", &message_type) &&
        add_type(module, &buffer_spec, "Buffer", &buffer_type))
        return module;
    Py_DECREF(module);
    return NULL;
}
