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
    /// The [digest](BlockHeader::digest) of its header.
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
    /// Digest of the payloads as they are encoded on the wire: `BLAKE3(BlockPayloads:: ‖ count ‖ section)`.
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

    /// `H(BlockHeader:: ‖ BCS)`, with the [digest of the parents](parents_digest) in their place: so whoever has all of a
    /// block but the names of some parents can tell already what its author signed.
    pub fn digest(&self) -> BlockDigest {
        let before = (self.epoch, self.round, self.author, self.timestamp);
        let behind = (&self.vote, &self.beacon, &self.payloads);
        let mut hasher = Hasher::named("BlockHeader");
        hasher.value(&(before, parents_digest(&self.parents), behind));
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

/// What the digest of a header is over in place of the parents: `BLAKE3(BlockParents:: ‖ BCS)`.
pub fn parents_digest(parents: &[BlockRef]) -> Digest {
    Digest::of_long("BlockParents", &[&crate::encode(parents)])
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
/// ascending order of their digests; others do not decode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "", try_from = "Pair<S>")]
pub struct Equivocation<S: Scheme> {
    one: SignedHeader<S>,
    other: SignedHeader<S>,
}

/// What an [`Equivocation`] is read as, before anything about it is known.
#[derive(Deserialize)]
#[serde(bound = "")]
struct Pair<S: Scheme> {
    one: SignedHeader<S>,
    other: SignedHeader<S>,
}

impl<S: Scheme> TryFrom<Pair<S>> for Equivocation<S> {
    type Error = EquivocationError;

    fn try_from(Pair { one, other }: Pair<S>) -> Result<Self, EquivocationError> {
        let place =
            |signed: &SignedHeader<S>| (signed.header.epoch, signed.header.round, signed.header.author);
        if place(&one) != place(&other) {
            return Err(EquivocationError::DifferentSlots);
        }
        if one.header.digest() >= other.header.digest() {
            return Err(EquivocationError::NotAscending);
        }
        Ok(Self { one, other })
    }
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
        Pair { one, other }.try_into()
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
    /// [`EquivocationError::Signature`].
    pub fn verify(&self, chain: ChainId, key: &S::PublicKey) -> Result<(), EquivocationError> {
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

#[cfg(test)]
mod tests {
    use crypto::{Ed25519Scheme, Ed25519SecretKey, Ed25519Signature};
    use proptest::prelude::*;

    use super::*;
    use crate::{DecodeError, decode, encode};

    type Signed = SignedHeader<Ed25519Scheme>;
    type Proof = Equivocation<Ed25519Scheme>;

    fn chain(name: &[u8]) -> ChainId {
        ChainId::new(Digest::of(name))
    }

    fn key(n: u8) -> Ed25519SecretKey {
        Ed25519SecretKey::from_seed(&[n; 32])
    }

    fn author(n: u16) -> AuthorityIndex {
        AuthorityIndex::new(n).unwrap()
    }

    /// A header of epoch 3, round 7 and author 2.
    fn header(timestamp: u64) -> BlockHeader {
        BlockHeader {
            round: Round::new(7),
            ..BlockHeader::genesis(Epoch::new(3), author(2), UnixMillis::new(timestamp))
        }
    }

    fn signed(header: BlockHeader) -> Signed {
        let message = block_message(chain(b"soma"), header.digest());
        Signed {
            signature: key(1).sign(&message),
            header,
        }
    }

    /// Two headers of one slot, in ascending order of their digests.
    fn two() -> [Signed; 2] {
        let mut two = [signed(header(1)), signed(header(2))];
        two.sort_by_key(|signed| signed.header.digest());
        two
    }

    #[test]
    fn a_block_message_is_intent_chain_and_digest() {
        let digest = header(1).digest();
        let mut expected = vec![1, 0, 0];
        expected.extend(chain(b"soma").get().as_bytes());
        expected.extend(digest.get().as_bytes());
        assert_eq!(block_message(chain(b"soma"), digest), expected);
    }

    #[test]
    fn references_order_by_round_then_author_then_digest() {
        let reference = |round, number, digest| BlockRef {
            round: Round::new(round),
            author: author(number),
            digest: BlockDigest::new(Digest::new([digest; 32])),
        };
        let ascending = [
            reference(1, 9, 9),
            reference(2, 1, 9),
            reference(2, 2, 1),
            reference(2, 2, 2),
        ];
        assert!(ascending.is_sorted_by(|one, other| one < other));
        let slots = ascending.map(|reference| reference.slot());
        assert!(slots.is_sorted() && slots[2] == slots[3]);
    }

    #[test]
    fn two_blocks_of_one_slot_accuse_their_author_in_either_order() {
        let [one, other] = two();
        let proof = Proof::new(one.clone(), other.clone()).unwrap();
        assert_eq!(Proof::new(other, one), Ok(proof.clone()));
        assert_eq!(
            (proof.epoch(), proof.slot(), proof.author()),
            (Epoch::new(3), header(1).reference().slot(), author(2))
        );
        assert_eq!(decode(&encode(&proof), 1 << 10).as_ref(), Ok(&proof));
        assert_eq!(proof.verify(chain(b"soma"), &key(1).public()), Ok(()));
    }

    #[test]
    fn blocks_of_other_slots_accuse_nobody() {
        let elsewhere = [
            BlockHeader {
                epoch: Epoch::new(4),
                ..header(2)
            },
            BlockHeader {
                round: Round::new(8),
                ..header(2)
            },
            BlockHeader {
                author: author(3),
                ..header(2)
            },
        ];
        for header in elsewhere {
            let pair = [two()[0].clone(), signed(header)];
            assert!(decode::<Proof>(&encode(&pair), 1 << 10).is_err());
            let [one, other] = pair;
            assert_eq!(Proof::new(one, other), Err(EquivocationError::DifferentSlots));
        }
    }

    #[test]
    fn one_block_signed_twice_accuses_nobody() {
        let one = signed(header(1));
        let again = Signed {
            signature: key(2).sign(b"another signature of the same block"),
            ..one.clone()
        };
        assert!(decode::<Proof>(&encode(&[&one, &again]), 1 << 10).is_err());
        assert_eq!(Proof::new(one, again), Err(EquivocationError::NotAscending));
    }

    #[test]
    fn a_proof_in_the_wrong_order_does_not_decode() {
        let [one, other] = two();
        assert!(decode::<Proof>(&encode(&[&one, &other]), 1 << 10).is_ok());
        let error = decode::<Proof>(&encode(&[&other, &one]), 1 << 10).unwrap_err();
        assert!(
            matches!(error, DecodeError::Malformed(bcs::Error::Custom(why)) if why.contains("ascending"))
        );
    }

    #[test]
    fn a_proof_holds_on_its_chain_by_its_key_and_with_its_signatures_only() {
        let [one, other] = two();
        let invalid = Err(EquivocationError::Signature(SignatureError::Invalid));
        let (soma, public) = (chain(b"soma"), key(1).public());
        let proof = Proof::new(one.clone(), other.clone()).unwrap();
        assert_eq!(proof.verify(chain(b"amos"), &public), invalid);
        assert_eq!(proof.verify(soma, &key(2).public()), invalid);
        let with = |first: Ed25519Signature, second: Ed25519Signature| {
            let (mut one, mut other) = (one.clone(), other.clone());
            (one.signature, other.signature) = (first, second);
            Proof::new(one, other).unwrap().verify(soma, &public)
        };
        let forged = key(2).sign(&block_message(soma, one.header.digest()));
        assert_eq!(with(one.signature, other.signature), Ok(()));
        assert_eq!(with(other.signature, one.signature), invalid);
        assert_eq!(with(forged, other.signature), invalid);
        assert_eq!(with(one.signature, forged), invalid);
    }

    #[test]
    fn genesis_blocks_differ_by_epoch_author_and_start() {
        let genesis = |epoch, number, start| {
            BlockHeader::genesis(Epoch::new(epoch), author(number), UnixMillis::new(start)).digest()
        };
        let all = [
            genesis(1, 1, 1),
            genesis(2, 1, 1),
            genesis(1, 2, 1),
            genesis(1, 1, 2),
        ];
        let distinct: std::collections::BTreeSet<_> = all.into();
        assert_eq!(distinct.len(), all.len());
    }

    prop_compose! {
        fn references()(round: u32, number in 0u16..1024, digest: [u8; 32]) -> BlockRef {
            BlockRef {
                round: Round::new(round),
                author: author(number),
                digest: BlockDigest::new(Digest::new(digest)),
            }
        }
    }

    prop_compose! {
        fn headers()(
            epoch: u64,
            round: u32,
            timestamp: u64,
            parents in prop::collection::vec(references(), 0..20),
            vote: Option<(u64, [u8; 32])>,
            beacon in prop::option::of(prop::collection::vec(any::<u8>(), 0..=MAX_BEACON_BYTES)),
            payloads: [u8; 32],
        ) -> BlockHeader {
            BlockHeader {
                epoch: Epoch::new(epoch),
                round: Round::new(round),
                author: author(2),
                timestamp: UnixMillis::new(timestamp),
                parents: Bounded::new(parents).unwrap(),
                vote: vote.map(|(index, digest)| CommitRef {
                    index: CommitIndex::new(index),
                    digest: CommitDigest::new(Digest::new(digest)),
                }),
                beacon: beacon.and_then(Bounded::new),
                payloads: Digest::new(payloads),
            }
        }
    }

    proptest! {
            #![proptest_config(ProptestConfig::with_cases(128))]

            #[test]
            fn a_damaged_header_is_another_one_or_none(header in headers(), at: prop::sample::Index, with: u8) {
                let mut bytes = encode(&header);
                prop_assert_eq!(&decode::<BlockHeader>(&bytes, 1 << 12).unwrap(), &header);
    // The parents stand behind 22 bytes, and in the digest their digest stands there.
                let parents = 22..22 + encode(&header.parents).len();
                let of_parents = Digest::of_long("BlockParents", &[&bytes[parents.clone()]]);
                prop_assert_eq!(of_parents, parents_digest(&header.parents));
                let hashed = [b"BlockHeader::", &bytes[..22], of_parents.as_bytes(), &bytes[parents.end..]].concat();
                prop_assert_eq!(header.digest(), BlockDigest::new(Digest::of(&hashed)));
                let at = at.index(bytes.len());
                let is_same = bytes[at] == with;
                bytes[at] = with;
                if let Ok(decoded) = decode::<BlockHeader>(&bytes, 1 << 12) {
                    prop_assert_eq!(decoded.digest() == header.digest(), is_same);
                    prop_assert_eq!(encode(&decoded), bytes);
                }
            }

            #[test]
            fn any_two_headers_make_a_proof_that_decodes_or_none(one in headers(), mut other in headers(), at: prop::sample::Index, with: u8) {
                (other.epoch, other.round) = (one.epoch, one.round);
                let [one, other] = [one, other].map(|header| Signed { header, signature: key(1).sign(b"") });
                if let Ok(proof) = Proof::new(one, other) {
                    let mut bytes = encode(&proof);
                    prop_assert_eq!(&decode::<Proof>(&bytes, 1 << 12).unwrap(), &proof);
                    let at = at.index(bytes.len());
                    bytes[at] = with;
                    if let Ok(decoded) = decode::<Proof>(&bytes, 1 << 12) {
                        prop_assert_eq!(encode(&decoded), bytes);
                        prop_assert!(decoded.one.header.digest() < decoded.other.header.digest());
                    }
                }
            }
        }
}
