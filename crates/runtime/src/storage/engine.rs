//! What an embedded engine does for a store.

use std::path::Path;

use bytes::Bytes;
use env::{Batch, Direction, Entry, Family, KeyRange, StorageError};

use crate::config::StoreLimits;

/// An engine with one open store. Its methods block. A panic of an engine is taken for damage of its files.
pub trait Engine: Sized + Send + Sync + 'static {
    /// Reads of one state, which keep it readable.
    type View: View;

    /// What the name of a store's file or folder ends with.
    const SUFFIX: &'static str;

    /// Opens or creates the store at `path` with at least these families.
    ///
    /// # Errors
    /// [`Fault`].
    fn open(path: &Path, families: &[Family], limits: &StoreLimits) -> Result<Self, Fault>;

    /// Applies the batches in order, all or none of them, and makes them visible; `synced`: and durable, with all
    /// before. Called by one thread at a time.
    ///
    /// # Errors
    /// [`Fault`].
    fn apply(&self, batches: &[Batch], synced: bool) -> Result<(), Fault>;

    /// The present state.
    ///
    /// # Errors
    /// [`Fault`].
    fn view(&self) -> Result<Self::View, Fault>;
}

/// Reads of one state.
pub trait View: Send + Sync + 'static {
    /// The value at `key` of a family that the store was opened with.
    ///
    /// # Errors
    /// [`Fault`].
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Fault>;

    /// At most `limit` entries of a range that is not empty.
    ///
    /// # Errors
    /// [`Fault`].
    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, Fault>;
}

/// Why an engine did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no room on the disk.
    Full,
    /// What is on the disk is not what was written.
    Corrupt(String),
    /// The operating system refused.
    Io(String),
    /// Another process has the store open.
    Locked,
}

impl Fault {
    /// The error of store `store`.
    pub(super) fn of(self, store: &str) -> StorageError {
        let store = store.to_owned();
        match self {
            Self::Full => StorageError::Full { store },
            Self::Corrupt(detail) => StorageError::Corrupt { store, detail },
            Self::Io(detail) => StorageError::Io { store, detail },
            Self::Locked => StorageError::Locked { store },
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            // A limit on the file, on the user or on the disk: there is no room.
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full,
            // What the engine wants to read is not there, or not what it should be.
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData => Self::Corrupt(error.to_string()),
            ErrorKind::WouldBlock => Self::Locked,
            _ => Self::Io(error.to_string()),
        }
    }
}

/// Runs a call of an engine, and takes its panic for damage of its files.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        Err(Fault::Corrupt(format!(
            "the engine panicked: {}",
            crate::compute::panic_message(&*panic)
        )))
    })
}
