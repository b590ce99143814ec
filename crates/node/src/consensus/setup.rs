//! What a member's part in an epoch is made from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use consensus::{Config, Members, Pace, Rules, Signer, Suite};
use crypto::Scheme;
use env::{Durability, PeerAddress};
use types::{AuthorityIndex, PeerId};

use crate::consensus::handle::Port;

/// How a member may start in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Its owner knows that its keys have signed nothing in this epoch, unless the store here says so: a store that is
    /// empty is entitled to sign at once.
    Fresh,
    /// A store that is empty has been lost: what was signed is asked of the others first.
    Resume,
}

/// How much of what is written survives a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Own blocks are on the disk before they are sent. The only mode in which a member keeps its word.
    Durable,
    /// Nothing waits for the disk. A machine that crashes may sign twice: for chains on one machine only.
    Relaxed,
}

impl Mode {
    /// How the writes are made that a block waits for.
    pub(crate) const fn barrier(self) -> Durability {
        match self {
            Self::Durable => Durability::Synced,
            Self::Relaxed => Durability::Buffered,
        }
    }
}

/// The seeds of a member's secret keys, from which they are made anew whenever the machine is.
#[derive(Clone)]
pub struct Secrets {
    /// Of the key that signs blocks.
    pub block: [u8; 32],
    /// Of the key that signs shares of the beacon.
    pub beacon: [u8; 32],
}

impl fmt::Debug for Secrets {
    /// Nothing of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// A member as others reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its position among the members.
    pub index: AuthorityIndex,
    /// Its key and where it lives.
    pub address: PeerAddress,
}

/// Everything that [`run`](fn@crate::consensus::run) needs to know, but for the consumer.
#[derive(Debug)]
pub struct Setup<S: Suite> {
    /// What all members agree on.
    pub rules: Rules,
    /// What this one chooses.
    pub pace: Pace,
    /// Everybody.
    pub members: Arc<Members<S>>,
    /// This member's position.
    pub index: AuthorityIndex,
    /// Its secret keys.
    pub secrets: Secrets,
    /// All members, in any order; this one may be among them.
    pub peers: Vec<Peer>,
    /// How it starts.
    pub start: Start,
    /// How it writes.
    pub mode: Mode,
    /// Where its payloads come from.
    pub port: Port,
}

/// A setup that no member can run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The own index is not that of a member.
    #[error("index {index} is not one of {members} members")]
    NotAMember {
        /// The index.
        index: AuthorityIndex,
        /// How many members there are.
        members: usize,
    },
    /// The secret keys are not those of the member.
    #[error("the secret keys are not those of member {index}")]
    WrongKeys {
        /// Which member.
        index: AuthorityIndex,
    },
    /// A peer stands twice, or is no member.
    #[error("peer {peer} of member {index} stands twice, or is no member")]
    BadPeer {
        /// Whose.
        index: AuthorityIndex,
        /// Its key.
        peer: PeerId,
    },
    /// A rule is none.
    #[error(transparent)]
    Rules(#[from] consensus::RulesError),
    /// The members are not those of the rules' epoch.
    #[error("the members are of another epoch than the rules")]
    WrongEpoch,
}

impl<S: Suite> Setup<S> {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn check(&self) -> Result<(), SetupError> {
        let index = self.index;
        self.rules.check()?;
        if self.members.epoch() != self.rules.epoch {
            return Err(SetupError::WrongEpoch);
        }
        let Some(member) = self.members.get(index) else {
            let members = self.members.size();
            return Err(SetupError::NotAMember { index, members });
        };
        let signer = self.signer();
        let block_key = <S::Block as Scheme>::public(&signer.block);
        let beacon_key = <S::Beacon as Scheme>::public(&signer.beacon);
        if block_key != member.block_key || beacon_key != member.beacon_key {
            return Err(SetupError::WrongKeys { index });
        }
        Directory::new(&self.peers, &self.members)?;
        Ok(())
    }

    /// The keys that the seeds make.
    fn signer(&self) -> Signer<S> {
        Signer {
            index: self.index,
            block: <S::Block as Scheme>::secret(&self.secrets.block),
            beacon: <S::Beacon as Scheme>::secret(&self.secrets.beacon),
        }
    }

    /// What the machine is made from.
    pub(crate) fn config(&self) -> Config<S> {
        Config {
            rules: self.rules.clone(),
            pace: self.pace.clone(),
            members: Arc::clone(&self.members),
            signer: self.signer(),
        }
    }
}

/// Who is who, both ways.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    by_index: BTreeMap<AuthorityIndex, PeerId>,
    by_peer: BTreeMap<PeerId, AuthorityIndex>,
}

impl Directory {
    /// The directory of these peers, each of which stands once and is a member.
    pub fn new<S: Suite>(peers: &[Peer], members: &Members<S>) -> Result<Self, SetupError> {
        let mut directory = Self::default();
        for Peer { index, address } in peers {
            let known = directory.by_index.insert(*index, address.id).is_some()
                || directory.by_peer.insert(address.id, *index).is_some();
            if known || members.get(*index).is_none() {
                let (index, peer) = (*index, address.id);
                return Err(SetupError::BadPeer { index, peer });
            }
        }
        Ok(directory)
    }

    /// The peer at this position.
    pub fn peer(&self, index: AuthorityIndex) -> Option<PeerId> {
        self.by_index.get(&index).copied()
    }

    /// The position of this peer.
    pub fn index(&self, peer: &PeerId) -> Option<AuthorityIndex> {
        self.by_peer.get(peer).copied()
    }

    /// Everybody, ascending by position.
    pub fn iter(&self) -> impl Iterator<Item = (AuthorityIndex, PeerId)> + '_ {
        self.by_index.iter().map(|(index, peer)| (*index, *peer))
    }
}
