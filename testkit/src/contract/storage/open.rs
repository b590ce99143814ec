//! What opening and closing mean.

use std::pin::pin;
use std::time::Duration;

use env::{Batch, Clock, Direction, Durability, Env, KeyRange, Reader, Storage, StorageError, Store};

use super::{Machine, ONE, OTHER, all, get, open, put};
use crate::contract::{poll_once, soon};

/// Reads and writes of a family outside the list are refused, and a batch that names one changes nothing.
pub async fn a_family_that_was_not_named_cannot_be_reached<M: Machine>(machine: M) {
    let store = machine
        .env()
        .storage()
        .open("store", &[ONE])
        .await
        .expect("the store opens");
    let unknown = || StorageError::UnknownFamily {
        store: "store".into(),
        family: OTHER,
    };
    assert_eq!(store.get(OTHER, b"key").await, Err(unknown()));
    let scan = store.scan(OTHER, KeyRange::ALL, Direction::Forward, 1);
    assert_eq!(scan.await, Err(unknown()));
    let mut batch = put(b"key", b"value");
    batch.put(OTHER, &b"key"[..], &b"value"[..]);
    assert_eq!(store.write(batch, Durability::Synced).await, Err(unknown()));
    for delete in [true, false] {
        let mut batch = put(b"key", b"value");
        if delete {
            batch.delete(OTHER, &b"key"[..]);
        } else {
            batch.delete_range(OTHER, KeyRange::ALL);
        }
        assert_eq!(store.write(batch, Durability::Buffered).await, Err(unknown()));
    }
    assert_eq!(all(&store, ONE).await, []);
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.get(OTHER, b"key").await, Err(unknown()));
    store
        .write(put(b"key", b"value"), Durability::Synced)
        .await
        .expect("the store goes on");
}

/// Opening with fewer families loses nothing of the others.
pub async fn families_that_are_not_named_are_kept<M: Machine>(machine: M) {
    let store = open(&machine).await;
    let mut batch = Batch::default();
    batch
        .put(ONE, &b"key"[..], &b"1"[..])
        .put(OTHER, &b"key"[..], &b"2"[..]);
    store.write(batch, Durability::Synced).await.expect("a write");
    drop(store);
    let store = machine
        .env()
        .storage()
        .open("store", &[ONE])
        .await
        .expect("the store opens");
    store
        .write(put(b"key", b"3"), Durability::Synced)
        .await
        .expect("a write");
    drop(store);
    let store = open(&machine).await;
    assert_eq!(get(&store, ONE, b"key").await.as_deref(), Some(&b"3"[..]));
    assert_eq!(get(&store, OTHER, b"key").await.as_deref(), Some(&b"2"[..]));
}

/// A second open is turned away for as long as any handle of the first is alive, snapshots aside.
pub async fn a_store_is_open_once<M: Machine>(machine: M) {
    let store = open(&machine).await;
    let clone = store.clone();
    let locked = || {
        Some(StorageError::Locked {
            store: "store".into(),
        })
    };
    assert_eq!(
        machine.env().storage().open("store", &[ONE]).await.err(),
        locked()
    );
    drop(store);
    assert_eq!(
        machine.env().storage().open("store", &[ONE]).await.err(),
        locked()
    );
    drop(clone);
}

/// Dropping the last handle closes the store for good: what was synced is there again, what was answered may be.
pub async fn a_closed_store_can_be_opened_again<M: Machine>(machine: M) {
    for round in 0..10_u8 {
        let store = open(&machine).await;
        let before = all(&store, ONE).await;
        assert_eq!(before.len(), usize::from(round), "a synced batch is gone");
        store
            .write(put(&[round], b"value"), Durability::Synced)
            .await
            .expect("a write");
    }
}

/// Who stops waiting for a store has not got it, and stands in nobody's way for long.
pub async fn an_opening_that_is_dropped_leaves_no_lock<M: Machine>(machine: M) {
    let env = machine.env();
    for _ in 0..10 {
        {
            let mut opening = pin!(env.storage().open("store", &[ONE, OTHER]));
            // Some are open by now and others under way.
            drop(poll_once(&mut opening).await);
        }
        let again = async {
            loop {
                match env.storage().open("store", &[ONE, OTHER]).await {
                    Err(StorageError::Locked { .. }) => env.clock().sleep(Duration::from_millis(1)).await,
                    opened => return opened,
                }
            }
        };
        let store = soon(&env, "a store that nobody has open", again)
            .await
            .expect("the store opens");
        assert_eq!(all(&store, ONE).await, []);
    }
}

/// Names are separate stores.
pub async fn stores_of_one_node_are_separate<M: Machine>(machine: M) {
    let store = open(&machine).await;
    let second = machine
        .env()
        .storage()
        .open("second", &[ONE])
        .await
        .expect("the store opens");
    store
        .write(put(b"key", b"1"), Durability::Synced)
        .await
        .expect("a write");
    assert_eq!(all(&second, ONE).await, []);
    second
        .write(put(b"key", b"2"), Durability::Synced)
        .await
        .expect("a write");
    assert_eq!(get(&store, ONE, b"key").await.as_deref(), Some(&b"1"[..]));
}

/// What belongs to an incarnation ends with it.
pub async fn handles_of_an_ended_incarnation_are_closed<M: Machine>(mut machine: M) {
    let env = machine.env();
    let store = open(&machine).await;
    store
        .write(put(b"key", b"value"), Durability::Synced)
        .await
        .expect("a write");
    machine.restart().await;
    assert_eq!(store.get(ONE, b"key").await, Err(StorageError::Closed));
    let scan = store.scan(ONE, KeyRange::ALL, Direction::Forward, 1);
    assert_eq!(scan.await, Err(StorageError::Closed));
    assert_eq!(
        store.write(put(b"key", b"late"), Durability::Synced).await,
        Err(StorageError::Closed)
    );
    assert_eq!(store.snapshot().await.err(), Some(StorageError::Closed));
    assert_eq!(
        env.storage().open("store", &[ONE]).await.err(),
        Some(StorageError::Closed)
    );
    let store = open(&machine).await;
    assert_eq!(get(&store, ONE, b"key").await.as_deref(), Some(&b"value"[..]));
}
