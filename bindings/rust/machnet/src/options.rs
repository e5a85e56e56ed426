// SPDX-License-Identifier: MIT
//! Options of the calls that open something.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use machnet_sys as sys;

use crate::error::{check, Error, Result};

/// How waits pass their time. A wait that polls lets other threads have the processor if they want it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Poll {
    /// Poll for [`Options::spin`], then sleep. The default.
    Adaptive,
    /// Poll until the call returns. No signal handler ends such a wait; [`Handle::wake`](crate::Handle::wake) does.
    Spin,
    /// Sleep at once.
    Sleep,
}

/// Options for opening a context, a channel, a listener or a flow. Each call takes those that it has a use for; it fails with
/// [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported) if others are set, and [`Error::option`] names the one.
///
/// ```
/// use machnet::Options;
/// use std::time::Duration;
/// let options = Options::new().name("replica-3").send_bytes(256 << 20).spin(Duration::from_micros(20));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    values: BTreeMap<u32, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Number(u64),
    Text(Vec<u8>),
}

impl Options {
    /// Nothing set: the defaults.
    pub fn new() -> Options {
        Options::default()
    }

    /// Context: the engine's socket. Default: `$MACHNET_SOCKET`, else `/run/machnet/machnet.sock`, else
    /// `$XDG_RUNTIME_DIR/machnet.sock`.
    pub fn socket_path(self, path: impl AsRef<Path>) -> Options {
        use std::os::unix::ffi::OsStrExt;
        let path = path.as_ref().as_os_str().as_bytes().to_vec();
        self.set(sys::MACHNET_OPTION_SOCKET_PATH, Value::Text(path))
    }

    /// Channel: its name in `machnet status`, at most 31 bytes. Default: the program's name.
    pub fn name(self, name: &str) -> Options {
        self.set_str(sys::MACHNET_OPTION_NAME, name)
    }

    /// Channel: most bytes of the arena that messages are sent from. Default 64 MiB; it grows on demand.
    pub fn send_bytes(self, bytes: u64) -> Options {
        self.set_u64(sys::MACHNET_OPTION_SEND_BYTES, bytes)
    }

    /// Channel: most bytes of the arena that messages are received in. Default 64 MiB; it grows on demand. Less than 16 MiB is
    /// taken as that.
    pub fn receive_bytes(self, bytes: u64) -> Options {
        self.set_u64(sys::MACHNET_OPTION_RECEIVE_BYTES, bytes)
    }

    /// Channel: how long an adaptive wait polls before it sleeps, if that pays. Default 250 µs.
    pub fn spin(self, time: Duration) -> Options {
        self.set_u64(sys::MACHNET_OPTION_SPIN_NS, nanoseconds(time))
    }

    /// Flow: the peer must answer within it. Default 3 s, at least 1 ms.
    pub fn open_timeout(self, time: Duration) -> Options {
        self.set_u64(sys::MACHNET_OPTION_OPEN_TIMEOUT_NS, nanoseconds(time))
    }

    /// Channel: how waits pass their time. Default [`Poll::Adaptive`].
    pub fn poll(self, poll: Poll) -> Options {
        let number = match poll {
            Poll::Adaptive => sys::MACHNET_POLL_ADAPTIVE,
            Poll::Spin => sys::MACHNET_POLL_SPIN,
            Poll::Sleep => sys::MACHNET_POLL_SLEEP,
        };
        self.set_u64(sys::MACHNET_OPTION_POLL, number.into())
    }

    /// Sets an option by its number in `machnet.h`: for those that this crate has no name for. The call that uses the set fails
    /// with [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported) if the library does not know it.
    pub fn set_u64(self, key: u32, value: u64) -> Options {
        self.set(key, Value::Number(value))
    }

    /// As [`Options::set_u64`], for a text.
    pub fn set_str(self, key: u32, value: &str) -> Options {
        self.set(key, Value::Text(value.as_bytes().to_vec()))
    }

    fn set(mut self, key: u32, value: Value) -> Options {
        self.values.insert(key, value);
        self
    }

    /// The same as an option set of the library.
    pub(crate) fn to_raw(&self) -> Result<RawOptions> {
        let mut raw = RawOptions(ptr::null_mut());
        if self.values.is_empty() {
            return Ok(raw);
        }
        // SAFETY: the pointer to be filled is valid.
        check(unsafe { sys::machnet_options_new(&mut raw.0) })?;
        for (&key, value) in &self.values {
            raw.set(key, value)?;
        }
        Ok(raw)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// An option set of the library, or NULL.
pub(crate) struct RawOptions(*mut sys::machnet_options);

impl RawOptions {
    pub(crate) fn as_ptr(&self) -> *const sys::machnet_options {
        self.0
    }

    fn set(&mut self, key: u32, value: &Value) -> Result<()> {
        let status = match value {
            // SAFETY: the set is ours and not NULL.
            Value::Number(number) => unsafe { sys::machnet_options_set_u64(self.0, key, *number) },
            Value::Text(text) => match CString::new(text.as_slice()) {
                // SAFETY: as above; the text is NUL-terminated and copied during the call.
                Ok(text) => unsafe { sys::machnet_options_set_str(self.0, key, text.as_ptr()) },
                Err(_) => sys::MACHNET_EINVAL,
            },
        };
        match status {
            sys::MACHNET_ENOTSUP => Err(unknown_option(key)),
            sys::MACHNET_EINVAL => Err(Error::with_message(
                status,
                format!("The value of option {key} is of the wrong type or out of range{}", rule(key)),
            )),
            _ => check(status).map(drop),
        }
    }
}

/// What the option takes.
fn rule(key: u32) -> &'static str {
    match key {
        sys::MACHNET_OPTION_SOCKET_PATH => ": socket_path is a path of at most 107 bytes",
        sys::MACHNET_OPTION_NAME => ": name is a text of at most 31 bytes without NUL",
        sys::MACHNET_OPTION_SEND_BYTES => ": send_bytes is 64 KiB to 64 GiB",
        sys::MACHNET_OPTION_RECEIVE_BYTES => ": receive_bytes is 64 KiB to 64 GiB",
        sys::MACHNET_OPTION_SPIN_NS => ": spin is at most 1 hour",
        sys::MACHNET_OPTION_OPEN_TIMEOUT_NS => ": open_timeout is 1 ms to 1 hour",
        _ => "",
    }
}

fn unknown_option(key: u32) -> Error {
    let mut error = sys::machnet_error {
        status: sys::MACHNET_ENOTSUP,
        os_error: 0,
        option: key,
        reserved32: 0,
        reserved64: 0,
        message: [0; 232],
    };
    let text = format!("The library does not know option {key}");
    for (to, from) in error.message.iter_mut().zip(text.bytes()) {
        *to = from as std::os::raw::c_char;
    }
    Error::of_control(sys::MACHNET_ENOTSUP, &error)
}

impl Drop for RawOptions {
    fn drop(&mut self) {
        // SAFETY: the set is ours (or NULL, which is fine) and freed once.
        unsafe { sys::machnet_options_free(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_the_library_does_not_take_is_an_error() {
        let unknown = Options::new().set_u64(4711, 1).to_raw().err().unwrap();
        assert_eq!((unknown.kind(), unknown.option()), (ErrorKind::NotSupported, Some(4711)));
        assert_eq!(unknown.message(), "The library does not know option 4711");
        for bad in [
            Options::new().name("a name that has more than 31 bytes"),
            Options::new().name("nul\0inside"),
            Options::new().set_u64(sys::MACHNET_OPTION_NAME, 1),
            Options::new().set_str(sys::MACHNET_OPTION_SPIN_NS, "1"),
            Options::new().open_timeout(Duration::from_nanos(1)),
        ] {
            let error = bad.to_raw().err().unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}");
            assert!(error.message().contains(": ") && error.message().contains(" is "), "{error}");
        }
    }

    #[test]
    fn names_are_those_of_the_header() {
        let second = Duration::from_secs(1);
        for (option, number, value) in [
            (Options::new().send_bytes(1 << 20), 3, 1 << 20),
            (Options::new().receive_bytes(1 << 20), 4, 1 << 20),
            (Options::new().spin(second), 5, 1_000_000_000),
            (Options::new().open_timeout(second), 6, 1_000_000_000),
            (Options::new().poll(Poll::Adaptive), 7, 0),
            (Options::new().poll(Poll::Spin), 7, 1),
            (Options::new().poll(Poll::Sleep), 7, 2),
        ] {
            assert_eq!(option, Options::new().set_u64(number, value));
        }
        assert_eq!(Options::new().socket_path("/a"), Options::new().set_str(1, "/a"));
        assert_eq!(Options::new().name("a"), Options::new().set_str(2, "a"));
    }

    #[test]
    fn the_last_value_counts() {
        let options = Options::new().name("one").name("two").poll(Poll::Sleep);
        assert_eq!(options, Options::new().poll(Poll::Sleep).name("two"));
        assert!(options.to_raw().is_ok());
        assert!(Options::new().to_raw().unwrap().as_ptr().is_null());
    }
}
