//! RocksDB: a log and sorted tables, a column family per family.
//!
//! RocksDB checks the checksum of each block it reads. Its log is read with tolerance for an incomplete tail only: a
//! record that a crash cut short was never answered, and damage anywhere else is reported.

use std::collections::BTreeMap;
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

use super::engine::{Engine, Fault, View};
use crate::config::StoreLimits;

/// A store in one RocksDB folder.
pub struct Rocks(Arc<DB>);

impl Engine for Rocks {
    type View = RocksView;

    const SUFFIX: &'static str = "rocksdb";

    fn open(path: &Path, families: &[Family], limits: &StoreLimits) -> Result<Self, Fault> {
        let options = options(limits);
        // RocksDB opens only with every family that is there.
        let mut names: Vec<String> = families.iter().map(|family| family.name().to_owned()).collect();
        if path.join("CURRENT").exists() {
            names.extend(DB::list_cf(&options, path).map_err(fault)?);
        } else {
            names.push("default".to_owned());
        }
        names.sort_unstable();
        names.dedup();
        let families = names
            .into_iter()
            .map(|name| ColumnFamilyDescriptor::new(name, options.clone()));
        let database = DB::open_cf_descriptors(&options, path, families).map_err(fault)?;
        if limits.check_on_open {
            check(&database)?;
        }
        Ok(Self(Arc::new(database)))
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
        let mut options = WriteOptions::default();
        options.set_sync(synced);
        let bare = group.is_empty();
        self.0.write_opt(group, &options).map_err(fault)?;
        // A group without changes writes no record, so it needs a barrier of its own.
        if synced && bare {
            self.0.flush_wal(true).map_err(fault)
        } else {
            Ok(())
        }
    }

    fn view(&self) -> Result<RocksView, Fault> {
        let database = Arc::clone(&self.0);
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
    fn family(&self, family: Family) -> Result<&rocksdb::ColumnFamily, Fault> {
        handle(&self.0, family)
    }

    /// The largest key of a family.
    fn last(&self, family: Family) -> Result<Bytes, Fault> {
        let mut iterator = self.0.iterator_cf(self.family(family)?, IteratorMode::End);
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
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
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
