//! What the disk keeps.

use bytes::Bytes;
use env::{Batch, Durability, Store};

use super::{Machine, ONE, OTHER, all, get, open, put};

/// What answered as synced is there after a restart.
pub async fn synced_batches_survive_a_restart<M: Machine>(mut machine: M) {
    let store = open(&machine).await;
    store
        .write(put(b"key", b"value"), Durability::Synced)
        .await
        .expect("a write");
    drop(store);
    machine.restart().await;
    assert_eq!(
        get(&open(&machine).await, ONE, b"key").await.as_deref(),
        Some(&b"value"[..])
    );
}

/// What answered as synced is there after a crash, over many crashes.
pub async fn synced_batches_survive_a_crash<M: Machine>(mut machine: M) {
    for round in 0..10_u8 {
        let store = open(&machine).await;
        let found = all(&store, ONE).await;
        let expected: Vec<_> = (0..round)
            .map(|key| (Bytes::from(vec![key]), Bytes::from(vec![key; 100])))
            .collect();
        assert_eq!(found, expected, "after {round} crashes");
        store
            .write(put(&[round], &[round; 100]), Durability::Synced)
            .await
            .expect("a write");
        machine.crash().await;
    }
}

/// One synced write, or a bare barrier, makes everything before it durable.
pub async fn a_barrier_covers_every_batch_before_it<M: Machine>(mut machine: M) {
    for bare in [false, true] {
        let store = open(&machine).await;
        for key in 0..50 {
            store
                .write(put(&[key, u8::from(bare)], b"value"), Durability::Buffered)
                .await
                .expect("a write");
        }
        if bare {
            store.sync().await.expect("a barrier");
        } else {
            store
                .write(put(b"last", b"value"), Durability::Synced)
                .await
                .expect("a write");
        }
        drop(store);
        machine.crash().await;
    }
    assert_eq!(all(&open(&machine).await, ONE).await.len(), 101);
}

/// Whatever a crash keeps is a state that the store was in, at least as late as the last barrier.
pub async fn a_crash_keeps_a_prefix_of_the_batches<M: Machine>(mut machine: M) {
    let mut at_least = 0;
    let mut next = 0;
    for round in 0..10_u32 {
        let store = open(&machine).await;
        let count = prefix_length(&store).await;
        assert!(
            count >= at_least && count <= next,
            "{count} batches kept of {at_least} to {next}"
        );
        next = count;
        for step in 0..20 + round {
            let synced = step % 7 == 3;
            let durability = if synced {
                Durability::Synced
            } else {
                Durability::Buffered
            };
            let answer = store.write(numbered(next), durability);
            next += 1;
            // Some nobody waits for: their place in the order is taken all the same.
            if step % 5 != 4 || synced {
                answer.await.expect("a write");
            }
            if synced {
                at_least = next;
            }
        }
        machine.crash().await;
    }
}

/// A batch over two families is there in both or in neither.
pub async fn a_crash_keeps_batches_whole<M: Machine>(mut machine: M) {
    for _ in 0..5 {
        let store = open(&machine).await;
        assert_eq!(all(&store, ONE).await, all(&store, OTHER).await, "half a batch");
        for number in 0..30_u8 {
            let mut batch = Batch::default();
            batch.put(ONE, vec![number; 40], vec![number; 4_000]).put(
                OTHER,
                vec![number; 40],
                vec![number; 4_000],
            );
            drop(store.write(batch, Durability::Buffered));
        }
        if let Some(half) = all(&store, ONE).await.len().checked_sub(15) {
            let mut batch = Batch::default();
            batch
                .delete(ONE, vec![half as u8; 40])
                .delete(OTHER, vec![half as u8; 40]);
            store.write(batch, Durability::Buffered).await.expect("a write");
        }
        machine.crash().await;
    }
}

/// Batch `number` puts its own key and overwrites the count.
fn numbered(number: u32) -> Batch {
    let mut batch = Batch::default();
    batch
        .put(ONE, number.to_be_bytes().to_vec(), &b"written"[..])
        .put(OTHER, &b"count"[..], (number + 1).to_be_bytes().to_vec());
    batch
}

/// How many of the numbered batches there are, after checking that they are the first ones.
async fn prefix_length<S: Store>(store: &S) -> u32 {
    let keys = all(store, ONE).await;
    let expected = (0..)
        .map(u32::to_be_bytes)
        .map(|key| Bytes::copy_from_slice(&key));
    assert!(
        keys.iter()
            .map(|(key, _)| key.clone())
            .eq(expected.take(keys.len())),
        "a batch is missing"
    );
    let count = match get(store, OTHER, b"count").await {
        None => 0,
        Some(bytes) => u32::from_be_bytes(bytes[..].try_into().expect("the count has four bytes")),
    };
    assert_eq!(usize::try_from(count), Ok(keys.len()), "half a batch");
    count
}
