//! Keyed randomness: every decision has an address and is drawn by it, so that removing one decision moves no other.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The one number that a run is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seed(u64);

impl Seed {
    /// The seed `value`.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Its value.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The draw at address (`domain`, `a`, `b`, `counter`). Equal addresses give equal draws, different ones
    /// independent draws.
    pub fn draw(self, domain: Domain, a: u64, b: u64, counter: u64) -> Draw {
        let mut address = [0; 26];
        address[..2].copy_from_slice(&(domain as u16).to_le_bytes());
        address[2..10].copy_from_slice(&a.to_le_bytes());
        address[10..18].copy_from_slice(&b.to_le_bytes());
        address[18..].copy_from_slice(&counter.to_le_bytes());
        Draw {
            state: xxh3_64_with_seed(&address, self.0),
        }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What kind of decision is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Domain {
    /// Which task of a node runs next: (node, incarnation, choice).
    Schedule,
    /// Order of events at one instant: (node, 0, event).
    Tie,
    /// Fate of a packet on a link: (from, to, packet).
    Link,
    /// Latency and faults of a disk operation: (node, store, operation).
    Disk,
    /// What a crash leaves on a disk: (node, store, crash).
    Crash,
    /// Bytes of a node's entropy: (node and incarnation, domain, block).
    Entropy,
    /// A node's clock: (node, 0, parameter).
    Clock,
    /// Whether a buggify site is active: (site, 0, 0), and fires: (site, node, visit).
    Buggify,
    /// A blob host's behaviour: (node, url, request).
    Blob,
    /// Generation of plans: (parameter, entity, step).
    Plan,
    /// Generation of load: (actor, 0, step).
    Load,
    /// The kernel's own stream: (0, 0, 0).
    Kernel,
    /// Keys of identities: (node, kind, 0).
    Identity,
    /// What a Byzantine node does with a packet: (from, to, packet).
    Adversary,
}

/// A source of as many random values as one decision needs.
#[derive(Clone, Debug)]
pub struct Draw {
    state: u64,
}

impl Draw {
    /// The next 64 bits (splitmix64).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A value of `0..bound`, or 0 when `bound` is 0. The bias is below 2^-32 for bounds below 2^32.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a product of two u64 is a u64")
    }

    /// A value of `low..=high`.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "a range to draw from is not empty");
        match (high - low).checked_add(1) {
            Some(width) => low + self.below(width),
            None => self.bits(),
        }
    }

    /// True in `ppm` of a million draws.
    pub fn chance(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.below(1_000_000) < u64::from(ppm)
    }

    /// One of `items`.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        assert!(!items.is_empty(), "there is something to pick from");
        let index = self.below(items.len() as u64);
        &items[usize::try_from(index).expect("an index below a usize is a usize")]
    }

    /// Puts `items` in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1);
            items.swap(
                last,
                usize::try_from(other).expect("an index below a usize is a usize"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_an_address_gives_another_draw() {
        let seed = Seed::new(7);
        let mut draws = vec![
            seed.draw(Domain::Link, 1, 2, 3).bits(),
            Seed::new(8).draw(Domain::Link, 1, 2, 3).bits(),
            seed.draw(Domain::Disk, 1, 2, 3).bits(),
            seed.draw(Domain::Link, 2, 2, 3).bits(),
            seed.draw(Domain::Link, 1, 3, 3).bits(),
            seed.draw(Domain::Link, 1, 2, 4).bits(),
        ];
        draws.sort_unstable();
        draws.dedup();
        assert_eq!(draws.len(), 6);
        assert_eq!(
            seed.draw(Domain::Link, 1, 2, 3).bits(),
            seed.draw(Domain::Link, 1, 2, 3).bits()
        );
    }

    #[test]
    fn values_are_spread_over_the_whole_range() {
        let mut draw = Seed::new(1).draw(Domain::Plan, 0, 0, 0);
        let mut counts = [0u32; 10];
        for _ in 0..10_000 {
            counts[usize::try_from(draw.below(10)).expect("below ten")] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
        assert!((0..1000).all(|_| (5..=7).contains(&draw.within(5, 7))));
        let hits = (0..10_000).filter(|_| draw.chance(100_000)).count();
        assert!((850..1150).contains(&hits), "{hits}");
    }
}
