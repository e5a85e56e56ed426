// SPDX-License-Identifier: MIT
//! Sleeping until something new comes, whatever lies there already.

use std::os::raw::c_int;
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::error::{Error, Result};

const EPOLL_CLOEXEC: c_int = 0o2000000;
const EPOLL_CTL_ADD: c_int = 1;
const EPOLLIN: u32 = 1;
const EPOLLET: u32 = 1 << 31;

#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
struct EpollEvent {
    events: u32,
    data: u64,
}

extern "C" {
    fn epoll_create1(flags: c_int) -> c_int;
    fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut EpollEvent) -> c_int;
    fn epoll_wait(epoll: c_int, events: *mut EpollEvent, max: c_int, timeout_ms: c_int) -> c_int;
}

/// The channel's descriptor in an edge-triggered epoll: the library raises it anew for all that comes.
pub(crate) struct Edge(OwnedFd);

impl Edge {
    pub(crate) fn of(descriptor: RawFd) -> Result<Edge> {
        // SAFETY: it has no preconditions.
        let fd = unsafe { epoll_create1(EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(system_error());
        }
        // SAFETY: the descriptor is new, and ours.
        let edge = Edge(unsafe { OwnedFd::from_raw_fd(fd) });
        let mut event = EpollEvent { events: EPOLLIN | EPOLLET, data: 0 };
        // SAFETY: the event is read during the call.
        if unsafe { epoll_ctl(fd, EPOLL_CTL_ADD, descriptor, &mut event) } < 0 {
            return Err(system_error());
        }
        Ok(edge)
    }

    /// Sleeps until something has come since the last call (the first returns at once), a signal handler ran, or the time is over.
    pub(crate) fn sleep(&self, left: Option<Duration>) {
        let milliseconds = left.map_or(-1, |left| {
            let rounded_up = left.as_nanos().saturating_add(999_999) / 1_000_000;
            rounded_up.try_into().unwrap_or(c_int::MAX)
        });
        let mut event = EpollEvent { events: 0, data: 0 };
        // SAFETY: there is room for one event. However it ends, the caller looks again.
        unsafe { epoll_wait(self.0.as_raw_fd(), &mut event, 1, milliseconds) };
    }
}

fn system_error() -> Error {
    let failure = std::io::Error::last_os_error();
    let text =
        format!("Cannot wait for one flow beside others: {failure}. Close descriptors, or raise the limit (ulimit -n)");
    Error::of_system(failure.raw_os_error().unwrap_or(0), text)
}
