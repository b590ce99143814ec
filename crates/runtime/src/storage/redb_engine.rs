//! redb: one file, a copy-on-write tree whose pages carry checksums.
//!
//! redb checks its checksums when it opens a file, not when it reads a page later. So each value carries a checksum
//! over itself, its key and its family, which every read checks.
//!
//! A barrier is a commit of two phases: the pages are on the disk before the byte that points at them changes. So a page
//! that is damaged later is damage, and not a commit that was cut short, which redb would take back. The byte itself has
//! no checksum: [`look_ahead`] finds a commit that it hides.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use env::{Batch, Direction, Entry, Family, KeyRange, Operation};
use redb::backends::FileBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend, Table, TableDefinition};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use super::engine::{Engine, Fault, View};
use crate::config::StoreLimits;

/// A store in one redb file.
#[derive(Debug)]
pub struct Redb(Database);

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Bounds<'a> = (std::ops::Bound<&'a [u8]>, std::ops::Bound<&'a [u8]>);

const CHECKSUM: usize = 8;

fn definition(family: Family) -> Definition {
    TableDefinition::new(family.name())
}

fn checksum(family: Family, key: &[u8], value: &[u8]) -> [u8; CHECKSUM] {
    let family = xxh3_64_with_seed(family.name().as_bytes(), 0);
    xxh3_64_with_seed(value, xxh3_64_with_seed(key, family)).to_le_bytes()
}

fn bounds(range: &KeyRange) -> Bounds<'_> {
    (
        range.start.as_ref().map(|key| &key[..]),
        range.end.as_ref().map(|key| &key[..]),
    )
}

/// Takes the checksum off a stored value.
fn unseal(family: Family, key: &[u8], stored: &[u8]) -> Result<Bytes, Fault> {
    match stored.split_last_chunk::<CHECKSUM>() {
        Some((value, sum)) if *sum == checksum(family, key, value) => Ok(Bytes::copy_from_slice(value)),
        _ => Err(Fault::Corrupt(format!(
            "the checksum of an entry of family `{family}` does not hold"
        ))),
    }
}

impl Engine for Redb {
    type View = RedbView;

    const SUFFIX: &'static str = "redb";

    fn open(path: &Path, families: &[Family], limits: &StoreLimits) -> Result<Self, Fault> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false);
        let file = file.open(path)?;
        look_ahead(&file)?;
        let backend = FileBackend::new(file).map_err(fault)?;
        Self::over(backend, families, limits)
    }

    fn apply(&self, batches: &[Batch], synced: bool) -> Result<(), Fault> {
        let mut transaction = self.0.begin_write().map_err(fault)?;
        transaction.set_two_phase_commit(true);
        let durability = if synced {
            redb::Durability::Immediate
        } else {
            redb::Durability::None
        };
        transaction.set_durability(durability).map_err(fault)?;
        let mut stored = BytesMut::new();
        let mut operations = batches.iter().flat_map(Batch::operations).peekable();
        while let Some(first) = operations.peek() {
            // A table is opened once for each run of changes in its family.
            let family = family_of(first);
            let mut table = transaction.open_table(definition(family)).map_err(fault)?;
            while let Some(operation) = operations.next_if(|operation| family_of(operation) == family) {
                change(&mut table, family, operation, &mut stored)?;
            }
        }
        transaction.commit().map_err(fault)
    }

    fn view(&self) -> Result<RedbView, Fault> {
        self.0.begin_read().map(RedbView).map_err(fault)
    }
}

impl Redb {
    fn over(backend: impl StorageBackend, families: &[Family], limits: &StoreLimits) -> Result<Self, Fault> {
        let mut builder = Database::builder();
        builder
            .set_cache_size(limits.cache_bytes)
            .set_check_integrity_on_open(limits.check_on_open);
        let database = builder.create_with_backend(backend).map_err(fault)?;
        let mut transaction = database.begin_write().map_err(fault)?;
        transaction.set_two_phase_commit(true);
        for family in families {
            transaction.open_table(definition(*family)).map_err(fault)?;
        }
        transaction.commit().map_err(fault)?;
        Ok(Self(database))
    }
}

/// Makes redb look at the newer one of the two commits in the file, when the file points at the older one.
///
/// A crash in the middle of a commit leaves such a file, and so does damage of the byte that points. Without the mark of
/// two phases, redb takes the newer commit if all of its pages hold, and the older one if not: both are right after a
/// crash, and after damage of that one byte the pages hold.
fn look_ahead(mut file: &File) -> Result<(), Fault> {
    // Where these stand in redb's format, which is the same in all files of its third version.
    const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
    const FLAGS: usize = MAGIC.len();
    const SECOND_IS_PRESENT: u8 = 1;
    const TWO_PHASES: u8 = 4;
    const SLOTS: usize = 64;
    const SLOT: usize = 128;
    const NUMBER: usize = 104;
    const SUM: usize = 112;
    // Whoever has the store open may be writing here.
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Fault::Locked),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let mut head = Vec::with_capacity(SLOTS + 2 * SLOT);
    file.take((SLOTS + 2 * SLOT) as u64).read_to_end(&mut head)?;
    if head.len() == SLOTS + 2 * SLOT && head.starts_with(MAGIC) {
        let (first, second) = head[SLOTS..].split_at(SLOT);
        let (present, other) = if head[FLAGS] & SECOND_IS_PRESENT == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let holds = |slot: &[u8]| xxh3_128(&slot[..SUM]).to_le_bytes() == slot[SUM..];
        let number = |slot: &[u8]| u64::from_le_bytes(std::array::from_fn(|n| slot[NUMBER + n]));
        if holds(present) && holds(other) && number(other) > number(present) {
            file.seek(SeekFrom::Start(FLAGS as u64))?;
            file.write_all(&[head[FLAGS] & !TWO_PHASES])?;
            file.sync_data()?;
        }
    }
    Ok(file.unlock()?)
}

fn family_of(operation: &Operation) -> Family {
    let (Operation::Put { family, .. }
    | Operation::Delete { family, .. }
    | Operation::DeleteRange { family, .. }) = operation;
    *family
}

fn change(
    table: &mut Table<'_, &'static [u8], &'static [u8]>,
    family: Family,
    operation: &Operation,
    stored: &mut BytesMut,
) -> Result<(), Fault> {
    match operation {
        Operation::Put { key, value, .. } => {
            stored.clear();
            stored.put_slice(value);
            stored.put_slice(&checksum(family, key, value));
            table.insert(&key[..], &stored[..]).map_err(fault)?;
        }
        Operation::Delete { key, .. } => {
            table.remove(&key[..]).map_err(fault)?;
        }
        Operation::DeleteRange { range, .. } => {
            if !range.is_empty() {
                table
                    .retain_in::<&[u8], _>(bounds(range), |_, _| false)
                    .map_err(fault)?;
            }
        }
    }
    Ok(())
}

/// Reads of one state of a redb file.
pub struct RedbView(ReadTransaction);

impl View for RedbView {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        let table = self.0.open_table(definition(family)).map_err(fault)?;
        let stored = table.get(key).map_err(fault)?;
        stored
            .map(|stored| unseal(family, key, stored.value()))
            .transpose()
    }

    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, Fault> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let table = self.0.open_table(definition(family)).map_err(fault)?;
        let mut found = table.range::<&[u8]>(bounds(range)).map_err(fault)?;
        let mut entries = Vec::new();
        while entries.len() < limit {
            let next = match direction {
                Direction::Forward => found.next(),
                Direction::Reverse => found.next_back(),
            };
            let Some(next) = next else { break };
            let (key, stored) = next.map_err(fault)?;
            let value = unseal(family, key.value(), stored.value())?;
            entries.push((Bytes::copy_from_slice(key.value()), value));
        }
        Ok(entries)
    }
}

/// redb has an error type for each call, and one that holds them all.
fn fault(error: impl Into<redb::Error>) -> Fault {
    match error.into() {
        redb::Error::Io(error) => error.into(),
        redb::Error::DatabaseAlreadyOpen => Fault::Locked,
        error @ (redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_)) => {
            Fault::Io(error.to_string())
        }
        // Whatever else it finds amiss, a table that is not there or not as it was made included, it finds in the file.
        error => Fault::Corrupt(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;
    use std::sync::{Arc, Mutex, MutexGuard};

    use super::*;

    const FAMILY: Family = Family::new("family");

    /// A disk that forgets what was not synced when its power goes.
    #[derive(Clone, Debug, Default)]
    struct Disk(Arc<Mutex<Platter>>);

    #[derive(Debug, Default)]
    struct Platter {
        cached: Vec<u8>,
        durable: Vec<u8>,
        syncs: usize,
    }

    impl Disk {
        fn platter(&self) -> MutexGuard<'_, Platter> {
            self.0.lock().expect("nothing panics under it")
        }

        fn syncs(&self) -> usize {
            self.platter().syncs
        }

        /// What is there when the power comes back.
        fn after_a_power_cut(&self) -> Self {
            let durable = self.platter().durable.clone();
            Self(Arc::new(Mutex::new(Platter {
                cached: durable.clone(),
                durable,
                syncs: 0,
            })))
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> Result<u64, Error> {
            Ok(self.platter().cached.len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
            let offset = offset as usize;
            out.copy_from_slice(&self.platter().cached[offset..offset + out.len()]);
            Ok(())
        }

        fn set_len(&self, length: u64) -> Result<(), Error> {
            self.platter().cached.resize(length as usize, 0);
            Ok(())
        }

        fn sync_data(&self) -> Result<(), Error> {
            let platter = &mut *self.platter();
            platter.durable.clone_from(&platter.cached);
            platter.syncs += 1;
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
            let offset = offset as usize;
            self.platter().cached[offset..offset + data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    fn opened(disk: &Disk) -> Redb {
        Redb::over(disk.clone(), &[FAMILY], &StoreLimits::default()).expect("the store opens")
    }

    fn batch(number: u8) -> Batch {
        let mut batch = Batch::default();
        batch.put(FAMILY, vec![number], vec![number; 300]);
        batch
    }

    fn held(store: &Redb) -> Vec<u8> {
        let view = store.view().expect("the store reads");
        let entries = view.scan(FAMILY, &KeyRange::ALL, Direction::Forward, usize::MAX);
        let entries = entries.expect("the store reads");
        entries.iter().map(|(key, _)| key[0]).collect()
    }

    #[test]
    fn a_barrier_is_on_the_disk_before_it_answers_and_a_buffered_group_does_not_wait_for_it() {
        let disk = Disk::default();
        let store = opened(&disk);
        let mut safe = 0;
        for (number, synced) in (0..).zip([false, true, false, false, true, true, false, true]) {
            let before = disk.syncs();
            store.apply(&[batch(number)], synced).expect("a write");
            assert_eq!(disk.syncs() > before, synced, "batch {number}");
            if synced {
                safe = number + 1;
            }
            let left = held(&opened(&disk.after_a_power_cut()));
            assert_eq!(left, (0..safe).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_group_costs_as_many_syncs_as_one_batch() {
        let disk = Disk::default();
        let store = opened(&disk);
        let syncs_of = |batches: &[Batch]| {
            let before = disk.syncs();
            store.apply(batches, true).expect("a write");
            disk.syncs() - before
        };
        let one = syncs_of(&[batch(0)]);
        let many: Vec<_> = (1..50).map(batch).collect();
        assert_eq!(syncs_of(&many), one);
    }
}
