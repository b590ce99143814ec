//! Blake2b-256 digests.

use fastcrypto::hash::{Blake2b256, HashFunction};

/// 32 bytes of Blake2b-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digest of the bytes as they are.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Blake2b256::digest(bytes).digest)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
