/* SPDX-License-Identifier: MIT */
#include "nic/device_name.h"

#include <stdint.h>
#include <string.h>

#include "base/address.h"

/* True if text[0 .. length) looks like `form`, in which 'x' stands for a hexadecimal digit and the rest for itself. */
static bool has_form(const char *text, size_t length, const char *form)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    if (length != strlen(form))
        return false;
    for (size_t i = 0; i < length; i++) {
        bool fits = form[i] == 'x' ? memchr(digits, text[i], sizeof digits - 1) != NULL : text[i] == form[i];
        if (!fits)
            return false;
    }
    return true;
}

enum device_name_kind device_name_kind(const char *text)
{
    uint8_t mac[6];
    size_t name = strcspn(text, ",");
    if (address_parse_mac(text, mac))
        return DEVICE_NAME_MAC;
    if (has_form(text, name, "xxxx:xx:xx.x") || has_form(text, name, "xx:xx.x"))
        return DEVICE_NAME_PCI;
    if (has_form(text, name, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"))
        return DEVICE_NAME_VMBUS;
    if (name > 4 && (strncmp(text, "net_", 4) == 0 || strncmp(text, "eth_", 4) == 0) && strpbrk(text, " \t\n") == NULL)
        return DEVICE_NAME_VIRTUAL;
    return DEVICE_NAME_WRONG;
}

bool device_name_argument(const char *text, const char *key, char *value, size_t capacity)
{
    size_t key_length = strlen(key);
    for (const char *at = strchr(text, ','); at != NULL; at = strchr(at, ',')) {
        at++;
        if (strncmp(at, key, key_length) != 0 || at[key_length] != '=')
            continue;
        const char *start = at + key_length + 1;
        size_t length = strcspn(start, ",");
        if (length == 0 || length >= capacity)
            return false;
        memcpy(value, start, length);
        value[length] = '\0';
        return true;
    }
    return false;
}
