// SPDX-License-Identifier: MIT
//! Channels.

use std::time::Duration;

use crate::address::Address;
use crate::batch::Batch;
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::flow::Flow;
use crate::halves::Halves;
use crate::handle::Handle;
use crate::listener::Listener;
use crate::message::{Message, Reservation};
use crate::options::Options;
use crate::receiver::Receiver;
use crate::sender::{open_flow, Sender};
use crate::token::FlowToken;
use crate::wait::{timeout_ns, Deadline, Wait};

/// Shared memory with the engine, over which flows send and receive. It consists of a [`Sender`] and a [`Receiver`], which may be
/// [split](Channel::split) and used by two threads. It may move to another thread, but belongs to one at a time: it is [`Send`] and not
/// [`Sync`]. What any thread may do is done through its [`Handle`].
///
/// Dropping it never blocks. The channel is shut down then: the engine aborts its flows and closes its listeners. Close flows first, and
/// wait for [`Event::Closed`], where the peer shall get all that was sent.
///
/// ```compile_fail,E0277
/// fn needs_sync<T: Sync>() {}
/// needs_sync::<machnet::Channel>();
/// ```
#[derive(Debug)]
pub struct Channel {
    sender: Sender,
    receiver: Receiver,
}

impl Channel {
    /// Attaches to the engine. Blocks for a few round trips to the engine process.
    ///
    /// # Errors
    /// [`NoEngine`](ErrorKind::NoEngine), [`Quota`](ErrorKind::Quota), [`NotSupported`](ErrorKind::NotSupported) (an option), and others that
    /// say why there is no way to the engine.
    pub fn open(context: &Context) -> Result<Channel> {
        Channel::open_with(context, &Options::new())
    }

    /// As [`Channel::open`], with options.
    pub fn open_with(context: &Context, options: &Options) -> Result<Channel> {
        let halves = Halves::new(Handle::open(context, options)?);
        Ok(Channel { sender: Sender::new(halves.clone()), receiver: Receiver::new(halves) })
    }

    pub(crate) fn of(sender: Sender, receiver: Receiver) -> Channel {
        Channel { sender, receiver }
    }

    /// The two sides, for two threads. The channel stays attached as long as one of them lives.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// The send side.
    #[inline]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// The receive side.
    #[inline]
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// What any thread may do with the channel.
    pub fn handle(&self) -> &Handle {
        self.sender.handle()
    }

    /// Detaches; see [`Handle::shutdown`].
    pub fn shutdown(&self) -> Result<()> {
        self.handle().shutdown()
    }

    /// Accepts flows at `local`; see [`Handle::listen`].
    pub fn listen(&self, local: impl Into<Address>) -> Result<Listener> {
        self.handle().listen(local)
    }

    /// The flow that this token names, with the calls of both sides.
    #[inline]
    pub fn flow(&self, token: FlowToken) -> Flow<'_> {
        Flow::new(self, token)
    }

    /// Opens a flow to `remote` and waits until it is open, at most 3 s. No event comes for that.
    ///
    /// # Errors
    /// Why there is no flow: [`Refused`](ErrorKind::Refused), [`Unreachable`](ErrorKind::Unreachable) and others;
    /// [`WouldBlock`](ErrorKind::WouldBlock): too many requests under way. [`Interrupted`](ErrorKind::Interrupted): a signal handler ran;
    /// programs with signal handlers use [`Sender::open_flow`]. [`Quota`](ErrorKind::Quota), or the channel is gone.
    pub fn connect(&self, remote: impl Into<Address>) -> Result<Flow<'_>> {
        self.connect_with(remote, Address::ANY, &Options::new(), None)
    }

    /// As [`Channel::connect`], from the address `local`, with options, and with a time that the wait may take (`None`: until
    /// [`Options::open_timeout`] ends it). [`TimedOut`](ErrorKind::TimedOut): it is over, and there is no flow.
    pub fn connect_with(
        &self,
        remote: impl Into<Address>,
        local: impl Into<Address>,
        options: &Options,
        timeout: Option<Duration>,
    ) -> Result<Flow<'_>> {
        // 0 would not wait.
        let timeout_ns = timeout_ns(timeout.map(|time| time.max(Duration::from_nanos(1))));
        // SAFETY: both sides are ours.
        let token = unsafe { open_flow(self.sender.raw(), remote.into(), local.into(), options, timeout_ns)? };
        Ok(self.flow(token))
    }

    /// Sends one message, and waits for space if there is none. The bytes are copied. Errors as of [`Sender::try_send`], and
    /// [`Interrupted`](ErrorKind::Interrupted) after [`Handle::wake`].
    #[inline]
    pub fn send(&self, flow: FlowToken, bytes: &[u8], tag: u64) -> Result<()> {
        match self.sender.try_send(flow, bytes, tag) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.until_space(&Deadline::NEVER, || self.sender.try_send(flow, bytes, tag))
            }
            result => result,
        }
    }

    /// As [`Channel::send`], but ends with [`TimedOut`](ErrorKind::TimedOut) when the time is over.
    pub fn send_timeout(&self, flow: FlowToken, bytes: &[u8], tag: u64, timeout: Duration) -> Result<()> {
        self.until_space(&Deadline::after(timeout), || self.sender.try_send(flow, bytes, tag))
    }

    /// Sends all messages of the batch, and waits for space as often as need be. After an error those that did not go out are in the batch.
    pub fn send_batch(&self, batch: &mut Batch) -> Result<()> {
        while !batch.is_empty() {
            match self.sender.try_send_batch(batch) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.pause_for_space(None)?,
                result => {
                    result?;
                }
            }
        }
        Ok(())
    }

    /// Reserves space for one message of at most `length` bytes on the flow, and waits for it if there is none; it is written in place and then
    /// given to [`Sender::commit`]. Errors as of [`Channel::send`].
    pub fn reserve(&self, flow: FlowToken, length: usize) -> Result<Reservation> {
        self.until_space(&Deadline::NEVER, || self.sender.try_reserve(flow, length))
    }

    /// As [`Channel::reserve`], but ends with [`TimedOut`](ErrorKind::TimedOut) when the time is over.
    pub fn reserve_timeout(&self, flow: FlowToken, length: usize, timeout: Duration) -> Result<Reservation> {
        self.until_space(&Deadline::after(timeout), || self.sender.try_reserve(flow, length))
    }

    /// Waits for the next message; see [`Receiver::receive`].
    pub fn receive(&self, flow: impl Into<Option<FlowToken>>) -> Result<Message> {
        self.receiver.receive(flow)
    }

    /// As [`Channel::receive`], but ends with [`TimedOut`](ErrorKind::TimedOut) when the time is over.
    pub fn receive_timeout(&self, flow: impl Into<Option<FlowToken>>, timeout: Duration) -> Result<Message> {
        self.receiver.receive_timeout(flow, timeout)
    }

    /// Waits for the next event; see [`Receiver::event`].
    pub fn event(&self) -> Result<Event> {
        self.receiver.event()
    }

    /// As [`Channel::event`], but ends with [`TimedOut`](ErrorKind::TimedOut) when the time is over.
    pub fn event_timeout(&self, timeout: Duration) -> Result<Event> {
        self.receiver.event_timeout(timeout)
    }

    /// Tries until there is space for what `send` sends.
    fn until_space<T>(&self, deadline: &Deadline, send: impl Fn() -> Result<T>) -> Result<T> {
        loop {
            match send() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            let left = deadline.left();
            if left == Some(Duration::ZERO) {
                return Err(Error::of_status(machnet_sys::MACHNET_ETIMEDOUT));
            }
            self.pause_for_space(left)?;
        }
    }

    /// Waits until a flow has space, or for a moment: a flow that ends instead is told by the next try only.
    fn pause_for_space(&self, left: Option<Duration>) -> Result<()> {
        match self.receiver.pause(Wait::SEND, Some(left.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN))) {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
            result => result.map(drop),
        }
    }
}

/// How often a send that waits looks whether its flow has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
