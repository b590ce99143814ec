//! Random histories against a naive model: the list of all batches, and for every state that is seen the question
//! which prefixes of the list it can be.

use std::ops::RangeInclusive;

use super::*;

/// A batch of the model.
struct Written {
    batch: Batch,
    durability: Durability,
    /// When it was answered with `Ok`.
    answered_at: u64,
}

/// What a history was, to see that histories are of every sort.
#[derive(Default)]
struct Tally {
    crashes: u64,
    lost: u64,
    kept_some_of_many: u64,
    unanswered_kept: u64,
    refused: u64,
    reads_before_answers: u64,
}

struct History {
    bench: Bench,
    draw: Draw,
    base: BTreeMap<(Family, Bytes), Bytes>,
    written: Vec<Written>,
    /// A batch that was refused after which the store had failed: there after the next open, or not.
    doubtful: Option<Batch>,
    failed: bool,
    /// The shortest prefix that reads may still show: they never go back.
    seen: usize,
    step: u64,
    tally: Tally,
}

impl History {
    fn new(seed: u64, profile: Profile) -> Self {
        Self {
            bench: Bench::seeded(seed, profile),
            draw: Seed::new(seed).draw(Domain::Plan, 0, 0, 0),
            base: BTreeMap::new(),
            written: Vec::new(),
            doubtful: None,
            failed: false,
            seen: 0,
            step: 0,
            tally: Tally::default(),
        }
    }

    fn run(mut self, steps: u64, mut prepare: impl FnMut(&mut Disk, &mut Draw, u64)) -> Tally {
        for step in 0..steps {
            self.step = step;
            prepare(&mut self.bench.disk, &mut self.draw, self.bench.now);
            match self.draw.below(20) {
                0..10 => self.write(),
                10..13 => self.bench.now += self.draw.below(3_000),
                13..17 => self.read(),
                17 => self.reopen(),
                _ if self.draw.chance(300_000) => self.crash(),
                _ => {}
            }
        }
        self.crash();
        self.tally
    }

    /// Batches write their number at one key of each family, so that a half of one is seen, and a few keys more.
    fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        if self.draw.chance(100_000) {
            return batch;
        }
        let number = Bytes::copy_from_slice(&self.step.to_be_bytes());
        batch.put(A, &b"number"[..], number.clone());
        for _ in 0..self.draw.below(4) {
            let family = *self.draw.pick(&[A, B]);
            let key = vec![b'k', self.draw.pick(b"0123456789").to_owned()];
            match self.draw.below(5) {
                0 => batch.delete(family, key),
                1 => batch.delete_range(family, KeyRange::prefix(&key[..self.draw.within(1, 2) as usize])),
                _ => batch.put(family, key, number.clone()),
            };
        }
        batch.put(B, &b"number"[..], number);
        batch
    }

    fn write(&mut self) {
        let batch = self.batch();
        let durability = *self
            .draw
            .pick(&[Durability::Buffered, Durability::Buffered, Durability::Synced]);
        let answer = self
            .bench
            .disk
            .write(self.bench.now, self.bench.id, batch.clone(), durability);
        match answer.result {
            Ok(()) => {
                assert!(!self.failed, "a store that has failed takes no writes");
                self.written.push(Written {
                    batch,
                    durability,
                    answered_at: answer.at_ns,
                });
            }
            Err(StorageError::Failed { .. }) => assert!(self.failed),
            Err(StorageError::Io { .. }) => {
                (self.doubtful, self.failed) = (Some(batch), true);
                self.tally.refused += 1;
            }
            Err(StorageError::Full { .. }) => self.failed = true,
            Err(error) => panic!("{error}"),
        }
        if self.draw.chance(500_000) && answer.at_ns < NEVER {
            self.bench.now = answer.at_ns;
        }
    }

    fn state(&self, prefix: usize) -> BTreeMap<(Family, Bytes), Bytes> {
        let mut state = self.base.clone();
        let doubtful = self.doubtful.as_ref();
        let batches = self.written.iter().map(|written| &written.batch).chain(doubtful);
        for operation in batches.take(prefix).flat_map(Batch::operations) {
            match operation.clone() {
                env::storage::Operation::Put { family, key, value } => {
                    state.insert((family, key), value);
                }
                env::storage::Operation::Delete { family, key } => {
                    state.remove(&(family, key));
                }
                env::storage::Operation::DeleteRange { family, range } => {
                    state.retain(|(held, key), _| *held != family || !range.contains(key));
                }
            }
        }
        state
    }

    /// The one thing that a prefix is told by: a state. Answers the first prefix of the range that it can be.
    fn prefix_of(
        &self,
        state: &BTreeMap<(Family, Bytes), Bytes>,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        range.into_iter().find(|prefix| self.state(*prefix) == *state)
    }

    /// All that the store shows, by a snapshot of it, or key by key.
    fn shown(&mut self) -> BTreeMap<(Family, Bytes), Bytes> {
        let (now, id) = (self.bench.now, self.bench.id);
        let snapshot = self
            .bench
            .disk
            .snapshot(now, id)
            .result
            .expect("a snapshot is taken");
        let mut state = BTreeMap::new();
        for family in [A, B] {
            let disk = &mut self.bench.disk;
            let scan = if self.step.is_multiple_of(2) {
                disk.scan_at(
                    now,
                    &snapshot,
                    family,
                    &KeyRange::ALL,
                    Direction::Forward,
                    usize::MAX,
                )
            } else {
                disk.scan(now, id, family, &KeyRange::ALL, Direction::Reverse, usize::MAX)
            };
            for (key, value) in scan.result.expect("a scan answers") {
                let got = disk.get(now, id, family, &key).result.expect("a get answers");
                assert_eq!(got.as_ref(), Some(&value));
                state.insert((family, key), value);
            }
        }
        state
    }

    /// Reads see every batch that has answered, and some prefix.
    fn read(&mut self) {
        let now = self.bench.now;
        let answered = self
            .written
            .iter()
            .rposition(|written| written.answered_at <= now)
            .map_or(0, |last| last + 1);
        let shown = self.shown();
        let from = answered.max(self.seen);
        let seen = self.prefix_of(&shown, from..=self.written.len());
        self.seen = seen.unwrap_or_else(|| panic!("not a prefix from {from} on: {shown:?}"));
        self.tally.reads_before_answers += u64::from(self.seen > answered);
    }

    /// The store is closed and opened: nothing is lost but after a failure, and then nothing that was safe.
    fn reopen(&mut self) {
        let before = self.bench.now;
        self.bench.disk.close(self.bench.id);
        let answer = self.bench.disk.open(self.bench.now, "s", &[A, B]);
        if answer.result.is_err() || answer.at_ns == NEVER {
            return self.crash();
        }
        (self.bench.id, self.bench.now) = (answer.result.expect("it is open"), answer.at_ns);
        if self.failed {
            self.settle(before, false);
        } else {
            let shown = self.shown();
            self.seen = self.written.len();
            assert_eq!(shown, self.state(self.seen), "closing loses nothing");
        }
    }

    fn crash(&mut self) {
        let survivors = *self
            .draw
            .pick(&[Survivors::Nothing, Survivors::Prefix, Survivors::Everything]);
        let now = self.bench.now;
        let loss = self.bench.crash(survivors);
        assert!(!loss.corrupt && loss.forgotten == 0);
        let faults: Vec<DiskFault> = self.bench.disk.faults().copied().collect();
        faults
            .iter()
            .for_each(|fault| assert!(self.bench.disk.clear(fault.kind())));
        self.bench.reopen().expect("a store opens after a crash");
        self.tally.crashes += 1;
        self.tally.kept_some_of_many += u64::from(loss.kept > 0 && loss.kept < loss.unsynced);
        self.settle(now, true);
    }

    /// What is there after an open at which batches may have been lost, `at` the time up to which answers count.
    fn settle(&mut self, at: u64, power_lost: bool) {
        let safe = self
            .written
            .iter()
            .rposition(|written| written.durability == Durability::Synced && written.answered_at <= at)
            .map_or(0, |last| last + 1);
        let shown = self.shown();
        let most = self.written.len() + usize::from(self.doubtful.is_some());
        let kept = self
            .prefix_of(&shown, safe..=most)
            .unwrap_or_else(|| panic!("not a prefix of at least {safe} of {most}: {shown:?}"));
        self.tally.lost += (most - kept) as u64;
        self.tally.unanswered_kept += self.written[safe..kept.clamp(safe, self.written.len())]
            .iter()
            .filter(|one| one.answered_at > at)
            .count() as u64;
        if power_lost {
            self.base = shown;
            self.written.clear();
        } else {
            // What is shown is in the system's memory at least: a crash may still take it.
            self.written.extend(self.doubtful.take().map(|batch| Written {
                batch,
                durability: Durability::Buffered,
                answered_at: NEVER,
            }));
            self.written.truncate(kept);
        }
        (self.doubtful, self.failed, self.seen) = (None, false, self.written.len());
    }
}

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
    open: Latency::fixed(300),
    bytes_per_second: 100_000_000,
    ..Profile::INSTANT
};

fn total(tallies: impl Iterator<Item = Tally>) -> Tally {
    tallies.fold(Tally::default(), |sum, tally| Tally {
        crashes: sum.crashes + tally.crashes,
        lost: sum.lost + tally.lost,
        kept_some_of_many: sum.kept_some_of_many + tally.kept_some_of_many,
        unanswered_kept: sum.unanswered_kept + tally.unanswered_kept,
        refused: sum.refused + tally.refused,
        reads_before_answers: sum.reads_before_answers + tally.reads_before_answers,
    })
}

#[test]
fn what_a_barrier_covers_survives_and_the_rest_is_a_prefix() {
    let tally = total((0..2_000).map(|seed| History::new(seed, OVERLAPPING).run(80, |_, _, _| {})));
    assert!(
        tally.crashes > 4_000 && tally.lost > 4_000,
        "{} {}",
        tally.crashes,
        tally.lost
    );
    assert!(tally.kept_some_of_many > 250 && tally.unanswered_kept > 250 && tally.reads_before_answers > 250);
}

#[test]
fn a_log_that_is_written_back_early_keeps_the_promise() {
    let profile = Profile {
        writeback_bytes: 100,
        ..OVERLAPPING
    };
    let tally = total((0..1_000).map(|seed| History::new(seed, profile).run(80, |_, _, _| {})));
    assert!(tally.crashes > 2_000 && tally.lost > 500, "{}", tally.lost);
}

#[test]
fn faults_that_take_time_or_answers_break_no_promise() {
    let faults = [
        DiskFault::Slow { percent: 1_000 },
        DiskFault::Slow { percent: 10 },
        DiskFault::Throttle {
            bytes_per_second: 1_000_000,
        },
        DiskFault::Hang,
        DiskFault::WriteError { repeat: Repeat::Once },
        DiskFault::WriteError {
            repeat: Repeat::Always,
        },
        DiskFault::FailedSync,
        DiskFault::FailedSync,
        DiskFault::ReadOnly,
        DiskFault::Full { limit_bytes: 60 },
        DiskFault::TornTail { tear: Tear::Cut },
        DiskFault::TornTail { tear: Tear::Hole },
    ];
    let prepare = |disk: &mut Disk, draw: &mut Draw, now: u64| {
        if draw.chance(100_000) {
            disk.apply(DiskFault::Stall {
                until_ns: now + draw.below(9_000),
            });
        }
        if draw.chance(150_000) {
            disk.apply(*draw.pick(&faults));
        }
        let first = disk.faults().next().map(DiskFault::kind);
        if let Some(kind) = first.filter(|_| draw.chance(200_000)) {
            disk.clear(kind);
        }
    };
    let tally = total((0..2_000).map(|seed| History::new(seed, OVERLAPPING).run(80, prepare)));
    assert!(
        tally.crashes > 4_000 && tally.refused > 2_000,
        "{} {}",
        tally.crashes,
        tally.refused
    );
}

#[test]
fn equal_calls_give_equal_disks() {
    let run = |seed| {
        let mut bench = Bench::seeded(seed, Profile::NVME);
        let mut events = Vec::new();
        for step in 0..200_u64 {
            let durability = if step % 9 == 0 {
                Durability::Synced
            } else {
                Durability::Buffered
            };
            let answer = bench.disk.write(
                bench.now,
                bench.id,
                put(&(step % 17).to_string(), "v"),
                durability,
            );
            events.push(answer.event.encode());
            bench.now += 20_000;
            events.push(bench.disk.get(bench.now, bench.id, A, b"3").event.encode());
        }
        (events, bench.crash(Survivors::Prefix), bench.disk.bytes())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).0, run(6).0);
}

#[test]
fn what_a_crash_overtakes_is_there_whole_or_not_at_all() {
    let mut batch = put("x", "1");
    batch.put(B, &b"x"[..], &b"1"[..]);
    for durability in [Durability::Buffered, Durability::Synced] {
        let after = |survivors| {
            let mut bench = Bench::new(Profile::NVME);
            let answer = bench.disk.write(bench.now, bench.id, batch.clone(), durability);
            assert!(answer.at_ns > bench.now);
            let loss = bench.crash(survivors);
            bench.reopen().unwrap();
            let other = bench.disk.get(bench.now, bench.id, B, b"x").result.unwrap();
            (loss.unsynced, loss.kept, bench.words(), other)
        };
        let value = Some(Bytes::from_static(b"1"));
        assert_eq!(after(Survivors::Everything), (1, 1, "x=1".into(), value));
        assert_eq!(after(Survivors::Nothing), (1, 0, String::new(), None));
    }
}

#[test]
fn a_barrier_is_safe_from_the_instant_of_its_answer() {
    for (early, after) in [(0, "x=1"), (1, "")] {
        let mut bench = Bench::new(OVERLAPPING);
        let answer = bench
            .disk
            .write(bench.now, bench.id, put("x", "1"), Durability::Synced);
        bench.now = answer.at_ns - early;
        assert_eq!(bench.crash_and_reopen(Survivors::Nothing), after);
    }
}
