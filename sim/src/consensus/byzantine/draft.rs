//! A block that may say anything, and that its author signs all the same.
//!
//! The layout is written a second time here, from the table in `consensus::wire` and from what [`types::BlockHeader`] says is
//! signed: the program's own builder makes none but good blocks, and could not be trusted to find its own mistakes.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes};
use consensus::{Parents, Payloads, Rules, SignedBlock};
use crypto::Scheme;
use types::block::block_message;
use types::{AuthorityIndex, BlockHeader, BlockRef, Bounded, ChainId, CommitRef, Epoch, Round, UnixMillis};

use super::super::SimSuite;
use crate::scheme::{SimScheme, SimSecretKey};

/// The secret keys of a node.
pub(super) struct Keys {
    pub block: SimSecretKey,
    pub beacon: SimSecretKey,
}

impl Keys {
    /// The node's share of the beacon of a round.
    pub fn share(&self, rules: &Rules, round: Round) -> Vec<u8> {
        let message = consensus::block::beacon_message(rules.chain, rules.epoch, round);
        SimScheme::sign(&self.beacon, &message).as_ref().to_vec()
    }
}

/// What a block is to say.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The chain that the signature binds.
    pub chain: ChainId,
    pub epoch: Epoch,
    pub round: Round,
    pub author: AuthorityIndex,
    pub timestamp: UnixMillis,
    /// As the header has them.
    pub parents: Vec<BlockRef>,
    pub vote: Option<CommitRef>,
    pub beacon: Option<Vec<u8>>,
    pub payloads: Vec<Bytes>,
    /// How many payloads the frame says there are, beyond those that there are.
    pub extra: u32,
    /// The authors whose parents of the round before go into the set; `None` for a block in full.
    pub plain: Option<BTreeSet<AuthorityIndex>>,
}

impl Draft {
    /// What `block` says, whose parents are these.
    pub fn of(block: &SignedBlock<SimSuite>, parents: Vec<BlockRef>, keys: &Keys, rules: &Rules) -> Self {
        let name = block.reference();
        let plain = match block.parents() {
            Parents::Full(_) => None,
            Parents::Compact { previous, .. } => Some(previous.iter().collect()),
        };
        let has_share = rules.has_beacon(name.round);
        Self {
            chain: rules.chain,
            epoch: rules.epoch,
            round: name.round,
            author: name.author,
            timestamp: block.timestamp(),
            parents,
            vote: block.vote(),
            beacon: has_share.then(|| keys.share(rules, name.round)),
            payloads: block.payloads().shared().collect(),
            extra: 0,
            plain,
        }
    }

    fn section(&self) -> Payloads {
        Payloads::new(self.payloads.iter().map(|payload| &payload[..]))
    }

    /// What is signed.
    pub fn header(&self) -> BlockHeader {
        BlockHeader {
            epoch: self.epoch,
            round: self.round,
            author: self.author,
            timestamp: self.timestamp,
            parents: Bounded::new(self.parents.clone()).expect("a draft has few parents"),
            vote: self.vote,
            beacon: self
                .beacon
                .clone()
                .map(|share| Bounded::new(share).expect("a share is short")),
            payloads: self.section().digest(),
        }
    }

    /// Signs it: its name and its frame.
    pub fn sign(&self, keys: &Keys) -> (BlockRef, Bytes) {
        let name = self.header().reference();
        let signature = SimScheme::sign(&keys.block, &block_message(self.chain, name.digest));
        let mut out = Vec::with_capacity(1 << 10);
        out.put_u8(u8::from(self.plain.is_none()));
        out.put_u64_le(self.epoch.get());
        out.put_u32_le(self.round.get());
        out.put_u16_le(self.author.get());
        out.put_u64_le(self.timestamp.get());
        if self.plain.is_some() {
            out.put_slice(types::block::parents_digest(&self.parents).as_bytes());
        }
        out.put_slice(signature.as_ref());
        out.put_u8(u8::from(self.vote.is_some()));
        if let Some(vote) = &self.vote {
            out.put_u64_le(vote.index.get());
            out.put_slice(vote.digest.get().as_bytes());
        }
        out.put_u8(u8::from(self.beacon.is_some()));
        out.put_slice(self.beacon.as_deref().unwrap_or_default());
        self.put_parents(&mut out);
        let count = u32::try_from(self.payloads.len()).expect("a draft has few payloads");
        out.put_u32_le(count.wrapping_add(self.extra));
        for payload in &self.payloads {
            out.put_u32_le(u32::try_from(payload.len()).expect("a payload is short"));
            out.put_slice(payload);
        }
        (name, out.into())
    }

    fn put_parents(&self, out: &mut Vec<u8>) {
        let is_plain = |parent: &&BlockRef| {
            let plain = self.plain.as_ref();
            parent.round.next() == Some(self.round) && plain.is_some_and(|set| set.contains(&parent.author))
        };
        if self.plain.is_some() {
            let set: crypto::Bitmap = self
                .parents
                .iter()
                .filter(is_plain)
                .map(|parent| parent.author.get())
                .collect();
            out.put_u8(u8::try_from(set.as_bytes().len()).expect("a bitmap has at most 128 bytes"));
            out.put_slice(set.as_bytes());
        }
        let mut named: Vec<&BlockRef> = self.parents.iter().filter(|parent| !is_plain(parent)).collect();
        if self.plain.is_some() {
            named.sort_by_key(|parent| parent.author);
        }
        out.put_u16_le(u16::try_from(named.len()).expect("a draft has few parents"));
        for parent in named {
            out.put_u32_le(parent.round.get());
            out.put_u16_le(parent.author.get());
            out.put_slice(parent.digest.get().as_bytes());
        }
    }
}
