//! Blocks of consensus, as far as strangers have to agree on them: names, headers, and the proof that somebody signed two
//! headers for one slot.

use crypto::{Digest, Hasher, Intent, Scheme, Scope, SignatureError};
use serde::{Deserialize, Serialize};

use crate::decode::Bounded;
use crate::{AuthorityIndex, BlockDigest, ChainId, CommitDigest, CommitIndex, Epoch, Round, UnixMillis};

/// The place of a block in the graph: at most one block of an honest author has it. BCS: round, author.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The round.
    pub round: Round,
    /// Whose block.
    pub author: AuthorityIndex,
}

/// The name of a block. Ordered by round, author, digest: the rule that breaks every tie. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockRef {
    /// The round.
    pub round: Round,
    /// Who signed it.
    pub author: AuthorityIndex,
    /// The digest of its header.
    pub digest: BlockDigest,
}

impl BlockRef {
    /// Its place.
    pub const fn slot(&self) -> Slot {
        Slot {
            round: self.round,
            author: self.author,
        }
    }
}

/// A commit by position and content. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommitRef {
    /// Its position.
    pub index: CommitIndex,
    /// Its digest.
    pub digest: CommitDigest,
}

/// The most parents of a block: one of each author.
pub const MAX_PARENTS: usize = crypto::Bitmap::CAPACITY as usize;

/// The most bytes of a beacon share: a signature of the beacon's scheme.
pub const MAX_BEACON_BYTES: usize = 96;

/// Everything of a block but its payloads, of which it holds the digest, and its signature. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHeader {
    /// The epoch.
    pub epoch: Epoch,
    /// The round; 0 is that of the genesis blocks, which nobody signs.
    pub round: Round,
    /// Who signs it.
    pub author: AuthorityIndex,
    /// The author's clock.
    pub timestamp: UnixMillis,
    /// The author's own previous block, then at most one block of each other author, ascending by author.
    pub parents: Bounded<BlockRef, MAX_PARENTS>,
    /// The latest commit that the author knows; it stands for all before.
    pub vote: Option<CommitRef>,
    /// The author's share of the beacon, in the rounds that have one.
    pub beacon: Option<Bounded<u8, MAX_BEACON_BYTES>>,
    /// Digest of the payloads as they are encoded on the wire.
    pub payloads: Digest,
}

impl BlockHeader {
    /// The genesis block of `author`: without parents, at the epoch's start.
    ///
    /// # Panics
    /// Never: an empty list is within every bound.
    pub fn genesis(epoch: Epoch, author: AuthorityIndex, start: UnixMillis) -> Self {
        Self {
            epoch,
            round: Round::ZERO,
            author,
            timestamp: start,
            parents: Bounded::new(Vec::new()).expect("nothing is within every bound"),
            vote: None,
            beacon: None,
            payloads: Digest::ZERO,
        }
    }

    /// `H(BlockHeader:: ‖ BCS)`.
    pub fn digest(&self) -> BlockDigest {
        let mut hasher = Hasher::named("BlockHeader");
        hasher.value(self);
        BlockDigest::new(hasher.finish())
    }

    /// Its name.
    pub fn reference(&self) -> BlockRef {
        BlockRef {
            round: self.round,
            author: self.author,
            digest: self.digest(),
        }
    }
}

/// The bytes that the author of a block signs: intent, chain, digest of the header. 67 bytes.
pub fn block_message(chain: ChainId, digest: BlockDigest) -> Vec<u8> {
    let intent = Intent::consensus(Scope::ConsensusBlock);
    crypto::IntentMessage::new(intent, (chain, digest)).to_bytes()
}

/// A header with its author's signature: a block without its payloads. BCS: header, signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SignedHeader<S: Scheme> {
    /// What was signed.
    pub header: BlockHeader,
    /// The signature over [`block_message`].
    pub signature: S::Signature,
}

/// Two blocks that one author signed for one slot. Whoever holds it can prove the fault to anybody. BCS: the headers in
/// ascending order of their digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Equivocation<S: Scheme> {
    one: SignedHeader<S>,
    other: SignedHeader<S>,
}

/// Why two headers prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EquivocationError {
    /// They are of different epochs, rounds or authors.
    #[error("the headers are not of one slot")]
    DifferentSlots,
    /// They are the same, or stand in the wrong order.
    #[error("the headers are not two in ascending order of their digests")]
    NotAscending,
    /// The author did not sign one of them on this chain.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl<S: Scheme> Equivocation<S> {
    /// The proof that two headers make, in any order.
    ///
    /// # Errors
    /// [`EquivocationError`], but for the signatures, which [`verify`](Self::verify) checks.
    pub fn new(one: SignedHeader<S>, other: SignedHeader<S>) -> Result<Self, EquivocationError> {
        let (one, other) = if one.header.digest() <= other.header.digest() {
            (one, other)
        } else {
            (other, one)
        };
        let proof = Self { one, other };
        proof.check()?;
        Ok(proof)
    }

    fn check(&self) -> Result<(), EquivocationError> {
        let place = |signed: &SignedHeader<S>| {
            let header = &signed.header;
            (header.epoch, header.round, header.author)
        };
        if place(&self.one) != place(&self.other) {
            return Err(EquivocationError::DifferentSlots);
        }
        if self.one.header.digest() >= self.other.header.digest() {
            return Err(EquivocationError::NotAscending);
        }
        Ok(())
    }

    /// Who is guilty.
    pub const fn author(&self) -> AuthorityIndex {
        self.one.header.author
    }

    /// The epoch, whose committee knows the author's key.
    pub const fn epoch(&self) -> Epoch {
        self.one.header.epoch
    }

    /// Where.
    pub const fn slot(&self) -> Slot {
        Slot {
            round: self.one.header.round,
            author: self.one.header.author,
        }
    }

    /// Whether the holder of `key` signed both on this chain. Two signature checks.
    ///
    /// # Errors
    /// [`EquivocationError`].
    pub fn verify(&self, chain: ChainId, key: &S::PublicKey) -> Result<(), EquivocationError> {
        self.check()?;
        for signed in [&self.one, &self.other] {
            S::verify(
                key,
                &block_message(chain, signed.header.digest()),
                &signed.signature,
            )?;
        }
        Ok(())
    }
}
