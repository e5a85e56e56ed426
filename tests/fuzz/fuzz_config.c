/* SPDX-License-Identifier: MIT */
/* Any text may stand in a configuration file: it is taken, or refused in one line that names the file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    char error[CONFIG_ERROR_BYTES] = "";
    config_init(&config);
    if (config_load_text(&config, "file", (const char *)data, size, error) == 0) {
        if (config.ip_count > PATH_ADDRESSES_MAX || config.udp_port == 0 || config.socket_mode > 0777 ||
            memchr(config.socket_path, '\0', sizeof config.socket_path) == NULL)
            abort();
    } else if (strncmp(error, "file:", 5) != 0) {
        abort();
    }
    return 0;
}
