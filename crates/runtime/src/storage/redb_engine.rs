//! redb: one file, a copy-on-write tree whose pages carry checksums.
//!
//! redb checks its checksums when it opens a file, not when it reads a page later. So each value carries a checksum
//! over itself, its key and its family, which every read checks.

use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use env::{Batch, Direction, Entry, Family, KeyRange, Operation};
use redb::{Database, ReadTransaction, ReadableDatabase, Table, TableDefinition};
use xxhash_rust::xxh3::xxh3_64_with_seed;

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
        let mut builder = Database::builder();
        builder
            .set_cache_size(limits.cache_bytes)
            .set_check_integrity_on_open(limits.check_on_open);
        let database = builder.create(path).map_err(fault)?;
        let transaction = database.begin_write().map_err(fault)?;
        for family in families {
            transaction.open_table(definition(*family)).map_err(fault)?;
        }
        transaction.commit().map_err(fault)?;
        Ok(Self(database))
    }

    fn apply(&self, batches: &[Batch], synced: bool) -> Result<(), Fault> {
        let mut transaction = self.0.begin_write().map_err(fault)?;
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
