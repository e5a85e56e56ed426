// SPDX-License-Identifier: MIT
//! Flows.

use std::time::Duration;

use machnet_sys as sys;

use crate::address::Address;
use crate::channel::Channel;
use crate::error::{check, Result};
use crate::message::{CommitError, Message, MessageInfo, Reservation};
use crate::token::{FlowToken, ListenerToken};

/// A reliable, ordered, bidirectional sequence of messages: one flow of a [`Channel`] that was not split. It is only a name: copies name the
/// same flow, and dropping it closes nothing. What is kept beyond the channel's borrow, or used by a [`Sender`](crate::Sender) and a
/// [`Receiver`](crate::Receiver) apart, is its [`FlowToken`].
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a> {
    channel: &'a Channel,
    token: FlowToken,
}

impl<'a> Flow<'a> {
    #[inline]
    pub(crate) fn new(channel: &'a Channel, token: FlowToken) -> Flow<'a> {
        Flow { channel, token }
    }

    /// Its name on the channel.
    #[inline]
    pub fn token(&self) -> FlowToken {
        self.token
    }

    /// Sends one message, and waits for space if there is none; see [`Channel::send`].
    #[inline]
    pub fn send(&self, bytes: &[u8], tag: u64) -> Result<()> {
        self.channel.send(self.token, bytes, tag)
    }

    /// Sends one message if there is space now; see [`Sender::try_send`](crate::Sender::try_send).
    #[inline]
    pub fn try_send(&self, bytes: &[u8], tag: u64) -> Result<()> {
        self.channel.sender().try_send(self.token, bytes, tag)
    }

    /// Reserves space for one message to be written in place, and waits for it if there is none; see [`Channel::reserve`]. The message goes out by
    /// [`Flow::commit`].
    pub fn reserve(&self, length: usize) -> Result<Reservation> {
        self.channel.reserve(self.token, length)
    }

    /// Sends a reserved message on the flow that it was reserved for; see [`Sender::commit`](crate::Sender::commit).
    pub fn commit(&self, reservation: Reservation, tag: u64) -> std::result::Result<(), CommitError> {
        self.channel.sender().commit(reservation, tag)
    }

    /// Waits for the next message, or the end of the flow; see [`Receiver::receive`](crate::Receiver::receive).
    pub fn receive(&self) -> Result<Message> {
        self.channel.receive(self.token)
    }

    /// As [`Flow::receive`], but ends with [`TimedOut`](crate::ErrorKind::TimedOut) when the time is over.
    pub fn receive_timeout(&self, timeout: Duration) -> Result<Message> {
        self.channel.receive_timeout(self.token, timeout)
    }

    /// Takes the next message if there is one now; see [`Receiver::try_receive`](crate::Receiver::try_receive).
    #[inline]
    pub fn try_receive(&self) -> Result<Option<Message>> {
        self.channel.receiver().try_receive(self.token)
    }

    /// Copies the next message if there is one now; see [`Receiver::try_receive_into`](crate::Receiver::try_receive_into).
    #[inline]
    pub fn try_receive_into(&self, buffer: &mut [u8]) -> Result<Option<MessageInfo>> {
        self.channel.receiver().try_receive_into(self.token, buffer)
    }

    /// Closes the flow; see [`Sender::close_flow`](crate::Sender::close_flow).
    pub fn close(&self) -> Result<()> {
        self.channel.sender().close_flow(self.token)
    }

    /// Aborts the flow; see [`Sender::abort_flow`](crate::Sender::abort_flow).
    pub fn abort(&self) -> Result<()> {
        self.channel.sender().abort_flow(self.token)
    }

    /// Its local and its remote address; see [`Handle::flow_addresses`](crate::Handle::flow_addresses).
    pub fn addresses(&self) -> Result<(Address, Address)> {
        self.channel.handle().flow_addresses(self.token)
    }

    /// What the library knows of it.
    pub fn info(&self) -> Result<FlowInfo> {
        self.channel.handle().flow_info(self.token)
    }
}

/// Where a flow stands.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowState {
    /// The peer has not answered yet.
    Opening,
    /// Open.
    Open,
    /// Ended; messages that wait can still be received.
    Ended,
    /// A state that this crate does not know.
    Other,
}

/// What the library knows of a flow.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowInfo {
    /// Where it stands.
    pub state: FlowState,
    /// Why it ended, if it has.
    pub reason: Result<()>,
    /// Who accepted it.
    pub listener: Option<ListenerToken>,
    /// Messages given to send or commit.
    pub messages_sent: u64,
    /// Messages held by the peer's engine.
    pub messages_acknowledged: u64,
    /// Messages taken by receive calls.
    pub messages_received: u64,
    /// Messages waiting here to be received.
    pub messages_queued: u64,
    /// Bytes sent and not acknowledged.
    pub bytes_unacknowledged: u64,
}

impl FlowInfo {
    pub(crate) fn empty() -> sys::machnet_flow_info {
        sys::machnet_flow_info {
            state: 0,
            status: 0,
            listener: 0,
            messages_sent: 0,
            messages_acknowledged: 0,
            messages_received: 0,
            messages_queued: 0,
            bytes_unacknowledged: 0,
            reserved: [0; 9],
        }
    }

    pub(crate) fn of(info: &sys::machnet_flow_info) -> FlowInfo {
        FlowInfo {
            state: match info.state {
                sys::MACHNET_FLOW_OPENING => FlowState::Opening,
                sys::MACHNET_FLOW_OPEN => FlowState::Open,
                sys::MACHNET_FLOW_ENDED => FlowState::Ended,
                _ => FlowState::Other,
            },
            reason: check(info.status).map(drop),
            listener: ListenerToken::from_raw(info.listener),
            messages_sent: info.messages_sent,
            messages_acknowledged: info.messages_acknowledged,
            messages_received: info.messages_received,
            messages_queued: info.messages_queued,
            bytes_unacknowledged: info.bytes_unacknowledged,
        }
    }
}
