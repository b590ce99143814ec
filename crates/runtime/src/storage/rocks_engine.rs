//! RocksDB: a log and sorted tables, a column family per family.
//!
//! RocksDB checks the checksum of each block it reads. Its log is read up to the first record that is not whole, and
//! nothing in the log tells a record that a crash cut short, which was never answered, from one that was damaged later.
//! So the number of the last change that a barrier covers stands in a file of its own, and a log that ends before it is
//! corrupt. The list of files has the same weakness, so the families stand there too.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::mem::ManuallyDrop;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use env::{Batch, Direction, Entry, Family, KeyRange, Operation};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, ErrorKind,
    IteratorMode, Options, ReadOptions, Snapshot, WriteBatch, WriteOptions,
};
use xxhash_rust::xxh3::xxh3_64;

use super::engine::{Engine, Fault, View};
use crate::config::StoreLimits;

/// A store in one RocksDB folder.
pub struct Rocks {
    database: Arc<DB>,
    barrier: Barrier,
}

/// The file that says what the store must hold at least, synced behind each barrier.
struct Barrier {
    file: File,
    /// The families that have been made, one to a line.
    families: String,
}

impl Barrier {
    /// The barrier of the store in `folder`, and the number of the last change that it covers.
    fn open(folder: &Path) -> Result<(Self, u64), Fault> {
        std::fs::create_dir_all(folder)?;
        let is_new = !folder.join("CURRENT").exists();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(is_new).truncate(false);
        let mut file = file
            .open(folder.join("BARRIER"))
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Fault::Corrupt("the file of the barrier is gone".into()),
                _ => error.into(),
            })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        match Self::parse(&bytes) {
            Some((number, _)) if is_new && number > 0 => {
                Err(Fault::Corrupt("the file `CURRENT` is gone".into()))
            }
            Some((number, families)) => Ok((Self { file, families }, number)),
            // A crash has left the beginning of a store.
            None if is_new => {
                let families = String::new();
                let barrier = Self { file, families };
                barrier.note(0)?;
                File::open(folder)?.sync_all()?;
                Ok((barrier, 0))
            }
            None => Err(Fault::Corrupt("the checksum of the barrier does not hold".into())),
        }
    }

    /// A checksum, the number, the families.
    fn parse(bytes: &[u8]) -> Option<(u64, String)> {
        let (sum, rest) = bytes.split_first_chunk()?;
        let (number, families) = rest.split_first_chunk()?;
        let families = String::from_utf8(families.to_vec()).ok()?;
        (*sum == xxh3_64(rest).to_le_bytes()).then_some((u64::from_le_bytes(*number), families))
    }

    /// A barrier has been made behind change `number`.
    fn note(&self, number: u64) -> Result<(), Fault> {
        let rest = [&number.to_le_bytes(), self.families.as_bytes()].concat();
        let bytes = [&xxh3_64(&rest).to_le_bytes(), &rest[..]].concat();
        let mut file = &self.file;
        file.rewind()?;
        file.write_all(&bytes)?;
        Ok(file.sync_data()?)
    }
}

impl Engine for Rocks {
    type View = RocksView;

    const SUFFIX: &'static str = "rocksdb";

    fn open(path: &Path, families: &[Family], limits: &StoreLimits) -> Result<Self, Fault> {
        Self::open_with(&options(limits), path, families, limits)
    }

    fn apply(&self, batches: &[Batch], synced: bool) -> Result<(), Fault> {
        let mut group = WriteBatch::default();
        // The largest key that each family has got in this group: an open end of a range lies behind it.
        let mut last: BTreeMap<Family, Bytes> = BTreeMap::new();
        for operation in batches.iter().flat_map(Batch::operations) {
            match operation {
                Operation::Put { family, key, value } => {
                    group.put_cf(self.family(*family)?, key, value);
                    let last = last.entry(*family).or_default();
                    *last = key.max(last).clone();
                }
                Operation::Delete { family, key } => group.delete_cf(self.family(*family)?, key),
                Operation::DeleteRange { range, .. } if range.is_empty() => {}
                Operation::DeleteRange { family, range } => {
                    let handle = self.family(*family)?;
                    let (from, to) = half_open(range);
                    let to = match to {
                        Some(to) => to,
                        None => after(
                            &self
                                .last(*family)?
                                .max(last.get(family).cloned().unwrap_or_default()),
                        ),
                    };
                    if from < to {
                        group.delete_range_cf(handle, from, to);
                    }
                }
            }
        }
        if !group.is_empty() {
            let mut options = WriteOptions::default();
            options.set_sync(synced);
            self.database.write_opt(group, &options).map_err(fault)?;
        } else if synced {
            // There is no record to sync, so what is before it is.
            self.database.flush_wal(true).map_err(fault)?;
        }
        if synced {
            self.barrier.note(self.database.latest_sequence_number())?;
        }
        Ok(())
    }

    fn view(&self) -> Result<RocksView, Fault> {
        let database = Arc::clone(&self.database);
        // SAFETY: the snapshot borrows the database, which lives on the heap and is kept alive by the `Arc` beside it;
        // `RocksView` drops the snapshot first and hands out no reference to it.
        let snapshot = unsafe { std::mem::transmute::<Snapshot<'_>, Snapshot<'static>>(database.snapshot()) };
        Ok(RocksView {
            snapshot: ManuallyDrop::new(snapshot),
            database,
        })
    }
}

impl Rocks {
    fn open_with(
        options: &Options,
        path: &Path,
        families: &[Family],
        limits: &StoreLimits,
    ) -> Result<Self, Fault> {
        let (mut barrier, covered) = Barrier::open(path)?;
        // RocksDB opens only with every family that is there.
        let mut names: Vec<String> = families.iter().map(|family| family.name().to_owned()).collect();
        if path.join("CURRENT").exists() {
            let present = DB::list_cf(options, path).map_err(fault)?;
            // A list of files that is damaged at its end opens as one that was not written further.
            if let Some(lost) = barrier
                .families
                .lines()
                .find(|name| !present.iter().any(|one| one == name))
            {
                return Err(Fault::Corrupt(format!("the family `{lost}` is gone")));
            }
            names.extend(present);
        } else {
            names.push("default".to_owned());
        }
        names.sort_unstable();
        names.dedup();
        let families = names
            .iter()
            .map(|name| ColumnFamilyDescriptor::new(name, options.clone()));
        let database = DB::open_cf_descriptors(options, path, families).map_err(fault)?;
        let found = database.latest_sequence_number();
        if found < covered {
            return Err(Fault::Corrupt(format!(
                "the log ends at change {found}, and a barrier covers {covered}"
            )));
        }
        if limits.check_on_open {
            check(&database)?;
        }
        barrier.families = names.join("\n");
        barrier.note(covered)?;
        Ok(Self {
            database: Arc::new(database),
            barrier,
        })
    }

    fn family(&self, family: Family) -> Result<&rocksdb::ColumnFamily, Fault> {
        handle(&self.database, family)
    }

    /// The largest key of a family.
    fn last(&self, family: Family) -> Result<Bytes, Fault> {
        let mut iterator = self.database.iterator_cf(self.family(family)?, IteratorMode::End);
        let last = iterator.next().transpose().map_err(fault)?;
        Ok(last.map(|(key, _)| Bytes::from(key)).unwrap_or_default())
    }
}

/// Reads every entry once, which checks every block that holds one.
fn check(database: &DB) -> Result<(), Fault> {
    let mut files = database.live_files().map_err(fault)?;
    files.dedup_by(|one, other| one.column_family_name == other.column_family_name);
    for file in files {
        let Some(family) = database.cf_handle(&file.column_family_name) else {
            continue;
        };
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        for entry in database.iterator_cf_opt(family, options, IteratorMode::Start) {
            entry.map_err(fault)?;
        }
    }
    Ok(())
}

fn options(limits: &StoreLimits) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(limits.cache_bytes));
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // A log that the list of files names and that is not there is damage of the list.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_block_based_table_factory(&table);
    options.set_keep_log_file_num(4);
    options.set_max_total_wal_size(256 << 20);
    options
}

fn handle(database: &DB, family: Family) -> Result<&rocksdb::ColumnFamily, Fault> {
    database
        .cf_handle(family.name())
        .ok_or_else(|| Fault::Corrupt(format!("there is no family `{family}`")))
}

/// The first key after `key`.
fn after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

/// The range as its first key and the first key behind it.
fn half_open(range: &KeyRange) -> (Bytes, Option<Bytes>) {
    let from = match &range.start {
        Bound::Included(key) => key.clone(),
        Bound::Excluded(key) => after(key),
        Bound::Unbounded => Bytes::new(),
    };
    let to = match &range.end {
        Bound::Included(key) => Some(after(key)),
        Bound::Excluded(key) => Some(key.clone()),
        Bound::Unbounded => None,
    };
    (from, to)
}

/// Reads of one state of a RocksDB store.
pub struct RocksView {
    snapshot: ManuallyDrop<Snapshot<'static>>,
    database: Arc<DB>,
}

impl Drop for RocksView {
    fn drop(&mut self) {
        // SAFETY: the snapshot is dropped once, here, and not used after; the database it borrows is still alive.
        unsafe { ManuallyDrop::drop(&mut self.snapshot) }
    }
}

impl View for RocksView {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        let value = self
            .snapshot
            .get_cf(handle(&self.database, family)?, key)
            .map_err(fault)?;
        Ok(value.map(Bytes::from))
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
        let (from, to) = half_open(range);
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(&from[..]);
        if let Some(to) = to {
            options.set_iterate_upper_bound(&to[..]);
        }
        let mode = match direction {
            Direction::Forward => IteratorMode::Start,
            Direction::Reverse => IteratorMode::End,
        };
        let found = self
            .snapshot
            .iterator_cf_opt(handle(&self.database, family)?, options, mode);
        let entries = found.take(limit).map(|entry| {
            let (key, value) = entry.map_err(fault)?;
            Ok((key.into(), value.into()))
        });
        entries.collect()
    }
}

/// RocksDB says by kind what happened, and only in words why the system refused.
fn fault(error: rocksdb::Error) -> Fault {
    let detail = error.as_ref().to_owned();
    let is = |words: &[&str]| words.iter().any(|word| detail.contains(word));
    match error.kind() {
        ErrorKind::Corruption => Fault::Corrupt(detail),
        _ if is(&["No space left", "File too large", "quota exceeded"]) => Fault::Full,
        ErrorKind::IOError if is(&["While lock file", "lock hold by current process"]) => Fault::Locked,
        // A file that the store's own list names is not there.
        ErrorKind::IOError if is(&["No such file", "truncated"]) => Fault::Corrupt(detail),
        _ => Fault::Io(detail),
    }
}

#[cfg(test)]
mod tests {
    use rocksdb::statistics::Ticker;
    use tempfile::TempDir;

    use super::*;

    const FAMILY: Family = Family::new("family");

    fn batch(number: u8) -> Batch {
        let mut batch = Batch::default();
        batch.put(FAMILY, vec![number], vec![number; 300]);
        batch
    }

    #[test]
    fn a_group_is_synced_once_if_it_has_to_be_and_the_barrier_is_noted() {
        let folder = TempDir::new().expect("a folder");
        let limits = StoreLimits::default();
        let mut options = options(&limits);
        options.enable_statistics();
        let store = Rocks::open_with(&options, folder.path(), &[FAMILY], &limits).expect("the store opens");
        let noted = || Barrier::open(folder.path()).expect("the barrier reads").1;
        let write = |batches: &[Batch], synced| {
            let before = options.get_ticker_count(Ticker::WalFileSynced);
            store.apply(batches, synced).expect("a write");
            options.get_ticker_count(Ticker::WalFileSynced) - before
        };
        assert_eq!(write(&[batch(0)], false), 0);
        assert_eq!(noted(), 0);
        assert_eq!(write(&[batch(1), batch(2)], true), 1);
        assert_eq!(noted(), 3);
        assert_eq!(write(&[batch(3)], false), 0);
        assert_eq!(noted(), 3);
        assert_eq!(write(&[Batch::default()], true), 1);
        assert_eq!(noted(), 4);
    }
}
