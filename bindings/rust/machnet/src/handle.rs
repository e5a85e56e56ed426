// SPDX-License-Identifier: MIT
//! What any thread may do with a channel.

use std::fmt;
use std::os::unix::io::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use machnet_sys as sys;

use crate::address::Address;
use crate::context::Context;
use crate::error::{check, control, Error, Result};
use crate::flow::FlowInfo;
use crate::listener::Listener;
use crate::options::Options;
use crate::stats::Stats;
use crate::token::{FlowToken, ListenerToken};

/// The one reference to a channel of the library that all Rust objects of it share.
struct Attachment {
    raw: NonNull<sys::machnet_channel>,
}

// SAFETY: only calls marked "any thread" are made through it, but by a Sender and a Receiver, of which there is one each.
unsafe impl Send for Attachment {}
// SAFETY: as above.
unsafe impl Sync for Attachment {}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and nobody is left who could be in a call. Messages and reservations that live on hold the
        // channel themselves.
        unsafe { sys::machnet_channel_unref(self.raw.as_ptr()) }
    }
}

/// What any thread may do with a channel, at any time: shut it down, wake its receiver, listen, look. Clones name the same channel.
///
/// A handle does not keep the channel attached, only its memory and descriptors: when its [`Sender`](crate::Sender) and [`Receiver`](crate::Receiver) are both dropped,
/// calls are answered with [`ErrorKind::Shutdown`](crate::ErrorKind::Shutdown).
#[derive(Clone)]
pub struct Handle {
    attachment: Arc<Attachment>,
}

impl Handle {
    pub(crate) fn open(context: &Context, options: &Options) -> Result<Handle> {
        let options = options.to_raw()?;
        let mut raw = ptr::null_mut();
        control(|error| {
            // SAFETY: the context is alive, the pointers are valid for the call; the options may be NULL.
            unsafe { sys::machnet_channel_open(context.as_ptr(), options.as_ptr(), &mut raw, error) }
        })?;
        let raw = NonNull::new(raw).ok_or_else(|| Error::of_status(sys::MACHNET_EINVAL))?;
        Ok(Handle { attachment: Arc::new(Attachment { raw }) })
    }

    pub(crate) fn raw(&self) -> NonNull<sys::machnet_channel> {
        self.attachment.raw
    }

    fn as_ptr(&self) -> *mut sys::machnet_channel {
        self.attachment.raw.as_ptr()
    }

    pub(crate) fn is_same(&self, other: &Handle) -> bool {
        Arc::ptr_eq(&self.attachment, &other.attachment)
    }

    /// Detaches: the engine aborts all flows of the channel and closes its listeners, all waits return, all calls answer
    /// [`ErrorKind::Shutdown`](crate::ErrorKind::Shutdown). Borrowed messages stay readable. May be called again; never blocks.
    pub fn shutdown(&self) -> Result<()> {
        // SAFETY: we hold a reference.
        check(unsafe { sys::machnet_channel_shutdown(self.as_ptr()) }).map(drop)
    }

    /// Makes the present or else the next wait of the receiver return, and its [`Descriptor`] readable. Safe in signal handlers.
    pub fn wake(&self) -> Result<()> {
        // SAFETY: we hold a reference.
        check(unsafe { sys::machnet_channel_wake(self.as_ptr()) }).map(drop)
    }

    /// The descriptor for event loops. Asking for it makes the engine signal it from then on, which costs a little.
    pub fn descriptor(&self) -> Result<Descriptor> {
        // SAFETY: we hold a reference.
        let fd = check(unsafe { sys::machnet_channel_fd(self.as_ptr()) })?;
        Ok(Descriptor { fd: fd as RawFd, handle: self.clone() })
    }

    /// The channel's counters.
    pub fn stats(&self) -> Result<Stats> {
        // SAFETY: we hold a reference; no value is written.
        let count = check(unsafe { sys::machnet_channel_stats(self.as_ptr(), [].as_mut_ptr(), 0) })?;
        let mut values = vec![0; count as usize];
        // SAFETY: as above; `values` has `count` places.
        check(unsafe { sys::machnet_channel_stats(self.as_ptr(), values.as_mut_ptr(), count) })?;
        Ok(Stats::new(values))
    }

    /// Accepts flows at `local`: a port of one address of the engine, or of all. They are announced by
    /// [`Event::Accepted`](crate::Event::Accepted). With port 0 the engine chooses one of 49152 and above. Blocks for a round trip to the
    /// engine process.
    ///
    /// # Errors
    /// [`AddressInUse`](crate::ErrorKind::AddressInUse), [`AddressNotAvailable`](crate::ErrorKind::AddressNotAvailable),
    /// [`Quota`](crate::ErrorKind::Quota), [`TimedOut`](crate::ErrorKind::TimedOut): no answer within 5 s; or the channel is gone.
    pub fn listen(&self, local: impl Into<Address>) -> Result<Listener> {
        self.listen_with(local, &Options::new())
    }

    /// As [`Handle::listen`], with options.
    pub fn listen_with(&self, local: impl Into<Address>, options: &Options) -> Result<Listener> {
        let options = options.to_raw()?;
        let local = local.into();
        let mut token = 0;
        control(|error| {
            // SAFETY: we hold a reference; the pointers are valid for the call; the options may be NULL.
            unsafe { sys::machnet_listener_open(self.as_ptr(), &local.0, options.as_ptr(), &mut token, error) }
        })?;
        Ok(Listener::new(self.clone(), ListenerToken(token)))
    }

    /// Where a listener accepts, with the port that was chosen.
    pub fn listener_address(&self, listener: ListenerToken) -> Result<Address> {
        let mut local = Address::ANY;
        // SAFETY: we hold a reference; the address is valid to be written.
        check(unsafe { sys::machnet_listener_address(self.as_ptr(), listener.0, &mut local.0) })?;
        Ok(local)
    }

    /// Stops accepting; flows that were accepted live on. Blocks for a round trip to the engine process.
    ///
    /// # Errors
    /// [`BadToken`](crate::ErrorKind::BadToken); [`TimedOut`](crate::ErrorKind::TimedOut): no answer, call again; or the channel is gone.
    pub fn close_listener(&self, listener: ListenerToken) -> Result<()> {
        control(|error| {
            // SAFETY: we hold a reference; the error is valid to be written.
            unsafe { sys::machnet_listener_close(self.as_ptr(), listener.0, 0, error) }
        })
        .map(drop)
    }

    /// Both ends of a flow that is or was open: local, then remote.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): not open yet. [`BadToken`](crate::ErrorKind::BadToken).
    pub fn flow_addresses(&self, flow: FlowToken) -> Result<(Address, Address)> {
        let (mut local, mut remote) = (Address::ANY, Address::ANY);
        // SAFETY: we hold a reference; both addresses are valid to be written.
        check(unsafe { sys::machnet_flow_addresses(self.as_ptr(), flow.0, &mut local.0, &mut remote.0) })?;
        Ok((local, remote))
    }

    /// What the library knows of a flow. Values of the other side's thread may be a moment old.
    pub fn flow_info(&self, flow: FlowToken) -> Result<FlowInfo> {
        let mut info = FlowInfo::empty();
        // SAFETY: we hold a reference; the struct is valid to be written.
        check(unsafe { sys::machnet_flow_info_get(self.as_ptr(), flow.0, &mut info) })?;
        Ok(FlowInfo::of(&info))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// The descriptor of a channel for poll, epoll, mio and tokio: readable while messages or events may be waiting, after
/// [`Handle::wake`], and when the channel is gone. Works level- and edge-triggered. Only poll it: never read or write it.
///
/// The contract: receive *and* take events until both say that there is nothing, then poll. It stays open as long as this object lives, which
/// keeps the channel's memory but not the channel attached.
///
/// With tokio it goes into `AsyncFd::with_interest(descriptor, Interest::READABLE)`, with mio into `SourceFd(&descriptor.as_raw_fd())`.
#[derive(Clone, Debug)]
pub struct Descriptor {
    fd: RawFd,
    handle: Handle,
}

impl Descriptor {
    /// The channel it belongs to.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the channel owns it and closes it with its last reference, of which we hold one.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}
