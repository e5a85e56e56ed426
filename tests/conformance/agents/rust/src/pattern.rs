// SPDX-License-Identifier: MIT
//! Payloads that follow from a seed, and CRC-32.

use machnet::MESSAGE_MAX;

const TABLE: usize = 65_521;

pub struct Pattern {
    bytes: Vec<u8>, // the table, again and again: each payload is a part of it
    crc: [u32; 256],
}

impl Pattern {
    pub fn new() -> Pattern {
        let mut x = 0x9E37_79B9_7F4A_7C15_u64;
        let table: Vec<u8> = (0..TABLE)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                (x >> 56) as u8
            })
            .collect();
        let bytes = table.iter().copied().cycle().take(TABLE + MESSAGE_MAX + 4096).collect();
        let mut crc = [0; 256];
        for (i, entry) in crc.iter_mut().enumerate() {
            *entry = (0..8).fold(i as u32, |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 });
        }
        Pattern { bytes, crc }
    }

    pub fn payload(&self, seed: u64, length: usize) -> &[u8] {
        &self.bytes[(seed.wrapping_mul(31) % TABLE as u64) as usize..][..length]
    }

    pub fn crc32(&self, crc: u32, bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!crc, |crc, &byte| crc >> 8 ^ self.crc[usize::from(crc as u8 ^ byte)])
    }
}

/// Many messages, named by few numbers.
#[derive(Clone, Default)]
pub struct Stream {
    pub seed: u64,
    pub tag: u64,
    pub count: u64,
    pub lengths: Vec<usize>,
}

impl Stream {
    pub fn length(&self, k: u64) -> usize {
        self.lengths[(k % self.lengths.len() as u64) as usize]
    }

    pub fn message<'a>(&self, pattern: &'a Pattern, k: u64) -> (&'a [u8], u64) {
        (pattern.payload(self.seed + k, self.length(k)), self.tag.wrapping_add(k))
    }
}

/// What was received of a stream.
#[derive(Default)]
pub struct Received {
    pub count: u64,
    pub bytes: u64,
    pub crc: u32,
}

impl Received {
    pub fn add(&mut self, pattern: &Pattern, tag: u64, bytes: &[u8]) {
        self.crc = pattern.crc32(pattern.crc32(self.crc, &tag.to_le_bytes()), bytes);
        self.count += 1;
        self.bytes += bytes.len() as u64;
    }
}
