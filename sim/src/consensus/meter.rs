//! What a run of members achieves in a window of virtual time: latencies, the longest gaps between commits, rounds, blocks.
//!
//! A [`Meter`] changes nothing of a run. It hears of submissions and deliveries from the members themselves, and of all else
//! as an oracle that never objects. It needs a run of one epoch: authors are taken for members of the first.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use consensus::SubDag;

use crate::oracle::{Fact, Oracle, Violation};
use crate::time::VirtualTime;
use crate::world::NodeIndex;

/// Where a payload of a fixed rate has the time at which it was due.
const STAMP: Range<usize> = 8..16;

/// Times in buckets, none wider than a hundredth of what it holds: 32 KiB however many there are.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

/// Buckets from one power of two to the next.
const STEPS: u64 = 128;

impl Default for Histogram {
    fn default() -> Self {
        let powers = u64::from(u64::BITS - STEPS.ilog2());
        Self {
            counts: vec![0; usize::try_from((powers + 1) * STEPS).expect("it is a small number")],
            total: 0,
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.total)
            .field("p50", &self.percentile(50))
            .field("p99", &self.percentile(99))
            .finish()
    }
}

impl Histogram {
    /// Adds a time, to the microsecond.
    pub fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)] += 1;
        self.total += 1;
    }

    /// How many were added.
    pub const fn count(&self) -> u64 {
        self.total
    }

    /// A time that so many of a hundred are no longer than, at most a hundredth too long; zero of none.
    pub fn percentile(&self, hundredth: u64) -> Duration {
        let rank = (self.total * hundredth).div_ceil(100).max(1);
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        place.map_or(Duration::ZERO, |place| {
            Duration::from_micros(last_of(place as u64))
        })
    }
}

/// The bucket of a number: up to twice [`STEPS`] each has its own.
fn bucket(number: u64) -> usize {
    let shift = u64::from((number / STEPS).max(1).ilog2());
    usize::try_from(shift * STEPS + (number >> shift)).expect("there are few buckets")
}

/// The highest number of a bucket.
const fn last_of(place: u64) -> u64 {
    let shift = (place / STEPS).saturating_sub(1);
    let first = place - shift * STEPS;
    // The last bucket ends where numbers do.
    ((((first as u128) + 1) << shift) - 1) as u64
}

/// What a meter has read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// From when a payload was due at a member to when that member's consumer was given it, of those due in the window.
    pub latencies: Histogram,
    /// Payloads that were due in the window.
    pub submitted: u64,
    /// Those of them that a member had no room for.
    pub refused: u64,
    /// Payloads, of all members, that the member which was given most of them was given in the window.
    pub committed: u64,
    /// Rounds from the leader of the first commit in the window to that of the last.
    pub rounds: u64,
    /// Blocks that were made and durable in the window.
    pub blocks: u64,
    /// The longest time without a commit, in the window, of any member that no step of the plan ended.
    pub gap: Duration,
}

/// Reads a run. Cloning gives another handle on the same figures.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    window: Range<VirtualTime>,
    readings: Readings,
    members: Vec<Seen>,
    /// The rounds of the first and the last leader.
    leaders: Option<(u64, u64)>,
}

/// What one member did in the window.
#[derive(Clone, Debug)]
struct Seen {
    last: VirtualTime,
    gap_ns: u64,
    payloads: u64,
    is_out: bool,
}

impl Meter {
    /// A meter of so many members that reads from the start of `window` until before its end.
    pub fn new(members: usize, window: Range<VirtualTime>) -> Self {
        let seen = Seen {
            last: window.start,
            gap_ns: 0,
            payloads: 0,
            is_out: false,
        };
        Self(Arc::new(Mutex::new(State {
            members: vec![seen; members],
            readings: Readings::default(),
            leaders: None,
            window,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has read, once the run is over.
    pub fn readings(&self) -> Readings {
        let state = self.state();
        let mut readings = state.readings.clone();
        let end = state.window.end;
        let gaps = state.members.iter().filter(|seen| !seen.is_out);
        let gap = gaps
            .map(|seen| seen.gap_ns.max(end.since(seen.last)))
            .max()
            .unwrap_or(0);
        readings.gap = Duration::from_nanos(gap);
        readings.rounds = state.leaders.map_or(0, |(first, last)| last - first);
        let payloads = state.members.iter().map(|seen| seen.payloads);
        readings.committed = payloads.max().unwrap_or(0);
        readings
    }
}

impl State {
    fn committed(&mut self, node: NodeIndex, at: VirtualTime, round: u64) {
        if !self.window.contains(&at) {
            return;
        }
        let seen = &mut self.members[node];
        seen.gap_ns = seen.gap_ns.max(at.since(seen.last));
        seen.last = at;
        let (first, last) = self.leaders.unwrap_or((round, round));
        self.leaders = Some((first, last.max(round)));
    }
}

impl Oracle for Meter {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Crashed { node, .. } | Fact::Absent { node, .. } => {
                let mut state = self.state();
                if let Some(seen) = state.members.get_mut(*node) {
                    seen.is_out = true;
                }
            }
            Fact::Said { node, at, event, .. } if event.kind == "committed" => {
                self.state().committed(*node, *at, event.b)
            }
            Fact::Said { at, event, .. } if event.kind == "block_made" => {
                let mut state = self.state();
                let is_within = state.window.contains(at);
                state.readings.blocks += u64::from(is_within);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _at: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

/// One member's end of a meter.
#[derive(Clone, Debug)]
pub struct Gauge {
    meter: Meter,
    node: NodeIndex,
    /// The nodes by their index as authors.
    authors: Arc<Vec<NodeIndex>>,
}

impl Gauge {
    /// That of `node`, where the members have these indices.
    pub fn new(meter: Meter, node: NodeIndex, committee: &[(NodeIndex, u64)]) -> Self {
        Self {
            meter,
            node,
            authors: Arc::new(committee.iter().map(|(node, _)| *node).collect()),
        }
    }

    /// A payload was due, and the member had room for it or not.
    pub(super) fn submitted(&self, due: VirtualTime, is_taken: bool) {
        let mut state = self.meter.state();
        if state.window.contains(&due) {
            state.readings.submitted += 1;
            state.readings.refused += u64::from(!is_taken);
        }
    }

    /// The member's consumer was given a commit.
    pub(super) fn delivered(&self, at: VirtualTime, commit: &SubDag) {
        let mut state = self.meter.state();
        let State {
            window,
            readings,
            members,
            ..
        } = &mut *state;
        if window.contains(&at) {
            let count: usize = commit.payloads.iter().map(consensus::Payloads::len).sum();
            members[self.node].payloads += count as u64;
        }
        for (block, payloads) in commit.commit.blocks.iter().zip(&commit.payloads) {
            if self.authors.get(usize::from(block.author.get())) != Some(&self.node) {
                continue;
            }
            for due in payloads.iter().filter_map(due) {
                if window.contains(&due) {
                    readings.latencies.add(Duration::from_nanos(at.since(due)));
                }
            }
        }
    }
}

/// Writes into a payload when it was due.
pub(super) fn stamp(payload: &mut [u8], due: VirtualTime) {
    payload[STAMP].copy_from_slice(&due.as_nanos().to_le_bytes());
}

/// When a payload was due.
fn due(payload: &[u8]) -> Option<VirtualTime> {
    let bytes = payload.get(STAMP)?.try_into().ok()?;
    Some(VirtualTime::from_nanos(u64::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_within_a_hundredth() {
        let mut before = None;
        for number in (0..70_000).chain([1 << 40, u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
            let place = bucket(number);
            let last = last_of(place as u64);
            assert!(
                last >= number && last - number <= number / 100,
                "{number}: {last}"
            );
            assert!(before <= Some(place), "{number}");
            before = Some(place);
        }
        assert!(Histogram::default().counts.len() > bucket(u64::MAX));
    }

    #[test]
    fn percentiles_are_of_what_was_added() {
        let mut times = Histogram::default();
        assert_eq!(times.percentile(50), Duration::ZERO);
        for micros in 1..=100 {
            times.add(Duration::from_micros(micros));
        }
        let of = |hundredth| times.percentile(hundredth).as_micros();
        assert_eq!((of(50), of(99), of(100), times.count()), (50, 99, 100, 100));
    }

    /// Tells a meter of two members, whose window is from 10 s to 20 s, what happens.
    fn meter(commits: &[(NodeIndex, u64, u64)], crashed: &[NodeIndex]) -> Readings {
        let at = |second: u64| VirtualTime::from_millis(second * 1_000);
        let mut meter = Meter::new(2, at(10)..at(20));
        for (node, second, round) in commits {
            let event = env::Event {
                kind: "committed",
                a: 0,
                b: *round,
                digest: None,
            };
            let (node, at) = (*node, at(*second));
            let seq = 0;
            let fact = Fact::Said {
                node,
                at,
                event: &event,
                seq,
            };
            meter.observe(&fact).unwrap();
        }
        for node in crashed {
            let fact = Fact::Crashed {
                node: *node,
                incarnation: 1,
                at: at(5),
            };
            meter.observe(&fact).unwrap();
        }
        meter.readings()
    }

    #[test]
    fn gaps_begin_and_end_with_the_window_and_are_of_who_lives() {
        let gap =
            |commits: &[(NodeIndex, u64, u64)], crashed: &[NodeIndex]| meter(commits, crashed).gap.as_secs();
        let both = [
            (0, 9, 1),
            (0, 12, 2),
            (0, 16, 3),
            (0, 19, 4),
            (1, 13, 2),
            (1, 14, 2),
        ];
        assert_eq!((gap(&both, &[]), gap(&both, &[1])), (6, 4));
        assert_eq!((gap(&[(0, 19, 1)], &[1]), gap(&[(0, 11, 1)], &[1])), (9, 9));
        assert_eq!((gap(&[], &[1]), gap(&[], &[0, 1])), (10, 0));
        assert_eq!(meter(&both, &[]).rounds, 2);
    }
}
