/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>

#include <machnet/machnet.h>

uint32_t machnet_abi_version(void)
{
    return MACHNET_ABI_VERSION;
}

const char *machnet_version_string(void)
{
    return MACHNET_PACKAGE_VERSION;
}

int32_t machnet_has_feature(const char *name)
{
    static const char *const features[] = {"copy", "packed", "zero-copy", "wait", "descriptor", "ipv6"};

    if (!name)
        return 0;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        if (strcmp(features[i], name) == 0)
            return 1;
    }
    return 0;
}

/* The structs of the ABI, frozen at birth. */
_Static_assert(sizeof(machnet_error) == 256 && _Alignof(machnet_error) == 8, "ABI");
_Static_assert(offsetof(machnet_error, option) == 8 && offsetof(machnet_error, message) == 24, "ABI");
_Static_assert(sizeof(machnet_event) == 64 && offsetof(machnet_event, flow) == 8, "ABI");
_Static_assert(sizeof(machnet_address) == 32 && offsetof(machnet_address, port) == 16, "ABI");
_Static_assert(sizeof(machnet_flow_info) == 128 && offsetof(machnet_flow_info, listener) == 8, "ABI");
_Static_assert(sizeof(machnet_message) == 48 && offsetof(machnet_message, flags) == 24, "ABI");
_Static_assert(sizeof(machnet_record) == 48 && offsetof(machnet_record, flags) == 32, "ABI");
_Static_assert(sizeof(machnet_view) == 64 && offsetof(machnet_view, buffer) == 32 && offsetof(machnet_view, flags) == 40,
               "ABI");
