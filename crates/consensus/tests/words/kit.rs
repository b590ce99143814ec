//! A committee of four, and blocks laid out by hand as the doc of `consensus::wire` says, not by the code that it
//! describes.

use std::sync::LazyLock;

use bytes::Bytes;
use consensus::block::beacon_message;
use consensus::{BlockError, Member, Members, Production, Rules, SignedBlock};
use crypto::{BlsSecretKey, Digest, Ed25519Scheme, Ed25519SecretKey};
use types::block::{block_message, parents_digest};
use types::{
    AuthorityIndex, BlockDigest, BlockHeader, BlockRef, Bounded, ChainId, CommitDigest, CommitIndex,
    CommitRef, Epoch, Round, SignedHeader, UnixMillis, VotingPower,
};

pub const COMPACT: u8 = 0;
pub const FULL: u8 = 1;
/// A round whose blocks carry no share of the beacon.
pub const PLAIN: u32 = 5;
/// One whose blocks do.
pub const BEACON: u32 = 8;

/// No two of these are a quorum without the first, which with the third lacks one vote.
const POWERS: [u16; 4] = [3_334, 3_333, 3_332, 1];

pub struct Net {
    pub rules: Rules,
    pub members: Members<Production>,
    pub blocks: Vec<Ed25519SecretKey>,
    pub beacons: Vec<BlsSecretKey>,
}

/// Four members of epoch 7. Making BLS keys takes time: once.
pub static NET: LazyLock<Net> = LazyLock::new(|| {
    let seeds = 0..u8::try_from(POWERS.len()).unwrap();
    let blocks: Vec<_> = seeds
        .clone()
        .map(|n| Ed25519SecretKey::from_seed(&[n; 32]))
        .collect();
    let beacons: Vec<_> = seeds.map(|n| BlsSecretKey::from_seed(&[n + 100; 32])).collect();
    let member = |n: usize| Member {
        power: VotingPower::new(POWERS[n]),
        block_key: blocks[n].public(),
        beacon_key: beacons[n].public(),
    };
    let members = Members::new(Epoch::new(7), (0..POWERS.len()).map(member).collect()).unwrap();
    let rules = Rules {
        beacon_stride: 4,
        max_payload_bytes: 100,
        max_block_payloads: 5,
        max_block_bytes: 300,
        ..Rules::new(
            ChainId::new(Digest::of(b"soma")),
            Epoch::new(7),
            UnixMillis::new(1_000),
        )
    };
    Net {
        rules,
        members,
        blocks,
        beacons,
    }
});

pub fn index(number: u16) -> AuthorityIndex {
    AuthorityIndex::new(number).unwrap()
}

/// The name of some block.
pub fn name(round: u32, author: u16) -> BlockRef {
    BlockRef {
        round: Round::new(round),
        author: index(author),
        digest: BlockDigest::new(Digest::of_value("Some", &(round, author))),
    }
}

pub fn decode(frame: &Bytes) -> Result<SignedBlock<Production>, BlockError> {
    SignedBlock::decode(frame, &NET.rules, &NET.members)
}

/// Everything that stands in a frame, each part at will. What is `None` follows from the others.
#[derive(Clone)]
pub struct Parts {
    pub form: u8,
    pub epoch: u64,
    pub round: u32,
    pub author: u16,
    pub timestamp: u64,
    /// Of the parents, in short.
    pub parents_digest: Option<[u8; 32]>,
    /// What is signed.
    pub digest: Option<BlockDigest>,
    /// On which chain it is signed, and by whom.
    pub chain: ChainId,
    pub signer: usize,
    pub vote_flag: u8,
    pub vote: (u64, [u8; 32]),
    pub beacon_flag: u8,
    pub beacon: Vec<u8>,
    /// Bytes of the set of authors.
    pub previous: Vec<u8>,
    pub names: Vec<(u32, u16, [u8; 32])>,
    pub names_count: Option<u16>,
    pub payloads_count: Option<u32>,
    /// Lengths and bytes.
    pub section: Vec<u8>,
}

impl Parts {
    /// A sound block of member 1.
    pub fn new(form: u8, round: u32) -> Self {
        let written = |name: BlockRef| (name.round.get(), name.author.get(), *name.digest.get().as_bytes());
        // Member 3's block of the round before came too late.
        let late = written(name(round - 2, 3));
        let (previous, names) = if form == FULL {
            let before = [1, 0, 2].map(|author| written(name(round - 1, author)));
            (Vec::new(), [&before[..], &[late]].concat())
        } else {
            (vec![0b111], vec![late])
        };
        let mut parts = Self {
            form,
            epoch: 7,
            round,
            author: 1,
            timestamp: 1_234,
            parents_digest: None,
            digest: None,
            chain: NET.rules.chain,
            signer: 1,
            vote_flag: 1,
            vote: (3, [9; 32]),
            beacon_flag: 0,
            beacon: Vec::new(),
            previous,
            names,
            names_count: None,
            payloads_count: None,
            section: Vec::new(),
        };
        if round == BEACON {
            parts.beacon_flag = 1;
            parts.beacon = share(1, NET.rules.chain, 7, round);
        }
        parts.set_payloads(&[b"one", b"", b"three"]);
        parts
    }

    pub fn set_payloads(&mut self, payloads: &[&[u8]]) {
        self.section.clear();
        for payload in payloads {
            let length = u32::try_from(payload.len()).unwrap();
            self.section.extend(length.to_le_bytes());
            self.section.extend(*payload);
        }
        self.payloads_count = Some(u32::try_from(payloads.len()).unwrap());
    }

    /// All parents: the own one first, the others by author.
    fn parents(&self) -> Option<Vec<BlockRef>> {
        let mut parents = Vec::new();
        for (round, author, digest) in &self.names {
            parents.push(BlockRef {
                round: Round::new(*round),
                author: AuthorityIndex::new(*author)?,
                digest: BlockDigest::new(Digest::new(*digest)),
            });
        }
        if self.form != FULL {
            let bits = (0u16..).zip(
                self.previous
                    .iter()
                    .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)),
            );
            for (author, _) in bits.filter(|(_, bit)| *bit == 1) {
                AuthorityIndex::new(author)?;
                parents.push(name(self.round.checked_sub(1)?, author));
            }
            parents.sort_by_key(|parent| (parent.author.get() != self.author, parent.author));
        }
        Some(parents)
    }

    /// The header that the author means. `None` when there is none like it.
    pub fn header(&self) -> Option<BlockHeader> {
        let count = self.payloads_count?.to_le_bytes();
        let payloads = Digest::of_long("BlockPayloads", &[&count, &self.section]);
        let vote = CommitRef {
            index: CommitIndex::new(self.vote.0),
            digest: CommitDigest::new(Digest::new(self.vote.1)),
        };
        Some(BlockHeader {
            epoch: Epoch::new(self.epoch),
            round: Round::new(self.round),
            author: AuthorityIndex::new(self.author)?,
            timestamp: UnixMillis::new(self.timestamp),
            parents: Bounded::new(self.parents()?)?,
            vote: (self.vote_flag == 1).then_some(vote),
            beacon: (self.beacon_flag == 1).then_some(Bounded::new(self.beacon.clone())?),
            payloads,
        })
    }

    /// The header with its signature.
    pub fn signed(&self) -> SignedHeader<Ed25519Scheme> {
        let header = self.header().unwrap();
        let message = block_message(self.chain, header.digest());
        SignedHeader {
            signature: NET.blocks[self.signer].sign(&message),
            header,
        }
    }

    /// The bytes.
    pub fn frame(&self) -> Bytes {
        let parents = self.parents().map(|parents| parents_digest(&parents));
        let parents = parents.map_or([0; 32], |digest| *digest.as_bytes());
        let header = self.header().map(|header| header.digest());
        let digest = self.digest.or(header).unwrap_or(BlockDigest::new(Digest::ZERO));
        let message = block_message(self.chain, digest);
        let signature = NET.blocks[self.signer].sign(&message);
        let mut frame = vec![self.form];
        frame.extend(self.epoch.to_le_bytes());
        frame.extend(self.round.to_le_bytes());
        frame.extend(self.author.to_le_bytes());
        frame.extend(self.timestamp.to_le_bytes());
        if self.form != FULL {
            frame.extend(self.parents_digest.unwrap_or(parents));
        }
        frame.extend(signature.as_ref());
        frame.push(self.vote_flag);
        if self.vote_flag != 0 {
            frame.extend(self.vote.0.to_le_bytes());
            frame.extend(self.vote.1);
        }
        frame.push(self.beacon_flag);
        frame.extend(&self.beacon);
        if self.form != FULL {
            frame.push(u8::try_from(self.previous.len()).unwrap());
            frame.extend(&self.previous);
        }
        let count = u16::try_from(self.names.len()).unwrap();
        frame.extend(self.names_count.unwrap_or(count).to_le_bytes());
        for (round, author, digest) in &self.names {
            frame.extend(round.to_le_bytes());
            frame.extend(author.to_le_bytes());
            frame.extend(digest);
        }
        frame.extend(self.payloads_count.unwrap_or(0).to_le_bytes());
        frame.extend(&self.section);
        frame.into()
    }
}

/// A share of the beacon.
pub fn share(signer: usize, chain: ChainId, epoch: u64, round: u32) -> Vec<u8> {
    let message = beacon_message(chain, Epoch::new(epoch), Round::new(round));
    NET.beacons[signer].sign(&message).as_ref().to_vec()
}
