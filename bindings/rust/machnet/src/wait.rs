// SPDX-License-Identifier: MIT
//! What a receiver waits for, and how long.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::time::{Duration, Instant};

use machnet_sys as sys;

/// A set of things to wait for.
///
/// ```
/// use machnet::Wait;
/// let both = Wait::RECEIVE | Wait::EVENT;
/// assert!(both.contains(Wait::EVENT) && !both.contains(Wait::SEND));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wait(pub(crate) u32);

impl Wait {
    /// Nothing: what a wait returns that [`Handle::wake`](crate::Handle::wake) ended.
    pub const NONE: Wait = Wait(0);
    /// A message can be received; or a flow has ended since a wait last returned this: the next receive call on that flow gives its
    /// messages, then its end.
    pub const RECEIVE: Wait = Wait(sys::MACHNET_WAIT_RECEIVE);
    /// There is an event.
    pub const EVENT: Wait = Wait(sys::MACHNET_WAIT_EVENT);
    /// A flow that had no space for a message has space again. Not told: that it has ended meanwhile.
    pub const SEND: Wait = Wait(sys::MACHNET_WAIT_SEND);

    /// Whether all of `other` is in this set.
    pub fn contains(self, other: Wait) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is in this set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Wait {
    type Output = Wait;

    fn bitor(self, other: Wait) -> Wait {
        Wait(self.0 | other.0)
    }
}

impl BitOrAssign for Wait {
    fn bitor_assign(&mut self, other: Wait) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Wait::RECEIVE, "RECEIVE"), (Wait::EVENT, "EVENT"), (Wait::SEND, "SEND")];
        f.debug_set().entries(names.iter().filter(|(bit, _)| self.contains(*bit)).map(|(_, name)| name)).finish()
    }
}

/// Nanoseconds for the library: -1 waits for ever.
pub(crate) fn timeout_ns(timeout: Option<Duration>) -> i64 {
    timeout.map_or(-1, |time| time.as_nanos().try_into().unwrap_or(i64::MAX))
}

/// When a wait that begins now has to be over; `None`: never.
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) const NEVER: Deadline = Deadline(None);

    pub(crate) fn after(timeout: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(timeout))
    }

    /// The time that is left.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_saturate() {
        assert_eq!(timeout_ns(None), -1);
        assert_eq!(timeout_ns(Some(Duration::from_micros(3))), 3000);
        assert_eq!(timeout_ns(Some(Duration::MAX)), i64::MAX);
        assert_eq!(Deadline::after(Duration::MAX).left(), None);
        assert_eq!(Deadline::after(Duration::ZERO).left(), Some(Duration::ZERO));
    }

    #[test]
    fn sets_print_their_names() {
        assert_eq!(format!("{:?}", Wait::RECEIVE | Wait::SEND), r#"{"RECEIVE", "SEND"}"#);
        assert!(Wait::NONE.is_empty() && !Wait::EVENT.is_empty());
    }
}
