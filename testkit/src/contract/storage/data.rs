//! What reads and writes mean.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use env::storage::MAX_BATCH;
use env::{Batch, Direction, Durability, Entry, Env, KeyRange, Reader, Scope, Spawner, StorageError, Store};

use super::{Machine, ONE, OTHER, all, get, open, put};
use crate::contract::soon;

/// No key is there before it was put.
pub async fn a_new_store_is_empty<M: Machine>(machine: M) {
    let store = open(&machine).await;
    assert_eq!(get(&store, ONE, b"key").await, None);
    assert_eq!(all(&store, ONE).await, []);
}

/// A write that has answered is seen, whatever its durability, through every handle.
pub async fn what_is_written_is_read<M: Machine>(machine: M) {
    let store = open(&machine).await;
    for (value, durability) in [(&b"1"[..], Durability::Buffered), (b"2", Durability::Synced)] {
        store
            .write(put(b"key", value), durability)
            .await
            .expect("a write");
        assert_eq!(get(&store, ONE, b"key").await.as_deref(), Some(value));
        assert_eq!(get(&store.clone(), ONE, b"key").await.as_deref(), Some(value));
    }
    let mut batch = Batch::default();
    batch.delete(ONE, &b"key"[..]).delete(ONE, &b"never there"[..]);
    store.write(batch, Durability::Buffered).await.expect("a write");
    assert_eq!(all(&store, ONE).await, []);
}

/// The changes of a batch apply in their order.
pub async fn the_last_of_equal_keys_in_a_batch_wins<M: Machine>(machine: M) {
    let store = open(&machine).await;
    let mut batch = Batch::default();
    batch
        .put(ONE, &b"a"[..], &b"1"[..])
        .put(ONE, &b"a"[..], &b"2"[..])
        .put(ONE, &b"b"[..], &b"1"[..])
        .delete(ONE, &b"b"[..])
        .put(ONE, &b"c"[..], &b"1"[..])
        .delete_range(ONE, KeyRange::from(b"b"))
        .put(ONE, &b"d"[..], &b"3"[..]);
    store.write(batch, Durability::Buffered).await.expect("a write");
    let expected = [entry(b"a", b"2"), entry(b"d", b"3")];
    assert_eq!(all(&store, ONE).await, expected);
}

/// Families are separate maps, changed together.
pub async fn a_batch_spans_families<M: Machine>(machine: M) {
    let store = open(&machine).await;
    let mut batch = Batch::default();
    batch
        .put(ONE, &b"key"[..], &b"1"[..])
        .put(OTHER, &b"key"[..], &b"2"[..]);
    store.write(batch, Durability::Buffered).await.expect("a write");
    assert_eq!(get(&store, ONE, b"key").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(get(&store, OTHER, b"key").await.as_deref(), Some(&b"2"[..]));
    let mut batch = Batch::default();
    batch.delete_range(ONE, KeyRange::ALL);
    store.write(batch, Durability::Buffered).await.expect("a write");
    assert_eq!(all(&store, ONE).await, []);
    assert_eq!(all(&store, OTHER).await, [entry(b"key", b"2")]);
}

/// Scans agree with an ordered map, over every kind of bound, both directions and several limits.
pub async fn a_scan_gives_the_keys_of_its_range_from_either_end<M: Machine>(machine: M) {
    let store = open(&machine).await;
    let model = fill(&store).await;
    for range in ranges() {
        let mut expected: Vec<Entry> = model
            .iter()
            .filter(|(key, _)| range.contains(key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        for direction in [Direction::Forward, Direction::Reverse] {
            for limit in [0, 1, 2, expected.len(), usize::MAX] {
                let found = store
                    .scan(ONE, range.clone(), direction, limit)
                    .await
                    .expect("a scan");
                let expected = &expected[..limit.min(expected.len())];
                assert_eq!(found, expected, "{range:?} {direction:?} {limit}");
            }
            expected.reverse();
        }
    }
}

/// Range deletions agree with an ordered map, over every kind of bound.
pub async fn deleting_a_range_removes_exactly_its_keys<M: Machine>(machine: M) {
    let store = open(&machine).await;
    for range in ranges() {
        let mut model = fill(&store).await;
        model.retain(|key, _| !range.contains(key));
        let mut batch = Batch::default();
        batch.delete_range(ONE, range.clone());
        store.write(batch, Durability::Buffered).await.expect("a write");
        assert_eq!(all(&store, ONE).await, Vec::from_iter(model), "{range:?}");
    }
}

/// Neither end of the scale is special.
pub async fn keys_and_values_may_be_empty_or_large<M: Machine>(machine: M) {
    let store = open(&machine).await;
    let large = Bytes::from(vec![7; 3 << 20]);
    let long_key = Bytes::from(vec![9; 5_000]);
    let mut batch = Batch::default();
    batch
        .put(ONE, &b""[..], &b""[..])
        .put(ONE, &b"large"[..], large.clone())
        .put(ONE, long_key.clone(), &b"v"[..]);
    store.write(batch, Durability::Synced).await.expect("a write");
    let expected = [
        (long_key.clone(), Bytes::from_static(b"v")),
        (Bytes::from_static(b"large"), large.clone()),
        (Bytes::new(), Bytes::new()),
    ];
    let mut found = all(&store, ONE).await;
    found.sort_by_key(|(key, value)| (value.len() != 1, value.is_empty(), key.clone()));
    assert!(found == expected, "an entry came back as another");
    assert_eq!(get(&store, ONE, b"").await, Some(Bytes::new()));
    assert!(get(&store, ONE, b"large").await == Some(large));
}

/// A snapshot is deaf to what follows, and outlives the handle it came from.
pub async fn a_snapshot_does_not_change<M: Machine>(machine: M) {
    let store = open(&machine).await;
    store
        .write(put(b"key", b"old"), Durability::Buffered)
        .await
        .expect("a write");
    let snapshot = store.snapshot().await.expect("a snapshot");
    let mut batch = put(b"key", b"new");
    batch.put(ONE, &b"more"[..], &b"x"[..]);
    store.write(batch, Durability::Synced).await.expect("a write");
    assert_eq!(get(&snapshot, ONE, b"key").await.as_deref(), Some(&b"old"[..]));
    assert_eq!(all(&snapshot, ONE).await, [entry(b"key", b"old")]);
    assert_eq!(get(&store, ONE, b"key").await.as_deref(), Some(&b"new"[..]));
    drop(store);
    assert_eq!(all(&snapshot, ONE).await, [entry(b"key", b"old")]);
}

/// While a task writes batches, no scan sees half of one.
pub async fn a_scan_sees_whole_batches<M: Machine>(machine: M) {
    let (env, store) = (machine.env(), open(&machine).await);
    let scope = env.spawner().scope("writer");
    let writer = {
        let store = store.clone();
        scope.spawn("writer", async move {
            for round in 0..200_u32 {
                let mut batch = Batch::default();
                for key in 0..8_u8 {
                    batch.put(ONE, vec![key], round.to_be_bytes().to_vec());
                }
                store.write(batch, Durability::Buffered).await.expect("a write");
            }
        })
    };
    loop {
        let entries = all(&store, ONE).await;
        assert!(
            entries.is_empty() || entries.len() == 8,
            "{} of 8 keys",
            entries.len()
        );
        assert!(
            entries.windows(2).all(|pair| pair[0].1 == pair[1].1),
            "a scan mixes two batches"
        );
        if entries
            .first()
            .is_some_and(|(_, round)| round[..] == 199_u32.to_be_bytes())
        {
            break;
        }
        env::Clock::sleep(env.clock(), std::time::Duration::from_micros(50)).await;
    }
    assert_eq!(soon(&env, "the writer", writer).await, Ok(()));
}

/// Whoever is awaited first, the first call comes first.
pub async fn batches_take_effect_in_the_order_of_their_calls<M: Machine>(machine: M) {
    let store = open(&machine).await;
    for first in [Durability::Buffered, Durability::Synced] {
        for second in [Durability::Buffered, Durability::Synced] {
            let early = store.write(put(b"key", b"early"), first);
            let late = store.write(put(b"key", b"late"), second);
            late.await.expect("a write");
            early.await.expect("a write");
            assert_eq!(get(&store, ONE, b"key").await.as_deref(), Some(&b"late"[..]));
        }
    }
}

/// Dropping the future of a write does not withdraw it.
pub async fn a_write_that_nobody_waits_for_still_happens<M: Machine>(machine: M) {
    let store = open(&machine).await;
    drop(store.write(put(b"key", b"value"), Durability::Buffered));
    store.sync().await.expect("a barrier");
    assert_eq!(get(&store, ONE, b"key").await.as_deref(), Some(&b"value"[..]));
}

/// A batch that is too large is turned away as a whole, and the store goes on.
pub async fn a_batch_over_the_limit_changes_nothing<M: Machine>(machine: M) {
    let store = open(&machine).await;
    let mut batch = put(b"key", b"value");
    batch.put(ONE, &b"large"[..], vec![0; MAX_BATCH]);
    let bytes = batch.size();
    let answer = store.write(batch, Durability::Synced).await;
    assert_eq!(
        answer,
        Err(StorageError::TooLarge {
            bytes,
            limit: MAX_BATCH
        })
    );
    assert_eq!(all(&store, ONE).await, []);
    store
        .write(put(b"key", b"value"), Durability::Synced)
        .await
        .expect("the store goes on");
}

/// Puts 0 to 4 into [`ONE`] with some neighbours of theirs, and gives the map.
async fn fill<S: Store>(store: &S) -> BTreeMap<Bytes, Bytes> {
    let mut model = BTreeMap::new();
    let mut batch = Batch::default();
    batch.delete_range(ONE, KeyRange::ALL);
    let keys: [&[u8]; 9] = [
        b"",
        b"a",
        b"a\0",
        b"a\0\0",
        b"ab",
        b"b",
        b"b\xff",
        b"\xff",
        b"\xff\xff",
    ];
    for (index, key) in (0_u8..).zip(keys) {
        batch.put(ONE, key, vec![index]);
        model.insert(Bytes::from_static(key), Bytes::from(vec![index]));
    }
    batch.put(OTHER, &b"b"[..], &b"not in this family"[..]);
    store.write(batch, Durability::Buffered).await.expect("a write");
    model
}

/// Every pair of bounds over some keys that are there and some that are not.
fn ranges() -> Vec<KeyRange> {
    let keys: [&[u8]; 6] = [b"", b"a", b"a\0", b"aa", b"b", b"\xff"];
    let bounds = || {
        let of = |key: &'static [u8]| {
            let key = Bytes::from_static(key);
            [Bound::Included(key.clone()), Bound::Excluded(key)]
        };
        keys.into_iter().flat_map(of).chain([Bound::Unbounded])
    };
    let mut ranges = Vec::new();
    for start in bounds() {
        ranges.extend(bounds().map(|end| KeyRange {
            start: start.clone(),
            end,
        }));
    }
    ranges.extend([
        KeyRange::prefix(b"a"),
        KeyRange::prefix(b"\xff"),
        KeyRange::prefix(b""),
    ]);
    ranges
}

fn entry(key: &'static [u8], value: &'static [u8]) -> Entry {
    (Bytes::from_static(key), Bytes::from_static(value))
}
