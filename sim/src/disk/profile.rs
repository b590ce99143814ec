//! How fast a disk is, and how its stores recover.

use serde::{Deserialize, Serialize};

use crate::Draw;

/// A distribution of latencies: even over a range, with a rare slow tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The least.
    pub low_ns: u64,
    /// The most outside the tail; at least `low_ns`.
    pub high_ns: u64,
    /// How often the tail is drawn, in a million.
    pub tail_ppm: u32,
    /// The most in the tail, which is even from `high_ns`; at least `high_ns`.
    pub tail_ns: u64,
}

impl Latency {
    /// Always `ns`.
    pub const fn fixed(ns: u64) -> Self {
        Self {
            low_ns: ns,
            high_ns: ns,
            tail_ppm: 0,
            tail_ns: ns,
        }
    }

    pub(super) fn draw(&self, draw: &mut Draw) -> u64 {
        // One draw in the common case: its low bits pick the tail, its high bits the place in the range.
        let bits = draw.bits();
        let in_tail = scale(1_000_000, bits & 0xffff_ffff) < u64::from(self.tail_ppm);
        let (low, high) = if in_tail {
            (self.high_ns, self.tail_ns)
        } else {
            (self.low_ns, self.high_ns)
        };
        low + scale(high.saturating_sub(low).saturating_add(1), bits >> 32)
    }
}

/// `width · part / 2^32`, below `width` for a `part` below 2^32.
fn scale(width: u64, part: u64) -> u64 {
    u64::try_from((u128::from(width) * u128::from(part)) >> 32).expect("a part of a u64 is a u64")
}

/// What a store does at open about a log that does not end cleanly, as RocksDB's modes of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// Drops an incomplete record at the end; a bad record before others is corruption.
    TolerateTail,
    /// Keeps what lies before the first bad record. The one mode that gives what `env::storage` promises.
    PointInTime,
    /// Any bad record is corruption.
    Absolute,
}

/// The manners of one disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// A read that finds its block in memory. It does not wait for the device.
    pub cached: Latency,
    /// How many reads find it there, in a million.
    pub cached_ppm: u32,
    /// A read from the device.
    pub read: Latency,
    /// A write into memory.
    pub buffered: Latency,
    /// A barrier, without the transfer of its bytes.
    pub sync: Latency,
    /// Opening a store, without reading its log.
    pub open: Latency,
    /// What the device transfers, each way.
    pub bytes_per_second: u64,
    /// How much a store may hold un-synced before the system writes the oldest of it back on its own.
    pub writeback_bytes: u64,
    /// How stores recover.
    pub recovery: Recovery,
}

impl Profile {
    /// A local NVMe drive.
    pub const NVME: Self = Self {
        cached: Latency {
            low_ns: 1_000,
            high_ns: 6_000,
            tail_ppm: 100,
            tail_ns: 200_000,
        },
        cached_ppm: 950_000,
        read: Latency {
            low_ns: 60_000,
            high_ns: 140_000,
            tail_ppm: 2_000,
            tail_ns: 3_000_000,
        },
        buffered: Latency {
            low_ns: 2_000,
            high_ns: 12_000,
            tail_ppm: 1_000,
            tail_ns: 2_000_000,
        },
        sync: Latency {
            low_ns: 80_000,
            high_ns: 900_000,
            tail_ppm: 2_000,
            tail_ns: 30_000_000,
        },
        open: Latency {
            low_ns: 20_000_000,
            high_ns: 80_000_000,
            tail_ppm: 10_000,
            tail_ns: 1_000_000_000,
        },
        bytes_per_second: 1_500_000_000,
        writeback_bytes: 32 << 20,
        recovery: Recovery::PointInTime,
    };

    /// A network-attached volume of a cloud.
    pub const CLOUD: Self = Self {
        read: Latency {
            low_ns: 400_000,
            high_ns: 1_500_000,
            tail_ppm: 5_000,
            tail_ns: 40_000_000,
        },
        sync: Latency {
            low_ns: 800_000,
            high_ns: 4_000_000,
            tail_ppm: 5_000,
            tail_ns: 150_000_000,
        },
        bytes_per_second: 125_000_000,
        ..Self::NVME
    };

    /// A disk without latency, for tests of logic alone.
    pub const INSTANT: Self = Self {
        cached: Latency::fixed(0),
        cached_ppm: 1_000_000,
        read: Latency::fixed(0),
        buffered: Latency::fixed(0),
        sync: Latency::fixed(0),
        open: Latency::fixed(0),
        bytes_per_second: u64::MAX,
        writeback_bytes: 32 << 20,
        recovery: Recovery::PointInTime,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Domain, Seed};

    #[test]
    fn latencies_fill_their_range_and_the_tail_is_as_rare_as_said() {
        let latency = Latency {
            low_ns: 100,
            high_ns: 200,
            tail_ppm: 100_000,
            tail_ns: 1_000,
        };
        let mut draw = Seed::new(3).draw(Domain::Disk, 0, 0, 0);
        let drawn: Vec<u64> = (0..20_000).map(|_| latency.draw(&mut draw)).collect();
        assert!(drawn.iter().all(|ns| (100..=1_000).contains(ns)));
        assert!(drawn.contains(&100) && drawn.contains(&200) && drawn.iter().any(|ns| *ns > 990));
        let tail = drawn.iter().filter(|ns| **ns > 200).count();
        assert!((1_800..2_200).contains(&tail), "{tail}");
        assert_eq!(Latency::fixed(7).draw(&mut draw), 7);
    }
}
