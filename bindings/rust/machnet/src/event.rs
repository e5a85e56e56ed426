// SPDX-License-Identifier: MIT
//! Events.

use machnet_sys as sys;

use crate::error::{check, Result};
use crate::token::{FlowToken, ListenerToken};

/// Something that happened to a flow or listener. New kinds may come; those that this crate does not know are left out.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A flow that we opened is open.
    Established {
        /// The flow.
        flow: FlowToken,
    },
    /// A listener accepted a flow; close it when done.
    Accepted {
        /// The new flow.
        flow: FlowToken,
        /// Who accepted it.
        listener: ListenerToken,
    },
    /// A flow ended or could not be opened. Comes once for each flow, after all its messages can be received; they stay receivable until
    /// the flow is closed.
    Closed {
        /// The flow.
        flow: FlowToken,
        /// Why it ended; `Ok` after our own close.
        reason: Result<()>,
    },
    /// A flow that had no space for a message has space again.
    SendSpace {
        /// The flow.
        flow: FlowToken,
    },
    /// A flow waits for receive space.
    ReceiveStalled {
        /// The flow.
        flow: FlowToken,
        /// What this program holds borrowed or unread.
        bytes: u64,
    },
    /// A listener was closed by the engine.
    ListenerClosed {
        /// The listener.
        listener: ListenerToken,
    },
}

impl Event {
    /// `None` if its type is not known here.
    pub(crate) fn of(event: &sys::machnet_event) -> Option<Event> {
        let flow = FlowToken(event.flow);
        let listener = ListenerToken(event.listener);
        Some(match event.type_ {
            sys::MACHNET_EVENT_ESTABLISHED => Event::Established { flow },
            sys::MACHNET_EVENT_ACCEPTED => Event::Accepted { flow, listener },
            sys::MACHNET_EVENT_CLOSED => Event::Closed { flow, reason: check(event.status).map(drop) },
            sys::MACHNET_EVENT_SEND_SPACE => Event::SendSpace { flow },
            sys::MACHNET_EVENT_RECEIVE_STALLED => Event::ReceiveStalled { flow, bytes: event.value },
            sys::MACHNET_EVENT_LISTENER_CLOSED => Event::ListenerClosed { listener },
            _ => return None,
        })
    }

    /// The flow that it is about, unless it is about a listener.
    pub fn flow(&self) -> Option<FlowToken> {
        match *self {
            Event::Established { flow }
            | Event::Accepted { flow, .. }
            | Event::Closed { flow, .. }
            | Event::SendSpace { flow }
            | Event::ReceiveStalled { flow, .. } => Some(flow),
            Event::ListenerClosed { .. } => None,
        }
    }
}

pub(crate) const EMPTY: sys::machnet_event =
    sys::machnet_event { type_: 0, status: 0, flow: 0, listener: 0, value: 0, reserved: [0; 4] };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn unknown_types_are_left_out() {
        let event = |type_, status| Event::of(&sys::machnet_event { type_, status, flow: 7, ..EMPTY });
        assert_eq!(event(4711, 0), None);
        let flow = FlowToken::from_raw(7).unwrap();
        assert_eq!(event(sys::MACHNET_EVENT_CLOSED, 0), Some(Event::Closed { flow, reason: Ok(()) }));
        match event(sys::MACHNET_EVENT_CLOSED, sys::MACHNET_ERESET) {
            Some(Event::Closed { reason: Err(error), .. }) => assert_eq!(error.kind(), ErrorKind::Reset),
            other => panic!("{other:?}"),
        }
    }
}
