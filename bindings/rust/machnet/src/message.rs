// SPDX-License-Identifier: MIT
//! Messages in shared memory: received ones, and those that are still to be sent.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

use machnet_sys as sys;

use crate::error::Error;
use crate::token::FlowToken;

/// What is known of a message beside its bytes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageInfo {
    /// The flow it belongs to.
    pub flow: FlowToken,
    /// What the sender gave.
    pub tag: u64,
    /// Bytes.
    pub length: usize,
}

impl MessageInfo {
    pub(crate) fn of(flow: u64, tag: u64, length: u64) -> MessageInfo {
        MessageInfo { flow: FlowToken(flow), tag, length: length as usize }
    }
}

/// A buffer of the channel's shared memory, which is given back when this is dropped.
///
/// It needs no reference to the channel: the library keeps the memory, and the pointer good for `machnet_buffer_release`, until the last of
/// its buffers is back. Taking one more reference for each message would cost two atomic operations and gain nothing.
struct Buffer {
    channel: NonNull<sys::machnet_channel>,
    data: NonNull<u8>,
    length: usize,
    flow: FlowToken,
    tag: u64,
    token: u64,
}

// SAFETY: any thread may give a buffer back, and its bytes are memory like any other.
unsafe impl Send for Buffer {}
// SAFETY: shared references only read.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// # Safety
    /// The view was filled by a call on this channel and is used for nothing else.
    #[inline]
    unsafe fn new(channel: NonNull<sys::machnet_channel>, view: &sys::machnet_view) -> Buffer {
        Buffer {
            channel,
            data: NonNull::new(view.data.cast()).unwrap_or(NonNull::dangling()),
            length: view.length as usize,
            flow: FlowToken(view.flow),
            tag: view.tag,
            token: view.buffer,
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: the library gave `length` bytes there, which nobody writes until they are released.
        unsafe { slice::from_raw_parts(self.data.as_ptr(), self.length) }
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the buffer is ours and is given back once; until then the channel's pointer is good for this call.
        unsafe { sys::machnet_buffer_release(self.channel.as_ptr(), self.token) };
    }
}

#[inline]
pub(crate) fn empty_view() -> sys::machnet_view {
    sys::machnet_view {
        data: std::ptr::null_mut(),
        length: 0,
        flow: 0,
        tag: 0,
        buffer: 0,
        flags: 0,
        reserved32: 0,
        reserved: [0; 2],
    }
}

/// A received message, where it lies in shared memory: it derefs to its bytes, which were not copied.
///
/// It may be kept, sent to another thread and dropped there, and stays readable after its flow and its channel are closed and dropped. But as
/// long as it lives it takes of the space in which its channel can receive (64 MiB unless an option says otherwise): copy what is
/// kept for long.
pub struct Message(Buffer);

impl Message {
    /// # Safety
    /// The view was filled by `machnet_recv_borrow` on this channel and is used for nothing else.
    #[inline]
    pub(crate) unsafe fn new(channel: NonNull<sys::machnet_channel>, view: &sys::machnet_view) -> Message {
        // SAFETY: as promised by the caller.
        Message(unsafe { Buffer::new(channel, view) })
    }

    /// The flow it came on.
    #[inline]
    pub fn flow(&self) -> FlowToken {
        self.0.flow
    }

    /// What the sender gave.
    #[inline]
    pub fn tag(&self) -> u64 {
        self.0.tag
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl Deref for Message {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl AsRef<[u8]> for Message {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Message");
        out.field("flow", &self.0.flow).field("tag", &self.0.tag).field("length", &self.0.length).finish()
    }
}

/// Space of the send arena for one message, to be written in place and then given to [`Sender::commit`](crate::Sender::commit). Dropping it
/// abandons it. Its bytes are whatever was there before. May be written and dropped by any thread.
pub struct Reservation(Buffer);

impl Reservation {
    /// # Safety
    /// The view was filled by `machnet_send_reserve` on this channel and is used for nothing else.
    #[inline]
    pub(crate) unsafe fn new(channel: NonNull<sys::machnet_channel>, view: &sys::machnet_view) -> Reservation {
        // SAFETY: as promised by the caller.
        Reservation(unsafe { Buffer::new(channel, view) })
    }

    /// The flow that the message will go out on.
    #[inline]
    pub fn flow(&self) -> FlowToken {
        self.0.flow
    }

    /// Makes the message shorter, to its first `length` bytes. Nothing happens if it is not longer.
    #[inline]
    pub fn truncate(&mut self, length: usize) {
        self.0.length = self.0.length.min(length);
    }

    #[inline]
    pub(crate) fn belongs_to(&self, channel: NonNull<sys::machnet_channel>) -> bool {
        self.0.channel == channel
    }

    #[inline]
    pub(crate) fn token(&self) -> u64 {
        self.0.token
    }
}

impl Deref for Reservation {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl DerefMut for Reservation {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the library gave `length` bytes there, which are ours alone until they are committed or abandoned.
        unsafe { slice::from_raw_parts_mut(self.0.data.as_ptr(), self.0.length) }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("flow", &self.0.flow).field("length", &self.0.length).finish()
    }
}

/// A commit that did not happen: why, and the reservation, which can be committed again or dropped.
#[derive(Debug)]
pub struct CommitError {
    error: Error,
    reservation: Reservation,
}

impl CommitError {
    pub(crate) fn new(error: Error, reservation: Reservation) -> CommitError {
        CommitError { error, reservation }
    }

    /// Why.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The reservation, as it was.
    pub fn into_reservation(self) -> Reservation {
        self.reservation
    }
}

impl From<CommitError> for Error {
    fn from(failed: CommitError) -> Error {
        failed.error
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
