//! Each fault does what it says, and no more.

use super::*;
use Durability::{Buffered, Synced};

const STEADY: Profile = Profile {
    cached: Latency::fixed(10),
    buffered: Latency::fixed(10),
    sync: Latency::fixed(1_000),
    bytes_per_second: 1_000_000_000,
    ..Profile::INSTANT
};

/// A disk of steady latencies with `x=1` and `y=1` safe on it.
fn bench() -> Bench {
    with(STEADY)
}

fn with(profile: Profile) -> Bench {
    let mut bench = Bench::new(profile);
    bench.put("x", "1", Synced).unwrap();
    bench.put("y", "1", Synced).unwrap();
    bench
}

fn io_error<T: std::fmt::Debug>(result: Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::Io { .. }))
}

fn is_corrupt<T: std::fmt::Debug>(result: Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::Corrupt { .. }))
}

#[test]
fn a_slow_disk_takes_as_many_times_longer() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::Slow { percent: 700 });
    let now = bench.now;
    assert_eq!(bench.disk.get(now, bench.id, A, b"x").at_ns - now, 70);
    assert_eq!(
        bench.disk.write(now, bench.id, put("x", "2"), Buffered).at_ns - now,
        70
    );
    assert_eq!(
        bench.disk.write(now, bench.id, Batch::default(), Synced).at_ns - now,
        7_002
    );
    assert!(bench.disk.clear(FaultKind::Slow) && !bench.disk.clear(FaultKind::Slow));
    assert_eq!(bench.disk.get(now, bench.id, A, b"x").at_ns - now, 10);
}

#[test]
fn a_slow_disk_takes_no_more_than_five_seconds_longer() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::Slow { percent: u32::MAX });
    let now = bench.now;
    let slowest = bench.disk.write(now, bench.id, Batch::default(), Synced).at_ns - now;
    assert_eq!(slowest, 5_000_000_000 + 1_000);
}

#[test]
fn a_throttled_disk_takes_longer_by_the_byte() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::Throttle {
        bytes_per_second: 1_000,
    });
    let now = bench.now;
    assert_eq!(
        bench.disk.write(now, bench.id, put("x", "234"), Synced).at_ns - now,
        4_001_000
    );
}

#[test]
fn all_that_a_throttled_disk_has_taken_is_done_soon() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::Throttle { bytes_per_second: 1 });
    let now = bench.now;
    for _ in 0..10 {
        let at = bench
            .disk
            .write(now, bench.id, put("x", "234567890"), Synced)
            .at_ns;
        let read = bench.disk.get(now, bench.id, A, b"y").at_ns;
        assert!(
            at - now < 5_100_000_000 && read - now < 5_100_000_000,
            "{at} {read}"
        );
    }
}

#[test]
fn a_stalled_disk_answers_nothing_before_the_end_of_the_stall() {
    let mut bench = bench();
    let (now, until_ns, id) = (bench.now, 1_000_000, bench.id);
    bench.disk.apply(DiskFault::Stall { until_ns });
    let sync = bench.disk.write(now, bench.id, put("x", "2"), Synced).at_ns;
    let write = bench.disk.write(now, bench.id, put("x", "3"), Buffered).at_ns;
    let read = bench.disk.get(now, bench.id, A, b"x").at_ns;
    assert_eq!([sync, write, read], [until_ns; 3]);
    let mut lucky = bench.disk.clone();
    bench.now = until_ns - 1;
    assert_eq!(bench.crash_and_reopen(Survivors::Nothing), "x=1 y=1");
    assert_eq!(lucky.get(until_ns, id, A, b"x").at_ns, until_ns + 10);
}

#[test]
fn a_hanging_disk_answers_never_and_a_crash_ends_it() {
    let mut bench = bench();
    let now = bench.now;
    bench.disk.apply(DiskFault::Hang);
    assert_eq!(bench.disk.get(now, bench.id, A, b"x").at_ns, NEVER);
    let sync = bench.disk.write(now, bench.id, put("x", "2"), Synced);
    assert_eq!((sync.at_ns, sync.event.latency_ns), (NEVER, NEVER));
    bench.disk.clear(FaultKind::Hang);
    assert_eq!(bench.get("y"), Ok(Some(Bytes::from_static(b"1"))));
    let behind = bench.disk.write(bench.now, bench.id, Batch::default(), Synced);
    assert_eq!(behind.at_ns, NEVER, "nothing overtakes the barrier that hangs");
    bench.now += 1_000_000_000;
    assert_eq!(bench.crash_and_reopen(Survivors::Nothing), "x=1 y=1");
    assert_eq!(bench.put("x", "3", Synced), Ok(()));
}

#[test]
fn a_read_error_strikes_once_or_until_it_is_cleared() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::ReadError { repeat: Repeat::Once });
    assert!(io_error(bench.get("x")) && bench.get("x").is_ok());
    bench.disk.apply(DiskFault::ReadError {
        repeat: Repeat::Always,
    });
    assert!(io_error(bench.get("x")) && io_error(bench.get("x")));
    assert!(io_error(
        bench
            .disk
            .scan(bench.now, bench.id, A, &KeyRange::ALL, Direction::Forward, 1)
            .result
    ));
    assert!(io_error(bench.reopen()), "an open reads");
    bench.disk.clear(FaultKind::ReadError);
    bench.reopen().unwrap();
    assert_eq!(bench.words(), "x=1 y=1");
}

#[test]
fn after_a_write_error_the_store_has_failed_until_it_is_reopened() {
    let mut found = Vec::new();
    for seed in 0..40 {
        let mut bench = Bench::seeded(seed, STEADY);
        bench.put("x", "1", Buffered).unwrap();
        bench.disk.apply(DiskFault::WriteError { repeat: Repeat::Once });
        assert!(io_error(bench.put("y", "1", Buffered)));
        let failed = StorageError::Failed { store: "s".into() };
        assert_eq!(bench.put("z", "1", Buffered), Err(failed.clone()));
        assert_eq!(bench.write(Batch::default(), Synced), Err(failed));
        assert_eq!(
            bench.words(),
            "x=1",
            "reads go on, and do not see what was refused"
        );
        bench.reopen().unwrap();
        found.push(bench.words());
        bench.put("z", "1", Synced).unwrap();
    }
    found.sort();
    found.dedup();
    assert_eq!(found, ["x=1", "x=1 y=1"], "what was refused is there or not");
}

#[test]
fn a_sticky_write_error_fails_each_opening() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::WriteError {
        repeat: Repeat::Always,
    });
    for _ in 0..3 {
        assert!(io_error(bench.put("z", "1", Synced)));
        bench.reopen().unwrap();
    }
    bench.disk.clear(FaultKind::WriteError);
    assert_eq!(bench.put("z", "1", Synced), Ok(()));
}

#[test]
fn a_failed_barrier_drops_a_suffix_of_what_it_should_have_written() {
    // By a crash that leaves all it can, and by a reopen alone.
    let mut found = [Vec::new(), Vec::new()];
    for seed in 0..200 {
        let mut bench = Bench::seeded(seed, STEADY);
        bench.put("a", "1", Synced).unwrap();
        bench.put("b", "1", Buffered).unwrap();
        bench.put("c", "1", Buffered).unwrap();
        bench.disk.apply(DiskFault::FailedSync);
        assert_eq!(bench.put("d", "1", Buffered), Ok(()), "it waits for a barrier");
        assert!(io_error(bench.put("e", "1", Synced)));
        assert_eq!(
            bench.put("f", "1", Synced),
            Err(StorageError::Failed { store: "s".into() })
        );
        assert_eq!(bench.words(), "a=1 b=1 c=1 d=1", "memory still has it");
        let crash = seed % 2 == 0;
        if crash {
            bench.crash(Survivors::Everything);
        }
        bench.reopen().unwrap();
        found[usize::from(crash)].push(bench.words());
        assert_eq!(bench.put("f", "1", Synced), Ok(()), "it happens once");
    }
    for mut found in found {
        found.sort();
        found.dedup();
        let prefixes = [
            "a=1",
            "a=1 b=1",
            "a=1 b=1 c=1",
            "a=1 b=1 c=1 d=1",
            "a=1 b=1 c=1 d=1 e=1",
        ];
        assert_eq!(found, prefixes);
    }
}

#[test]
fn a_failed_barrier_takes_nothing_that_an_earlier_one_is_writing() {
    for seed in 0..50 {
        let mut bench = Bench::seeded(seed, STEADY);
        let first = bench.disk.write(0, bench.id, put("a", "1"), Synced);
        bench.disk.apply(DiskFault::FailedSync);
        assert!(io_error(
            bench.disk.write(1, bench.id, put("b", "1"), Synced).result
        ));
        let mut reopened = bench.disk.clone();
        reopened.close(bench.id);
        let id = reopened.open(1, "s", &[A]).result.unwrap();
        let scan = reopened.scan(first.at_ns, id, A, &KeyRange::ALL, Direction::Forward, 1);
        assert_eq!(words(&scan.result.unwrap()), "a=1");
        bench.now = first.at_ns;
        assert!(bench.crash_and_reopen(Survivors::Nothing).starts_with("a=1"));
    }
}

#[test]
fn a_read_only_disk_refuses_writes_and_opens() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::ReadOnly);
    assert!(io_error(bench.put("x", "2", Buffered)));
    assert_eq!(bench.words(), "x=1 y=1");
    assert!(io_error(bench.reopen()));
    bench.disk.clear(FaultKind::ReadOnly);
    bench.reopen().unwrap();
    assert_eq!(bench.words(), "x=1 y=1", "nothing of the refused batch is there");
    bench.put("x", "2", Buffered).unwrap();
}

#[test]
fn a_full_disk_takes_what_fits_and_no_more() {
    let mut bench = bench();
    assert_eq!(bench.disk.bytes(), 4);
    bench.disk.apply(DiskFault::Full { limit_bytes: 7 });
    bench.put("z", "1", Synced).unwrap();
    let full = StorageError::Full { store: "s".into() };
    assert_eq!(bench.put("w", "1", Synced), Err(full.clone()));
    assert_eq!(
        bench.put("w", "", Synced),
        Err(StorageError::Failed { store: "s".into() })
    );
    bench.reopen().unwrap();
    assert_eq!(bench.words(), "x=1 y=1 z=1");
    bench.disk.apply(DiskFault::Full { limit_bytes: 6 });
    assert_eq!(bench.reopen(), Err(full));
    bench.disk.apply(DiskFault::Full { limit_bytes: 8 });
    bench.reopen().unwrap();
    bench.put("w", "1", Synced).unwrap();
}

#[test]
fn a_flipped_bit_is_seen_as_corrupt_and_the_next_read_may_be_right() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::FlippedRead { ppm: 500_000 });
    let reads: Vec<_> = (0..100).map(|_| bench.get("x")).collect();
    let right = reads
        .iter()
        .filter(|read| **read == Ok(Some(Bytes::from_static(b"1"))))
        .count();
    assert!((25..75).contains(&right), "{right}");
    assert_eq!(
        reads.into_iter().filter(|read| is_corrupt(read.clone())).count(),
        100 - right
    );
    assert_eq!(bench.get("none"), Ok(None));
    bench.disk.clear(FaultKind::FlippedRead);
    assert_eq!(bench.words(), "x=1 y=1");
}

#[test]
fn rot_stays_until_the_key_is_written_again() {
    let mut bench = bench();
    let snapshot = bench.disk.snapshot(bench.now, bench.id).result.unwrap();
    bench.disk.apply(DiskFault::Rot { ppm: 1_000_000 });
    assert!(is_corrupt(bench.get("x")));
    bench.disk.clear(FaultKind::Rot);
    assert!(is_corrupt(bench.get("x")) && bench.get("y").is_ok());
    assert!(
        is_corrupt(bench.disk.get_at(bench.now, &snapshot, A, b"x").result),
        "the same block"
    );
    assert!(is_corrupt(
        bench
            .disk
            .scan(bench.now, bench.id, A, &KeyRange::ALL, Direction::Reverse, 9)
            .result
    ));
    bench.crash(Survivors::Everything);
    bench.reopen().unwrap();
    assert!(is_corrupt(bench.get("x")), "a crash heals nothing");
    bench.put("x", "2", Buffered).unwrap();
    assert_eq!(bench.words(), "x=2 y=1");
    bench.crash(Survivors::Nothing);
    bench.reopen().unwrap();
    assert!(
        is_corrupt(bench.get("x")),
        "the new value was lost, and the old one is rotten"
    );
    let mut batch = Batch::default();
    batch.delete_range(A, KeyRange::ALL);
    bench.write(batch, Synced).unwrap();
    assert_eq!(bench.crash_and_reopen(Survivors::Nothing), "");
}

#[test]
fn a_misdirected_write_damages_the_key_it_was_for_and_the_key_it_hit() {
    let mut victims = [0; 3];
    for seed in 0..60 {
        let mut bench = Bench::seeded(seed, STEADY);
        for key in ["x", "y", "z"] {
            bench.put(key, "1", Synced).unwrap();
        }
        bench.disk.apply(DiskFault::Misdirected { ppm: 1_000_000 });
        bench.put("x", "2", Synced).unwrap();
        bench.disk.clear(FaultKind::Misdirected);
        bench.crash(Survivors::Nothing);
        bench.reopen().unwrap();
        let bad: Vec<bool> = ["x", "y", "z"].map(|key| is_corrupt(bench.get(key))).to_vec();
        assert!(bad[0] && bad.iter().filter(|bad| **bad).count() == 2, "{bad:?}");
        victims
            .iter_mut()
            .zip(&bad)
            .for_each(|(count, bad)| *count += u32::from(*bad));
        for key in ["x", "y", "z"] {
            bench.put(key, "3", Synced).unwrap();
        }
        assert_eq!(bench.words(), "x=3 y=3 z=3");
    }
}

#[test]
fn a_misdirected_write_that_a_crash_takes_back_damages_nothing() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::Misdirected { ppm: 1_000_000 });
    bench.put("x", "2", Buffered).unwrap();
    assert!(is_corrupt(bench.get("x")) && is_corrupt(bench.get("y")));
    assert_eq!(bench.crash_and_reopen(Survivors::Nothing), "x=1 y=1");
}

#[test]
fn a_phantom_write_is_seen_until_the_crash_and_then_was_never_there() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::Phantom { ppm: 1_000_000 });
    let mut batch = put("x", "2");
    batch.delete(A, &b"y"[..]).put(A, &b"z"[..], &b"2"[..]);
    bench.write(batch, Synced).unwrap();
    bench.put("x", "3", Synced).unwrap();
    bench.disk.clear(FaultKind::Phantom);
    bench.put("w", "1", Synced).unwrap();
    assert_eq!(bench.words(), "w=1 x=3 z=2");
    let loss = bench.crash(Survivors::Everything);
    assert_eq!((loss.unsynced, loss.forgotten), (0, 3));
    bench.reopen().unwrap();
    assert_eq!(bench.words(), "w=1 x=1 y=1");
    assert_eq!(bench.crash(Survivors::Everything).forgotten, 0);
}

#[test]
fn a_later_write_makes_up_for_a_phantom_unless_a_crash_takes_it_back() {
    for (durability, after) in [(Synced, "x=3"), (Buffered, "x=1 y=1")] {
        let mut bench = bench();
        bench.disk.apply(DiskFault::Phantom { ppm: 1_000_000 });
        let mut batch = put("x", "2");
        batch.delete(A, &b"y"[..]);
        bench.write(batch, Synced).unwrap();
        bench.disk.clear(FaultKind::Phantom);
        let mut batch = Batch::default();
        batch.delete_range(A, KeyRange::ALL).put(A, &b"x"[..], &b"3"[..]);
        bench.write(batch, durability).unwrap();
        assert_eq!(bench.words(), "x=3");
        assert_eq!(bench.crash_and_reopen(Survivors::Nothing), after);
    }
}

#[test]
fn a_lying_barrier_is_made_up_for_by_an_honest_one_only() {
    for honest in [false, true] {
        let mut bench = bench();
        bench.disk.apply(DiskFault::LyingSync);
        bench.put("x", "2", Synced).unwrap();
        bench.put("y", "2", Synced).unwrap();
        bench.disk.clear(FaultKind::LyingSync);
        if honest {
            bench.write(Batch::default(), Synced).unwrap();
        }
        let after = if honest { "x=2 y=2" } else { "x=1 y=1" };
        assert_eq!(bench.crash_and_reopen(Survivors::Nothing), after);
    }
}

#[test]
fn a_torn_tail_is_what_the_recovery_mode_makes_of_it() {
    use Recovery::{Absolute, PointInTime, TolerateTail};
    let outcomes = |tear, recovery| {
        let mut outcomes: Vec<Option<u64>> = (0..60)
            .map(|seed| {
                let mut bench = Bench::seeded(seed, Profile { recovery, ..STEADY });
                (0..3).for_each(|step| bench.put("x", &step.to_string(), Buffered).unwrap());
                bench.disk.apply(DiskFault::TornTail { tear });
                let loss = bench.crash(Survivors::Everything);
                let opened = bench.reopen();
                assert_eq!(loss.corrupt, is_corrupt(opened.clone()));
                opened.is_ok().then_some(loss.kept)
            })
            .collect();
        outcomes.sort_unstable();
        outcomes.dedup();
        outcomes
    };
    assert_eq!(outcomes(Tear::Cut, PointInTime), [Some(2)]);
    assert_eq!(outcomes(Tear::Cut, TolerateTail), [Some(2)]);
    assert_eq!(outcomes(Tear::Cut, Absolute), [None]);
    assert_eq!(outcomes(Tear::Hole, PointInTime), [Some(0), Some(1), Some(2)]);
    assert_eq!(outcomes(Tear::Hole, TolerateTail), [None, Some(2)]);
    assert_eq!(outcomes(Tear::Hole, Absolute), [None]);
}

#[test]
fn a_tear_needs_something_that_is_not_safe() {
    let mut bench = with(Profile {
        recovery: Recovery::Absolute,
        ..STEADY
    });
    bench.disk.apply(DiskFault::TornTail { tear: Tear::Cut });
    assert_eq!(bench.crash_and_reopen(Survivors::Everything), "x=1 y=1");
}

#[test]
fn a_corrupt_open_is_refused_until_cleared() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::CorruptOpen);
    assert!(is_corrupt(bench.reopen()) && is_corrupt(bench.reopen()));
    bench.disk.clear(FaultKind::CorruptOpen);
    bench.reopen().unwrap();
    assert_eq!(bench.words(), "x=1 y=1");
}

#[test]
fn a_wiped_disk_is_empty_and_its_handles_are_dead() {
    let mut bench = with(Profile {
        recovery: Recovery::Absolute,
        ..STEADY
    });
    bench.put("z", "1", Buffered).unwrap();
    bench.disk.apply(DiskFault::TornTail { tear: Tear::Cut });
    assert!(bench.crash(Survivors::Everything).corrupt);
    bench.disk.apply(DiskFault::Wipe);
    let old = bench.id;
    bench.reopen().expect("a wipe also takes the damage away");
    assert_eq!((bench.words(), bench.disk.bytes()), (String::new(), 0));
    assert_eq!(
        bench.disk.get(bench.now, old, A, b"x").result,
        Err(StorageError::Closed)
    );
    bench.put("x", "1", Synced).unwrap();
    bench.disk.apply(DiskFault::Wipe);
    assert_eq!(bench.get("x"), Err(StorageError::Closed));
}

#[test]
fn two_nodes_can_swap_their_disks() {
    let mut one = bench();
    let mut other = Bench::of(Disk::new(Seed::new(1), 1, STEADY));
    other.put("x", "other", Synced).unwrap();
    (one.now, other.now) = (9_000, 9_000);
    one.crash(Survivors::Nothing);
    other.crash(Survivors::Nothing);
    std::mem::swap(&mut one.disk, &mut other.disk);
    assert_eq!(
        one.get("x"),
        Err(StorageError::Closed),
        "a handle does not follow the slot"
    );
    one.reopen().unwrap();
    other.reopen().unwrap();
    assert_eq!((one.words(), other.words()), ("x=other".into(), "x=1 y=1".into()));
}

#[test]
fn a_disk_is_struck_once_a_fault_has_taken_something() {
    let ppm = 1_000_000;
    let read = |bench: &mut Bench| drop(bench.get("x"));
    let buffered = |bench: &mut Bench| drop(bench.put("x", "2", Buffered));
    let synced = |bench: &mut Bench| drop(bench.put("x", "2", Synced));
    let opened = |bench: &mut Bench| drop(bench.reopen());
    type Deed = fn(&mut Bench);
    let cases: [(DiskFault, Deed, bool); 12] = [
        (DiskFault::Rot { ppm }, buffered, false),
        (DiskFault::Rot { ppm }, read, true),
        (DiskFault::Misdirected { ppm }, read, false),
        (DiskFault::Misdirected { ppm }, buffered, true),
        (DiskFault::Phantom { ppm }, read, false),
        (DiskFault::Phantom { ppm }, buffered, true),
        (DiskFault::LyingSync, buffered, false),
        (DiskFault::LyingSync, synced, true),
        (DiskFault::CorruptOpen, read, false),
        (DiskFault::CorruptOpen, opened, true),
        (DiskFault::FlippedRead { ppm }, buffered, false),
        (DiskFault::FlippedRead { ppm }, read, true),
    ];
    for (fault, deed, expected) in cases {
        let mut bench = bench();
        bench.disk.apply(fault);
        assert!(!bench.disk.is_struck(), "{fault:?}");
        deed(&mut bench);
        bench.disk.clear(fault.kind());
        assert_eq!(bench.disk.is_struck(), expected, "{fault:?}");
    }
    let mut bench = bench();
    bench.disk.apply(DiskFault::Wipe);
    assert!(bench.disk.is_struck());
}

#[test]
fn the_faults_of_a_disk_are_listed_and_named() {
    let mut bench = bench();
    bench.disk.apply(DiskFault::Hang);
    bench.disk.apply(DiskFault::Slow { percent: 200 });
    bench.disk.apply(DiskFault::Slow { percent: 300 });
    let faults: Vec<_> = bench.disk.faults().copied().collect();
    assert_eq!(faults, [DiskFault::Slow { percent: 300 }, DiskFault::Hang]);
    assert_eq!(FaultKind::Phantom.harm(), Harm::Amnesia);
    assert!(FaultKind::Rot.harm() > FaultKind::FailedSync.harm());
}
