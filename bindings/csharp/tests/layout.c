/* SPDX-License-Identifier: MIT */
/* Prints the layout that C gives the structs of the ABI: a line `struct size`, and `struct.member offset size` for each member. */
#include <machnet/machnet.h>
#include <stddef.h>
#include <stdio.h>

#define STRUCT(type) printf("%s %zu\n", #type, sizeof(type))
#define MEMBER(type, member) \
    printf("%s.%s %zu %zu\n", #type, #member, offsetof(type, member), sizeof(((type *)0)->member))

int main(void)
{
    STRUCT(machnet_error);
    MEMBER(machnet_error, status);
    MEMBER(machnet_error, os_error);
    MEMBER(machnet_error, option);
    MEMBER(machnet_error, message);
    STRUCT(machnet_event);
    MEMBER(machnet_event, type);
    MEMBER(machnet_event, status);
    MEMBER(machnet_event, flow);
    MEMBER(machnet_event, listener);
    MEMBER(machnet_event, value);
    STRUCT(machnet_address);
    MEMBER(machnet_address, ip);
    MEMBER(machnet_address, port);
    STRUCT(machnet_flow_info);
    MEMBER(machnet_flow_info, state);
    MEMBER(machnet_flow_info, status);
    MEMBER(machnet_flow_info, listener);
    MEMBER(machnet_flow_info, messages_sent);
    MEMBER(machnet_flow_info, messages_acknowledged);
    MEMBER(machnet_flow_info, messages_received);
    MEMBER(machnet_flow_info, messages_queued);
    MEMBER(machnet_flow_info, bytes_unacknowledged);
    STRUCT(machnet_message);
    MEMBER(machnet_message, flow);
    MEMBER(machnet_message, tag);
    MEMBER(machnet_message, length);
    MEMBER(machnet_message, flags);
    STRUCT(machnet_record);
    MEMBER(machnet_record, flow);
    MEMBER(machnet_record, tag);
    MEMBER(machnet_record, offset);
    MEMBER(machnet_record, length);
    MEMBER(machnet_record, flags);
    STRUCT(machnet_view);
    MEMBER(machnet_view, data);
    MEMBER(machnet_view, length);
    MEMBER(machnet_view, flow);
    MEMBER(machnet_view, tag);
    MEMBER(machnet_view, buffer);
    MEMBER(machnet_view, flags);
    return 0;
}
