//! Handles on an open store.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use bytes::Bytes;
use env::storage::MAX_BATCH;
use env::{Batch, Direction, Durability, Entry, Family, KeyRange, Operation, Reader, StorageError, Store};

use super::engine::{Engine, Fault, View, guarded};
use super::writer::Queue;
use super::{Folder, Slot, Stage};

/// A scan of more entries than this may take long, and does not run on the threads of the tasks.
const INLINE_SCAN: usize = 64;

/// A handle on an open store.
pub struct DiskStore<E: Engine>(Arc<Handles<E>>);

/// A state of a store that does not change.
pub struct DiskSnapshot<E: Engine> {
    view: Arc<RwLock<Option<E::View>>>,
    id: u64,
    handles: Arc<Handles<E>>,
}

/// Shared by all handles: when it goes, the store closes.
struct Handles<E: Engine>(Arc<Open<E>>);

/// An open store.
struct Open<E: Engine> {
    name: String,
    families: Vec<Family>,
    /// `None` once the store is closed.
    engine: RwLock<Option<E>>,
    views: Mutex<Views<E::View>>,
    queue: Queue,
    slot: Arc<Slot>,
    folder: Arc<Folder>,
}

/// The snapshots that are alive: they end with the store, whoever still holds them.
struct Views<V> {
    next: u64,
    alive: BTreeMap<u64, Weak<RwLock<Option<V>>>>,
}

/// Opens the store and starts its writer. Blocks.
pub(super) fn open<E: Engine>(
    folder: &Arc<Folder>,
    slot: &Arc<Slot>,
    name: String,
    families: &[Family],
) -> Result<DiskStore<E>, StorageError> {
    let path = folder.path.join(format!("{name}.{}", E::SUFFIX));
    let opened = guarded(|| {
        super::make_folder(&folder.path)?;
        let engine = E::open(&path, families, &folder.limits)?;
        // A file that was just made is found again after a crash only once its folder is on the disk too.
        File::open(&folder.path)?.sync_all()?;
        Ok(engine)
    });
    let engine = match opened {
        Ok(engine) => engine,
        Err(fault) => {
            slot.advance(Stage::Closed);
            return Err(fault.of(&name));
        }
    };
    let open = Arc::new(Open {
        families: families.to_vec(),
        engine: RwLock::new(Some(engine)),
        views: Mutex::new(Views {
            next: 0,
            alive: BTreeMap::new(),
        }),
        queue: Queue::default(),
        slot: Arc::clone(slot),
        folder: Arc::clone(folder),
        name,
    });
    let handles = Handles(Arc::clone(&open));
    let writer = Arc::clone(&open);
    let thread = std::thread::Builder::new()
        .name(format!("store-{}", open.name))
        .spawn(move || writer.write());
    if let Err(error) = thread {
        open.release();
        return Err(Fault::from(error).of(&open.name));
    }
    let end = Arc::downgrade(&open);
    // The slot is fresh, so this is its first value.
    drop(slot.end.set(Box::new(move || {
        if let Some(open) = end.upgrade() {
            open.end();
        }
    })));
    if folder.life.is_over() {
        open.end();
    }
    Ok(DiskStore(Arc::new(handles)))
}

impl<E: Engine> Open<E> {
    /// What the writer's thread does: writes, and closes the files at the end.
    fn write(&self) {
        let apply = |batches: &[Batch], synced| {
            let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
            let engine = engine
                .as_ref()
                .ok_or_else(|| Fault::Io("the store is closed".into()))?;
            guarded(|| engine.apply(batches, synced))
        };
        self.queue
            .run(&self.name, self.folder.limits.unsynced_bytes, apply);
        self.release();
    }

    /// Begins to close the store.
    fn end(&self) {
        self.slot.advance(Stage::Closing);
        self.queue.close();
    }

    /// Closes the files, once the reads that are in progress are done.
    fn release(&self) {
        let views = std::mem::take(&mut self.views.lock().unwrap_or_else(PoisonError::into_inner).alive);
        for view in views.into_values().filter_map(|view| view.upgrade()) {
            drop(view.write().unwrap_or_else(PoisonError::into_inner).take());
        }
        let engine = self.engine.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Err(fault) = guarded(|| {
            drop(engine);
            Ok(())
        }) {
            tracing::error!(store = self.name, ?fault, "the engine failed to close");
        }
        self.slot.advance(Stage::Closed);
    }

    fn know(&self, family: Family) -> Result<(), StorageError> {
        if self.families.contains(&family) {
            Ok(())
        } else {
            Err(StorageError::UnknownFamily {
                store: self.name.clone(),
                family,
            })
        }
    }

    /// Reads in the present state.
    fn read<T>(&self, read: impl FnOnce(&E) -> Result<T, Fault>) -> Result<T, StorageError> {
        if self.folder.life.is_over() {
            return Err(StorageError::Closed);
        }
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        let engine = engine.as_ref().ok_or(StorageError::Closed)?;
        guarded(|| read(engine)).map_err(|fault| fault.of(&self.name))
    }

    fn queue(&self, batch: Batch, durability: Durability) -> Result<super::writer::Answer, StorageError> {
        for operation in batch.operations() {
            let (Operation::Put { family, .. }
            | Operation::Delete { family, .. }
            | Operation::DeleteRange { family, .. }) = operation;
            self.know(*family)?;
        }
        if batch.size() > MAX_BATCH {
            return Err(StorageError::TooLarge {
                bytes: batch.size(),
                limit: MAX_BATCH,
            });
        }
        if self.folder.life.is_over() {
            return Err(StorageError::Closed);
        }
        self.queue.push(&self.name, batch, durability)
    }
}

impl<E: Engine> Drop for Handles<E> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<E: Engine> DiskStore<E> {
    fn open(&self) -> &Arc<Open<E>> {
        &self.0.0
    }
}

impl<E: Engine> Reader for DiskStore<E> {
    async fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.open().know(family)?;
        self.open().read(|engine| engine.view()?.get(family, key))
    }

    async fn scan(
        &self,
        family: Family,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        let handles = Arc::clone(&self.0);
        let scan = move || {
            handles
                .0
                .read(|engine| engine.view()?.scan(family, &range, direction, limit))
        };
        scan_somewhere(self.open(), family, limit, scan).await
    }
}

impl<E: Engine> Store for DiskStore<E> {
    type Snapshot = DiskSnapshot<E>;

    fn write(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> impl Future<Output = Result<(), StorageError>> + Send {
        let queued = self.open().queue(batch, durability);
        async move { queued?.await.unwrap_or(Err(StorageError::Closed)) }
    }

    async fn snapshot(&self) -> Result<DiskSnapshot<E>, StorageError> {
        self.open().read(|engine| {
            let view = Arc::new(RwLock::new(Some(engine.view()?)));
            // Under the engine's lock, so that a store that closes finds every snapshot.
            let mut views = self.open().views.lock().unwrap_or_else(PoisonError::into_inner);
            views.next += 1;
            let id = views.next;
            views.alive.insert(id, Arc::downgrade(&view));
            Ok(DiskSnapshot {
                view,
                id,
                handles: Arc::clone(&self.0),
            })
        })
    }
}

impl<E: Engine> DiskSnapshot<E> {
    fn read<T>(
        open: &Open<E>,
        view: &RwLock<Option<E::View>>,
        read: impl FnOnce(&E::View) -> Result<T, Fault>,
    ) -> Result<T, StorageError> {
        if open.folder.life.is_over() {
            return Err(StorageError::Closed);
        }
        let view = view.read().unwrap_or_else(PoisonError::into_inner);
        let view = view.as_ref().ok_or(StorageError::Closed)?;
        guarded(|| read(view)).map_err(|fault| fault.of(&open.name))
    }
}

impl<E: Engine> Reader for DiskSnapshot<E> {
    async fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let open = &self.handles.0;
        open.know(family)?;
        Self::read(open, &self.view, |view| view.get(family, key))
    }

    async fn scan(
        &self,
        family: Family,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        let (handles, view) = (Arc::clone(&self.handles), Arc::clone(&self.view));
        let scan = move || {
            Self::read(&handles.0, &view, |view| {
                view.scan(family, &range, direction, limit)
            })
        };
        scan_somewhere(&self.handles.0, family, limit, scan).await
    }
}

impl<E: Engine> Drop for DiskSnapshot<E> {
    fn drop(&mut self) {
        self.handles
            .0
            .views
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .alive
            .remove(&self.id);
        // The engine lets go of the state before the last handle lets go of the engine.
        drop(self.view.write().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Runs a short scan here and a long one on a thread that may block.
async fn scan_somewhere<E: Engine>(
    open: &Open<E>,
    family: Family,
    limit: usize,
    scan: impl FnOnce() -> Result<Vec<Entry>, StorageError> + Send + 'static,
) -> Result<Vec<Entry>, StorageError> {
    open.know(family)?;
    if limit <= INLINE_SCAN {
        return scan();
    }
    open.folder
        .handle
        .spawn_blocking(scan)
        .await
        .unwrap_or(Err(StorageError::Closed))
}

impl<E: Engine> Clone for DiskStore<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E: Engine> fmt::Debug for DiskStore<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DiskStore").field(&self.open().name).finish()
    }
}

impl<E: Engine> fmt::Debug for DiskSnapshot<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DiskSnapshot").field(&self.handles.0.name).finish()
    }
}
