/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <argp.h>
#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_keys.h"
#include "config_network.h"
#include "nic/nic_dpdk.h"

enum { FILE_BYTES_MAX = 1 << 20, KEYS_MAX = 32, FLAGS_MAX = 256 };

void config_init(struct config *config)
{
    *config = (struct config){
        .udp_port = 31700,
        .socket_mode = 0660,
        .workers = 1,
        .poll = WORKER_POLL_ADAPTIVE,
        .spin_ns = 250000,
        .dead_peer_ns = UINT64_C(10000000000),
        .log_level = LOG_LEVEL_INFO,
    };
}

static int fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, CONFIG_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return -1;
}

/* ---- File ---- */

struct source {
    struct config *config;
    const char *name;
    char *error;
};

static int set_from_file(const struct source *source, const struct config_key *key, const char *text)
{
    const char *wrong = key->set(source->config, text);
    if (wrong == NULL)
        return 0;
    return fail(source->error, "%s: key \"%s\": \"%.100s\" %s; allowed: %s", source->name, key->name, text, wrong,
                key->allowed);
}

static int set_number_from_file(const struct source *source, const struct config_key *key, json_int_t number)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    return set_from_file(source, key, text);
}

static int set_array_from_file(const struct source *source, const struct config_key *key, const json_t *array)
{
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        if (!json_is_string(item))
            return fail(source->error, "%s: key \"%s\": element %zu is not a string; allowed: %s", source->name,
                        key->name, i, key->allowed);
        if (set_from_file(source, key, json_string_value(item)) != 0)
            return -1;
    }
    return 0;
}

static int set_value_from_file(const struct source *source, const struct config_key *key, const json_t *value)
{
    static const char *const forms[] = {
        [CONFIG_NUMBER] = "an integer",
        [CONFIG_SIZE] = "an integer or a string",
        [CONFIG_STRING] = "a string",
        [CONFIG_STRINGS] = "an array of strings",
    };
    bool number = key->form == CONFIG_NUMBER || key->form == CONFIG_SIZE;
    if (json_is_integer(value) && number)
        return set_number_from_file(source, key, json_integer_value(value));
    if (json_is_string(value) && (key->form == CONFIG_SIZE || key->form == CONFIG_STRING))
        return set_from_file(source, key, json_string_value(value));
    if (json_is_array(value) && key->form == CONFIG_STRINGS)
        return set_array_from_file(source, key, value);
    return fail(source->error, "%s: key \"%s\": must be %s; allowed: %s", source->name, key->name, forms[key->form],
                key->allowed);
}

static void list_keys(char *text, size_t capacity)
{
    size_t length = 0;
    for (const struct config_key *key = config_keys; key->name != NULL && length < capacity; key++) {
        int added = snprintf(text + length, capacity - length, "%s%s", length > 0 ? ", " : "", key->name);
        length += (size_t)added;
    }
}

static int set_all_from_file(const struct source *source, json_t *root)
{
    const char *name;
    json_t *value;
    if (!json_is_object(root))
        return fail(source->error, "%s:1: not a JSON object; allowed: {\"ip\": [\"10.0.0.2\"], ...}", source->name);
    json_object_foreach(root, name, value)
    {
        const struct config_key *key = config_key_find(name);
        if (key == NULL) {
            char keys[CONFIG_ERROR_BYTES / 2];
            list_keys(keys, sizeof keys);
            return fail(source->error, "%s: key \"%.60s\" is unknown; allowed: %s", source->name, name, keys);
        }
        if (set_value_from_file(source, key, value) != 0)
            return -1;
    }
    return 0;
}

int config_load_text(struct config *config, const char *name, const char *text, size_t length, char *error)
{
    json_error_t problem;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (root == NULL)
        return fail(error, "%s:%d:%d: not valid JSON: %s", name, problem.line, problem.column, problem.text);
    struct source source = {.config = config, .name = name, .error = error};
    int result = set_all_from_file(&source, root);
    json_decref(root);
    return result;
}

static int load_file(struct config *config, const char *path, char *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return fail(error, "%s: cannot be read: %s", path, strerror(errno));
    int result = -1;
    char *text = malloc(FILE_BYTES_MAX);
    size_t length = text != NULL ? fread(text, 1, FILE_BYTES_MAX, file) : 0;
    if (text == NULL)
        fail(error, "%s: no memory", path);
    else if (ferror(file))
        fail(error, "%s: cannot be read: %s", path, strerror(errno));
    else if (length == FILE_BYTES_MAX)
        fail(error, "%s: is too long; allowed: less than %d bytes", path, FILE_BYTES_MAX);
    else
        result = config_load_text(config, path, text, length, error);
    free(text);
    fclose(file);
    return result;
}

/* ---- Command line ---- */

enum { FLAG_CONFIG = 1000, FLAG_CHECK, FLAG_KEY = 2000 };

/* Flags are kept until the file was read. */
struct flags {
    char *error;
    const char *config_path;
    bool check, failed;
    uint32_t count;
    struct {
        const struct config_key *key;
        const char *text;
    } given[FLAGS_MAX];
    const struct argp *argp;
};

static error_t flags_fail(struct flags *flags)
{
    flags->failed = true;
    return EINVAL;
}

static error_t keep_flag(struct flags *flags, const struct config_key *key, const char *text)
{
    if (flags->count == FLAGS_MAX) {
        fail(flags->error, "--%s: is one flag too many; allowed: %d flags", key->name, FLAGS_MAX);
        return flags_fail(flags);
    }
    flags->given[flags->count].key = key;
    flags->given[flags->count++].text = text;
    return 0;
}

/* What getopt did not understand stands before state->next. */
static error_t explain_bad_flag(struct flags *flags, const struct argp_state *state)
{
    if (flags->failed)
        return 0;
    const char *flag = state->next > 0 && state->next <= state->argc ? state->argv[state->next - 1] : "";
    if (flag[0] != '-' && state->next < state->argc)
        flag = state->argv[state->next]; /* a group of short flags, of which the first is unknown */
    size_t length = strcspn(flag, "=");
    for (const struct argp_option *o = flags->argp->options; strncmp(flag, "--", 2) == 0 && o->key != 0; o++) {
        if (o->name != NULL && length > 2 && strlen(o->name) == length - 2 &&
            strncmp(o->name, flag + 2, length - 2) == 0) {
            const struct config_key *key = config_key_find(o->name);
            const char *allowed = key != NULL ? key->allowed : o->arg != NULL ? "the path of a file" : "the flag alone";
            fail(flags->error, "--%s %s; allowed: %s", o->name, o->arg != NULL ? "needs a value" : "takes no value",
                 allowed);
            return flags_fail(flags);
        }
    }
    fail(flags->error, "unknown flag \"%.100s\"; allowed: those that machnetd --help shows", flag);
    return flags_fail(flags);
}

static error_t take_flag(int flag, char *text, struct argp_state *state)
{
    struct flags *flags = state->input;
    switch (flag) {
    case 'h':
    case '?':
        argp_help(flags->argp, stdout, ARGP_HELP_STD_HELP & ~(unsigned)ARGP_HELP_EXIT_OK, "machnetd");
        exit(0);
    case 'V':
        printf("machnetd " MACHNET_PACKAGE_VERSION "\nback ends: udp%s\n", nic_dpdk_is_built() ? " dpdk" : "");
        exit(0);
    case FLAG_CONFIG:
        if (text[0] == '\0') {
            fail(flags->error, "--config: \"\" is empty; allowed: the path of a file");
            return flags_fail(flags);
        }
        flags->config_path = text;
        return 0;
    case FLAG_CHECK:
        flags->check = true;
        return 0;
    case ARGP_KEY_ARG:
        fail(flags->error, "\"%.100s\" is not a flag; allowed: flags that machnetd --help shows", text);
        return flags_fail(flags);
    case ARGP_KEY_ERROR:
        return explain_bad_flag(flags, state);
    default:
        if (flag >= FLAG_KEY && flag < FLAG_KEY + KEYS_MAX)
            return keep_flag(flags, &config_keys[flag - FLAG_KEY], text);
        return ARGP_ERR_UNKNOWN;
    }
}

static void fill_options(struct argp_option options[KEYS_MAX + 6])
{
    static const struct argp_option own[] = {
        {"config", FLAG_CONFIG, "FILE", 0, "A JSON object with these names as keys; flags override it", 0},
        {"check", FLAG_CHECK, NULL, 0, "Check flags and file, and exit", 0},
        {"help", 'h', NULL, 0, "Show this, and exit", -1},
        {NULL, '?', NULL, OPTION_ALIAS, NULL, -1},
        {"version", 'V', NULL, 0, "Show the version, and exit", -1},
        {0},
    };
    uint32_t count = 0;
    for (const struct config_key *key = config_keys; key->name != NULL; key++, count++)
        options[count] = (struct argp_option){key->name, FLAG_KEY + (int)count, key->argument, 0, key->help, 0};
    memcpy(options + count, own, sizeof own);
}

static int apply_flags(struct config *config, const struct flags *flags)
{
    for (uint32_t i = 0; i < flags->count; i++) {
        if (flags->given[i].key->form == CONFIG_STRINGS) /* the file's are replaced */
            config_clear_list(config, flags->given[i].key->set);
    }
    for (uint32_t i = 0; i < flags->count; i++) {
        const struct config_key *key = flags->given[i].key;
        const char *wrong = key->set(config, flags->given[i].text);
        if (wrong != NULL)
            return fail(flags->error, "--%s: \"%.100s\" %s; allowed: %s", key->name, flags->given[i].text, wrong,
                        key->allowed);
    }
    return 0;
}

static int check_workers(const struct config *config, char *error)
{
    if (config->udp_port + config->workers > UINT16_MAX + 1u)
        return fail(error, "--workers: %u workers need the UDP ports from %u on; allowed: a --udp-port up to %u",
                    config->workers, config->udp_port, UINT16_MAX + 1u - config->workers);
    if (config->cpu_count != 0 && config->cpu_count < config->workers)
        return fail(error, "--cpus: names %u cpus for %u workers; allowed: one for each worker, or more",
                    config->cpu_count, config->workers);
    return 0;
}

/* Checks what no single setting shows, and fills in the socket's path. */
static int finish(struct config *config, char *error)
{
    if (config->socket_group[0] != '\0' && getgrnam(config->socket_group) == NULL)
        return fail(error,
                    "there is no group \"%s\" on this machine; make it (groupadd), or give another by --socket-group",
                    config->socket_group);
    if (config->ip_count == 0)
        return fail(error, "no address is given; give one of this machine by --ip, for a first try --ip 127.0.0.2");
    if (check_workers(config, error) < 0 || config_finish_network(config, error) < 0)
        return -1;
    if (config->socket_path[0] != '\0')
        return 0;
    config->socket_is_default = true;
    const char *directory = geteuid() == 0 ? "/run/machnet" : getenv("XDG_RUNTIME_DIR");
    if (directory == NULL || directory[0] == '\0')
        return fail(error,
                    "XDG_RUNTIME_DIR is not set, so there is no place for the socket; give one by --socket PATH");
    int length = snprintf(config->socket_path, sizeof config->socket_path, "%s/machnet.sock", directory);
    if (length >= (int)sizeof config->socket_path)
        return fail(error, "XDG_RUNTIME_DIR is too long for a socket's path; give a shorter one by --socket PATH");
    return 0;
}

int config_parse(struct config *config, int argc, char **argv, char *error)
{
    struct argp_option options[KEYS_MAX + 6] = {0};
    fill_options(options);
    struct argp argp = {
        .options = options,
        .parser = take_flag,
        .doc = "The machnet engine: owns the network interface of this machine and moves messages for the applications "
               "that attach to it."
               "\vExit status: 0 after SIGINT, SIGTERM or SIGHUP, 1 if it cannot run (address not on this machine, "
               "port or "
               "socket taken), 2 for "
               "wrong flags or a wrong file.\n\nA first try: machnetd --ip 127.0.0.2 --socket /tmp/machnet.sock",
    };
    struct flags flags = {.error = error, .argp = &argp};
    config_init(config);
    error[0] = '\0';
    if (argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &flags) != 0)
        return flags.failed ? -1 : fail(error, "the flags cannot be read; machnetd --help shows what is allowed");
    if (flags.config_path != NULL && load_file(config, flags.config_path, error) != 0)
        return -1;
    config->check = flags.check;
    return apply_flags(config, &flags) != 0 ? -1 : finish(config, error);
}
