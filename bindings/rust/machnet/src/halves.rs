// SPDX-License-Identifier: MIT
//! What the two sides of a channel share: as long as one of them lives the channel stays attached.

use std::sync::Arc;

use crate::handle::Handle;

pub(crate) struct Halves {
    pub(crate) handle: Handle,
}

impl Halves {
    pub(crate) fn new(handle: Handle) -> Arc<Halves> {
        Arc::new(Halves { handle })
    }
}

impl Drop for Halves {
    fn drop(&mut self) {
        // Fails only in a child process after fork(), whose channel this is not.
        let _ = self.handle.shutdown();
    }
}
