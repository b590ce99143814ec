//! The simulated disk as an [`env::Storage`].

use bytes::Bytes;
use env::storage::{
    Batch, Direction, Durability, Entry, Family, KeyRange, Reader, Storage, StorageError, Store,
};

use crate::disk::{Answer, DiskEvent, NEVER, Snapshot, StoreId};
use crate::handle::NodeHandle;
use crate::time::VirtualTime;
use crate::trace::{Kind, Name, Record};
use crate::world::State;

/// Opens stores on the node's disk.
#[derive(Clone)]
pub struct SimStorage(pub(crate) NodeHandle);

/// An open store. The last handle that is dropped closes it.
#[derive(Clone)]
pub struct SimStore(std::sync::Arc<Opened>);

/// A state that later writes do not change.
pub struct SimSnapshot {
    opened: std::sync::Arc<Opened>,
    snapshot: Snapshot,
}

struct Opened {
    handle: NodeHandle,
    id: StoreId,
}

impl Drop for Opened {
    fn drop(&mut self) {
        let node = self.handle.node();
        self.handle.with(|state| state.nodes[node].disk.close(self.id));
    }
}

impl NodeHandle {
    /// Asks the disk, writes the trace, and waits until the disk answers.
    async fn ask<T>(
        &self,
        question: impl FnOnce(&mut crate::disk::Disk, u64) -> Answer<T>,
    ) -> Result<T, StorageError> {
        let asked = self.submit(question);
        self.answer(asked).await
    }

    fn submit<T>(
        &self,
        question: impl FnOnce(&mut crate::disk::Disk, u64) -> Answer<T>,
    ) -> Option<(Answer<T>, u64)> {
        let node = self.node();
        self.with(|state| {
            let at = state
                .acts_at(node)
                .as_nanos()
                .max(state.nodes[node].disk.now_ns());
            let answer = question(&mut state.nodes[node].disk, at);
            let seq = state.note_disk(Kind::DiskStart, node, &answer.event);
            (answer, seq)
        })
    }

    async fn answer<T>(&self, asked: Option<(Answer<T>, u64)>) -> Result<T, StorageError> {
        let (answer, started) = asked.ok_or(StorageError::Closed)?;
        if answer.at_ns == NEVER {
            return std::future::pending().await;
        }
        self.sleep_until(VirtualTime::from_nanos(answer.at_ns)).await;
        let node = self.node();
        self.with(|state| {
            let mut record = state.record_of(
                Kind::DiskEnd,
                node,
                Name::NONE,
                u64::from(answer.event.store),
                answer.event.bytes,
            );
            record.cause = state.recorder.since(started);
            state.recorder.record(record);
        });
        answer.result
    }
}

impl State {
    fn note_disk(&mut self, kind: Kind, node: usize, event: &DiskEvent) -> u64 {
        let name = self.task_name(event.kind.name());
        let mut record: Record = self.record_of(kind, node, name, u64::from(event.store), event.bytes);
        record.digest = Some(event.digest ^ event.latency_ns ^ (event.outcome as u64) << 56);
        self.recorder.record(record)
    }
}

impl Storage for SimStorage {
    type Store = SimStore;

    async fn open(&self, name: &str, families: &[Family]) -> Result<SimStore, StorageError> {
        let asked = self.0.submit(|disk, now| disk.open(now, name, families));
        // The store is open from here on: who stops waiting for it closes it.
        let asked = asked.map(|(answer, started)| {
            let opened = answer.map(|id| Opened {
                handle: self.0.clone(),
                id,
            });
            (opened, started)
        });
        let opened = self.0.answer(asked).await?;
        Ok(SimStore(std::sync::Arc::new(opened)))
    }
}

impl Reader for SimStore {
    async fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.0
            .handle
            .ask(|disk, now| disk.get(now, self.0.id, family, key))
            .await
    }

    async fn scan(
        &self,
        family: Family,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        self.0
            .handle
            .ask(|disk, now| disk.scan(now, self.0.id, family, &range, direction, limit))
            .await
    }
}

impl Store for SimStore {
    type Snapshot = SimSnapshot;

    fn write(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> impl Future<Output = Result<(), StorageError>> + Send {
        let asked = self
            .0
            .handle
            .submit(|disk, now| disk.write(now, self.0.id, batch, durability));
        self.0.handle.answer(asked)
    }

    async fn snapshot(&self) -> Result<SimSnapshot, StorageError> {
        let snapshot = self
            .0
            .handle
            .ask(|disk, now| disk.snapshot(now, self.0.id))
            .await?;
        Ok(SimSnapshot {
            opened: self.0.clone(),
            snapshot,
        })
    }
}

impl Reader for SimSnapshot {
    async fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.opened
            .handle
            .ask(|disk, now| disk.get_at(now, &self.snapshot, family, key))
            .await
    }

    async fn scan(
        &self,
        family: Family,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        self.opened
            .handle
            .ask(|disk, now| disk.scan_at(now, &self.snapshot, family, &range, direction, limit))
            .await
    }
}
