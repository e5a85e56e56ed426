// SPDX-License-Identifier: MIT
//! The send side of a channel.

use std::fmt;
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use machnet_sys as sys;

use crate::address::Address;
use crate::batch::Batch;
use crate::error::{check, control, Error, Result};
use crate::halves::Halves;
use crate::handle::Handle;
use crate::message::{empty_view, CommitError, Reservation};
use crate::options::Options;
use crate::token::FlowToken;

/// The send side of a [`Channel`](crate::Channel): opens and closes flows, and sends. It may move to another thread, but belongs to one at a
/// time: it is [`Send`] and not [`Sync`].
///
/// Nothing here waits. [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock) says that there is no space now; the receive side is told by
/// [`Event::SendSpace`](crate::Event::SendSpace) when it is worth while to try again, and has to pass that on.
///
/// ```compile_fail,E0277
/// fn needs_sync<T: Sync>() {}
/// needs_sync::<machnet::Sender>();
/// ```
///
/// Of the two sides there is one each:
///
/// ```compile_fail,E0599
/// fn two(sender: &machnet::Sender) -> machnet::Sender { sender.clone() }
/// ```
pub struct Sender {
    raw: NonNull<sys::machnet_channel>,
    halves: Arc<Halves>,
}

// SAFETY: the send side may move between threads; who moves it synchronises with the new one, as all Rust does. Not Sync: `raw` sees to that.
unsafe impl Send for Sender {}

impl Sender {
    pub(crate) fn new(halves: Arc<Halves>) -> Sender {
        Sender { raw: halves.handle.raw(), halves }
    }

    pub(crate) fn raw(&self) -> NonNull<sys::machnet_channel> {
        self.raw
    }

    /// What any thread may do with the channel.
    pub fn handle(&self) -> &Handle {
        &self.halves.handle
    }

    /// Begins to open a flow to `remote`, from any address of the engine. Returns at once: the result comes as
    /// [`Event::Established`](crate::Event::Established) or [`Event::Closed`](crate::Event::Closed); messages may be sent before that and
    /// go out when the flow is open.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): too many requests under way. [`Quota`](crate::ErrorKind::Quota): too many flows.
    /// [`OutOfMemory`](crate::ErrorKind::OutOfMemory), or the channel is gone.
    pub fn open_flow(&self, remote: impl Into<Address>) -> Result<FlowToken> {
        self.open_flow_with(remote, Address::ANY, &Options::new())
    }

    /// As [`Sender::open_flow`], from the address `local` and with options.
    pub fn open_flow_with(
        &self,
        remote: impl Into<Address>,
        local: impl Into<Address>,
        options: &Options,
    ) -> Result<FlowToken> {
        // SAFETY: we are the send side; a timeout of 0 does not touch the receive side.
        unsafe { open_flow(self.raw, remote.into(), local.into(), options, 0) }
    }

    /// Closes the flow: its token is stale at once, messages not received are dropped, those sent before are still delivered. The end is told
    /// by [`Event::Closed`](crate::Event::Closed), unless that came before.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): call again. [`BadToken`](crate::ErrorKind::BadToken), or the channel is gone.
    pub fn close_flow(&self, flow: FlowToken) -> Result<()> {
        self.close(flow, 0)
    }

    /// Closes the flow and drops what the peer's engine has not acknowledged; the peer gets
    /// [`ErrorKind::Reset`](crate::ErrorKind::Reset). Errors as of [`Sender::close_flow`].
    pub fn abort_flow(&self, flow: FlowToken) -> Result<()> {
        self.close(flow, sys::MACHNET_CLOSE_ABORT)
    }

    fn close(&self, flow: FlowToken, flags: u32) -> Result<()> {
        // SAFETY: we are the send side and hold a reference.
        check(unsafe { sys::machnet_flow_close(self.raw.as_ptr(), flow.0, flags) }).map(drop)
    }

    /// Sends one message of at most 8 MiB; an empty one is a message, too. The bytes are copied.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): no space now. [`MessageSize`](crate::ErrorKind::MessageSize): longer than
    /// [`MESSAGE_MAX`](crate::MESSAGE_MAX), or than the send arena may ever hold. [`BadToken`](crate::ErrorKind::BadToken); why the flow
    /// ended; or the channel is gone.
    #[inline]
    pub fn try_send(&self, flow: FlowToken, bytes: &[u8], tag: u64) -> Result<()> {
        // SAFETY: we are the send side and hold a reference; the bytes are read during the call.
        let status = unsafe {
            sys::machnet_send_copy(self.raw.as_ptr(), flow.0, bytes.as_ptr().cast(), bytes.len() as u64, tag, 0)
        };
        check(status).map(drop)
    }

    /// Reserves space for one message of at most `length` bytes on the flow, to be written in place. Errors as of [`Sender::try_send`].
    #[inline]
    pub fn try_reserve(&self, flow: FlowToken, length: usize) -> Result<Reservation> {
        let mut view = empty_view();
        // SAFETY: we are the send side and hold a reference; the view is valid to be written.
        check(unsafe { sys::machnet_send_reserve(self.raw.as_ptr(), flow.0, length as u64, &mut view, 0) })?;
        // SAFETY: the view comes from this call and goes nowhere else.
        Ok(unsafe { Reservation::new(self.raw, &view) })
    }

    /// Sends a reserved message with its present length.
    ///
    /// # Errors
    /// The reservation comes back in the error. [`WouldBlock`](crate::ErrorKind::WouldBlock): commit again.
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput): it belongs to another channel. Why the flow ended, also after our own close; or the
    /// channel is gone.
    #[inline]
    pub fn commit(&self, reservation: Reservation, tag: u64) -> std::result::Result<(), CommitError> {
        // A token of another channel could be that of a buffer here, which somebody else is writing.
        if !reservation.belongs_to(self.raw) {
            return Err(CommitError::new(Error::of_status(sys::MACHNET_EINVAL), reservation));
        }
        // SAFETY: we are the send side and hold a reference; the buffer is ours and was reserved on this channel.
        let status = unsafe {
            sys::machnet_send_commit(self.raw.as_ptr(), reservation.token(), reservation.len() as u64, tag, 0)
        };
        if status < 0 {
            return Err(CommitError::new(Error::of_status(status), reservation));
        }
        mem::forget(reservation); // it is the library's again
        Ok(())
    }

    /// Sends the messages of a batch in one call, the first ones first, and takes those that went out off its front. Returns how many; 0
    /// if there is none in it.
    ///
    /// # Errors
    /// Why the first could not go out, as of [`Sender::try_send`]; the batch stays as it was.
    #[inline]
    pub fn try_send_batch(&self, batch: &mut Batch) -> Result<usize> {
        let (records, arena) = batch.to_send();
        if records.is_empty() {
            return Ok(0);
        }
        let count = records.len().min(i32::MAX as usize) as u32;
        // SAFETY: we are the send side and hold a reference; records and arena are as long as said and read during the call.
        let sent = check(unsafe {
            sys::machnet_send_packed(
                self.raw.as_ptr(),
                records.as_ptr(),
                count,
                arena.as_ptr().cast(),
                arena.len() as u64,
                0,
            )
        })? as usize;
        batch.sent(sent);
        Ok(sent)
    }

    /// Puts the two sides together again.
    ///
    /// # Errors
    /// Both come back if they are not of the same channel.
    pub fn unsplit(self, receiver: crate::Receiver) -> std::result::Result<crate::Channel, (Sender, crate::Receiver)> {
        if self.handle().is_same(receiver.handle()) {
            Ok(crate::Channel::of(self, receiver))
        } else {
            Err((self, receiver))
        }
    }
}

/// # Safety
/// The caller is the send side of the channel and holds a reference; with `timeout_ns != 0` it is the receive side, too.
pub(crate) unsafe fn open_flow(
    channel: NonNull<sys::machnet_channel>,
    remote: Address,
    local: Address,
    options: &Options,
    timeout_ns: i64,
) -> Result<FlowToken> {
    let options = options.to_raw()?;
    let local = if local == Address::ANY { ptr::null() } else { &local.0 as *const _ };
    let mut token = 0;
    control(|error| {
        // SAFETY: as promised by the caller; the pointers are valid for the call, `local` and the options may be NULL.
        unsafe {
            sys::machnet_flow_open(channel.as_ptr(), local, &remote.0, options.as_ptr(), timeout_ns, &mut token, error)
        }
    })?;
    Ok(FlowToken(token))
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}
