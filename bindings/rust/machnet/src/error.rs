// SPDX-License-Identifier: MIT
//! What can go wrong.

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::raw::c_char;

use machnet_sys as sys;

use crate::message::MessageInfo;

/// The result of most calls.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! error_kinds {
    ($($(#[$doc:meta])+ $kind:ident: $status:ident, $io:ident;)+) => {
        /// What went wrong: the statuses of `machnet.h` by name. New ones may come.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $($(#[$doc])+ $kind,)+
            /// A status that this crate does not know; [`Error::code`] tells it.
            Other,
        }

        impl ErrorKind {
            fn of(status: i32) -> ErrorKind {
                match status {
                    $(sys::$status => ErrorKind::$kind,)+
                    _ => ErrorKind::Other,
                }
            }

            fn io_kind(self) -> io::ErrorKind {
                match self {
                    $(ErrorKind::$kind => io::ErrorKind::$io,)+
                    ErrorKind::Other => io::ErrorKind::Other,
                }
            }
        }

        #[cfg(test)]
        const KINDS: &[(i32, &str, ErrorKind)] = &[$((sys::$status, stringify!($status), ErrorKind::$kind),)+];
    };
}

error_kinds! {
    /// No space now, or too many requests under way: wait, then call again.
    WouldBlock: MACHNET_EAGAIN, WouldBlock;
    /// An argument is out of its range.
    InvalidInput: MACHNET_EINVAL, InvalidInput;
    /// Memory, descriptors or address space are exhausted.
    OutOfMemory: MACHNET_ENOMEM, OutOfMemory;
    /// The library does not know the option, or the call has no use for it.
    NotSupported: MACHNET_ENOTSUP, Unsupported;
    /// Crate and library, library and engine, or two engines have no version in common.
    Version: MACHNET_EVERSION, Unsupported;
    /// This process is a child of the one that opened the handle.
    Forked: MACHNET_EFORKED, Other;
    /// A wait was ended by a signal handler or by [`Handle::wake`](crate::Handle::wake).
    Interrupted: MACHNET_EINTR, Interrupted;
    /// The time given is over.
    TimedOut: MACHNET_ETIMEDOUT, TimedOut;
    /// No engine answers on the socket.
    NoEngine: MACHNET_ENOENGINE, NotFound;
    /// The engine ended while we were attached, or gave the channel up: the channel is gone.
    EngineGone: MACHNET_EENGINEGONE, ConnectionAborted;
    /// The engine's socket may not be used by this user.
    AccessDenied: MACHNET_EACCES, PermissionDenied;
    /// A limit of the engine for this user is reached.
    Quota: MACHNET_EQUOTA, Other;
    /// The channel was shut down by this program: the channel is gone.
    Shutdown: MACHNET_ESHUTDOWN, NotConnected;
    /// The other side broke the rules of the shared memory: the channel is gone.
    Protocol: MACHNET_EPROTOCOL, InvalidData;
    /// The token names nothing (any more) on this channel.
    BadToken: MACHNET_EBADTOKEN, InvalidInput;
    /// The message is longer than the buffer ([`Error::message_info`] describes it), or than any message may be.
    MessageSize: MACHNET_EMSGSIZE, InvalidInput;
    /// Another listener has this address.
    AddressInUse: MACHNET_EADDRINUSE, AddrInUse;
    /// The engine does not own this address.
    AddressNotAvailable: MACHNET_EADDRNOTAVAIL, AddrNotAvailable;
    /// The peer answered that nothing listens there, or that it will not take the flow.
    Refused: MACHNET_EREFUSED, ConnectionRefused;
    /// No answer from the peer's engine within the time for opening a flow.
    Unreachable: MACHNET_EUNREACHABLE, TimedOut;
    /// The peer closed the flow after its last message, or this side did.
    Closed: MACHNET_ECLOSED, UnexpectedEof;
    /// The flow was aborted by the peer, or because its program died.
    Reset: MACHNET_ERESET, ConnectionReset;
    /// The peer's engine was not heard for the dead-peer time.
    PeerDead: MACHNET_EPEERDEAD, ConnectionAborted;
    /// The peer's engine has restarted and forgotten the flow.
    PeerRestarted: MACHNET_EPEERRESTARTED, ConnectionReset;
    /// A system call failed; [`Error::os_error`] has its number.
    System: MACHNET_ESYSTEM, Other;
    /// The peer's engine broke the rules of the wire: the flow is ended.
    PeerProtocol: MACHNET_EPEERPROTOCOL, InvalidData;
    /// This process has no memory to note a new flow. Nothing is lost: free some, call again.
    LowMemory: MACHNET_ELOWMEMORY, OutOfMemory;
    /// A message that was sent is longer than the peer can ever take: the flow is ended.
    PeerMessageSize: MACHNET_EPEERMSGSIZE, InvalidData;
}

/// Why a call failed or a flow ended. Two words unless there is more to say than a status; converts into [`io::Error`].
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    status: i32,
    detail: Option<Box<Detail>>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Detail {
    message: String,
    os_error: i32,
    option: u32,
    info: Option<MessageInfo>,
}

impl Error {
    /// The negative number of the status, as in `machnet.h`.
    pub fn code(&self) -> i32 {
        self.status
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::of(self.status)
    }

    /// The name of the status, `"MACHNET_EAGAIN"`.
    pub fn name(&self) -> &'static str {
        // SAFETY: any number may be asked for; the text is static.
        unsafe { static_text(sys::machnet_status_name(self.status)) }
    }

    /// A sentence for people: what was tried, what went wrong and what to do next where that is known. Do not parse it.
    pub fn message(&self) -> &str {
        match &self.detail {
            Some(detail) if !detail.message.is_empty() => &detail.message,
            // SAFETY: as in `name`.
            _ => unsafe { static_text(sys::machnet_status_text(self.status)) },
        }
    }

    /// The errno of the system call that failed.
    pub fn os_error(&self) -> Option<i32> {
        let detail = self.detail.as_ref()?;
        Some(detail.os_error).filter(|&number| number != 0)
    }

    /// The key of the option that the call has no use for.
    pub fn option(&self) -> Option<u32> {
        let detail = self.detail.as_ref()?;
        Some(detail.option).filter(|&key| key != 0)
    }

    /// The message that is too long for the buffer it was to be received into. It is still there.
    pub fn message_info(&self) -> Option<MessageInfo> {
        self.detail.as_ref()?.info
    }

    /// Whether the channel is gone, and everything on it.
    pub fn is_channel_gone(&self) -> bool {
        matches!(self.kind(), ErrorKind::Shutdown | ErrorKind::EngineGone | ErrorKind::Protocol)
    }

    #[cold]
    pub(crate) fn of_status(status: i32) -> Error {
        Error { status, detail: None }
    }

    pub(crate) fn with_message(status: i32, message: impl Into<String>) -> Error {
        let detail = Detail { message: message.into(), ..Detail::default() };
        Error { status, detail: Some(Box::new(detail)) }
    }

    pub(crate) fn of_system(os_error: i32, message: impl Into<String>) -> Error {
        let detail = Detail { message: message.into(), os_error, ..Detail::default() };
        Error { status: sys::MACHNET_ESYSTEM, detail: Some(Box::new(detail)) }
    }

    pub(crate) fn too_long(info: MessageInfo) -> Error {
        let message = format!("The message has {} bytes, which do not fit", info.length);
        let detail = Detail { message, info: Some(info), ..Detail::default() };
        Error { status: sys::MACHNET_EMSGSIZE, detail: Some(Box::new(detail)) }
    }

    /// A control call returned `status` and filled `error`.
    pub(crate) fn of_control(status: i32, error: &sys::machnet_error) -> Error {
        let bytes: Vec<u8> = error.message.iter().map(|&c| c as u8).take_while(|&byte| byte != 0).collect();
        let detail = Detail {
            message: String::from_utf8_lossy(&bytes).into_owned(),
            os_error: error.os_error,
            option: error.option,
            info: None,
        };
        Error { status, detail: Some(Box::new(detail)) }
    }
}

/// # Safety
/// `text` is a NUL-terminated string that is never freed.
pub(crate) unsafe fn static_text(text: *const c_char) -> &'static str {
    // SAFETY: as promised by the caller.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("?")
}

/// The count or mask that a call returned, or its error.
#[inline]
pub(crate) fn check(status: i32) -> Result<u32> {
    if status < 0 {
        return Err(Error::of_status(status));
    }
    Ok(status as u32)
}

/// Runs a control call, which is given a `machnet_error` to fill.
pub(crate) fn control(call: impl FnOnce(*mut sys::machnet_error) -> i32) -> Result<u32> {
    let mut error =
        sys::machnet_error { status: 0, os_error: 0, option: 0, reserved32: 0, reserved64: 0, message: [0; 232] };
    match call(&mut error) {
        status if status < 0 => Err(Error::of_control(status, &error)),
        status => Ok(status as u32),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message(), self.name())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.kind()).field("code", &self.status);
        out.field("message", &self.message()).finish()
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::new(error.kind().io_kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_the_statuses_of_the_library() {
        for &(status, name, kind) in KINDS {
            let error = Error::of_status(status);
            assert_eq!((error.kind(), error.name(), error.code()), (kind, name, status));
            assert!(!error.message().is_empty() && error.message() != "Unknown status");
            assert_eq!(io::Error::from(error).kind(), kind.io_kind());
        }
        let beyond = Error::of_status(-(KINDS.len() as i32) - 1);
        assert_eq!((beyond.name(), beyond.kind()), ("MACHNET_EUNKNOWN", ErrorKind::Other));
    }

    #[test]
    fn errors_are_small_and_carry_themselves_into_io() {
        assert_eq!(std::mem::size_of::<Error>(), 16);
        let error = Error::with_message(sys::MACHNET_EREFUSED, "nobody there");
        let text = error.to_string();
        assert_eq!(text, "nobody there (MACHNET_EREFUSED)");
        let outer = io::Error::from(error.clone());
        assert_eq!(outer.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(outer.get_ref().and_then(|inner| inner.downcast_ref::<Error>()), Some(&error));
    }
}
