//! Writes: when they are seen, when they are answered, and what becomes of them.

use env::storage::{Batch, Durability, MAX_BATCH, StorageError};

use super::event::Digest;
use super::fault::FaultKind;
use super::store::Trick;
use super::{Answer, Call, Disk, NEVER, OperationKind, StoreId, io};
use crate::Draw;

impl Disk {
    /// Applies a batch. It is handed over by the call: a crash before the answer may keep it or not.
    pub fn write(&mut self, now_ns: u64, id: StoreId, batch: Batch, durability: Durability) -> Answer<()> {
        let kind = match durability {
            Durability::Buffered => OperationKind::Write,
            Durability::Synced => OperationKind::Sync,
        };
        let mut call = Call::new(kind, now_ns, id.store);
        call.bytes = batch.bytes() as u64;
        call.digest = Digest::of_batch(&batch);
        if let Err(error) = self.may_write(now_ns, id, &batch) {
            return call.answer(Err(error), now_ns);
        }
        let mut draw = self.draw(id.store);
        let outcome = self.take(now_ns, id, batch, durability, &mut draw);
        match outcome {
            Ok(at) => call.answer(Ok(()), at),
            Err(error) => {
                let ns = self.faults.slowed(self.profile.buffered.draw(&mut draw));
                let at = self.answered_at(now_ns.saturating_add(ns));
                call.answer(Err(error), at)
            }
        }
    }

    fn may_write(&mut self, now: u64, id: StoreId, batch: &Batch) -> Result<(), StorageError> {
        self.arrive(now);
        let store = self.opened(id).ok_or(StorageError::Closed)?;
        let store = &mut self.stores[store];
        if batch.size() > MAX_BATCH {
            return Err(StorageError::TooLarge {
                bytes: batch.size(),
                limit: MAX_BATCH,
            });
        }
        if let Some(family) = store.unreachable(batch) {
            let store = String::from(&*store.name);
            return Err(StorageError::UnknownFamily { store, family });
        }
        if store.failed.is_some() {
            let store = String::from(&*store.name);
            return Err(StorageError::Failed { store });
        }
        store.advance(now, self.profile.writeback_bytes);
        Ok(())
    }

    /// Takes in a batch that may be written. Answers when it is done.
    fn take(
        &mut self,
        now: u64,
        id: StoreId,
        batch: Batch,
        durability: Durability,
        draw: &mut Draw,
    ) -> Result<u64, StorageError> {
        let batch = if self.faults.none() {
            batch
        } else {
            self.refuse(id, batch, durability, draw)?
        };
        let trick = self.trick(draw);
        self.struck |= !matches!(trick, Trick::None);
        let earliest = now.max(self.stores[id.store as usize].visible_at);
        let done = match durability {
            Durability::Buffered => now.saturating_add(self.faults.slowed(self.profile.buffered.draw(draw))),
            Durability::Synced => {
                let store = &mut self.stores[id.store as usize];
                let bytes = std::mem::take(&mut store.dirty_bytes) + batch.bytes() as u64;
                let free = self.profile.sync.draw(draw);
                let (ns, transfer) = (self.faults.slowed(free), self.transfer_ns(bytes));
                let latest = self.latest(now, free, bytes);
                self.device.sync(now, id.store, ns, transfer, latest)
            }
        };
        let at = self.answered_at(done).max(earliest);
        let lies = durability == Durability::Synced && self.faults.has(FaultKind::LyingSync);
        self.struck |= lies;
        let honest = durability == Durability::Synced && !lies;
        let visible_at = if at == NEVER {
            NEVER
        } else {
            draw.within(earliest, at)
        };
        let store = &mut self.stores[id.store as usize];
        // Also without a batch: nothing overtakes a barrier that hangs.
        store.visible_at = visible_at;
        store.push(batch, visible_at, trick);
        if durability == Durability::Synced {
            store.dirty_bytes = 0;
        }
        if honest {
            store.push_barrier(at);
        }
        Ok(at)
    }

    /// Answers the batch back if no fault refuses it. Otherwise the store has failed.
    fn refuse(
        &mut self,
        id: StoreId,
        batch: Batch,
        durability: Durability,
        draw: &mut Draw,
    ) -> Result<Batch, StorageError> {
        let full = self.bytes() + batch.bytes() as u64 > self.faults.limit_bytes() && !batch.is_empty();
        let store = &mut self.stores[id.store as usize];
        if self.faults.has(FaultKind::ReadOnly) {
            store.failed = Some(store.next());
            return Err(io(&store.name, "read-only file system"));
        }
        if full {
            store.failed = Some(store.next());
            let store = String::from(&*store.name);
            return Err(StorageError::Full { store });
        }
        let write_error = self.faults.strikes(FaultKind::WriteError);
        if write_error || (durability == Durability::Synced && self.faults.strikes(FaultKind::FailedSync)) {
            let kept = if write_error {
                store.next()
            } else {
                store.promised()
            };
            // What was refused may be there nevertheless, and what was not written is a suffix.
            store.push(batch, NEVER, Trick::None);
            store.failed = Some(draw.within(kept, store.next()));
            return Err(io(&store.name, "input/output error"));
        }
        Ok(batch)
    }

    fn trick(&self, draw: &mut Draw) -> Trick {
        if self.faults.none() {
            Trick::None
        } else if draw.chance(self.faults.ppm(FaultKind::Phantom)) {
            Trick::Phantom
        } else if draw.chance(self.faults.ppm(FaultKind::Misdirected)) {
            Trick::Misdirected(draw.clone())
        } else {
            Trick::None
        }
    }
}
