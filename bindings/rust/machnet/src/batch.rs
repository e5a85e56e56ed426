// SPDX-License-Identifier: MIT
//! Many messages in one call.

use std::fmt;

use machnet_sys as sys;

use crate::token::FlowToken;

const EMPTY: sys::machnet_record =
    sys::machnet_record { flow: 0, tag: 0, offset: 0, length: 0, flags: 0, reserved32: 0, reserved64: 0 };

/// A queue of messages in memory of this program, which [`Sender::try_send_batch`](crate::Sender::try_send_batch) takes from and
/// [`Receiver::try_receive_batch`](crate::Receiver::try_receive_batch) fills, many messages in one call. Made once and used again and again it
/// allocates nothing. A batch that was received can be sent as it is.
///
/// ```
/// # fn echo(channel: &machnet::Channel) -> machnet::Result<()> {
/// use machnet::Batch;
/// let mut batch = Batch::with_capacity(32, 64 << 10);        // up to 32 messages of 64 KiB together
/// channel.receiver().try_receive_batch(None, &mut batch)?;
/// for message in &batch {
///     println!("{:?}: {} bytes with tag {}", message.flow(), message.len(), message.tag());
/// }
/// channel.send_batch(&mut batch)                             // back, each on the flow it came from
/// # }
/// ```
pub struct Batch {
    records: Vec<sys::machnet_record>, // those of [first, end) are messages
    first: usize,
    end: usize,
    arena: Vec<u8>, // bytes beyond `used` are free
    used: usize,
}

impl Batch {
    /// A batch that receives up to `messages` (at least 1) of `bytes` together, each rounded up to a multiple of 8. Pushing makes it larger as
    /// need be.
    pub fn with_capacity(messages: usize, bytes: usize) -> Batch {
        Batch { records: vec![EMPTY; messages.max(1)], first: 0, end: 0, arena: vec![0; bytes], used: 0 }
    }

    /// Appends a message.
    #[inline]
    pub fn push(&mut self, flow: FlowToken, bytes: &[u8], tag: u64) {
        let (offset, end) = (self.used, self.used + bytes.len());
        if self.end == self.records.len() || end > self.arena.len() {
            self.grow(end);
        }
        self.arena[offset..end].copy_from_slice(bytes);
        self.records[self.end] =
            sys::machnet_record { flow: flow.0, tag, offset: offset as u64, length: bytes.len() as u64, ..EMPTY };
        self.used = end;
        self.end += 1;
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        if self.end == self.records.len() {
            self.records.resize(self.records.len() * 2, EMPTY);
        }
        if bytes > self.arena.len() {
            self.arena.resize(bytes.max(self.arena.len() * 2), 0);
        }
    }

    /// Makes room for messages of `bytes` together, if there is less: for a message that was too long
    /// ([`Error::message_info`](crate::Error::message_info)).
    pub fn reserve_bytes(&mut self, bytes: usize) {
        if bytes > self.arena.len() {
            self.arena.resize(bytes, 0);
        }
    }

    /// Drops all messages; the memory is kept.
    #[inline]
    pub fn clear(&mut self) {
        (self.first, self.end, self.used) = (0, 0, 0);
    }

    /// How many messages are in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.first
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first == self.end
    }

    /// Its messages in order.
    #[inline]
    pub fn iter(&self) -> Messages<'_> {
        Messages { records: self.records[self.first..self.end].iter(), arena: &self.arena }
    }

    #[inline]
    pub(crate) fn to_send(&self) -> (&[sys::machnet_record], &[u8]) {
        (&self.records[self.first..self.end], &self.arena)
    }

    #[inline]
    pub(crate) fn sent(&mut self, count: usize) {
        self.first += count;
        if self.first == self.end {
            self.clear();
        }
    }

    /// Empty from here on, until `received`.
    #[inline]
    pub(crate) fn begin_receive(&mut self) -> (&mut [sys::machnet_record], &mut [u8]) {
        self.clear();
        (&mut self.records, &mut self.arena)
    }

    #[inline]
    pub(crate) fn received(&mut self, count: usize) {
        self.end = count;
        self.used = self.records[..count].last().map_or(0, |last| (last.offset + last.length) as usize);
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = MessageRef<'a>;
    type IntoIter = Messages<'a>;

    #[inline]
    fn into_iter(self) -> Messages<'a> {
        self.iter()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// The messages of a [`Batch`].
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    records: std::slice::Iter<'a, sys::machnet_record>,
    arena: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = MessageRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<MessageRef<'a>> {
        let record = self.records.next()?;
        let bytes = &self.arena[record.offset as usize..][..record.length as usize];
        Some(MessageRef { flow: FlowToken(record.flow), tag: record.tag, bytes })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for Messages<'_> {}

/// A message of a [`Batch`]; derefs to its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MessageRef<'a> {
    flow: FlowToken,
    tag: u64,
    bytes: &'a [u8],
}

impl<'a> MessageRef<'a> {
    /// The flow it came or goes on.
    #[inline]
    pub fn flow(&self) -> FlowToken {
        self.flow
    }

    /// What the sender gave.
    #[inline]
    pub fn tag(&self) -> u64 {
        self.tag
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl std::ops::Deref for MessageRef<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl fmt::Debug for MessageRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("MessageRef");
        out.field("flow", &self.flow).field("tag", &self.tag).field("length", &self.bytes.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(batch: &Batch) -> Vec<(u64, Vec<u8>)> {
        batch.iter().map(|message| (message.tag(), message.to_vec())).collect()
    }

    #[test]
    fn pushing_grows_it_and_sending_takes_from_the_front() {
        let flow = FlowToken::from_raw(7).unwrap();
        let mut batch = Batch::with_capacity(0, 0);
        let all: Vec<(u64, Vec<u8>)> = (0..100).map(|i| (i, vec![i as u8; i as usize % 7])).collect();
        for (tag, bytes) in &all {
            batch.push(flow, bytes, *tag);
        }
        assert_eq!(contents(&batch), all);
        assert_eq!(batch.iter().len(), 100);
        batch.sent(40);
        assert_eq!(contents(&batch), all[40..]);
        batch.push(flow, b"more", 100);
        assert_eq!((batch.len(), batch.to_send().0.len()), (61, 61));
        batch.sent(61);
        assert!(batch.is_empty() && batch.used == 0);
    }

    #[test]
    fn pushing_behind_what_was_received_keeps_it() {
        let flow = FlowToken::from_raw(7).unwrap();
        let mut batch = Batch::with_capacity(2, 16);
        let (records, arena) = batch.begin_receive();
        arena[..11].copy_from_slice(b"one.....two");
        for (record, offset) in records.iter_mut().zip([0, 8]) {
            *record = sys::machnet_record { flow: 7, offset, length: 3, ..EMPTY };
        }
        batch.received(2);
        batch.push(flow, b"three!!", 0);
        let texts: Vec<&[u8]> = batch.iter().map(|message| message.bytes()).collect();
        assert_eq!(texts, [&b"one"[..], b"two", b"three!!"]);
        batch.sent(2);
        batch.begin_receive();
        batch.received(1);
        assert_eq!(batch.iter().map(|message| message.bytes()).collect::<Vec<_>>(), [b"one"]);
        batch.clear();
        assert_eq!(batch.iter().next(), None);
    }
}
