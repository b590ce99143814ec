//! One store: what reads see, and how to take back what the disk does not have yet.
//!
//! Batches are numbered by the order of their calls and lie in three stretches: those that are durable, those that
//! reads see and a crash may take back (`applied`, each with what it replaced), and those that reads do not see yet
//! (`queue`). So a write touches one map once, a barrier forgets what was replaced, and a crash puts it back.

mod log;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use env::storage::{Batch, Family, Operation};
use imbl::OrdMap;

use crate::Draw;

pub(super) type Map = OrdMap<Bytes, Bytes>;

/// One store of a disk. It outlives its openings.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) name: Box<str>,
    shelves: Vec<Shelf>,
    /// Positions in `shelves`, in the order of their families.
    by_family: Vec<usize>,
    /// Which opening is the present one.
    pub(super) opening: Option<u64>,
    pub(super) openings: u64,
    /// Operations so far, each of which draws by its number.
    pub(super) operations: u64,
    pub(super) crashes: u64,
    /// Set by the first failed write: only batches below this number are found by the next open.
    pub(super) failed: Option<u64>,
    /// Why the store cannot be opened.
    pub(super) damage: Option<&'static str>,
    /// Keys that are not what the map says. Empty unless the disk has had a fault.
    marks: BTreeMap<(usize, Bytes), Mark>,
    durable: u64,
    applied: VecDeque<Applied>,
    replaced: VecDeque<Replaced>,
    queue: VecDeque<Queued>,
    /// (answered at, batches below this are durable then), ascending in both.
    barriers: VecDeque<(u64, u64)>,
    /// When reads see every batch, but for the one that failed.
    pub(super) visible_at: u64,
    live_bytes: u64,
    queued_bytes: u64,
    /// Bytes held by `applied` and `replaced`.
    log_bytes: u64,
    /// Bytes that the next barrier transfers.
    pub(super) dirty_bytes: u64,
}

/// A family.
#[derive(Clone, Debug)]
struct Shelf {
    family: Family,
    map: Map,
    /// Whether it was named when the store was opened.
    reachable: bool,
}

#[derive(Clone, Debug)]
struct Applied {
    replaced: usize,
    bytes: u64,
}

/// What was at a key before a batch.
#[derive(Clone, Debug)]
struct Replaced {
    shelf: usize,
    key: Bytes,
    value: Option<Bytes>,
    mark: Option<Box<Mark>>,
}

#[derive(Clone, Debug)]
struct Queued {
    batch: Batch,
    visible_at: u64,
    trick: Trick,
}

/// In what way a key is not what the map says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// What lies there is not what was written.
    Rotten,
    /// The medium has this instead, and a crash will show it.
    Phantom(Option<Bytes>),
}

/// What the device does with a batch.
#[derive(Clone, Debug)]
pub(super) enum Trick {
    /// Writes it.
    None,
    /// Leaves it in its cache.
    Phantom,
    /// Writes one of its values over another one.
    Misdirected(Draw),
}

impl Store {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            shelves: Vec::new(),
            by_family: Vec::new(),
            opening: None,
            openings: 0,
            operations: 0,
            crashes: 0,
            failed: None,
            damage: None,
            marks: BTreeMap::new(),
            durable: 0,
            applied: VecDeque::new(),
            replaced: VecDeque::new(),
            queue: VecDeque::new(),
            barriers: VecDeque::new(),
            visible_at: 0,
            live_bytes: 0,
            queued_bytes: 0,
            log_bytes: 0,
            dirty_bytes: 0,
        }
    }

    /// Makes exactly `families` reachable.
    pub(super) fn reach(&mut self, families: &[Family]) {
        for shelf in &mut self.shelves {
            shelf.reachable = false;
        }
        for family in families {
            let place = match self.place(*family) {
                Ok(place) => self.by_family[place],
                Err(place) => {
                    self.by_family.insert(place, self.shelves.len());
                    self.shelves.push(Shelf {
                        family: *family,
                        map: Map::new(),
                        reachable: false,
                    });
                    self.shelves.len() - 1
                }
            };
            self.shelves[place].reachable = true;
        }
    }

    fn place(&self, family: Family) -> Result<usize, usize> {
        self.by_family
            .binary_search_by(|shelf| self.shelves[*shelf].family.cmp(&family))
    }

    /// The shelf of a family that can be reached.
    pub(super) fn shelf(&self, family: Family) -> Option<usize> {
        let shelf = self.by_family[self.place(family).ok()?];
        self.shelves[shelf].reachable.then_some(shelf)
    }

    /// The first family that `batch` names and that cannot be reached.
    pub(super) fn unreachable(&self, batch: &Batch) -> Option<Family> {
        let mut known = None;
        for operation in batch.operations() {
            let family = family_of(operation);
            if known != Some(family) {
                if self.shelf(family).is_none() {
                    return Some(family);
                }
                known = Some(family);
            }
        }
        None
    }

    pub(super) fn map(&self, shelf: usize) -> &Map {
        &self.shelves[shelf].map
    }

    /// A copy of every map, by shelf. It shares their nodes.
    pub(super) fn maps(&self) -> Vec<Map> {
        self.shelves.iter().map(|shelf| shelf.map.clone()).collect()
    }

    /// The number that the next batch gets.
    pub(super) fn next(&self) -> u64 {
        self.durable + (self.applied.len() + self.queue.len()) as u64
    }

    /// Batches that a crash may take back.
    pub(super) fn unsynced(&self) -> u64 {
        self.next() - self.durable
    }

    /// Batches below this number will be durable, by barriers that have been issued.
    pub(super) fn promised(&self) -> u64 {
        self.barriers
            .back()
            .map_or(self.durable, |(_, below)| self.durable.max(*below))
    }

    /// Bytes of keys and values that are stored or on their way.
    pub(super) fn bytes(&self) -> u64 {
        self.live_bytes + self.queued_bytes
    }

    pub(super) fn log_bytes(&self) -> u64 {
        self.log_bytes + self.queued_bytes
    }

    /// Removes everything but the counters.
    pub(super) fn wipe(&mut self) {
        *self = Self {
            openings: self.openings,
            operations: self.operations,
            crashes: self.crashes,
            ..Self::new(&self.name)
        };
    }

    pub(super) fn is_marked(&self) -> bool {
        !self.marks.is_empty()
    }

    pub(super) fn rot(&mut self, shelf: usize, key: &Bytes) {
        self.marks.insert((shelf, key.clone()), Mark::Rotten);
    }

    /// Whether `value`, seen at `key` now or in a snapshot, lies on a rotten place.
    pub(super) fn is_rotten(&self, shelf: usize, key: &[u8], value: &Bytes) -> bool {
        if self.marks.is_empty() {
            return false;
        }
        self.marks.get(&(shelf, Bytes::copy_from_slice(key))) == Some(&Mark::Rotten)
            && self.map(shelf).get(key) == Some(value)
    }
}

fn family_of(operation: &Operation) -> Family {
    match operation {
        Operation::Put { family, .. }
        | Operation::Delete { family, .. }
        | Operation::DeleteRange { family, .. } => *family,
    }
}
