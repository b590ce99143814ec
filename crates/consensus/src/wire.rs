//! How a block is laid out in bytes. Little endian throughout.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | form: 0 parents in short, 1 in full |
//! | 8, 4, 2, 8 | epoch, round, author, timestamp |
//! | 32 | digest of the parents, in short; nothing in full, where their names give it |
//! | scheme | signature |
//! | 1, 40 | whether there is a vote, and the vote: index, digest |
//! | 1, scheme | whether there is a share of the beacon, and the share |
//! | 1, n | in short: bytes of the set of authors, and the set; bit `j` of byte `i` is author `8i + j`, no zero at its end |
//! | 2, 38 each | other parents, in full all of them: round, author, digest |
//! | 4, rest | number of payloads, and each of them: four bytes of length, its bytes |
//!
//! A block has one frame in full. In short it has one for each choice of the parents that are named although they could
//! stand in the set: an author that has heard of two blocks of one slot has to name the one it means.
//!
//! Bytes in short but for payloads and their lengths, with all parents, a vote and the signatures of
//! [`Production`](crate::Production):
//!
//! | members | all parents in the set | 1 named | 3 named | each more |
//! |---|---|---|---|---|
//! | 100 | 181, with a share of the beacon 229 | 219, 267 | 295, 343 | 38 |
//! | 120 | 183, 231 | 221, 269 | 297, 345 | 38 |

use bytes::{BufMut, Bytes};
use crypto::{Digest, FixedBytes};
use types::block::MAX_PARENTS;
use types::{
    AuthorityIndex, BlockDigest, BlockRef, CommitDigest, CommitIndex, CommitRef, Epoch, Round, Slot,
    UnixMillis,
};

use crate::block::{BlockError, Parents, Payloads, SignedBlock, check_parents, check_place};
use crate::members::{BeaconShare, BlockSignature, Members, Suite};
use crate::rules::Rules;
use crate::set::AuthoritySet;

const COMPACT: u8 = 0;
const FULL: u8 = 1;

/// A header without its parents, to be hashed with their digest: what [`types::BlockHeader::digest`] hashes without making
/// one.
pub(crate) struct Header<'a> {
    pub epoch: Epoch,
    pub round: Round,
    pub author: AuthorityIndex,
    pub timestamp: UnixMillis,
    pub vote: Option<CommitRef>,
    pub beacon: Option<&'a [u8]>,
    pub payloads: Digest,
}

impl Header<'_> {
    /// The digest of the block with these parents.
    pub fn digest(&self, parents: &[BlockRef]) -> BlockDigest {
        self.digest_over(&parents_digest(parents))
    }

    /// The digest of the block whose parents have this digest.
    pub fn digest_over(&self, parents: &Digest) -> BlockDigest {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"BlockHeader::");
        out.put_u64_le(self.epoch.get());
        out.put_u32_le(self.round.get());
        out.put_u16_le(self.author.get());
        out.put_u64_le(self.timestamp.get());
        out.extend_from_slice(parents.as_bytes());
        put_vote(&mut out, self.vote.as_ref());
        out.put_u8(u8::from(self.beacon.is_some()));
        if let Some(beacon) = self.beacon {
            put_uleb(&mut out, beacon.len());
            out.extend_from_slice(beacon);
        }
        out.extend_from_slice(self.payloads.as_bytes());
        BlockDigest::new(Digest::of(&out))
    }
}

/// `BLAKE3(BlockParents:: ‖ BCS)`, as [`types::block::parents_digest`] has it.
pub(crate) fn parents_digest(parents: &[BlockRef]) -> Digest {
    let mut out = Vec::with_capacity(2 + parents.len() * 38);
    put_uleb(&mut out, parents.len());
    for parent in parents {
        put_reference(&mut out, parent);
    }
    Digest::of_long("BlockParents", &[&out])
}

/// The length prefix of BCS.
fn put_uleb(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_reference(out: &mut Vec<u8>, reference: &BlockRef) {
    out.put_u32_le(reference.round.get());
    out.put_u16_le(reference.author.get());
    out.extend_from_slice(reference.digest.get().as_bytes());
}

fn put_vote(out: &mut Vec<u8>, vote: Option<&CommitRef>) {
    out.put_u8(u8::from(vote.is_some()));
    if let Some(vote) = vote {
        out.put_u64_le(vote.index.get());
        out.extend_from_slice(vote.digest.get().as_bytes());
    }
}

/// Appends four bytes of length, and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32_le(u32::try_from(bytes.len()).expect("queues admit no payload of 4 GiB"));
    out.extend_from_slice(bytes);
}

/// What [`put_bytes`] wrote.
pub(crate) fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], BlockError> {
    let length = u32::from_le_bytes(take(rest)?);
    take_slice(rest, length as usize)
}

/// Lays the block out, with its parents as they are written in it.
pub(crate) fn encode<S: Suite>(block: &SignedBlock<S>) -> Bytes {
    let names = match &block.parents {
        Parents::Full(names) | Parents::Compact { others: names, .. } => names,
    };
    let mut out = Vec::with_capacity(512 + names.len() * 38 + block.payloads.bytes());
    let is_full = matches!(block.parents, Parents::Full(_));
    out.put_u8(if is_full { FULL } else { COMPACT });
    out.put_u64_le(block.epoch.get());
    out.put_u32_le(block.reference.round.get());
    out.put_u16_le(block.reference.author.get());
    out.put_u64_le(block.timestamp.get());
    if !is_full {
        out.extend_from_slice(block.parents_digest.as_bytes());
    }
    out.extend_from_slice(block.signature.as_ref());
    put_vote(&mut out, block.vote.as_ref());
    out.put_u8(u8::from(block.beacon.is_some()));
    if let Some(beacon) = &block.beacon {
        out.extend_from_slice(beacon.as_ref());
    }
    if let Parents::Compact { previous, .. } = &block.parents {
        let set: crypto::Bitmap = previous.iter().map(AuthorityIndex::get).collect();
        out.put_u8(u8::try_from(set.as_bytes().len()).expect("a bitmap has at most 128 bytes"));
        out.extend_from_slice(set.as_bytes());
    }
    out.put_u16_le(u16::try_from(names.len()).expect("a block has at most one parent of each author"));
    for name in names {
        put_reference(&mut out, name);
    }
    out.put_u32_le(u32::try_from(block.payloads.len()).expect("payloads are counted in 32 bits"));
    out.extend_from_slice(block.payloads.section());
    Bytes::from(out)
}

/// Reads a block whose fields fit each other, the rules and the members. Each is checked as soon as it is read, so that
/// nothing is parsed or hashed for a block that fails before.
pub(crate) fn decode<S: Suite>(
    frame: &Bytes,
    rules: &Rules,
    members: &Members<S>,
) -> Result<SignedBlock<S>, BlockError> {
    let mut rest = &frame[..];
    let form = take::<1>(&mut rest)?[0];
    if form > FULL {
        return Err(BlockError::Malformed("a form that is neither 0 nor 1"));
    }
    let epoch = Epoch::new(u64::from_le_bytes(take(&mut rest)?));
    let round = Round::new(u32::from_le_bytes(take(&mut rest)?));
    let author = u16::from_le_bytes(take(&mut rest)?);
    let author = check_place(epoch, round, author, rules, members)?;
    let timestamp = UnixMillis::new(u64::from_le_bytes(take(&mut rest)?));
    let announced = if form == COMPACT {
        take(&mut rest)?
    } else {
        [0; 32]
    };
    let signature = take_slice(&mut rest, BlockSignature::<S>::LENGTH)?;
    let signature = BlockSignature::<S>::from_slice(signature)
        .map_err(|_| BlockError::Malformed("bytes that are no signature"))?;
    let vote = if take_flag(&mut rest)? {
        let index = CommitIndex::new(u64::from_le_bytes(take(&mut rest)?));
        let digest = CommitDigest::new(Digest::new(take(&mut rest)?));
        Some(CommitRef { index, digest })
    } else {
        None
    };
    let has_beacon = take_flag(&mut rest)?;
    if has_beacon != rules.has_beacon(round) {
        return Err(BlockError::Beacon(round));
    }
    let beacon = if has_beacon {
        let share = take_slice(&mut rest, BeaconShare::<S>::LENGTH)?;
        let share = BeaconShare::<S>::from_slice(share)
            .map_err(|_| BlockError::Malformed("bytes that are no share of the beacon"))?;
        Some(share)
    } else {
        None
    };
    let parents = if form == COMPACT {
        Parents::Compact {
            previous: take_set(&mut rest)?,
            others: take_references(&mut rest)?,
        }
    } else {
        Parents::Full(take_references(&mut rest)?)
    };
    check_parents(&parents, Slot { round, author }, members)?;
    let count = u32::from_le_bytes(take(&mut rest)?);
    let payloads = Payloads::parse(frame.slice_ref(rest), count, rules)?;
    let parents_digest = match &parents {
        Parents::Full(names) => parents_digest(names),
        Parents::Compact { .. } => Digest::new(announced),
    };
    let mut block = SignedBlock {
        chain: rules.chain,
        epoch,
        reference: BlockRef {
            round,
            author,
            digest: BlockDigest::new(Digest::ZERO),
        },
        timestamp,
        parents,
        parents_digest,
        vote,
        beacon,
        payloads_digest: payloads.digest(),
        payloads,
        signature,
        frame: frame.clone(),
    };
    block.reference.digest = block.wire_header().digest_over(&parents_digest);
    Ok(block)
}

fn take_set(rest: &mut &[u8]) -> Result<AuthoritySet, BlockError> {
    let length = take::<1>(rest)?[0];
    let bytes = take_slice(rest, usize::from(length))?;
    let set = crypto::Bitmap::from_slice(bytes)
        .map_err(|_| BlockError::Malformed("bytes that are no set of authors"))?;
    let authors = set
        .iter()
        .map(|author| AuthorityIndex::new(author).expect("a bitmap ends where indices do"));
    Ok(authors.collect())
}

fn take_references(rest: &mut &[u8]) -> Result<Vec<BlockRef>, BlockError> {
    let count = usize::from(u16::from_le_bytes(take(rest)?));
    if count > MAX_PARENTS {
        return Err(BlockError::Malformed("more parents than there can be members"));
    }
    // Room for as many as the bytes can hold.
    let mut references = Vec::with_capacity(count.min(rest.len() / 38));
    for _ in 0..count {
        let round = Round::new(u32::from_le_bytes(take(rest)?));
        let author = AuthorityIndex::new(u16::from_le_bytes(take(rest)?))
            .ok_or(BlockError::Malformed("a parent beyond all members"))?;
        let digest = BlockDigest::new(Digest::new(take(rest)?));
        references.push(BlockRef {
            round,
            author,
            digest,
        });
    }
    Ok(references)
}

fn take_flag(rest: &mut &[u8]) -> Result<bool, BlockError> {
    match take::<1>(rest)?[0] {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(BlockError::Malformed("a flag that is neither 0 nor 1")),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], BlockError> {
    let (bytes, behind) = rest
        .split_first_chunk()
        .ok_or(BlockError::Malformed("too few bytes"))?;
    *rest = behind;
    Ok(*bytes)
}

fn take_slice<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], BlockError> {
    let (bytes, behind) = rest
        .split_at_checked(length)
        .ok_or(BlockError::Malformed("too few bytes"))?;
    *rest = behind;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
