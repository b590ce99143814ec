//! A block as it comes from a peer: fields whose signature can be checked, and parents that may be written in short.
//!
//! In full, parents are a list of names. In short (arXiv 2310.14821 names all parents; that costs 38 bytes for each), they
//! are the set of authors whose blocks of the round before are parents, and the names of all others. What the author signs
//! is over the digest of the full list, which stands in a block in short: so everything but the parents is checked at once,
//! whoever passed the block on, and the parents as soon as the list can be rebuilt (see [`crate::dag`]).

use bytes::Bytes;
use crypto::{Digest, FixedBytes, Scheme, SignatureError, Signed, Verified};
use types::block::{MAX_BEACON_BYTES, MAX_PARENTS, block_message};
use types::{
    AuthorityIndex, BlockDigest, BlockHeader, BlockRef, Bounded, ChainId, CommitRef, Epoch, Round,
    SignedHeader, Slot, UnixMillis,
};

use crate::members::{BeaconShare, BlockSignature, Member, Members, Signer, Suite, is_quorum};
use crate::rules::Rules;
use crate::set::AuthoritySet;
use crate::wire;

/// Opaque payloads of one block, one behind the other as they came. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Payloads {
    section: Bytes,
    count: u32,
}

impl Payloads {
    /// These payloads.
    ///
    /// # Panics
    /// When a payload has more bytes than its length has bits for: queues admit no such payload.
    pub fn new<'a>(payloads: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut section, mut count) = (Vec::new(), 0);
        for payload in payloads {
            wire::put_bytes(&mut section, payload);
            count += 1;
        }
        Self {
            section: section.into(),
            count,
        }
    }

    /// The payloads that `section` holds, if it holds `count` of them within the limits and nothing else.
    pub(crate) fn parse(section: Bytes, count: u32, rules: &Rules) -> Result<Self, BlockError> {
        if count > rules.max_block_payloads {
            return Err(BlockError::TooManyPayloads {
                found: count,
                limit: rules.max_block_payloads,
            });
        }
        if section.len() > rules.max_block_bytes as usize {
            return Err(BlockError::TooManyBytes {
                found: section.len(),
                limit: rules.max_block_bytes,
            });
        }
        let mut rest = &section[..];
        for _ in 0..count {
            let payload = wire::take_bytes(&mut rest)?;
            if payload.len() > rules.max_payload_bytes as usize {
                return Err(BlockError::PayloadTooLong {
                    found: payload.len(),
                    limit: rules.max_payload_bytes,
                });
            }
        }
        if !rest.is_empty() {
            return Err(BlockError::Malformed("bytes behind the last payload"));
        }
        Ok(Self { section, count })
    }

    /// How many.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Their bytes, with four for the length of each.
    pub fn bytes(&self) -> usize {
        self.section.len()
    }

    /// Each payload in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.section[..];
        std::iter::from_fn(move || {
            (!rest.is_empty()).then(|| wire::take_bytes(&mut rest).expect("payloads were parsed"))
        })
    }

    /// Each payload in order, sharing the bytes.
    pub fn shared(&self) -> impl Iterator<Item = Bytes> + '_ {
        self.iter().map(|payload| self.section.slice_ref(payload))
    }

    pub(crate) fn section(&self) -> &Bytes {
        &self.section
    }

    /// What a header says of them: the digest of their count and their bytes.
    pub fn digest(&self) -> Digest {
        Digest::of_long("BlockPayloads", &[&self.count.to_le_bytes(), &self.section])
    }
}

/// The parents of a block, as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parents {
    /// Every name: the author's own block first, then ascending by author.
    Full(Vec<BlockRef>),
    /// In short.
    Compact {
        /// Authors whose block of the round before is a parent: the one that a peer has first heard of.
        previous: AuthoritySet,
        /// The others by name, ascending by author.
        others: Vec<BlockRef>,
    },
}

/// A block as its author signed it. Its fields fit each other, the members and the rules; [`verify`](Self::verify)
/// checks its signatures. Of a block in short, nobody knows yet whether its parents are those that its author signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBlock<S: Suite> {
    pub(crate) chain: ChainId,
    pub(crate) epoch: Epoch,
    pub(crate) reference: BlockRef,
    pub(crate) timestamp: UnixMillis,
    pub(crate) parents: Parents,
    pub(crate) parents_digest: Digest,
    pub(crate) vote: Option<CommitRef>,
    pub(crate) beacon: Option<BeaconShare<S>>,
    pub(crate) payloads: Payloads,
    pub(crate) payloads_digest: Digest,
    pub(crate) signature: BlockSignature<S>,
    /// The bytes that it was decoded from.
    pub(crate) frame: Bytes,
}

/// Why bytes are no block, or a block is not its author's. Its sender is at fault; the same bytes again are no better.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The bytes are not laid out as a block.
    #[error("not laid out as a block: {0}")]
    Malformed(&'static str),
    /// A block of another epoch.
    #[error("block of epoch {found} in epoch {expected}")]
    WrongEpoch {
        /// The epoch here.
        expected: Epoch,
        /// The block's.
        found: Epoch,
    },
    /// Its author is no member.
    #[error("author {author} is not one of {members} members")]
    UnknownAuthor {
        /// Who is said to have made it.
        author: u16,
        /// How many members there are.
        members: usize,
    },
    /// A block of round 0, which nobody signs, or of the last round that the number has room for.
    #[error("round {0} has no signed blocks")]
    Round(Round),
    /// A parent that is not allowed: no member's, not of an earlier round, a second one of its author, or out of order.
    #[error("parent {parent} of round {round} {why}")]
    Parent {
        /// Whose block the parent is.
        parent: AuthorityIndex,
        /// The parent's round.
        round: Round,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The author's own block is not among the parents; in full, it is not the first.
    #[error("the author's own block before is not a parent")]
    NoOwnParent,
    /// Too few parents in the round before.
    #[error("parents of the round before have {found} of the power, a quorum is 6667")]
    NoQuorum {
        /// Their power.
        found: u32,
    },
    /// A share of the beacon in a round that has none, or none in a round that has one.
    #[error("round {0} and a share of the beacon do not go together")]
    Beacon(Round),
    /// Too many payloads.
    #[error("{found} payloads where {limit} are admitted")]
    TooManyPayloads {
        /// How many came.
        found: u32,
        /// What is admitted.
        limit: u32,
    },
    /// One payload is too long.
    #[error("a payload of {found} bytes where {limit} are admitted")]
    PayloadTooLong {
        /// Its bytes.
        found: usize,
        /// What is admitted.
        limit: u32,
    },
    /// All payloads together are too long.
    #[error("payloads of {found} bytes where {limit} are admitted")]
    TooManyBytes {
        /// Their bytes.
        found: usize,
        /// What is admitted.
        limit: u32,
    },
    /// The author did not sign it, or not on this chain.
    #[error("the block's signature: {0}")]
    Signature(SignatureError),
    /// The share of the beacon is not the author's.
    #[error("the share of the beacon: {0}")]
    Share(SignatureError),
}

/// What an author signs for the beacon: chain, epoch and round, and nothing that it could choose.
pub fn beacon_message(chain: ChainId, epoch: Epoch, round: Round) -> Vec<u8> {
    let mut message = b"soma.beacon:".to_vec();
    message.extend(chain.get().as_bytes());
    message.extend(epoch.get().to_le_bytes());
    message.extend(round.get().to_le_bytes());
    message
}

impl<S: Suite> Signed<S::Block> for SignedBlock<S> {
    fn message(&self) -> Vec<u8> {
        block_message(self.chain, self.reference.digest)
    }

    fn signature(&self) -> &BlockSignature<S> {
        &self.signature
    }
}

impl<S: Suite> SignedBlock<S> {
    /// The block in these bytes, all of which it takes.
    ///
    /// # Errors
    /// [`BlockError`], but for signatures. What is cheap to find wrong is found first.
    pub fn decode(frame: &Bytes, rules: &Rules, members: &Members<S>) -> Result<Self, BlockError> {
        wire::decode(frame, rules, members)
    }

    /// Checks both signatures.
    ///
    /// # Errors
    /// [`BlockError::Signature`], [`BlockError::Share`].
    ///
    /// # Panics
    /// When `members` are not those that it was decoded with.
    pub fn verify(self, members: &Members<S>) -> Result<Verified<Self>, BlockError> {
        let key = &self.member(members).block_key;
        let block = Verified::by_key::<S::Block>(self, key).map_err(BlockError::Signature)?;
        block.check_share(members)?;
        Ok(block)
    }

    /// Checks many at once; the answer for each stands at its place. A block whose signature is false falls alone.
    ///
    /// # Panics
    /// As [`verify`](Self::verify).
    pub fn verify_all(blocks: Vec<Self>, members: &Members<S>) -> Vec<Result<Verified<Self>, BlockError>> {
        let keyed = blocks.into_iter().map(|block| {
            let key = block.member(members).block_key.clone();
            (block, key)
        });
        Verified::by_keys::<S::Block>(keyed.collect())
            .into_iter()
            .map(|block| {
                let block = block.map_err(BlockError::Signature)?;
                block.check_share(members)?;
                Ok(block)
            })
            .collect()
    }

    fn member<'a>(&self, members: &'a Members<S>) -> &'a Member<S> {
        members
            .get(self.reference.author)
            .expect("a decoded block is a member's")
    }

    /// Costs twenty times as much as the block's own signature, so it comes second.
    fn check_share(&self, members: &Members<S>) -> Result<(), BlockError> {
        let Some(share) = &self.beacon else {
            return Ok(());
        };
        let message = beacon_message(self.chain, self.epoch, self.reference.round);
        <S::Beacon as Scheme>::verify(&self.member(members).beacon_key, &message, share)
            .map_err(BlockError::Share)
    }

    /// Its name, as its author signed it.
    pub const fn reference(&self) -> BlockRef {
        self.reference
    }

    /// The commit that it votes for, with all before.
    pub const fn vote(&self) -> Option<CommitRef> {
        self.vote
    }

    /// Its author's clock.
    pub const fn timestamp(&self) -> UnixMillis {
        self.timestamp
    }

    /// What it carries.
    pub const fn payloads(&self) -> &Payloads {
        &self.payloads
    }

    /// Its parents as they are written.
    pub const fn parents(&self) -> &Parents {
        &self.parents
    }

    /// The bytes that it was decoded from.
    pub const fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// Its bytes, laid out again: what the fuzz targets compare with those that it came in.
    #[cfg(any(fuzzing, feature = "testing"))]
    pub fn laid_out(&self) -> Bytes {
        wire::encode(self)
    }

    /// Makes and signs a block with these parents, the own one first and the others ascending by author.
    /// `plain` are the authors whose parent of the round before need not be named: no other block of theirs is known.
    pub(crate) fn make(draft: Draft, plain: &AuthoritySet, rules: &Rules, signer: &Signer<S>) -> Self {
        let Draft {
            round,
            timestamp,
            parents,
            vote,
            payloads,
        } = draft;
        let beacon = rules.has_beacon(round).then(|| {
            <S::Beacon as Scheme>::sign(&signer.beacon, &beacon_message(rules.chain, rules.epoch, round))
        });
        let (parents_digest, payloads_digest) = (wire::parents_digest(&parents), payloads.digest());
        let header = wire::Header {
            epoch: rules.epoch,
            round,
            author: signer.index,
            timestamp,
            vote,
            beacon: beacon.as_ref().map(AsRef::as_ref),
            payloads: payloads_digest,
        };
        let digest = header.digest_over(&parents_digest);
        let signature = <S::Block as Scheme>::sign(&signer.block, &block_message(rules.chain, digest));
        let is_plain =
            |parent: &BlockRef| Some(round) == parent.round.next() && plain.contains(parent.author);
        let mut others: Vec<BlockRef> = parents
            .iter()
            .filter(|parent| !is_plain(parent))
            .copied()
            .collect();
        others.sort_by_key(|parent| parent.author);
        let previous = parents
            .iter()
            .filter(|parent| is_plain(parent))
            .map(|parent| parent.author)
            .collect();
        let mut block = Self {
            chain: rules.chain,
            epoch: rules.epoch,
            reference: BlockRef {
                round,
                author: signer.index,
                digest,
            },
            timestamp,
            parents: Parents::Compact { previous, others },
            parents_digest,
            vote,
            beacon,
            payloads,
            payloads_digest,
            signature,
            frame: Bytes::new(),
        };
        block.frame = wire::encode(&block);
        block
    }

    /// The digest that the block has with these parents.
    pub(crate) fn digest_with(&self, parents: &[BlockRef]) -> BlockDigest {
        self.wire_header().digest(parents)
    }

    /// Its frame with these parents in full.
    pub(crate) fn frame_in_full(&self, parents: Vec<BlockRef>) -> Bytes {
        wire::encode(&Self {
            parents: Parents::Full(parents),
            ..self.clone()
        })
    }

    pub(crate) fn wire_header(&self) -> wire::Header<'_> {
        wire::Header {
            epoch: self.epoch,
            round: self.reference.round,
            author: self.reference.author,
            timestamp: self.timestamp,
            vote: self.vote,
            beacon: self.beacon.as_ref().map(AsRef::as_ref),
            payloads: self.payloads_digest,
        }
    }

    /// Its header with its signature, for proofs; `parents` in full.
    pub(crate) fn signed_header(&self, parents: &[BlockRef]) -> SignedHeader<S::Block> {
        const { assert!(<BeaconShare<S> as FixedBytes>::LENGTH <= MAX_BEACON_BYTES) };
        let beacon = self.beacon.as_ref().map(|share| {
            Bounded::new(share.as_ref().to_vec()).expect("a share of the beacon is within its bound")
        });
        SignedHeader {
            header: BlockHeader {
                epoch: self.epoch,
                round: self.reference.round,
                author: self.reference.author,
                timestamp: self.timestamp,
                parents: Bounded::new(parents.to_vec())
                    .expect("a block has at most one parent of each author"),
                vote: self.vote,
                beacon,
                payloads: self.payloads_digest,
            },
            signature: self.signature.clone(),
        }
    }
}

/// Whether a member signs blocks of this epoch and round.
pub(crate) fn check_place<S: Suite>(
    epoch: Epoch,
    round: Round,
    author: u16,
    rules: &Rules,
    members: &Members<S>,
) -> Result<AuthorityIndex, BlockError> {
    if epoch != rules.epoch {
        return Err(BlockError::WrongEpoch {
            expected: rules.epoch,
            found: epoch,
        });
    }
    if round == Round::ZERO || round == Round::MAX {
        return Err(BlockError::Round(round));
    }
    AuthorityIndex::new(author)
        .filter(|index| members.get(*index).is_some())
        .ok_or(BlockError::UnknownAuthor {
            author,
            members: members.size(),
        })
}

/// What can be checked of parents without knowing any other block; `slot` is that of the block, and `check_place` holds
/// for it.
pub(crate) fn check_parents<S: Suite>(
    parents: &Parents,
    slot: Slot,
    members: &Members<S>,
) -> Result<(), BlockError> {
    let (mut before, names) = match parents {
        Parents::Full(names) => (AuthoritySet::EMPTY, names),
        Parents::Compact { previous, others } => (*previous, others),
    };
    if let Some(parent) = before.iter().find(|parent| members.get(*parent).is_none()) {
        return Err(bad_parent(
            parent,
            Round::new(slot.round.get() - 1),
            "is no member's",
        ));
    }
    // In full, the own one comes first, and the order is that of those behind it.
    let is_full = matches!(parents, Parents::Full(_));
    if is_full && names.first().is_none_or(|parent| parent.author != slot.author) {
        return Err(BlockError::NoOwnParent);
    }
    let mut all = before;
    let mut last = None;
    for (position, parent) in names.iter().enumerate() {
        let bad = |why| bad_parent(parent.author, parent.round, why);
        if members.get(parent.author).is_none() {
            return Err(bad("is no member's"));
        }
        if parent.round >= slot.round {
            return Err(bad("is not of an earlier round"));
        }
        if !all.insert(parent.author) {
            return Err(bad("is the second of its author"));
        }
        if last > Some(parent.author) {
            return Err(bad("is out of order"));
        }
        if !(is_full && position == 0) {
            last = Some(parent.author);
        }
        if parent.round.next() == Some(slot.round) {
            before.insert(parent.author);
        }
    }
    if !all.contains(slot.author) {
        return Err(BlockError::NoOwnParent);
    }
    let found = members.weight(&before);
    if !is_quorum(found) {
        return Err(BlockError::NoQuorum { found });
    }
    Ok(())
}

const fn bad_parent(parent: AuthorityIndex, round: Round, why: &'static str) -> BlockError {
    BlockError::Parent { parent, round, why }
}

/// What an own block is made from.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub round: Round,
    pub timestamp: UnixMillis,
    /// The own one first, the others ascending by author.
    pub parents: Vec<BlockRef>,
    pub vote: Option<CommitRef>,
    pub payloads: Payloads,
}

const _: () = assert!(
    MAX_PARENTS <= u16::MAX as usize,
    "the number of parents fits its field"
);
