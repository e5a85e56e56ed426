/* SPDX-License-Identifier: MIT */
/* The objects that the driver has named. */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

static struct object *objects; /* by name */
static const char *const kind_names[KIND_COUNT] = {"context", "channel", "listener", "flow", "message", "buffer"};

struct object *object_named(const char *name)
{
    struct object *object;
    HASH_FIND_STR(objects, name, object);
    return object;
}

struct object *object_of(const json_t *request, enum kind kind)
{
    struct object *object = object_named(text_of(request, kind_names[kind]));
    if (object == NULL || object->kind != kind)
        fault("no %s %s", kind_names[kind], text_of(request, kind_names[kind]));
    return object;
}

struct object *usable_of(const json_t *request, enum kind kind)
{
    struct object *object = object_of(request, kind);
    const struct object *owner = kind <= KIND_CHANNEL ? object : object->parent;
    if (owner->closed)
        impossible("in C nothing may be called with a handle after the last reference was given back");
    return object;
}

struct object *object_new(const json_t *request, enum kind kind, struct object *parent)
{
    const char *name = text_of(request, kind_names[kind]);
    struct object *object = object_named(name);
    if (object != NULL && !object->closed)
        fault("%s is there already", name);
    if (object != NULL)
        object_forget(object);
    object = calloc(1, sizeof *object);
    if (object == NULL)
        abort();
    object->name = strdup(name);
    object->kind = kind;
    object->parent = parent;
    if (parent != NULL) {
        object->context = parent->context;
        object->channel = parent->channel;
    }
    pthread_mutex_init(&object->lock, NULL);
    pthread_cond_init(&object->more, NULL);
    HASH_ADD_KEYPTR(hh, objects, object->name, strlen(object->name), object);
    return object;
}

static void close_object(struct object *object)
{
    switch (object->kind) {
    case KIND_CONTEXT:
        machnet_context_unref(object->context);
        break;
    case KIND_CHANNEL:
        (void)machnet_channel_shutdown(object->channel);
        machnet_channel_unref(object->channel);
        break;
    case KIND_LISTENER:
        if (!object->parent->closed)
            (void)machnet_listener_close(object->channel, object->token, 0, NULL);
        break;
    case KIND_FLOW:
        if (!object->parent->closed)
            (void)machnet_flow_close(object->channel, object->token, 0);
        break;
    case KIND_MESSAGE:
    case KIND_BUFFER:
        (void)machnet_buffer_release(object->channel, object->view.buffer);
        break;
    case KIND_COUNT:
        abort();
    }
    object->closed = true;
}

void object_forget(struct object *object)
{
    if (!object->closed)
        close_object(object);
    HASH_DEL(objects, object);
    events_free(object);
    pthread_mutex_destroy(&object->lock);
    pthread_cond_destroy(&object->more);
    free(object->name);
    free(object);
}

json_t *flow_name(const struct object *channel, uint64_t token)
{
    struct object *object, *next;
    HASH_ITER(hh, objects, object, next)
    {
        if (object->kind == KIND_FLOW && object->parent == channel && object->token == token)
            return json_string(object->name);
    }
    return json_null();
}

static void keep(const json_t *request)
{
    json_t *name;
    size_t i;
    struct object *object, *next;

    HASH_ITER(hh, objects, object, next)
    object->keep = false;
    json_array_foreach(json_object_get(request, "keep"), i, name)
    {
        for (object = object_named(json_string_value(name)); object != NULL; object = object->parent)
            object->keep = true;
    }
}

json_t *op_reset(json_t *request)
{
    struct object *object, *next;

    keep(request);
    /* Closed ones last as long as what stands on them. */
    for (int kind = KIND_COUNT - 1; kind >= 0; kind--) {
        HASH_ITER(hh, objects, object, next)
        {
            if (object->kind == (enum kind)kind && !object->keep)
                object_forget(object);
        }
    }
    HASH_ITER(hh, objects, object, next)
    {
        if (object->kind == KIND_CHANNEL && !object->closed)
            events_purge(object);
    }
    return ok(NULL);
}
