// SPDX-License-Identifier: MIT
//! The receive side of a channel.

use std::cell::RefCell;
use std::fmt;
use std::os::unix::io::AsRawFd;
use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use machnet_sys as sys;

use crate::batch::Batch;
use crate::edge::Edge;
use crate::error::{check, Error, ErrorKind, Result};
use crate::event::{self, Event};
use crate::halves::Halves;
use crate::handle::Handle;
use crate::message::{empty_view, Message, MessageInfo};
use crate::token::{flow_or_any, FlowToken};
use crate::wait::{timeout_ns, Deadline, Wait};

/// Events taken in one call.
const EVENTS: usize = 16;

/// The receive side of a [`Channel`](crate::Channel): takes messages and events, and waits for them. It may move to another thread, but belongs
/// to one at a time: it is [`Send`] and not [`Sync`].
///
/// Where a call takes a flow, `None` means any flow that has a message, in turn. Calls named `try_` never wait. The others do; they go on when
/// a signal handler ran, and end with [`ErrorKind::Interrupted`] when [`Handle::wake`] was called.
///
/// From the first call that takes an event on, a flow's [`Event::Accepted`] comes before any message of that flow.
///
/// ```compile_fail,E0277
/// fn needs_sync<T: Sync>() {}
/// needs_sync::<machnet::Receiver>();
/// ```
pub struct Receiver {
    raw: NonNull<sys::machnet_channel>,
    halves: Arc<Halves>,
    // From the first wait in vain on. It is there or not, also when a panic goes through a call: nothing in between is ever seen.
    edge: AssertUnwindSafe<RefCell<Option<Edge>>>,
}

// SAFETY: the receive side may move between threads; who moves it synchronises with the new one, as all Rust does. Not Sync: `raw` sees to that.
unsafe impl Send for Receiver {}

impl Receiver {
    pub(crate) fn new(halves: Arc<Halves>) -> Receiver {
        Receiver { raw: halves.handle.raw(), halves, edge: AssertUnwindSafe(RefCell::new(None)) }
    }

    /// What any thread may do with the channel.
    pub fn handle(&self) -> &Handle {
        &self.halves.handle
    }

    /// Waits until something of `what` holds, and returns that part of it; `Wait::NONE` if it was woken. `None` waits for ever, zero only
    /// looks.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), [`Interrupted`](ErrorKind::Interrupted): a signal handler ran.
    /// [`LowMemory`](ErrorKind::LowMemory), or the channel is gone.
    pub fn wait(&self, what: Wait, timeout: Option<Duration>) -> Result<Wait> {
        // SAFETY: we are the receive side and hold a reference.
        check(unsafe { sys::machnet_channel_wait(self.raw.as_ptr(), what.0, timeout_ns(timeout)) }).map(Wait)
    }

    /// Takes the next message where it lies, without a copy; `None`: there is none now.
    ///
    /// # Errors
    /// [`BadToken`](ErrorKind::BadToken). Why the flow ended: nothing is left of it. [`LowMemory`](ErrorKind::LowMemory), or the channel is
    /// gone.
    #[inline]
    pub fn try_receive(&self, flow: impl Into<Option<FlowToken>>) -> Result<Option<Message>> {
        let mut view = empty_view();
        // SAFETY: we are the receive side and hold a reference; the view is valid to be written.
        let status = unsafe { sys::machnet_recv_borrow(self.raw.as_ptr(), flow_or_any(flow), &mut view, 0) };
        if status < 0 {
            return nothing_or_error(status);
        }
        // SAFETY: the view comes from this call and goes nowhere else.
        Ok(Some(unsafe { Message::new(self.raw, &view) }))
    }

    /// Copies the next message into the front of `buffer` and says what it is; `None`: there is none now.
    ///
    /// # Errors
    /// [`MessageSize`](ErrorKind::MessageSize): it does not fit and is still there; [`Error::message_info`] has its length. Others as of
    /// [`Receiver::try_receive`].
    #[inline]
    pub fn try_receive_into(
        &self,
        flow: impl Into<Option<FlowToken>>,
        buffer: &mut [u8],
    ) -> Result<Option<MessageInfo>> {
        let mut message =
            sys::machnet_message { flow: 0, tag: 0, length: 0, flags: 0, reserved32: 0, reserved: [0; 2] };
        // SAFETY: we are the receive side and hold a reference; the buffer is as long as said, the message valid to be written.
        let status = unsafe {
            sys::machnet_recv_copy(
                self.raw.as_ptr(),
                flow_or_any(flow),
                buffer.as_mut_ptr().cast(),
                buffer.len() as u64,
                &mut message,
                0,
            )
        };
        if status < 0 && status != sys::MACHNET_EMSGSIZE {
            return nothing_or_error(status);
        }
        let info = MessageInfo::of(message.flow, message.tag, message.length);
        if status < 0 {
            return Err(Error::too_long(info));
        }
        Ok(Some(info))
    }

    /// Replaces what is in the batch by as many messages as there are and fit, copied in one call, and returns how many; 0: there is none now.
    ///
    /// # Errors
    /// [`MessageSize`](ErrorKind::MessageSize): already the first does not fit. Others as of [`Receiver::try_receive`].
    #[inline]
    pub fn try_receive_batch(&self, flow: impl Into<Option<FlowToken>>, batch: &mut Batch) -> Result<usize> {
        let (records, arena) = batch.begin_receive();
        // SAFETY: we are the receive side and hold a reference; records (at least one) and arena are as long as said.
        let status = unsafe {
            sys::machnet_recv_packed(
                self.raw.as_ptr(),
                flow_or_any(flow),
                records.as_mut_ptr(),
                records.len().min(i32::MAX as usize) as u32,
                arena.as_mut_ptr().cast(),
                arena.len() as u64,
                0,
            )
        };
        if status == sys::MACHNET_EMSGSIZE {
            let record = &records[0];
            return Err(Error::too_long(MessageInfo::of(record.flow, record.tag, record.length)));
        }
        if status < 0 {
            return nothing_or_error::<()>(status).map(|_| 0);
        }
        batch.received(status as usize);
        Ok(status as usize)
    }

    /// Waits for the next message and takes it where it lies. Errors as of [`Receiver::try_receive`], and
    /// [`Interrupted`](ErrorKind::Interrupted).
    ///
    /// While messages of other flows lie there the wait sleeps on the channel's [`Descriptor`](crate::Descriptor).
    pub fn receive(&self, flow: impl Into<Option<FlowToken>>) -> Result<Message> {
        let flow = flow.into();
        self.until(Wait::RECEIVE, &Deadline::NEVER, || self.try_receive(flow))
    }

    /// As [`Receiver::receive`], but ends with [`TimedOut`](ErrorKind::TimedOut) when the time is over.
    pub fn receive_timeout(&self, flow: impl Into<Option<FlowToken>>, timeout: Duration) -> Result<Message> {
        let flow = flow.into();
        self.until(Wait::RECEIVE, &Deadline::after(timeout), || self.try_receive(flow))
    }

    /// Takes the next event; `None`: there is none now.
    ///
    /// # Errors
    /// [`LowMemory`](ErrorKind::LowMemory), or the channel is gone ([`EngineGone`](ErrorKind::EngineGone) after the last event).
    pub fn try_event(&self) -> Result<Option<Event>> {
        let mut raw = [event::EMPTY; 1];
        loop {
            match self.raw_events(&mut raw)? {
                0 => return Ok(None),
                _ => {
                    if let Some(event) = Event::of(&raw[0]) {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    /// Appends all events that there are to `events` and returns how many these were. Errors as of [`Receiver::try_event`]; what came before
    /// the error has been appended.
    pub fn try_events(&self, events: &mut Vec<Event>) -> Result<usize> {
        let before = events.len();
        let mut raw = [event::EMPTY; EVENTS];
        loop {
            let count = self.raw_events(&mut raw)?;
            if count == 0 {
                return Ok(events.len() - before);
            }
            events.extend(raw[..count].iter().filter_map(Event::of));
        }
    }

    /// Waits for the next event and takes it. Errors as of [`Receiver::try_event`], and [`Interrupted`](ErrorKind::Interrupted).
    pub fn event(&self) -> Result<Event> {
        self.until(Wait::EVENT, &Deadline::NEVER, || self.try_event())
    }

    /// As [`Receiver::event`], but ends with [`TimedOut`](ErrorKind::TimedOut) when the time is over.
    pub fn event_timeout(&self, timeout: Duration) -> Result<Event> {
        self.until(Wait::EVENT, &Deadline::after(timeout), || self.try_event())
    }

    fn raw_events(&self, events: &mut [sys::machnet_event]) -> Result<usize> {
        let max = events.len() as u32;
        // SAFETY: we are the receive side and hold a reference; `events` is as long as said.
        let status = unsafe { sys::machnet_channel_events(self.raw.as_ptr(), events.as_mut_ptr(), max, 0) };
        match status {
            sys::MACHNET_EAGAIN => Ok(0),
            _ => check(status).map(|count| count as usize),
        }
    }

    /// Waits for `what` until `take` has something.
    fn until<T>(&self, what: Wait, deadline: &Deadline, take: impl Fn() -> Result<Option<T>>) -> Result<T> {
        let mut in_vain = 0;
        loop {
            if let Some(taken) = take()? {
                return Ok(taken);
            }
            let left = deadline.left();
            if in_vain > 0 && left == Some(Duration::ZERO) {
                return Err(Error::of_status(sys::MACHNET_ETIMEDOUT));
            }
            // More than once in vain: what there is is another flow's, and the wait would not sleep.
            if in_vain > 2 {
                self.sleep_beside_others(left)?;
                continue;
            }
            let woken = self.pause(what, left)?;
            in_vain = if woken { in_vain + 1 } else { 0 };
        }
    }

    /// Sleeps until something new comes. It may return early.
    fn sleep_beside_others(&self, left: Option<Duration>) -> Result<()> {
        let mut edge = self.edge.borrow_mut();
        let edge = match &mut *edge {
            Some(edge) => edge,
            none => none.insert(Edge::of(self.handle().descriptor()?.as_raw_fd())?),
        };
        edge.sleep(left);
        // Of what does not hold a wait returns only that it was woken.
        match self.pause(Wait::SEND, Some(Duration::ZERO)) {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
            result => result.map(drop),
        }
    }

    /// One wait of a call that goes on after signals. Returns false if one ended it.
    pub(crate) fn pause(&self, what: Wait, left: Option<Duration>) -> Result<bool> {
        match self.wait(what, left) {
            Ok(Wait::NONE) => Err(Error::with_message(sys::MACHNET_EINTR, "The wait was ended by Handle::wake")),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[inline]
fn nothing_or_error<T>(status: i32) -> Result<Option<T>> {
    match status {
        sys::MACHNET_EAGAIN => Ok(None),
        _ => Err(Error::of_status(status)),
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
