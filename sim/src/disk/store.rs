//! One store: what reads see, and how to take back what the disk does not have yet.
//!
//! Batches are numbered by the order of their calls and lie in three stretches: those that are durable, those that
//! reads see and a crash may take back (`applied`, each with what it replaced), and those that reads do not see yet
//! (`queue`). So a write touches one map once, a barrier forgets what was replaced, and a crash puts it back.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use env::storage::{Batch, Family, KeyRange, Operation};
use imbl::OrdMap;

use super::bounds;
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

    /// Takes in a batch that reads see from `visible_at` on.
    pub(super) fn push(&mut self, batch: Batch, visible_at: u64, trick: Trick) {
        if batch.is_empty() {
            return;
        }
        self.queued_bytes += batch.bytes() as u64;
        self.dirty_bytes += batch.bytes() as u64;
        self.queue.push_back(Queued {
            batch,
            visible_at,
            trick,
        });
    }

    /// Makes every batch so far durable at `at`.
    pub(super) fn push_barrier(&mut self, at: u64) {
        let next = self.next();
        if let Some((last_at, last)) = self.barriers.back() {
            assert!(
                *last_at <= at,
                "barriers are answered in the order of their calls"
            );
            if *last == next {
                return;
            }
        }
        self.barriers.push_back((at, next));
    }

    /// Does what was due by `now`.
    pub(super) fn advance(&mut self, now: u64, writeback_bytes: u64) {
        while self.queue.front().is_some_and(|queued| queued.visible_at <= now) {
            self.apply_next();
        }
        while let Some((at, below)) = self.barriers.front() {
            if *at > now {
                break;
            }
            let below = *below;
            self.barriers.pop_front();
            self.settle(below);
        }
        while self.log_bytes > writeback_bytes && !self.applied.is_empty() {
            self.settle(self.durable + 1);
        }
    }

    /// Makes what reads see below a batch durable.
    fn settle(&mut self, below: u64) {
        while self.durable < below {
            let applied = self
                .applied
                .pop_front()
                .expect("a batch is visible before its barrier answers");
            self.replaced.drain(..applied.replaced);
            self.log_bytes -= applied.bytes;
            self.durable += 1;
        }
    }

    /// Leaves exactly the batches below `below`, and nothing on its way.
    pub(super) fn truncate(&mut self, below: u64) {
        assert!(
            (self.durable..=self.next()).contains(&below),
            "what is durable stays, and nothing comes from nowhere"
        );
        while self.durable + (self.applied.len() as u64) < below {
            self.apply_next();
        }
        self.queue.clear();
        self.queued_bytes = 0;
        while self.durable + self.applied.len() as u64 > below {
            let applied = self
                .applied
                .pop_back()
                .expect("there are more batches than are kept");
            self.log_bytes -= applied.bytes;
            for _ in 0..applied.replaced {
                let replaced = self.replaced.pop_back().expect("a batch counts what it replaced");
                self.restore(replaced);
            }
        }
        self.barriers.retain(|(_, promised)| *promised <= below);
    }

    /// What power loss does: batches below `below` are left, and what phantoms hid comes to light. Answers at how
    /// many keys.
    pub(super) fn lose_power(&mut self, below: u64) -> u64 {
        self.truncate(below);
        self.settle(below);
        self.barriers.clear();
        self.visible_at = 0;
        self.dirty_bytes = 0;
        self.opening = None;
        self.failed = None;
        let mut forgotten = 0;
        for ((shelf, key), mark) in std::mem::take(&mut self.marks) {
            match mark {
                Mark::Rotten => {
                    self.marks.insert((shelf, key), mark);
                }
                Mark::Phantom(value) => {
                    self.set(shelf, key, value);
                    forgotten += 1;
                }
            }
        }
        forgotten
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

    fn apply_next(&mut self) {
        let Queued { batch, trick, .. } = self.queue.pop_front().expect("a batch is on its way");
        self.queued_bytes -= batch.bytes() as u64;
        let before = self.replaced.len();
        let mut bytes = batch.bytes() as u64;
        let phantom = matches!(trick, Trick::Phantom);
        let mut put = None;
        for operation in batch.into_operations() {
            let family = family_of(&operation);
            let place = self
                .place(family)
                .expect("the families of a batch were looked up when it came");
            let shelf = self.by_family[place];
            match operation {
                Operation::Put { key, value, .. } => {
                    if matches!(trick, Trick::Misdirected(_)) {
                        put = Some((shelf, key.clone()));
                    }
                    bytes += self.replace(shelf, key, Some(value), phantom);
                }
                Operation::Delete { key, .. } => bytes += self.replace(shelf, key, None, phantom),
                Operation::DeleteRange { range, .. } => {
                    for key in self.keys(shelf, &range) {
                        bytes += self.replace(shelf, key, None, phantom);
                    }
                }
            }
        }
        if let (Trick::Misdirected(draw), Some((shelf, key))) = (trick, put) {
            self.misdirect(shelf, key, draw);
        }
        self.log_bytes += bytes;
        self.applied.push_back(Applied {
            replaced: self.replaced.len() - before,
            bytes,
        });
    }

    /// The keys of `range` that a delete would change.
    fn keys(&self, shelf: usize, range: &KeyRange) -> Vec<Bytes> {
        if range.is_empty() {
            return Vec::new();
        }
        let found = self.map(shelf).range::<_, [u8]>(bounds(range));
        let mut keys: Vec<Bytes> = found.map(|(key, _)| key.clone()).collect();
        // A key that a phantom deleted is on the medium still.
        keys.extend(
            self.marks
                .keys()
                .filter(|(marked, key)| *marked == shelf && range.contains(key))
                .filter(|(_, key)| !self.shelves[shelf].map.contains_key(key))
                .map(|(_, key)| key.clone()),
        );
        keys
    }

    /// Sets a key and remembers what was there. Answers how many bytes that holds.
    fn replace(&mut self, shelf: usize, key: Bytes, value: Option<Bytes>, phantom: bool) -> u64 {
        let old = self.set(shelf, key.clone(), value);
        let held = (key.len() + old.as_ref().map_or(0, Bytes::len)) as u64;
        let mut mark = None;
        if phantom || !self.marks.is_empty() {
            let place = (shelf, key.clone());
            mark = self.marks.remove(&place);
            if phantom {
                let on_medium = match &mark {
                    Some(Mark::Phantom(value)) => value.clone(),
                    _ => old.clone(),
                };
                self.marks.insert(place, Mark::Phantom(on_medium));
            }
        }
        self.replaced.push_back(Replaced {
            shelf,
            key,
            value: old,
            mark: mark.map(Box::new),
        });
        held
    }

    fn restore(&mut self, replaced: Replaced) {
        let Replaced {
            shelf,
            key,
            value,
            mark,
        } = replaced;
        match mark {
            Some(mark) => {
                self.marks.insert((shelf, key.clone()), *mark);
            }
            None if self.marks.is_empty() => {}
            None => {
                self.marks.remove(&(shelf, key.clone()));
            }
        }
        self.set(shelf, key, value);
    }

    /// Sets a key, and answers what was there.
    fn set(&mut self, shelf: usize, key: Bytes, value: Option<Bytes>) -> Option<Bytes> {
        let key_bytes = key.len() as u64;
        let map = &mut self.shelves[shelf].map;
        let old = match value {
            Some(value) => {
                self.live_bytes += key_bytes + value.len() as u64;
                map.insert(key, value)
            }
            None => map.remove(&key[..]),
        };
        if let Some(old) = &old {
            self.live_bytes -= key_bytes + old.len() as u64;
        }
        old
    }

    /// The value just put at `key` went over another one: neither is where it should be.
    fn misdirect(&mut self, shelf: usize, key: Bytes, mut draw: Draw) {
        let start = usize::try_from(draw.below(self.shelves.len() as u64)).expect("an index fits");
        let probe = draw.bits().to_be_bytes();
        let victim = (0..self.shelves.len()).find_map(|step| {
            let other = (start + step) % self.shelves.len();
            let map = &self.shelves[other].map;
            let from =
                map.range::<_, [u8]>((std::ops::Bound::Included(&probe[..]), std::ops::Bound::Unbounded));
            from.map(|(found, _)| found)
                .find(|found| other != shelf || **found != key)
                .or_else(|| map.keys().find(|found| other != shelf || **found != key))
                .map(|found| (other, found.clone()))
        });
        for (shelf, key) in victim.into_iter().chain([(shelf, key)]) {
            if let Some(value) = self.map(shelf).get(&key[..]).cloned() {
                self.replace(shelf, key.clone(), Some(value), false);
                self.marks.insert((shelf, key), Mark::Rotten);
            }
        }
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

    /// What an open finds after a failed write, without a crash.
    pub(super) fn reopen(&mut self) {
        if let Some(below) = self.failed.take() {
            self.truncate(below.clamp(self.durable, self.next()));
        }
        self.opening = None;
    }
}

fn family_of(operation: &Operation) -> Family {
    match operation {
        Operation::Put { family, .. }
        | Operation::Delete { family, .. }
        | Operation::DeleteRange { family, .. } => *family,
    }
}
