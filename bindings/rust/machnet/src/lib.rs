// SPDX-License-Identifier: MIT
#![doc = include_str!("../README.md")]
#![deny(missing_docs, missing_debug_implementations, unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]

mod address;
mod batch;
mod channel;
mod context;
mod edge;
mod error;
mod event;
mod flow;
mod halves;
mod handle;
mod listener;
mod message;
mod options;
mod receiver;
mod sender;
mod stats;
mod token;
mod version;
mod wait;

pub use address::Address;
pub use batch::{Batch, MessageRef, Messages};
pub use channel::Channel;
pub use context::Context;
pub use error::{Error, ErrorKind, Result};
pub use event::Event;
pub use flow::{Flow, FlowInfo, FlowState};
pub use handle::{Descriptor, Handle};
pub use listener::Listener;
pub use message::{CommitError, Message, MessageInfo, Reservation};
pub use options::{Options, Poll};
pub use receiver::Receiver;
pub use sender::Sender;
pub use stats::Stats;
pub use token::{FlowToken, ListenerToken};
pub use version::{has_feature, library_version, AbiVersion};
pub use wait::Wait;

/// Bytes of the longest message: 8 MiB.
pub const MESSAGE_MAX: usize = machnet_sys::MACHNET_MESSAGE_MAX as usize;
