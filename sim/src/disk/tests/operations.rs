//! The contract of `env::storage` without a crash.

use super::*;

/// Latencies that are easy to tell apart.
const STEADY: Profile = Profile {
    cached: Latency::fixed(1),
    read: Latency::fixed(50),
    buffered: Latency::fixed(10),
    sync: Latency::fixed(1_000),
    open: Latency::fixed(5),
    bytes_per_second: 1_000_000_000,
    ..Profile::INSTANT
};

#[test]
fn a_batch_is_applied_in_order_across_families() {
    let mut bench = Bench::new(Profile::NVME);
    let mut batch = put("x", "1");
    batch
        .put(B, &b"x"[..], &b"9"[..])
        .put(A, &b"y"[..], &b"2"[..])
        .put(A, &b"z"[..], &b"3"[..])
        .delete_range(A, KeyRange::from(b"y"))
        .put(A, &b"z"[..], &b"4"[..])
        .delete(A, &b"x"[..]);
    bench.write(batch, Durability::Buffered).unwrap();
    assert_eq!(bench.words(), "z=4");
    let scan = bench
        .disk
        .scan(bench.now, bench.id, B, &KeyRange::ALL, Direction::Forward, 10);
    assert_eq!(words(&scan.result.unwrap()), "x=9");
    assert_eq!(bench.disk.bytes(), 4);
}

#[test]
fn a_scan_answers_from_the_end_it_was_asked_for() {
    let mut bench = Bench::new(Profile::INSTANT);
    for key in ["a", "b", "c", "d"] {
        bench.put(key, "", Durability::Buffered).unwrap();
    }
    let range = KeyRange {
        start: Bound::Excluded(Bytes::from_static(b"a")),
        end: Bound::Included(Bytes::from_static(b"d")),
    };
    let mut scan = |range: &KeyRange, direction, limit| {
        words(
            &bench
                .disk
                .scan(0, bench.id, A, range, direction, limit)
                .result
                .unwrap(),
        )
    };
    assert_eq!(scan(&range, Direction::Forward, 2), "b= c=");
    assert_eq!(scan(&range, Direction::Reverse, 2), "d= c=");
    assert_eq!(scan(&KeyRange::ALL, Direction::Reverse, 9), "d= c= b= a=");
    let backwards = KeyRange {
        start: Bound::Included(Bytes::from_static(b"d")),
        end: Bound::Excluded(Bytes::from_static(b"a")),
    };
    assert_eq!(scan(&backwards, Direction::Forward, 9), "");
}

#[test]
fn a_snapshot_does_not_change_and_ends_with_its_store() {
    let mut bench = Bench::new(Profile::NVME);
    bench.put("x", "1", Durability::Buffered).unwrap();
    let answer = bench.disk.snapshot(bench.now, bench.id);
    let snapshot = answer.result.unwrap();
    bench.put("x", "2", Durability::Synced).unwrap();
    bench.put("y", "2", Durability::Synced).unwrap();
    let scan = bench
        .disk
        .scan_at(bench.now, &snapshot, A, &KeyRange::ALL, Direction::Forward, 9);
    assert_eq!(
        (words(&scan.result.unwrap()), bench.words()),
        ("x=1".into(), "x=2 y=2".into())
    );
    assert_eq!(
        bench.disk.get_at(bench.now, &snapshot, A, b"x").result,
        Ok(Some(Bytes::from_static(b"1")))
    );
    bench.crash(Survivors::Everything);
    bench.reopen().unwrap();
    assert_eq!(
        bench.disk.get_at(bench.now, &snapshot, A, b"x").result,
        Err(StorageError::Closed)
    );
}

#[test]
fn a_store_is_open_once_and_old_handles_are_refused() {
    let mut bench = Bench::new(Profile::INSTANT);
    let old = bench.id;
    let locked = StorageError::Locked { store: "s".into() };
    assert_eq!(bench.disk.open(0, "s", &[A]).result, Err(locked));
    bench.disk.close(old);
    assert_eq!(
        bench
            .disk
            .write(0, old, Batch::default(), Durability::Synced)
            .result,
        Err(StorageError::Closed)
    );
    bench.reopen().unwrap();
    bench.disk.close(old);
    assert_eq!(bench.get("x"), Ok(None), "closing an old handle closes nothing");
    let mut other = Disk::new(Seed::new(1), 1, Profile::INSTANT);
    other.open(0, "s", &[A]).result.unwrap();
    assert_eq!(
        other.get(0, old, A, b"x").result,
        Err(StorageError::Closed),
        "a handle of another disk"
    );
}

#[test]
fn families_that_are_not_named_are_kept_and_cannot_be_reached() {
    let mut bench = Bench::new(Profile::INSTANT);
    bench.put("x", "1", Durability::Buffered).unwrap();
    bench.disk.close(bench.id);
    bench.id = bench.disk.open(0, "s", &[B]).result.unwrap();
    let unknown = StorageError::UnknownFamily {
        store: "s".into(),
        family: A,
    };
    assert_eq!(bench.get("x"), Err(unknown.clone()));
    assert_eq!(bench.put("x", "2", Durability::Buffered), Err(unknown));
    assert_eq!(
        bench
            .disk
            .write(0, bench.id, Batch::default(), Durability::Synced)
            .result,
        Ok(())
    );
    bench.reopen().unwrap();
    assert_eq!(bench.words(), "x=1");
}

#[test]
fn a_batch_over_the_limit_changes_nothing() {
    let mut bench = Bench::new(Profile::INSTANT);
    let mut batch = Batch::default();
    batch.put(A, &b"x"[..], vec![0; env::storage::MAX_BATCH]);
    assert!(matches!(
        bench.write(batch, Durability::Buffered),
        Err(StorageError::TooLarge { .. })
    ));
    assert_eq!(bench.put("x", "1", Durability::Buffered), Ok(()));
}

#[test]
fn a_write_is_seen_between_its_call_and_its_answer_and_in_order() {
    let (mut early, mut late) = (0, 0);
    for seed in 0..200 {
        let mut bench = Bench::seeded(seed, STEADY);
        let slow = bench.disk.write(5, bench.id, put("x", "1"), Durability::Synced);
        let fast = bench.disk.write(5, bench.id, put("y", "1"), Durability::Buffered);
        assert_eq!(slow.at_ns, 1_007, "a barrier and two bytes");
        let half = {
            bench.now = 500;
            bench.words()
        };
        assert!(["", "x=1", "x=1 y=1"].contains(&&*half), "{half}");
        early += u32::from(half == "x=1 y=1");
        late += u32::from(half.is_empty());
        bench.now = fast.at_ns.max(500);
        assert_eq!(bench.words(), "x=1 y=1");
    }
    assert!(early > 30 && late > 30, "both orders occur: {early} {late}");
}

#[test]
fn barriers_wait_for_each_other_and_are_grouped() {
    let mut bench = Bench::new(STEADY);
    let mut at = |now, value: &str| {
        bench
            .disk
            .write(now, bench.id, put("x", value), Durability::Synced)
            .at_ns
    };
    assert_eq!([at(10, "1"), at(20, "22"), at(30, "333")], [1_012, 2_015, 2_019]);
    let other = bench.disk.open(40, "t", &[A]).result.unwrap();
    assert_eq!(
        bench
            .disk
            .write(40, other, Batch::default(), Durability::Synced)
            .at_ns,
        3_019
    );
}

#[test]
fn a_barrier_transfers_what_was_buffered_before_it() {
    let mut bench = Bench::new(STEADY);
    assert_eq!(
        bench
            .disk
            .write(10, bench.id, put("x", "12345"), Durability::Buffered)
            .at_ns,
        20
    );
    let mut sync = |now| {
        bench
            .disk
            .write(now, bench.id, Batch::default(), Durability::Synced)
            .at_ns
    };
    assert_eq!(sync(20), 1_026);
    assert_eq!(sync(2_000), 3_000, "once");
}

#[test]
fn reads_outside_the_cache_queue_up() {
    let mut bench = Bench::new(Profile {
        cached_ppm: 0,
        ..STEADY
    });
    let mut at = |now| bench.disk.get(now, bench.id, A, b"x").at_ns;
    assert_eq!([at(100), at(100), at(149), at(1_000)], [150, 200, 250, 1_050]);
}

#[test]
fn the_log_is_bounded_without_any_barrier() {
    let mut bench = Bench::new(Profile {
        writeback_bytes: 1_000,
        ..STEADY
    });
    for step in 0..1_000 {
        bench
            .put(&format!("{}", step % 7), "0123456789", Durability::Buffered)
            .unwrap();
        assert!(bench.disk.log_bytes() < 1_100);
    }
    bench.words();
    assert_eq!(bench.disk.bytes(), 77);
    let loss = bench.crash(Survivors::Nothing);
    assert!((10..100).contains(&loss.unsynced), "{loss:?}");
}

#[test]
fn batches_without_bytes_are_written_back_too() {
    let mut bench = Bench::new(Profile {
        writeback_bytes: 1_000,
        ..STEADY
    });
    for _ in 0..1_000 {
        let mut batch = Batch::default();
        batch.delete_range(A, KeyRange::ALL);
        bench.write(batch, Durability::Buffered).unwrap();
    }
    bench.words();
    let loss = bench.crash(Survivors::Nothing);
    assert!((1..100).contains(&loss.unsynced), "{loss:?}");
}

#[test]
fn a_barrier_empties_the_log() {
    let mut bench = Bench::new(STEADY);
    bench.put("x", "1", Durability::Buffered).unwrap();
    bench.put("x", "2", Durability::Buffered).unwrap();
    assert!(bench.get("x").is_ok() && bench.disk.log_bytes() > 0);
    bench.write(Batch::default(), Durability::Synced).unwrap();
    assert!(bench.get("x").is_ok());
    assert_eq!(bench.disk.log_bytes(), 0);
}

#[test]
fn an_event_tells_what_was_done() {
    let mut bench = Bench::new(STEADY);
    let write = bench
        .disk
        .write(10, bench.id, put("x", "12"), Durability::Buffered)
        .event;
    let get = bench.disk.get(30, bench.id, A, b"x").event;
    let expected = DiskEvent {
        kind: OperationKind::Get,
        outcome: Outcome::Done,
        store: 0,
        bytes: 2,
        digest: xxhash_rust::xxh3::xxh3_64(b"12"),
        latency_ns: 1,
    };
    assert_eq!(get, expected);
    assert_eq!(
        (write.kind, write.bytes, write.latency_ns),
        (OperationKind::Write, 3, 10)
    );
    let other = bench
        .disk
        .write(30, bench.id, put("x", "13"), Durability::Buffered)
        .event;
    assert_ne!(write.digest, other.digest);
}

#[test]
fn the_stores_of_a_disk_lose_each_their_own_suffix() {
    let mut kept = Vec::new();
    for seed in 0..60 {
        let mut bench = Bench::seeded(seed, STEADY);
        let other = bench.disk.open(bench.now, "t", &[A]).result.unwrap();
        for step in 0..2 {
            let batch = put("x", &step.to_string());
            bench.write(batch.clone(), Durability::Buffered).unwrap();
            bench
                .disk
                .write(bench.now, other, batch, Durability::Buffered)
                .result
                .unwrap();
        }
        let report = bench.disk.crash(bench.now, Survivors::Prefix);
        kept.push([report.stores[0].kept, report.stores[1].kept]);
    }
    kept.sort_unstable();
    kept.dedup();
    assert_eq!(kept.len(), 9, "all pairs of prefixes: {kept:?}");
}
