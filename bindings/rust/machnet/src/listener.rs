// SPDX-License-Identifier: MIT
//! Listeners.

use crate::address::Address;
use crate::error::Result;
use crate::handle::Handle;
use crate::token::ListenerToken;

/// Accepts flows at one address; each is told by [`Event::Accepted`](crate::Event::Accepted) with this listener's token.
///
/// It listens until [`Listener::close`] or the end of its channel. Dropping it does nothing, since closing waits for the engine.
#[derive(Clone, Debug)]
pub struct Listener {
    handle: Handle,
    token: ListenerToken,
}

impl Listener {
    pub(crate) fn new(handle: Handle, token: ListenerToken) -> Listener {
        Listener { handle, token }
    }

    /// Its name on the channel.
    pub fn token(&self) -> ListenerToken {
        self.token
    }

    /// Where it accepts, with the port that was chosen; the IP address is that it was opened with.
    pub fn address(&self) -> Result<Address> {
        self.handle.listener_address(self.token)
    }

    /// Stops accepting; see [`Handle::close_listener`].
    pub fn close(&self) -> Result<()> {
        self.handle.close_listener(self.token)
    }
}
