//! Keys, whose bytes ascend as they do.

use types::{CheckpointSequence, CommitIndex, Digest, Epoch, ObjectId, TransactionDigest};

use super::{Family, StoreError};

/// What stands for something in a family.
pub trait Key: Sized {
    /// Its bytes.
    fn bytes(&self) -> Vec<u8>;

    /// The key with these bytes.
    ///
    /// # Errors
    /// [`StoreError::Key`].
    fn read(family: Family, bytes: &[u8]) -> Result<Self, StoreError>;
}

/// A commit of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitKey {
    /// The epoch.
    pub epoch: Epoch,
    /// Its index in it.
    pub commit: CommitIndex,
}

/// A checkpoint of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckpointKey {
    /// The epoch.
    pub epoch: Epoch,
    /// Its position in the chain.
    pub sequence: CheckpointSequence,
}

fn fixed<const N: usize>(family: Family, bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::key(family, bytes))
}

fn pair(first: u64, second: u64) -> Vec<u8> {
    [first.to_be_bytes(), second.to_be_bytes()].concat()
}

fn read_pair(family: Family, bytes: &[u8]) -> Result<(u64, u64), StoreError> {
    let bytes: [u8; 16] = fixed(family, bytes)?;
    let both = u128::from_be_bytes(bytes);
    let low = u64::try_from(both & u128::from(u64::MAX));
    let high = u64::try_from(both >> u64::BITS);
    high.and_then(|high| Ok((high, low?)))
        .map_err(|_| StoreError::key(family, &bytes))
}

impl Key for () {
    fn bytes(&self) -> Vec<u8> {
        Vec::new()
    }

    fn read(family: Family, bytes: &[u8]) -> Result<Self, StoreError> {
        fixed::<0>(family, bytes).map(|_| ())
    }
}

impl Key for u16 {
    fn bytes(&self) -> Vec<u8> {
        self.to_be_bytes().into()
    }

    fn read(family: Family, bytes: &[u8]) -> Result<Self, StoreError> {
        fixed(family, bytes).map(Self::from_be_bytes)
    }
}

impl Key for ObjectId {
    fn bytes(&self) -> Vec<u8> {
        self.as_bytes().into()
    }

    fn read(family: Family, bytes: &[u8]) -> Result<Self, StoreError> {
        fixed(family, bytes).map(Self::new)
    }
}

impl Key for TransactionDigest {
    fn bytes(&self) -> Vec<u8> {
        self.get().as_bytes().into()
    }

    fn read(family: Family, bytes: &[u8]) -> Result<Self, StoreError> {
        fixed(family, bytes).map(|bytes| Self::new(Digest::new(bytes)))
    }
}

impl Key for CommitKey {
    fn bytes(&self) -> Vec<u8> {
        pair(self.epoch.get(), self.commit.get())
    }

    fn read(family: Family, bytes: &[u8]) -> Result<Self, StoreError> {
        let (epoch, commit) = read_pair(family, bytes)?;
        Ok(Self {
            epoch: Epoch::new(epoch),
            commit: CommitIndex::new(commit),
        })
    }
}

impl Key for CheckpointKey {
    fn bytes(&self) -> Vec<u8> {
        pair(self.epoch.get(), self.sequence.get())
    }

    fn read(family: Family, bytes: &[u8]) -> Result<Self, StoreError> {
        let (epoch, sequence) = read_pair(family, bytes)?;
        Ok(Self {
            epoch: Epoch::new(epoch),
            sequence: CheckpointSequence::new(sequence),
        })
    }
}
