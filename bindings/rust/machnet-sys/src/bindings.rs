// SPDX-License-Identifier: MIT
// Generated from machnet.h by bindings/rust/generate.sh; do not edit.

pub const MACHNET_ABI_VERSION: _bindgen_ty_1 = 65536;
pub type _bindgen_ty_1 = u32;
extern "C" {
    pub fn machnet_abi_version() -> u32;
}
extern "C" {
    pub fn machnet_version_string() -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn machnet_has_feature(name: *const ::std::os::raw::c_char) -> i32;
}
pub const MACHNET_OK: machnet_status = 0;
pub const MACHNET_EAGAIN: machnet_status = -1;
pub const MACHNET_EINVAL: machnet_status = -2;
pub const MACHNET_ENOMEM: machnet_status = -3;
pub const MACHNET_ENOTSUP: machnet_status = -4;
pub const MACHNET_EVERSION: machnet_status = -5;
pub const MACHNET_EFORKED: machnet_status = -6;
pub const MACHNET_EINTR: machnet_status = -7;
pub const MACHNET_ETIMEDOUT: machnet_status = -8;
pub const MACHNET_ENOENGINE: machnet_status = -9;
pub const MACHNET_EENGINEGONE: machnet_status = -10;
pub const MACHNET_EACCES: machnet_status = -11;
pub const MACHNET_EQUOTA: machnet_status = -12;
pub const MACHNET_ESHUTDOWN: machnet_status = -13;
pub const MACHNET_EPROTOCOL: machnet_status = -14;
pub const MACHNET_EBADTOKEN: machnet_status = -15;
pub const MACHNET_EMSGSIZE: machnet_status = -16;
pub const MACHNET_EADDRINUSE: machnet_status = -17;
pub const MACHNET_EADDRNOTAVAIL: machnet_status = -18;
pub const MACHNET_EREFUSED: machnet_status = -19;
pub const MACHNET_EUNREACHABLE: machnet_status = -20;
pub const MACHNET_ECLOSED: machnet_status = -21;
pub const MACHNET_ERESET: machnet_status = -22;
pub const MACHNET_EPEERDEAD: machnet_status = -23;
pub const MACHNET_EPEERRESTARTED: machnet_status = -24;
pub const MACHNET_ESYSTEM: machnet_status = -25;
pub const MACHNET_EPEERPROTOCOL: machnet_status = -26;
pub const MACHNET_ELOWMEMORY: machnet_status = -27;
pub const MACHNET_EPEERMSGSIZE: machnet_status = -28;
pub type machnet_status = i32;
extern "C" {
    pub fn machnet_status_name(status: i32) -> *const ::std::os::raw::c_char;
}
extern "C" {
    pub fn machnet_status_text(status: i32) -> *const ::std::os::raw::c_char;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct machnet_error {
    pub status: i32,
    pub os_error: i32,
    pub option: u32,
    pub reserved32: u32,
    pub reserved64: u64,
    pub message: [::std::os::raw::c_char; 232usize],
}
#[test]
fn bindgen_test_layout_machnet_error() {
    assert_eq!(::std::mem::size_of::<machnet_error>(), 256usize, concat!("Size of: ", stringify!(machnet_error)));
    assert_eq!(::std::mem::align_of::<machnet_error>(), 8usize, concat!("Alignment of ", stringify!(machnet_error)));
    fn test_field_status() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_error>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).status) as usize - ptr as usize
            },
            0usize,
            concat!("Offset of field: ", stringify!(machnet_error), "::", stringify!(status))
        );
    }
    test_field_status();
    fn test_field_os_error() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_error>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).os_error) as usize - ptr as usize
            },
            4usize,
            concat!("Offset of field: ", stringify!(machnet_error), "::", stringify!(os_error))
        );
    }
    test_field_os_error();
    fn test_field_option() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_error>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).option) as usize - ptr as usize
            },
            8usize,
            concat!("Offset of field: ", stringify!(machnet_error), "::", stringify!(option))
        );
    }
    test_field_option();
    fn test_field_reserved32() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_error>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved32) as usize - ptr as usize
            },
            12usize,
            concat!("Offset of field: ", stringify!(machnet_error), "::", stringify!(reserved32))
        );
    }
    test_field_reserved32();
    fn test_field_reserved64() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_error>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved64) as usize - ptr as usize
            },
            16usize,
            concat!("Offset of field: ", stringify!(machnet_error), "::", stringify!(reserved64))
        );
    }
    test_field_reserved64();
    fn test_field_message() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_error>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).message) as usize - ptr as usize
            },
            24usize,
            concat!("Offset of field: ", stringify!(machnet_error), "::", stringify!(message))
        );
    }
    test_field_message();
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct machnet_options {
    _unused: [u8; 0],
}
pub const MACHNET_OPTION_SOCKET_PATH: machnet_option = 1;
pub const MACHNET_OPTION_NAME: machnet_option = 2;
pub const MACHNET_OPTION_SEND_BYTES: machnet_option = 3;
pub const MACHNET_OPTION_RECEIVE_BYTES: machnet_option = 4;
pub const MACHNET_OPTION_SPIN_NS: machnet_option = 5;
pub const MACHNET_OPTION_OPEN_TIMEOUT_NS: machnet_option = 6;
pub const MACHNET_OPTION_POLL: machnet_option = 7;
pub type machnet_option = u32;
pub const MACHNET_POLL_ADAPTIVE: machnet_poll = 0;
pub const MACHNET_POLL_SPIN: machnet_poll = 1;
pub const MACHNET_POLL_SLEEP: machnet_poll = 2;
pub type machnet_poll = u32;
extern "C" {
    pub fn machnet_options_new(options: *mut *mut machnet_options) -> i32;
}
extern "C" {
    pub fn machnet_options_free(options: *mut machnet_options);
}
extern "C" {
    pub fn machnet_options_set_u64(options: *mut machnet_options, key: u32, value: u64) -> i32;
}
extern "C" {
    pub fn machnet_options_set_str(
        options: *mut machnet_options,
        key: u32,
        value: *const ::std::os::raw::c_char,
    ) -> i32;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct machnet_context {
    _unused: [u8; 0],
}
extern "C" {
    pub fn machnet_context_open(
        abi: u32,
        options: *const machnet_options,
        context: *mut *mut machnet_context,
        error: *mut machnet_error,
    ) -> i32;
}
extern "C" {
    pub fn machnet_context_unref(context: *mut machnet_context);
}
extern "C" {
    pub fn machnet_context_status(
        context: *mut machnet_context,
        buffer: *mut ::std::os::raw::c_char,
        capacity: u64,
        length: *mut u64,
        error: *mut machnet_error,
    ) -> i32;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct machnet_channel {
    _unused: [u8; 0],
}
extern "C" {
    pub fn machnet_channel_open(
        context: *mut machnet_context,
        options: *const machnet_options,
        channel: *mut *mut machnet_channel,
        error: *mut machnet_error,
    ) -> i32;
}
extern "C" {
    pub fn machnet_channel_ref(channel: *mut machnet_channel) -> i32;
}
extern "C" {
    pub fn machnet_channel_shutdown(channel: *mut machnet_channel) -> i32;
}
extern "C" {
    pub fn machnet_channel_unref(channel: *mut machnet_channel);
}
extern "C" {
    pub fn machnet_channel_fd(channel: *mut machnet_channel) -> i32;
}
pub const MACHNET_WAIT_RECEIVE: machnet_wait = 1;
pub const MACHNET_WAIT_EVENT: machnet_wait = 2;
pub const MACHNET_WAIT_SEND: machnet_wait = 4;
pub type machnet_wait = u32;
extern "C" {
    pub fn machnet_channel_wait(channel: *mut machnet_channel, mask: u32, timeout_ns: i64) -> i32;
}
extern "C" {
    pub fn machnet_channel_wake(channel: *mut machnet_channel) -> i32;
}
pub const MACHNET_EVENT_ESTABLISHED: machnet_event_type = 1;
pub const MACHNET_EVENT_ACCEPTED: machnet_event_type = 2;
pub const MACHNET_EVENT_CLOSED: machnet_event_type = 3;
pub const MACHNET_EVENT_SEND_SPACE: machnet_event_type = 4;
pub const MACHNET_EVENT_RECEIVE_STALLED: machnet_event_type = 5;
pub const MACHNET_EVENT_LISTENER_CLOSED: machnet_event_type = 6;
pub type machnet_event_type = u32;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct machnet_event {
    pub type_: u32,
    pub status: i32,
    pub flow: u64,
    pub listener: u64,
    pub value: u64,
    pub reserved: [u64; 4usize],
}
#[test]
fn bindgen_test_layout_machnet_event() {
    assert_eq!(::std::mem::size_of::<machnet_event>(), 64usize, concat!("Size of: ", stringify!(machnet_event)));
    assert_eq!(::std::mem::align_of::<machnet_event>(), 8usize, concat!("Alignment of ", stringify!(machnet_event)));
    fn test_field_type() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_event>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).type_) as usize - ptr as usize
            },
            0usize,
            concat!("Offset of field: ", stringify!(machnet_event), "::", stringify!(type_))
        );
    }
    test_field_type();
    fn test_field_status() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_event>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).status) as usize - ptr as usize
            },
            4usize,
            concat!("Offset of field: ", stringify!(machnet_event), "::", stringify!(status))
        );
    }
    test_field_status();
    fn test_field_flow() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_event>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).flow) as usize - ptr as usize
            },
            8usize,
            concat!("Offset of field: ", stringify!(machnet_event), "::", stringify!(flow))
        );
    }
    test_field_flow();
    fn test_field_listener() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_event>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).listener) as usize - ptr as usize
            },
            16usize,
            concat!("Offset of field: ", stringify!(machnet_event), "::", stringify!(listener))
        );
    }
    test_field_listener();
    fn test_field_value() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_event>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).value) as usize - ptr as usize
            },
            24usize,
            concat!("Offset of field: ", stringify!(machnet_event), "::", stringify!(value))
        );
    }
    test_field_value();
    fn test_field_reserved() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_event>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved) as usize - ptr as usize
            },
            32usize,
            concat!("Offset of field: ", stringify!(machnet_event), "::", stringify!(reserved))
        );
    }
    test_field_reserved();
}
extern "C" {
    pub fn machnet_channel_events(
        channel: *mut machnet_channel,
        events: *mut machnet_event,
        max: u32,
        flags: u32,
    ) -> i32;
}
extern "C" {
    pub fn machnet_channel_stats(channel: *mut machnet_channel, values: *mut u64, max: u32) -> i32;
}
extern "C" {
    pub fn machnet_stat_name(index: u32) -> *const ::std::os::raw::c_char;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct machnet_address {
    pub ip: [u8; 16usize],
    pub port: u16,
    pub reserved16: u16,
    pub reserved32: u32,
    pub reserved64: u64,
}
#[test]
fn bindgen_test_layout_machnet_address() {
    assert_eq!(::std::mem::size_of::<machnet_address>(), 32usize, concat!("Size of: ", stringify!(machnet_address)));
    assert_eq!(
        ::std::mem::align_of::<machnet_address>(),
        8usize,
        concat!("Alignment of ", stringify!(machnet_address))
    );
    fn test_field_ip() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_address>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).ip) as usize - ptr as usize
            },
            0usize,
            concat!("Offset of field: ", stringify!(machnet_address), "::", stringify!(ip))
        );
    }
    test_field_ip();
    fn test_field_port() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_address>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).port) as usize - ptr as usize
            },
            16usize,
            concat!("Offset of field: ", stringify!(machnet_address), "::", stringify!(port))
        );
    }
    test_field_port();
    fn test_field_reserved16() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_address>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved16) as usize - ptr as usize
            },
            18usize,
            concat!("Offset of field: ", stringify!(machnet_address), "::", stringify!(reserved16))
        );
    }
    test_field_reserved16();
    fn test_field_reserved32() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_address>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved32) as usize - ptr as usize
            },
            20usize,
            concat!("Offset of field: ", stringify!(machnet_address), "::", stringify!(reserved32))
        );
    }
    test_field_reserved32();
    fn test_field_reserved64() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_address>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved64) as usize - ptr as usize
            },
            24usize,
            concat!("Offset of field: ", stringify!(machnet_address), "::", stringify!(reserved64))
        );
    }
    test_field_reserved64();
}
pub const MACHNET_ADDRESS_TEXT_MAX: _bindgen_ty_2 = 64;
pub type _bindgen_ty_2 = u32;
extern "C" {
    pub fn machnet_address_parse(text: *const ::std::os::raw::c_char, address: *mut machnet_address) -> i32;
}
extern "C" {
    pub fn machnet_address_format(
        address: *const machnet_address,
        text: *mut ::std::os::raw::c_char,
        capacity: u64,
    ) -> i32;
}
extern "C" {
    pub fn machnet_listener_open(
        channel: *mut machnet_channel,
        local: *const machnet_address,
        options: *const machnet_options,
        listener: *mut u64,
        error: *mut machnet_error,
    ) -> i32;
}
extern "C" {
    pub fn machnet_listener_address(channel: *mut machnet_channel, listener: u64, local: *mut machnet_address) -> i32;
}
extern "C" {
    pub fn machnet_listener_close(
        channel: *mut machnet_channel,
        listener: u64,
        flags: u32,
        error: *mut machnet_error,
    ) -> i32;
}
pub const MACHNET_ANY_FLOW: _bindgen_ty_3 = 0;
pub type _bindgen_ty_3 = u32;
extern "C" {
    pub fn machnet_flow_open(
        channel: *mut machnet_channel,
        local: *const machnet_address,
        remote: *const machnet_address,
        options: *const machnet_options,
        timeout_ns: i64,
        flow: *mut u64,
        error: *mut machnet_error,
    ) -> i32;
}
pub const MACHNET_CLOSE_ABORT: machnet_close_flags = 1;
pub type machnet_close_flags = u32;
extern "C" {
    pub fn machnet_flow_close(channel: *mut machnet_channel, flow: u64, flags: u32) -> i32;
}
extern "C" {
    pub fn machnet_flow_addresses(
        channel: *mut machnet_channel,
        flow: u64,
        local: *mut machnet_address,
        remote: *mut machnet_address,
    ) -> i32;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct machnet_flow_info {
    pub state: u32,
    pub status: i32,
    pub listener: u64,
    pub messages_sent: u64,
    pub messages_acknowledged: u64,
    pub messages_received: u64,
    pub messages_queued: u64,
    pub bytes_unacknowledged: u64,
    pub reserved: [u64; 9usize],
}
#[test]
fn bindgen_test_layout_machnet_flow_info() {
    assert_eq!(
        ::std::mem::size_of::<machnet_flow_info>(),
        128usize,
        concat!("Size of: ", stringify!(machnet_flow_info))
    );
    assert_eq!(
        ::std::mem::align_of::<machnet_flow_info>(),
        8usize,
        concat!("Alignment of ", stringify!(machnet_flow_info))
    );
    fn test_field_state() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_flow_info>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).state) as usize - ptr as usize
            },
            0usize,
            concat!("Offset of field: ", stringify!(machnet_flow_info), "::", stringify!(state))
        );
    }
    test_field_state();
    fn test_field_status() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_flow_info>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).status) as usize - ptr as usize
            },
            4usize,
            concat!("Offset of field: ", stringify!(machnet_flow_info), "::", stringify!(status))
        );
    }
    test_field_status();
    fn test_field_listener() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_flow_info>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).listener) as usize - ptr as usize
            },
            8usize,
            concat!("Offset of field: ", stringify!(machnet_flow_info), "::", stringify!(listener))
        );
    }
    test_field_listener();
    fn test_field_messages_sent() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_flow_info>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).messages_sent) as usize - ptr as usize
            },
            16usize,
            concat!("Offset of field: ", stringify!(machnet_flow_info), "::", stringify!(messages_sent))
        );
    }
    test_field_messages_sent();
    fn test_field_messages_acknowledged() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_flow_info>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).messages_acknowledged) as usize - ptr as usize
            },
            24usize,
            concat!("Offset of field: ", stringify!(machnet_flow_info), "::", stringify!(messages_acknowledged))
        );
    }
    test_field_messages_acknowledged();
    fn test_field_messages_received() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_flow_info>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).messages_received) as usize - ptr as usize
            },
            32usize,
            concat!("Offset of field: ", stringify!(machnet_flow_info), "::", stringify!(messages_received))
        );
    }
    test_field_messages_received();
    fn test_field_messages_queued() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_flow_info>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).messages_queued) as usize - ptr as usize
            },
            40usize,
            concat!("Offset of field: ", stringify!(machnet_flow_info), "::", stringify!(messages_queued))
        );
    }
    test_field_messages_queued();
    fn test_field_bytes_unacknowledged() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_flow_info>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).bytes_unacknowledged) as usize - ptr as usize
            },
            48usize,
            concat!("Offset of field: ", stringify!(machnet_flow_info), "::", stringify!(bytes_unacknowledged))
        );
    }
    test_field_bytes_unacknowledged();
    fn test_field_reserved() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_flow_info>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved) as usize - ptr as usize
            },
            56usize,
            concat!("Offset of field: ", stringify!(machnet_flow_info), "::", stringify!(reserved))
        );
    }
    test_field_reserved();
}
pub const MACHNET_FLOW_OPENING: machnet_flow_state = 1;
pub const MACHNET_FLOW_OPEN: machnet_flow_state = 2;
pub const MACHNET_FLOW_ENDED: machnet_flow_state = 3;
pub type machnet_flow_state = u32;
extern "C" {
    pub fn machnet_flow_info_get(channel: *mut machnet_channel, flow: u64, info: *mut machnet_flow_info) -> i32;
}
pub const MACHNET_MESSAGE_MAX: _bindgen_ty_4 = 8388608;
pub type _bindgen_ty_4 = u32;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct machnet_message {
    pub flow: u64,
    pub tag: u64,
    pub length: u64,
    pub flags: u32,
    pub reserved32: u32,
    pub reserved: [u64; 2usize],
}
#[test]
fn bindgen_test_layout_machnet_message() {
    assert_eq!(::std::mem::size_of::<machnet_message>(), 48usize, concat!("Size of: ", stringify!(machnet_message)));
    assert_eq!(
        ::std::mem::align_of::<machnet_message>(),
        8usize,
        concat!("Alignment of ", stringify!(machnet_message))
    );
    fn test_field_flow() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_message>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).flow) as usize - ptr as usize
            },
            0usize,
            concat!("Offset of field: ", stringify!(machnet_message), "::", stringify!(flow))
        );
    }
    test_field_flow();
    fn test_field_tag() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_message>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).tag) as usize - ptr as usize
            },
            8usize,
            concat!("Offset of field: ", stringify!(machnet_message), "::", stringify!(tag))
        );
    }
    test_field_tag();
    fn test_field_length() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_message>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).length) as usize - ptr as usize
            },
            16usize,
            concat!("Offset of field: ", stringify!(machnet_message), "::", stringify!(length))
        );
    }
    test_field_length();
    fn test_field_flags() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_message>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).flags) as usize - ptr as usize
            },
            24usize,
            concat!("Offset of field: ", stringify!(machnet_message), "::", stringify!(flags))
        );
    }
    test_field_flags();
    fn test_field_reserved32() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_message>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved32) as usize - ptr as usize
            },
            28usize,
            concat!("Offset of field: ", stringify!(machnet_message), "::", stringify!(reserved32))
        );
    }
    test_field_reserved32();
    fn test_field_reserved() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_message>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved) as usize - ptr as usize
            },
            32usize,
            concat!("Offset of field: ", stringify!(machnet_message), "::", stringify!(reserved))
        );
    }
    test_field_reserved();
}
extern "C" {
    pub fn machnet_send_copy(
        channel: *mut machnet_channel,
        flow: u64,
        data: *const ::std::os::raw::c_void,
        length: u64,
        tag: u64,
        flags: u32,
    ) -> i32;
}
extern "C" {
    pub fn machnet_recv_copy(
        channel: *mut machnet_channel,
        flow: u64,
        buffer: *mut ::std::os::raw::c_void,
        capacity: u64,
        message: *mut machnet_message,
        flags: u32,
    ) -> i32;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct machnet_record {
    pub flow: u64,
    pub tag: u64,
    pub offset: u64,
    pub length: u64,
    pub flags: u32,
    pub reserved32: u32,
    pub reserved64: u64,
}
#[test]
fn bindgen_test_layout_machnet_record() {
    assert_eq!(::std::mem::size_of::<machnet_record>(), 48usize, concat!("Size of: ", stringify!(machnet_record)));
    assert_eq!(::std::mem::align_of::<machnet_record>(), 8usize, concat!("Alignment of ", stringify!(machnet_record)));
    fn test_field_flow() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_record>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).flow) as usize - ptr as usize
            },
            0usize,
            concat!("Offset of field: ", stringify!(machnet_record), "::", stringify!(flow))
        );
    }
    test_field_flow();
    fn test_field_tag() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_record>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).tag) as usize - ptr as usize
            },
            8usize,
            concat!("Offset of field: ", stringify!(machnet_record), "::", stringify!(tag))
        );
    }
    test_field_tag();
    fn test_field_offset() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_record>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).offset) as usize - ptr as usize
            },
            16usize,
            concat!("Offset of field: ", stringify!(machnet_record), "::", stringify!(offset))
        );
    }
    test_field_offset();
    fn test_field_length() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_record>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).length) as usize - ptr as usize
            },
            24usize,
            concat!("Offset of field: ", stringify!(machnet_record), "::", stringify!(length))
        );
    }
    test_field_length();
    fn test_field_flags() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_record>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).flags) as usize - ptr as usize
            },
            32usize,
            concat!("Offset of field: ", stringify!(machnet_record), "::", stringify!(flags))
        );
    }
    test_field_flags();
    fn test_field_reserved32() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_record>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved32) as usize - ptr as usize
            },
            36usize,
            concat!("Offset of field: ", stringify!(machnet_record), "::", stringify!(reserved32))
        );
    }
    test_field_reserved32();
    fn test_field_reserved64() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_record>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved64) as usize - ptr as usize
            },
            40usize,
            concat!("Offset of field: ", stringify!(machnet_record), "::", stringify!(reserved64))
        );
    }
    test_field_reserved64();
}
extern "C" {
    pub fn machnet_send_packed(
        channel: *mut machnet_channel,
        records: *const machnet_record,
        count: u32,
        arena: *const ::std::os::raw::c_void,
        arena_bytes: u64,
        flags: u32,
    ) -> i32;
}
extern "C" {
    pub fn machnet_recv_packed(
        channel: *mut machnet_channel,
        flow: u64,
        records: *mut machnet_record,
        max: u32,
        arena: *mut ::std::os::raw::c_void,
        arena_bytes: u64,
        flags: u32,
    ) -> i32;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct machnet_view {
    pub data: *mut ::std::os::raw::c_void,
    pub length: u64,
    pub flow: u64,
    pub tag: u64,
    pub buffer: u64,
    pub flags: u32,
    pub reserved32: u32,
    pub reserved: [u64; 2usize],
}
#[test]
fn bindgen_test_layout_machnet_view() {
    assert_eq!(::std::mem::size_of::<machnet_view>(), 64usize, concat!("Size of: ", stringify!(machnet_view)));
    assert_eq!(::std::mem::align_of::<machnet_view>(), 8usize, concat!("Alignment of ", stringify!(machnet_view)));
    fn test_field_data() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_view>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).data) as usize - ptr as usize
            },
            0usize,
            concat!("Offset of field: ", stringify!(machnet_view), "::", stringify!(data))
        );
    }
    test_field_data();
    fn test_field_length() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_view>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).length) as usize - ptr as usize
            },
            8usize,
            concat!("Offset of field: ", stringify!(machnet_view), "::", stringify!(length))
        );
    }
    test_field_length();
    fn test_field_flow() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_view>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).flow) as usize - ptr as usize
            },
            16usize,
            concat!("Offset of field: ", stringify!(machnet_view), "::", stringify!(flow))
        );
    }
    test_field_flow();
    fn test_field_tag() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_view>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).tag) as usize - ptr as usize
            },
            24usize,
            concat!("Offset of field: ", stringify!(machnet_view), "::", stringify!(tag))
        );
    }
    test_field_tag();
    fn test_field_buffer() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_view>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).buffer) as usize - ptr as usize
            },
            32usize,
            concat!("Offset of field: ", stringify!(machnet_view), "::", stringify!(buffer))
        );
    }
    test_field_buffer();
    fn test_field_flags() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_view>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).flags) as usize - ptr as usize
            },
            40usize,
            concat!("Offset of field: ", stringify!(machnet_view), "::", stringify!(flags))
        );
    }
    test_field_flags();
    fn test_field_reserved32() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_view>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved32) as usize - ptr as usize
            },
            44usize,
            concat!("Offset of field: ", stringify!(machnet_view), "::", stringify!(reserved32))
        );
    }
    test_field_reserved32();
    fn test_field_reserved() {
        assert_eq!(
            unsafe {
                let uninit = ::std::mem::MaybeUninit::<machnet_view>::uninit();
                let ptr = uninit.as_ptr();
                ::std::ptr::addr_of!((*ptr).reserved) as usize - ptr as usize
            },
            48usize,
            concat!("Offset of field: ", stringify!(machnet_view), "::", stringify!(reserved))
        );
    }
    test_field_reserved();
}
extern "C" {
    pub fn machnet_recv_borrow(channel: *mut machnet_channel, flow: u64, view: *mut machnet_view, flags: u32) -> i32;
}
extern "C" {
    pub fn machnet_send_reserve(
        channel: *mut machnet_channel,
        flow: u64,
        length: u64,
        view: *mut machnet_view,
        flags: u32,
    ) -> i32;
}
extern "C" {
    pub fn machnet_send_commit(channel: *mut machnet_channel, buffer: u64, length: u64, tag: u64, flags: u32) -> i32;
}
extern "C" {
    pub fn machnet_buffer_release(channel: *mut machnet_channel, buffer: u64) -> i32;
}
