// SPDX-License-Identifier: MIT
//! The way to the engine.

use std::fmt;
use std::ptr::{self, NonNull};

use machnet_sys as sys;

use crate::error::{control, Error, Result};
use crate::options::Options;
use crate::version::check_library;

/// Knows the engine of this machine; [`Channel`](crate::Channel)s are opened from it and do not need it afterwards. May be used by all
/// threads at once.
pub struct Context {
    raw: NonNull<sys::machnet_context>,
}

// SAFETY: its calls may be made by any thread at any time, the library says.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// Finds the engine that `$MACHNET_SOCKET` or the defaults name, and agrees with it on versions. Blocks for a round trip to the engine
    /// process.
    ///
    /// # Errors
    /// [`NoEngine`](crate::ErrorKind::NoEngine), [`AccessDenied`](crate::ErrorKind::AccessDenied), [`Version`](crate::ErrorKind::Version),
    /// and others that say why there is no way to the engine.
    pub fn open() -> Result<Context> {
        Context::open_with(&Options::new())
    }

    /// As [`Context::open`], with options.
    pub fn open_with(options: &Options) -> Result<Context> {
        check_library()?;
        let options = options.to_raw()?;
        let mut raw = ptr::null_mut();
        control(|error| {
            // SAFETY: all pointers are valid for the call; the options may be NULL.
            unsafe { sys::machnet_context_open(sys::MACHNET_ABI_VERSION, options.as_ptr(), &mut raw, error) }
        })?;
        let raw = NonNull::new(raw).ok_or_else(|| Error::of_status(sys::MACHNET_EINVAL))?;
        Ok(Context { raw })
    }

    /// What the engine says of itself, as one JSON object: that which `machnet status --json` prints. Blocks for a round trip.
    pub fn status(&self) -> Result<String> {
        let mut buffer = vec![0_u8; 4096];
        loop {
            let mut length = 0;
            let result = control(|error| {
                // SAFETY: the context is alive, the buffer as long as said, the rest valid for the call.
                unsafe {
                    sys::machnet_context_status(
                        self.raw.as_ptr(),
                        buffer.as_mut_ptr().cast(),
                        buffer.len() as u64,
                        &mut length,
                        error,
                    )
                }
            });
            match result {
                Ok(_) => {
                    buffer.truncate(length as usize);
                    return Ok(String::from_utf8_lossy(&buffer).into_owned());
                }
                // It may have grown once more at the next call.
                Err(error) if error.code() == sys::MACHNET_EMSGSIZE => buffer.resize(length as usize + 1024, 0),
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::machnet_context {
        self.raw.as_ptr()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and no call is under way: each borrows the context.
        unsafe { sys::machnet_context_unref(self.raw.as_ptr()) }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}
