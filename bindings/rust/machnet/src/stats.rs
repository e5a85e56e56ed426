// SPDX-License-Identifier: MIT
//! Counters.

use machnet_sys as sys;

use crate::error::static_text;

/// The counters of a channel at one moment. They only grow, unless the name ends in `_now`. Names may be added at any place: look
/// them up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    values: Vec<u64>,
}

impl Stats {
    pub(crate) fn new(values: Vec<u64>) -> Stats {
        Stats { values }
    }

    /// All counters with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.values.iter().enumerate().map_while(|(index, &value)| Some((name(index as u32)?, value)))
    }

    /// The counter of this name.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.iter().find(|&(candidate, _)| candidate == name).map(|(_, value)| value)
    }
}

fn name(index: u32) -> Option<&'static str> {
    // SAFETY: any index may be asked for.
    let text = unsafe { sys::machnet_stat_name(index) };
    if text.is_null() {
        return None;
    }
    // SAFETY: what is not NULL is a static text.
    Some(unsafe { static_text(text) })
}
