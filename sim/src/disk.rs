//! A simulated disk: pure, synchronous, without a clock. Who calls it says what time it is, in order, and delivers
//! each answer at the time that the answer names.
//!
//! Not here: futures and dropped handles (the world wraps this into `env::Storage`), and files: a disk holds stores.
//!
//! Invariants:
//! - An operation takes effect when it is called and is answered later. What a crash at some time leaves follows from
//!   the times of the answers: a batch is safe from the moment at which a barrier behind it was answered.
//! - A batch becomes visible at a drawn time between its call and its answer, never before the batches before it.
//! - The same calls give the same answers. Every operation draws by (disk, store, number of the operation).
//! - All of a disk is in its [`Disk`]: two nodes swap disks by `std::mem::swap`, after both have crashed.
//!
//! In reading order: [`profile`], [`fault`], `device` (lanes and group commit), `store` (versions and the log),
//! `write`, `read`, [`crash`], [`event`].

pub mod crash;
mod device;
pub mod event;
pub mod fault;
pub mod profile;
mod read;
mod store;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::ops::Bound;

use env::storage::{Family, KeyRange, StorageError};

use crate::{Domain, Draw, Seed};

pub use crash::{CrashReport, StoreLoss, Survivors};
pub use device::NEVER;
pub use event::{DiskEvent, OperationKind, Outcome};
pub use fault::{DiskFault, FaultKind, Harm, Repeat, Tear};
pub use profile::{Latency, Profile, Recovery};
pub use read::Snapshot;

use device::{Device, transfer_ns};
use event::Digest;
use fault::{Faults, MOST_SLOWER_NS};
use store::Store;

/// The disk of one node. It outlives the node's crashes.
#[derive(Clone, Debug)]
pub struct Disk {
    seed: Seed,
    number: u64,
    profile: Profile,
    faults: Faults,
    device: Device,
    stores: Vec<Store>,
    by_name: BTreeMap<Box<str>, u32>,
    /// The latest time that was told.
    now: u64,
    /// Whether a fault that does damage has struck.
    struck: bool,
}

/// An opening of a store. It is worth nothing after the store was closed or the node crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreId {
    disk: u64,
    store: u32,
    opening: u64,
}

/// What an operation answers, and when.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// What.
    pub result: Result<T, StorageError>,
    /// When; [`NEVER`] if the caller waits in vain. If the node crashes first, nothing is answered.
    pub at_ns: u64,
    /// For the trace.
    pub event: DiskEvent,
}

impl<T> Answer<T> {
    /// The same answer about something else.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer {
            result: self.result.map(change),
            at_ns: self.at_ns,
            event: self.event,
        }
    }
}

/// One operation on its way through the disk.
struct Call {
    kind: OperationKind,
    now: u64,
    store: u32,
    bytes: u64,
    digest: u64,
}

impl Call {
    fn new(kind: OperationKind, now: u64, store: u32) -> Self {
        Self {
            kind,
            now,
            store,
            bytes: 0,
            digest: 0,
        }
    }

    fn answer<T>(self, result: Result<T, StorageError>, at_ns: u64) -> Answer<T> {
        let event = DiskEvent {
            kind: self.kind,
            outcome: Outcome::of(&result),
            store: self.store,
            bytes: self.bytes,
            digest: self.digest,
            latency_ns: if at_ns == NEVER { NEVER } else { at_ns - self.now },
        };
        Answer { result, at_ns, event }
    }
}

impl Disk {
    /// An empty disk. `number` tells disks of one run apart: the node that has it first.
    pub fn new(seed: Seed, number: u64, profile: Profile) -> Self {
        Self {
            seed,
            number,
            profile,
            faults: Faults::default(),
            device: Device::default(),
            stores: Vec::new(),
            by_name: BTreeMap::new(),
            now: 0,
            struck: false,
        }
    }

    /// Opens or creates a store. The families of earlier openings are kept.
    pub fn open(&mut self, now_ns: u64, name: &str, families: &[Family]) -> Answer<StoreId> {
        self.arrive(now_ns);
        let store = self.find_or_create(name);
        let mut call = Call::new(OperationKind::Open, now_ns, store);
        call.digest = {
            let mut digest = Digest::default();
            digest.add(name.as_bytes());
            families
                .iter()
                .for_each(|family| digest.add(family.name().as_bytes()));
            digest.get()
        };
        let mut draw = self.draw(store);
        let log_bytes = self.stores[store as usize].log_bytes();
        let ns = self
            .profile
            .open
            .draw(&mut draw)
            .saturating_add(self.transfer_ns(log_bytes));
        let at = self.answered_at(now_ns.saturating_add(self.faults.slowed(ns)));
        if let Err(error) = self.may_open(store) {
            return call.answer(Err(error), at);
        }
        let (writeback, opened) = (self.profile.writeback_bytes, &mut self.stores[store as usize]);
        opened.advance(now_ns, writeback);
        opened.reopen();
        opened.reach(families);
        opened.openings += 1;
        opened.opening = Some(opened.openings);
        let id = StoreId {
            disk: self.number,
            store,
            opening: opened.openings,
        };
        let at = at.max(opened.visible_at);
        call.answer(Ok(id), at)
    }

    fn may_open(&mut self, store: u32) -> Result<(), StorageError> {
        let opened = &self.stores[store as usize];
        let name = || String::from(&*opened.name);
        if opened.opening.is_some() {
            return Err(StorageError::Locked { store: name() });
        }
        let is_corrupt = self.faults.has(FaultKind::CorruptOpen);
        let damage = is_corrupt.then_some("the manifest does not match its checksum");
        if let Some(damage) = damage.or(opened.damage) {
            let error = corrupt(&opened.name, damage);
            self.struck |= is_corrupt;
            return Err(error);
        }
        if self.faults.has(FaultKind::ReadOnly) {
            return Err(io(&opened.name, "read-only file system"));
        }
        if self.bytes() >= self.faults.limit_bytes() {
            return Err(StorageError::Full { store: name() });
        }
        if self.faults.strikes(FaultKind::ReadError) {
            return Err(io(&self.stores[store as usize].name, "input/output error"));
        }
        Ok(())
    }

    /// Closes a store without a barrier. Batches that were handed over are still written. A store that is not open
    /// by this handle is left alone.
    pub fn close(&mut self, id: StoreId) {
        if let Some(store) = self.opened(id) {
            self.stores[store].opening = None;
        }
    }

    /// Lets something be wrong from now on, in place of an earlier fault of its kind.
    pub fn apply(&mut self, fault: DiskFault) {
        if fault == DiskFault::Wipe {
            self.strike();
            self.stores.iter_mut().for_each(Store::wipe);
        } else {
            self.faults.set(fault);
        }
    }

    /// The most that a fault of this kind takes from this disk.
    pub fn harm(&self, kind: FaultKind) -> Harm {
        match (kind, self.profile.recovery) {
            // Only what was not safe is torn off.
            (FaultKind::TornTail, Recovery::PointInTime) => Harm::Delay,
            _ => kind.harm(),
        }
    }

    /// Whether anything has happened to this disk that may have taken what was durable, or will at the next crash.
    /// Once so, it stays so.
    pub fn is_struck(&self) -> bool {
        self.struck
    }

    /// Something has.
    pub(crate) fn strike(&mut self) {
        self.struck = true;
    }

    /// Ends the fault of this kind. False if there is none. What it did is not undone.
    pub fn clear(&mut self, kind: FaultKind) -> bool {
        self.faults.clear(kind)
    }

    /// What is wrong, in the order of the kinds.
    pub fn faults(&self) -> impl Iterator<Item = &DiskFault> {
        self.faults.iter()
    }

    /// Bytes of keys and values stored, with those on their way.
    pub fn bytes(&self) -> u64 {
        self.stores.iter().map(Store::bytes).sum()
    }

    /// Bytes held only to be able to take batches back: bounded per store by the profile's `writeback_bytes`, one
    /// batch, and what is on its way.
    pub fn log_bytes(&self) -> u64 {
        self.stores.iter().map(Store::log_bytes).sum()
    }

    /// The latest time that was told: a later call must not be earlier. A node's clock runs a little ahead of the
    /// world's while its processor is busy, so the world asks.
    pub fn now_ns(&self) -> u64 {
        self.now
    }

    /// Time is told in order.
    fn arrive(&mut self, now: u64) {
        assert!(self.now <= now, "a disk is used in the order of time");
        self.now = now;
    }

    fn find_or_create(&mut self, name: &str) -> u32 {
        if let Some(store) = self.by_name.get(name) {
            return *store;
        }
        let store = u32::try_from(self.stores.len()).expect("a disk has few stores");
        self.stores.push(Store::new(name));
        self.by_name.insert(name.into(), store);
        store
    }

    /// Where the store is, if it is open by this handle.
    fn opened(&self, id: StoreId) -> Option<usize> {
        let store = self.stores.get(id.store as usize)?;
        (id.disk == self.number && store.opening == Some(id.opening)).then_some(id.store as usize)
    }

    /// What the next operation of a store draws from.
    fn draw(&mut self, store: u32) -> Draw {
        let operations = &mut self.stores[store as usize].operations;
        *operations += 1;
        self.seed
            .draw(Domain::Disk, self.number, u64::from(store), *operations)
    }

    fn transfer_ns(&self, bytes: u64) -> u64 {
        if bytes == 0 {
            return 0;
        }
        transfer_ns(bytes, self.faults.bandwidth(self.profile.bytes_per_second))
    }

    /// When what is issued at `now` is done at the latest, if it takes `ns` and its bytes without any fault.
    fn latest(&self, now: u64, ns: u64, bytes: u64) -> u64 {
        if self.faults.none() {
            return NEVER;
        }
        let free = ns.saturating_add(transfer_ns(bytes, self.profile.bytes_per_second));
        now.saturating_add(free).saturating_add(MOST_SLOWER_NS)
    }

    /// When what is done at `at` is answered.
    fn answered_at(&mut self, at: u64) -> u64 {
        if self.faults.none() {
            return at;
        }
        if self.faults.has(FaultKind::Hang) {
            return NEVER;
        }
        let until = self.faults.stalled_until();
        self.device.hold(until);
        at.max(until)
    }
}

fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (
        range.start.as_ref().map(|key| &key[..]),
        range.end.as_ref().map(|key| &key[..]),
    )
}

fn corrupt(store: &str, detail: &str) -> StorageError {
    StorageError::Corrupt {
        store: store.into(),
        detail: detail.into(),
    }
}

fn io(store: &str, detail: &str) -> StorageError {
    StorageError::Io {
        store: store.into(),
        detail: detail.into(),
    }
}
