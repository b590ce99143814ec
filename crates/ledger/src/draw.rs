//! Whatever is random in the ledger: numbers, choices by weight and directions, drawn from a beacon.
//!
//! Not here: who makes beacons (`consensus`), and what is drawn when. A draw is fair only if whoever caused it could not know
//! its beacon: callers pass the first one made *after* the commit that holds the cause, and a context that nobody can choose
//! once the beacon is known.
//!
//! # The stream
//! `key = H("Draws::" ‖ domain ‖ beacon ‖ context)`, where `H` is Blake2b-256, the domain one byte, the beacon 32 bytes, and the
//! context all that remains. Block `i`, from 0, is `H("Draw::" ‖ key ‖ i)`, with `i` as eight bytes, little endian. The stream is
//! block 0, block 1 and so on; what is drawn takes its bytes in order, numbers being little endian.
//!
//! # A number below `n`
//! The next 16 bytes are `x`. If `x ≥ n · ⌊2^128 / n⌋`, they are passed over and the next 16 are tried; else the number is
//! `x mod n`. So each number has the same chance.
//!
//! # A choice by weight, without replacement
//! While fewer than `k` are chosen and the weights left have a sum above zero: draw a number below that sum; chosen is the
//! first candidate, in the order of the list, for which the sum of the weights left up to and including its own exceeds that
//! number; its weight becomes zero.
//!
//! Each draw is linear in the weights left. A candidate that splits its weight among several names has, for every `k`, exactly
//! the same chance that at least one of them is chosen; but several of them may be chosen where the whole could be only once.
//!
//! # A direction
//! A component is the sum of the next twelve 2-byte numbers, minus 393,210: half of 12 · 65,535, so that the mean is exactly 0
//! and both signs are equally likely. Its variance is exactly 2^32 − 1, and 393,210 < 2^19 its largest magnitude: in Q16 it is
//! close to a standard normal variable. A vector of zeros only has no direction: it is passed over, and drawn anew from where
//! the stream stands.

use std::num::NonZeroU128;

use crypto::{Digest, Hasher};

/// What is drawn for: two domains never share a stream. The numbers are part of the stream's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Domain {
    /// The embedding of a target.
    TargetEmbedding = 0,
    /// The models that a target is given to.
    TargetModels = 1,
    /// The validators that keep a model's weights.
    Custody = 2,
    /// The validators that audit a submission.
    AuditSeats = 3,
}

/// Twelve numbers of two bytes.
const COMPONENT_BYTES: usize = 24;
/// Half of the largest sum of twelve such numbers.
const COMPONENT_MEAN: i32 = 6 * 65_535;

/// A stream of random bytes, and what is drawn from it. Equal arguments give equal draws, on every machine.
#[derive(Clone, Debug)]
pub struct Draws {
    key: Digest,
    /// Number of the next block.
    next: u64,
    block: [u8; Self::BLOCK],
    /// Bytes of the block that are taken.
    taken: usize,
}

impl Draws {
    const BLOCK: usize = 32;

    /// The stream of this beacon for one purpose. `context` names what is drawn for within the domain, such as an object's id.
    pub fn new(domain: Domain, beacon: &Digest, context: &[u8]) -> Self {
        let mut hasher = Hasher::named("Draws");
        hasher.bytes(&[domain as u8]);
        hasher.bytes(beacon.as_ref());
        hasher.bytes(context);
        Self {
            key: hasher.finish(),
            next: 0,
            block: [0; Self::BLOCK],
            taken: Self::BLOCK,
        }
    }

    /// A number from 0 to `n - 1`, each as likely as the other. Takes 16 bytes, and with a chance below `n / 2^128` more.
    pub fn below(&mut self, n: NonZeroU128) -> u128 {
        // 2^128 is one more than a u128 can hold.
        let passed_over = (u128::MAX % n + 1) % n;
        loop {
            let x = u128::from_le_bytes(self.bytes());
            if x <= u128::MAX - passed_over {
                return x % n;
            }
        }
    }

    /// At most `k` of the candidates, in the order in which they were drawn, each with a chance in proportion to its weight
    /// among those left. Who has no weight is never chosen; if no more than `k` have, all of them are. The order of the
    /// list is part of the rule, and whoever stands in it twice may be chosen twice. Time is in O(candidates · chosen).
    pub fn weighted<T: Copy>(&mut self, candidates: &[(T, u64)], k: usize) -> Vec<T> {
        choose(candidates, k, |n| self.below(n))
    }

    /// A vector of `dim` components in Q16 whose direction is close to uniform: each of magnitude ≤ 393,210, and not all of
    /// them zero. Without dimensions it is empty.
    pub fn direction(&mut self, dim: usize) -> Vec<i32> {
        loop {
            let vector: Vec<i32> = (0..dim).map(|_| component(self.bytes())).collect();
            if dim == 0 || vector.iter().any(|component| *component != 0) {
                return vector;
            }
        }
    }

    /// The next bytes of the stream.
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            if self.taken == Self::BLOCK {
                self.refill();
            }
            let length = rest.len().min(Self::BLOCK - self.taken);
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(&self.block[self.taken..self.taken + length]);
            self.taken += length;
            rest = later;
        }
        bytes
    }

    fn refill(&mut self) {
        let mut hasher = Hasher::named("Draw");
        hasher.bytes(self.key.as_ref());
        hasher.bytes(&self.next.to_le_bytes());
        self.block = *hasher.finish().as_bytes();
        self.next += 1;
        self.taken = 0;
    }
}

/// The choice by weight, with its numbers from `below`.
fn choose<T: Copy>(candidates: &[(T, u64)], k: usize, mut below: impl FnMut(NonZeroU128) -> u128) -> Vec<T> {
    let mut left: Vec<u128> = candidates.iter().map(|(_, weight)| u128::from(*weight)).collect();
    // A list is shorter than 2^64, so the sum is below 2^128.
    let mut sum: u128 = left.iter().sum();
    let mut chosen = Vec::new();
    while chosen.len() < k {
        let Some(n) = NonZeroU128::new(sum) else { break };
        let drawn = below(n);
        let mut end = 0;
        let index = left
            .iter()
            .position(|weight| {
                end += weight;
                drawn < end
            })
            .expect("a number below the sum of the weights lies in one of them");
        sum -= left[index];
        left[index] = 0;
        chosen.push(candidates[index].0);
    }
    chosen
}

fn component(bytes: [u8; COMPONENT_BYTES]) -> i32 {
    let (numbers, _) = bytes.as_chunks::<2>();
    let sum: i32 = numbers
        .iter()
        .map(|number| i32::from(u16::from_le_bytes(*number)))
        .sum();
    sum - COMPONENT_MEAN
}

#[cfg(test)]
mod tests;
