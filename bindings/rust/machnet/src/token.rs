// SPDX-License-Identifier: MIT
//! Names of flows and listeners on their channel.

/// Names a flow of one channel: a number that may be copied and kept. One that is stale is answered with
/// [`ErrorKind::BadToken`](crate::ErrorKind::BadToken). Tokens of another channel are meaningless: they name nothing, or another flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowToken(pub(crate) u64);

/// Names a listener of one channel, as [`FlowToken`] does a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerToken(pub(crate) u64);

macro_rules! token {
    ($name:ident) => {
        impl $name {
            /// The token of this number; `None` for 0, which is never one. The library checks the number at each use.
            pub fn from_raw(number: u64) -> Option<$name> {
                Some($name(number)).filter(|token| token.0 != 0)
            }

            /// Its number in the ABI.
            pub fn to_raw(self) -> u64 {
                self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }
    };
}

token!(FlowToken);
token!(ListenerToken);

/// The number that a receive call takes: 0 means any flow.
#[inline]
pub(crate) fn flow_or_any(flow: impl Into<Option<FlowToken>>) -> u64 {
    flow.into().map_or(machnet_sys::MACHNET_ANY_FLOW.into(), |token| token.0)
}
