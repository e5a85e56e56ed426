/* SPDX-License-Identifier: MIT */
/* Every setting of the engine: one table for flags, file, help and messages. */
#ifndef MACHNET_ENGINE_CONFIG_KEYS_H
#define MACHNET_ENGINE_CONFIG_KEYS_H

#include "config.h"

/* How a value stands in the JSON file. */
enum config_form {
    CONFIG_NUMBER = 1, /* an integer */
    CONFIG_SIZE,       /* an integer, or a string such as "64M" */
    CONFIG_STRING,
    CONFIG_STRINGS, /* an array of strings; as a flag it is repeated */
};

struct config_key {
    const char *name;
    const char *argument; /* the value's name in --help */
    enum config_form form;
    /* Returns NULL, or what is wrong with the value ("is ..."). */
    const char *(*set)(struct config *config, const char *text);
    const char *allowed;
    const char *help;
};

/* The table ends with a key without a name. */
extern const struct config_key config_keys[];

/* NULL if there is none. */
const struct config_key *config_key_find(const char *name);

#endif /* MACHNET_ENGINE_CONFIG_KEYS_H */
