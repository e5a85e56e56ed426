/* SPDX-License-Identifier: MIT */
/* What calls ask of an address that the application gives. Any thread. */
#ifndef MN_CLIENT_ADDRESS_H
#define MN_CLIENT_ADDRESS_H

#include <stdbool.h>

#include <machnet/machnet.h>

/* All reserved fields are 0. */
bool mn_address_is_sound(const machnet_address *address);
/* The IP address is :: or 0.0.0.0. */
bool mn_address_is_any(const machnet_address *address);

#endif /* MN_CLIENT_ADDRESS_H */
