//! What a crash of the simulated disk leaves is what the promises of `env::storage` allow: nothing else, and all of it.

use std::collections::{BTreeMap, BTreeSet};

use env::{Batch, Direction, Durability, KeyRange};
use sim::disk::{Disk, DiskFault, Latency, Profile, StoreId, Survivors, Tear};
use sim::{Domain, Draw, Seed};
use testkit::survivors::{FAMILIES, History, State, numbered};

/// A disk on which operations overlap.
const OVERLAPPING: Profile = Profile {
    buffered: Latency {
        low_ns: 0,
        high_ns: 400,
        tail_ppm: 50_000,
        tail_ns: 5_000,
    },
    sync: Latency {
        low_ns: 500,
        high_ns: 4_000,
        tail_ppm: 10_000,
        tail_ns: 20_000,
    },
    bytes_per_second: 100_000_000,
    ..Profile::INSTANT
};

const POLICIES: [Survivors; 3] = [Survivors::Nothing, Survivors::Prefix, Survivors::Everything];

/// A disk with one store, and all that this store was asked.
struct Bench {
    disk: Disk,
    store: StoreId,
    now: u64,
    history: History,
    /// Calls with the time of their answers.
    answers: Vec<(usize, u64)>,
}

impl Bench {
    fn new(seed: u64, profile: Profile) -> Self {
        let mut disk = Disk::new(Seed::new(seed), 0, profile);
        let opened = disk.open(0, "store", &FAMILIES);
        Self {
            disk,
            store: opened.result.expect("a new store opens"),
            now: opened.at_ns,
            history: History::default(),
            answers: Vec::new(),
        }
    }

    fn write(&mut self, batch: Batch, durability: Durability) -> u64 {
        let call = self.history.call(batch.clone(), durability);
        let answer = self.disk.write(self.now, self.store, batch, durability);
        answer.result.expect("a sound disk writes");
        self.answers.push((call, answer.at_ns));
        answer.at_ns
    }

    /// Cuts the power, and answers what is left and how it is to be judged.
    fn crash(&mut self, survivors: Survivors) -> (State, History) {
        for (call, at) in std::mem::take(&mut self.answers) {
            if at <= self.now {
                self.history.answer(call);
            }
        }
        self.disk.crash(self.now, survivors);
        let opened = self.disk.open(self.now, "store", &FAMILIES);
        self.now = opened.at_ns;
        self.store = opened.result.expect("a store opens after a crash");
        let mut left = State::new();
        for family in FAMILIES {
            let scan = self.disk.scan(
                self.now,
                self.store,
                family,
                &KeyRange::ALL,
                Direction::Forward,
                usize::MAX,
            );
            let entries = scan.result.expect("a sound disk reads");
            left.extend(entries.into_iter().map(|(key, value)| ((family, key), value)));
        }
        let history = std::mem::replace(&mut self.history, History::since(left.clone()));
        (left, history)
    }
}

#[test]
fn a_simulated_crash_leaves_nothing_that_is_not_allowed() {
    let (mut crashes, mut some_of_many) = (0, 0);
    for seed in 0..600 {
        let mut draw = Seed::new(seed).draw(Domain::Plan, 0, 0, 0);
        let profile = Profile {
            writeback_bytes: *draw.pick(&[500, 32 << 20]),
            ..OVERLAPPING
        };
        let mut bench = Bench::new(seed, profile);
        if draw.chance(300_000) {
            let tear = *draw.pick(&[Tear::Cut, Tear::Hole]);
            bench.disk.apply(DiskFault::TornTail { tear });
        }
        let mut number = draw.bits() >> 1;
        for _ in 0..4 {
            let calls = draw.within(1, 30);
            for _ in 0..calls {
                let (batch, durability) = numbered(number);
                let answered_at = bench.write(batch, durability);
                number += 1;
                bench.now = match draw.below(3) {
                    0 => answered_at,
                    1 => bench.now + draw.below(1_000),
                    _ => bench.now,
                };
            }
            let (left, history) = bench.crash(*draw.pick(&POLICIES));
            let kept = history
                .kept(&left)
                .unwrap_or_else(|breach| panic!("seed {seed}: {breach}"));
            crashes += 1;
            some_of_many += usize::from(kept > history.safe() && kept < calls as usize);
        }
    }
    assert_eq!(crashes, 2_400);
    assert!(some_of_many > 200, "{some_of_many} crashes kept a part");
}

/// A batch that is told from all others.
fn marked(number: u8) -> Batch {
    let mut batch = Batch::default();
    batch.put(FAMILIES[0], vec![number], vec![number]);
    batch.put(FAMILIES[1], vec![number], vec![number]);
    batch
}

/// One history of the writes in `kinds`, and how many of them were safe and how many are left.
fn outcome(draw: &mut Draw, seed: u64, kinds: &[Durability]) -> (usize, usize) {
    let mut bench = Bench::new(seed, OVERLAPPING);
    for (number, durability) in (0..).zip(kinds) {
        let answered_at = bench.write(marked(number), *durability);
        if draw.chance(400_000) {
            bench.now = draw.within(bench.now, answered_at);
        }
    }
    bench.now += *draw.pick(&[0, 0, 500, 30_000]);
    let survivors = *draw.pick(&[
        Survivors::Nothing,
        Survivors::Prefix,
        Survivors::Prefix,
        Survivors::Everything,
    ]);
    let (left, history) = bench.crash(survivors);
    (
        history.safe(),
        history.kept(&left).expect("what is left is allowed"),
    )
}

#[test]
fn every_survivor_that_is_allowed_is_left_by_some_simulated_crash() {
    for length in 1..=4_u32 {
        for bits in 0..1_u32 << length {
            let kinds: Vec<_> = (0..length)
                .map(|index| match bits >> index & 1 {
                    0 => Durability::Buffered,
                    _ => Durability::Synced,
                })
                .collect();
            let mut draw = Seed::new(bits.into()).draw(Domain::Plan, length.into(), 0, 0);
            let mut left_of: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
            for seed in 0..600 {
                let (safe, kept) = outcome(&mut draw, seed, &kinds);
                left_of.entry(safe).or_default().insert(kept);
            }
            // No barrier may have answered, or the one at any place.
            let barriers = kinds
                .iter()
                .enumerate()
                .filter(|(_, kind)| **kind == Durability::Synced);
            let places = std::iter::once(0).chain(barriers.map(|(index, _)| index + 1));
            let allowed: BTreeMap<_, BTreeSet<_>> = places
                .map(|safe| (safe, (safe..=kinds.len()).collect()))
                .collect();
            assert_eq!(left_of, allowed, "{kinds:?}");
        }
    }
}
