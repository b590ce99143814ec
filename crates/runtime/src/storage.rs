//! Stores on disk: one writer thread per store that commits in groups, over an embedded engine.
//!
//! What the contract promises is made here once for both engines: the order of batches, the shared barrier, the state
//! after a failure, families, locks, and the end of the incarnation. An engine applies groups and reads.
//!
//! Where the engines differ, within the contract:
//!
//! | | redb | RocksDB |
//! |---|---|---|
//! | on disk | one file, a copy-on-write tree | a folder: a log, sorted tables, a column family per family |
//! | a buffered batch | is in the memory of this process until a barrier | is in the log, as the system writes it back |
//! | a killed process keeps | the batches up to the last barrier | every batch that was applied |
//! | lost power keeps | the batches up to the last barrier | those, and what the system had written behind them |
//! | a barrier costs | a sync of the changed pages, and one of the byte that points at them | a sync of the end of the log, and one of the number that it goes to |
//! | checksums | of pages when the file is opened, of each value when it is read | of each block when it is read |
//!
//! A crash may leave a commit or the end of a log that is not whole. It was never answered, and is dropped. The same
//! damage to what a barrier has covered is told apart from it, and is `Corrupt`: redb syncs the pages of a barrier before
//! it points at them, and RocksDB's store keeps the number of the last change that a barrier covers. The node then gets
//! its state from its peers, which is safer for a validator than to forget what it has signed.
//!
//! Modules in reading order: `engine` (what an engine is), `writer` (the queue and its thread), `store` (handles),
//! `redb_engine`, `rocks_engine`.

mod engine;
mod redb_engine;
#[cfg(feature = "rocksdb")]
mod rocks_engine;
mod store;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use env::sync::watch;
use env::{Family, Storage, StorageError};
use tokio::runtime::Handle;

use crate::config::StoreLimits;
use crate::life::Life;

pub use engine::{Engine, Fault, View};
pub use redb_engine::Redb;
#[cfg(feature = "rocksdb")]
pub use rocks_engine::Rocks;
pub use store::{DiskSnapshot, DiskStore};

/// The default: redb, one file per store.
pub type RedbStorage = Disk<Redb>;

/// RocksDB, one folder per store.
#[cfg(feature = "rocksdb")]
pub type RocksStorage = Disk<Rocks>;

/// Opens the stores of one node, in one folder.
pub struct Disk<E>(Arc<Folder>, PhantomData<fn() -> E>);

struct Folder {
    path: PathBuf,
    limits: StoreLimits,
    handle: Handle,
    life: Life,
    /// Stores that are open, or not yet closed.
    open: Mutex<BTreeMap<String, Arc<Slot>>>,
}

/// The place of an open store.
struct Slot {
    stage: watch::Sender<Stage>,
    /// Ends the store though handles are alive. Set once it is open.
    end: std::sync::OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There are handles, or there will be.
    Open,
    /// The last handle is gone; what was written is being applied.
    Closing,
    /// The files are closed.
    Closed,
}

/// Makes a folder, with those above it, so that a crash does not take it away again with all that is in it: the name
/// of a folder is on the disk once the folder above is.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let made: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::create_dir_all(path)?;
    for folder in made {
        sync_above(folder)?;
    }
    // The incarnation that made the folder may have been killed before this. A folder above that we may not read is
    // none that it was made in.
    drop(sync_above(path));
    Ok(())
}

fn sync_above(folder: &Path) -> io::Result<()> {
    let above = folder.parent().filter(|above| *above != Path::new(""));
    File::open(above.unwrap_or(Path::new(".")))?.sync_all()
}

impl<E: Engine> Disk<E> {
    pub(crate) fn new(path: PathBuf, limits: StoreLimits, handle: Handle, life: Life) -> Self {
        Self(
            Arc::new(Folder {
                path,
                limits,
                handle,
                life,
                open: Mutex::default(),
            }),
            PhantomData,
        )
    }

    /// Closes all stores. The incarnation is over already, so none is opened any more.
    pub(crate) async fn close(&self) {
        let slots: Vec<_> = {
            let open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.values().cloned().collect()
        };
        for slot in slots {
            // A store that is only just being opened has no end yet: it finds out by itself.
            if let Some(end) = slot.end.get() {
                end();
            }
            slot.closed().await;
        }
    }

    /// Takes the place of `name`, waiting for a store that is being closed.
    async fn place(&self, name: &str) -> Result<Arc<Slot>, StorageError> {
        loop {
            let slot = {
                let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
                if self.0.life.is_over() {
                    return Err(StorageError::Closed);
                }
                open.retain(|_, slot| *slot.stage.borrow() != Stage::Closed);
                match open.get(name) {
                    Some(slot) => Arc::clone(slot),
                    None => {
                        let slot = Arc::new(Slot {
                            stage: watch::Sender::new(Stage::Open),
                            end: std::sync::OnceLock::new(),
                        });
                        open.insert(name.to_owned(), Arc::clone(&slot));
                        return Ok(slot);
                    }
                }
            };
            if *slot.stage.borrow() == Stage::Open {
                return Err(StorageError::Locked {
                    store: name.to_owned(),
                });
            }
            slot.closed().await;
        }
    }
}

impl Slot {
    fn advance(&self, stage: Stage) {
        self.stage.send_if_modified(|present| {
            let forward = (*present as u8) < stage as u8;
            if forward {
                *present = stage;
            }
            forward
        });
    }

    async fn closed(&self) {
        let mut stage = self.stage.subscribe();
        // The sender lives in `self`, so the wait ends by the value only.
        drop(stage.wait_for(|stage| *stage == Stage::Closed).await);
    }
}

impl<E: Engine> Storage for Disk<E> {
    type Store = DiskStore<E>;

    async fn open(&self, name: &str, families: &[Family]) -> Result<DiskStore<E>, StorageError> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name) {
            let detail = "a store's name is 1 to 64 letters, digits, `_` and `-`".to_owned();
            return Err(StorageError::Io {
                store: name.to_owned(),
                detail,
            });
        }
        let slot = self.place(name).await?;
        let (folder, name, families) = (Arc::clone(&self.0), name.to_owned(), families.to_vec());
        // Opening may read the whole file. When nobody waits any more, the store is closed as it comes out.
        let opening = self
            .0
            .handle
            .spawn_blocking(move || store::open(&folder, &slot, name, &families));
        opening.await.unwrap_or(Err(StorageError::Closed))
    }
}

impl<E> Clone for Disk<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), PhantomData)
    }
}

impl<E> fmt::Debug for Disk<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}
