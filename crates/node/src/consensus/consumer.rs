//! Who takes what consensus has ordered.

use std::future::Future;

use bytes::Bytes;
use consensus::SubDag;
use env::{Batch, Durability, Env, Family, Reader, Storage, StorageError, Store};
use types::{CommitDigest, CommitIndex, CommitRef, Epoch};

/// Takes the commits of one epoch in order.
pub trait Consumer: Send + 'static {
    /// Called before the first commit, and again after a failure of any store: the last commit that it has handled in
    /// this epoch and will know of after a crash, or `None`. It is given those behind.
    ///
    /// # Errors
    /// [`StorageError`]: it is called again after a pause.
    fn start(&mut self, epoch: Epoch)
    -> impl Future<Output = Result<Option<CommitRef>, StorageError>> + Send;

    /// Handles the next commit. Dropping the future at any point must leave the commit handled or not.
    ///
    /// # Errors
    /// [`StorageError`]: it is started again after a pause.
    fn handle(&mut self, commit: SubDag) -> impl Future<Output = Result<Flow, StorageError>> + Send;
}

/// Whether the epoch goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// The commit was its last: no more are delivered.
    Close,
}

const LAST: Family = Family::new("last");

/// Stores that are tried one after the other, in case that some are damaged.
const MAX_STORES: u32 = 16;

/// A consumer that remembers the last commit in a store of its own, and nothing else. When the store is damaged it goes
/// on with another one and is given the commits again.
pub struct Log<E: Env> {
    env: E,
    name: &'static str,
    durability: Durability,
    /// Stores before this one are damaged.
    first: u32,
    open: Option<(Epoch, <E::Storage as Storage>::Store)>,
}

impl<E: Env> Log<E> {
    /// A log in the store `name`. It notes each commit with this durability.
    pub fn new(env: E, name: &'static str, durability: Durability) -> Self {
        Self {
            env,
            name,
            durability,
            first: 0,
            open: None,
        }
    }

    async fn open(&mut self, epoch: Epoch) -> Result<Option<CommitRef>, StorageError> {
        let name = match self.first {
            0 => self.name.to_owned(),
            number => format!("{}-{number}", self.name),
        };
        let store = self.env.storage().open(&name, &[LAST]).await?;
        // What is read may not be durable yet, if an earlier incarnation's write failed.
        store.sync().await?;
        let last = store.get(LAST, &key(epoch)).await?;
        self.open = Some((epoch, store));
        let last = last.and_then(|value| types::decode::<(CommitIndex, CommitDigest)>(&value, 64).ok());
        Ok(last.map(|(index, digest)| CommitRef { index, digest }))
    }
}

fn key(epoch: Epoch) -> Bytes {
    Bytes::copy_from_slice(&epoch.get().to_be_bytes())
}

impl<E: Env> Consumer for Log<E> {
    async fn start(&mut self, epoch: Epoch) -> Result<Option<CommitRef>, StorageError> {
        self.open = None;
        loop {
            match self.open(epoch).await {
                Err(StorageError::Corrupt { .. }) if self.first + 1 < MAX_STORES => self.first += 1,
                opened => return opened,
            }
        }
    }

    async fn handle(&mut self, commit: SubDag) -> Result<Flow, StorageError> {
        let (epoch, store) = self.open.as_ref().ok_or(StorageError::Closed)?;
        let mut batch = Batch::default();
        batch.put(
            LAST,
            key(*epoch),
            types::encode(&(commit.commit.index, commit.digest)),
        );
        store.write(batch, self.durability).await?;
        Ok(if commit.is_last {
            Flow::Close
        } else {
            Flow::Continue
        })
    }
}
