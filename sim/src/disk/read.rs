//! Reads, of the present and of snapshots.

use bytes::Bytes;
use env::storage::{Direction, Entry, Family, KeyRange, StorageError};

use super::event::Digest;
use super::fault::FaultKind;
use super::store::Map;
use super::{Answer, Call, Disk, OperationKind, StoreId, bounds, corrupt, io};
use crate::Draw;

/// A state of a store that later writes do not change. A crash or close of the store ends it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    id: StoreId,
    maps: Vec<Map>,
}

impl Disk {
    /// The value at `key`.
    pub fn get(&mut self, now_ns: u64, id: StoreId, family: Family, key: &[u8]) -> Answer<Option<Bytes>> {
        self.get_in(now_ns, id, None, family, key)
    }

    /// The value at `key` in a snapshot.
    pub fn get_at(
        &mut self,
        now_ns: u64,
        snapshot: &Snapshot,
        family: Family,
        key: &[u8],
    ) -> Answer<Option<Bytes>> {
        self.get_in(now_ns, snapshot.id, Some(snapshot), family, key)
    }

    /// At most `limit` entries of `range`, from its start or from its end.
    pub fn scan(
        &mut self,
        now_ns: u64,
        id: StoreId,
        family: Family,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<Vec<Entry>> {
        self.scan_in(now_ns, id, None, family, range, direction, limit)
    }

    /// As [`scan`](Self::scan), in a snapshot.
    pub fn scan_at(
        &mut self,
        now_ns: u64,
        snapshot: &Snapshot,
        family: Family,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<Vec<Entry>> {
        self.scan_in(
            now_ns,
            snapshot.id,
            Some(snapshot),
            family,
            range,
            direction,
            limit,
        )
    }

    /// The state that reads see now.
    pub fn snapshot(&mut self, now_ns: u64, id: StoreId) -> Answer<Snapshot> {
        let call = Call::new(OperationKind::Snapshot, now_ns, id.store);
        let mut draw = match self.start(now_ns, id) {
            Ok(draw) => draw,
            Err(error) => return call.answer(Err(error), now_ns),
        };
        let maps = self.stores[id.store as usize].maps();
        let ns = self.faults.slowed(self.profile.cached.draw(&mut draw));
        let at = self.answered_at(now_ns.saturating_add(ns));
        call.answer(Ok(Snapshot { id, maps }), at)
    }

    fn get_in(
        &mut self,
        now: u64,
        id: StoreId,
        past: Option<&Snapshot>,
        family: Family,
        key: &[u8],
    ) -> Answer<Option<Bytes>> {
        let mut call = Call::new(OperationKind::Get, now, id.store);
        let (mut draw, shelf) = match self.start_on(now, id, family) {
            Ok(started) => started,
            Err(error) => return call.answer(Err(error), now),
        };
        let mut result = Ok(map(self, id, past, shelf).and_then(|map| map.get(key)).cloned());
        if let Ok(Some(value)) = &result {
            let mut digest = Digest::default();
            digest.add(value);
            (call.bytes, call.digest) = (value.len() as u64, digest.get());
        }
        if !self.sound(id) {
            result = result.and_then(|value| {
                self.refuse_read(id)?;
                if let Some(value) = &value {
                    self.check(id, shelf, &Bytes::copy_from_slice(key), value, &mut draw)?;
                }
                Ok(value)
            });
        }
        let at = self.read_at(now, call.bytes, &mut draw);
        call.answer(result, at)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the scan of env::storage, in a state, at a time"
    )]
    fn scan_in(
        &mut self,
        now: u64,
        id: StoreId,
        past: Option<&Snapshot>,
        family: Family,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<Vec<Entry>> {
        let mut call = Call::new(OperationKind::Scan, now, id.store);
        let (mut draw, shelf) = match self.start_on(now, id, family) {
            Ok(started) => started,
            Err(error) => return call.answer(Err(error), now),
        };
        let entries = match map(self, id, past, shelf) {
            Some(map) if !range.is_empty() => {
                let found = map.range::<_, [u8]>(bounds(range));
                let entry = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
                match direction {
                    Direction::Forward => found.take(limit).map(entry).collect(),
                    Direction::Reverse => found.rev().take(limit).map(entry).collect(),
                }
            }
            _ => Vec::new(),
        };
        (call.digest, call.bytes) = Digest::of_entries(&entries);
        let mut result = Ok(entries);
        if !self.sound(id) {
            result = result.and_then(|entries| {
                self.refuse_read(id)?;
                for (key, value) in &entries {
                    self.check(id, shelf, key, value, &mut draw)?;
                }
                Ok(entries)
            });
        }
        let at = self.read_at(now, call.bytes, &mut draw);
        call.answer(result, at)
    }

    /// Begins an operation on an open store.
    fn start(&mut self, now: u64, id: StoreId) -> Result<Draw, StorageError> {
        self.arrive(now);
        let store = self.opened(id).ok_or(StorageError::Closed)?;
        self.stores[store].advance(now, self.profile.writeback_bytes);
        Ok(self.draw(id.store))
    }

    fn start_on(&mut self, now: u64, id: StoreId, family: Family) -> Result<(Draw, usize), StorageError> {
        let draw = self.start(now, id)?;
        let store = &self.stores[id.store as usize];
        let shelf = store.shelf(family).ok_or_else(|| StorageError::UnknownFamily {
            store: String::from(&*store.name),
            family,
        })?;
        Ok((draw, shelf))
    }

    /// Whether reads need no look at faults.
    fn sound(&self, id: StoreId) -> bool {
        self.faults.none() && !self.stores[id.store as usize].is_marked()
    }

    fn refuse_read(&mut self, id: StoreId) -> Result<(), StorageError> {
        if self.faults.strikes(FaultKind::ReadError) {
            return Err(io(&self.stores[id.store as usize].name, "input/output error"));
        }
        Ok(())
    }

    /// Whether a value that was found is what was written.
    fn check(
        &mut self,
        id: StoreId,
        shelf: usize,
        key: &Bytes,
        value: &Bytes,
        draw: &mut Draw,
    ) -> Result<(), StorageError> {
        let store = &mut self.stores[id.store as usize];
        if draw.chance(self.faults.ppm(FaultKind::FlippedRead)) {
            self.struck = true;
            return Err(corrupt(&store.name, "a block did not match its checksum once"));
        }
        if draw.chance(self.faults.ppm(FaultKind::Rot)) && store.map(shelf).get(key) == Some(value) {
            store.rot(shelf, key);
            self.struck = true;
        }
        if store.is_rotten(shelf, key, value) {
            return Err(corrupt(&store.name, "a block does not match its checksum"));
        }
        Ok(())
    }

    /// When a read of `bytes` issued at `now` is answered.
    fn read_at(&mut self, now: u64, bytes: u64, draw: &mut Draw) -> u64 {
        let done = if draw.chance(self.profile.cached_ppm) {
            now.saturating_add(self.faults.slowed(self.profile.cached.draw(draw)))
        } else {
            let free = self.profile.read.draw(draw);
            let ns = self.faults.slowed(free).saturating_add(self.transfer_ns(bytes));
            let latest = self.latest(now, free, bytes);
            self.device.read(now, ns, latest)
        };
        self.answered_at(done)
    }
}

/// The map of a shelf, now or in a snapshot.
fn map<'a>(disk: &'a Disk, id: StoreId, past: Option<&'a Snapshot>, shelf: usize) -> Option<&'a Map> {
    match past {
        Some(snapshot) => snapshot.maps.get(shelf),
        None => Some(disk.stores[id.store as usize].map(shelf)),
    }
}
