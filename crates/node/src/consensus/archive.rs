//! What is answered from a store alone, of an epoch that goes on or of one that is over.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use consensus::messages::MAX_ANSWER_COMMITS;
use consensus::serve::{blocks_answer, commits_answer, expand, genesis_row, header, last_voted, row_needed};
use consensus::{Members, Request, Rules, SignedBlock, Suite};
use env::{Env, Inbound, Listener, Network, NetworkError, Reply, Scope, Spawner, StorageError, Stream};
use types::{AuthorityIndex, BlockRef, CommitIndex, Epoch, PeerId, Round, SignedHeader, Slot};

use crate::consensus::channels::{BLOCKS, Preamble, REQUESTS, decode_request};
use crate::consensus::metrics::Metrics;
use crate::consensus::outgoing::Outgoing;
use crate::consensus::setup::{Directory, Peer, SetupError};
use crate::consensus::store::{EpochStore, Unreadable, open};

/// Blocks of one author in one round that are looked at.
const MAX_TWINS: usize = 2;
/// Bytes of blocks after which an answer ends: so much gets through in time on most links, and the rest is asked for again.
pub(crate) const ANSWER_BYTES: usize = 512 << 10;
/// Certificates that are looked at for one answer.
const MAX_CERTIFICATES: usize = 8;

/// The blocks and commits of one epoch, to be read. Cloning gives another handle on the same store.
pub struct Archive<E: Env, S: Suite>(Arc<Parts<E, S>>);

struct Parts<E: Env, S: Suite> {
    store: EpochStore<E>,
    rules: Rules,
    members: Arc<Members<S>>,
    index: AuthorityIndex,
    peers: Vec<Peer>,
    directory: Directory,
    metrics: Arc<Metrics>,
}

impl<E: Env, S: Suite> Clone for Archive<E, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Why there is no archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// Peers and members do not go together.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Its store cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What an [`Archive`] is made of beside its store.
pub(crate) struct Contents<S: Suite> {
    pub rules: Rules,
    pub members: Arc<Members<S>>,
    pub index: AuthorityIndex,
    pub peers: Vec<Peer>,
    pub directory: Directory,
    pub metrics: Arc<Metrics>,
}

impl<E: Env, S: Suite> Archive<E, S> {
    /// The archive of an epoch that is over, from the store that this member has of it; `None` when it has none that
    /// can be read.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn open(
        env: &E,
        rules: Rules,
        members: Arc<Members<S>>,
        index: AuthorityIndex,
        peers: Vec<Peer>,
    ) -> Result<Option<Self>, ArchiveError> {
        let directory = Directory::new(&peers, &members)?;
        let Some(store) = open(env, rules.epoch, 0).await? else {
            return Ok(None);
        };
        let contents = Contents {
            rules,
            members,
            index,
            peers,
            directory,
            metrics: Arc::default(),
        };
        Ok(Some(Self::new(store, contents)))
    }

    pub(crate) fn new(store: EpochStore<E>, contents: Contents<S>) -> Self {
        let Contents {
            rules,
            members,
            index,
            peers,
            directory,
            metrics,
        } = contents;
        Self(Arc::new(Parts {
            store,
            rules,
            members,
            index,
            peers,
            directory,
            metrics,
        }))
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.0.rules.epoch
    }

    /// The members of the epoch, as others reach them.
    pub fn peers(&self) -> &[Peer] {
        &self.0.peers
    }

    pub(crate) fn member(&self, peer: &PeerId) -> Option<AuthorityIndex> {
        self.0.directory.index(peer)
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// The round of the last own block, 0 if there is none.
    pub(crate) async fn last_own(&self) -> Result<Round, StorageError> {
        match self.0.store.own().await {
            Ok(own) => Ok(own.map_or(Round::ZERO, |own| own.round)),
            Err(Unreadable::Storage(error)) => Err(error),
            Err(Unreadable::Damaged(_)) => Ok(Round::ZERO),
        }
    }

    /// The own block of a round, if there is one.
    pub(crate) async fn own_block(&self, round: Round) -> Result<Option<Bytes>, StorageError> {
        let parts = &self.0;
        let frames = parts.store.blocks_at(round, parts.index, 1).await?;
        Ok(frames.into_iter().next())
    }

    /// The answer to a request, as far as the store has one; `None` where it has none. `known` are blocks in full that
    /// the caller has found elsewhere; they, and their places, are not looked for.
    pub(crate) async fn answer(
        &self,
        request: &Request,
        known: BTreeMap<BlockRef, Bytes>,
    ) -> Result<Option<Bytes>, StorageError> {
        match request {
            Request::Blocks { names, slots } => {
                let is_known = |name: &BlockRef| known.contains_key(name);
                let is_known_at = |slot: &Slot| known.keys().any(|name| name.slot() == *slot);
                let mut wants = BTreeMap::<Round, Vec<Want>>::new();
                for name in names.iter().filter(|name| !is_known(name)) {
                    wants.entry(name.round).or_default().push(Want::Name(*name));
                }
                for slot in slots.iter().filter(|slot| !is_known_at(slot)) {
                    wants.entry(slot.round).or_default().push(Want::Slot(*slot));
                }
                let mut frames: Vec<Bytes> = known.into_values().collect();
                let mut bytes: usize = frames.iter().map(Bytes::len).sum();
                let mut reading = Reading::new(&self.0);
                for (round, wants) in wants {
                    if bytes > ANSWER_BYTES {
                        break;
                    }
                    for frame in reading.wanted(round, &wants).await? {
                        let expanded = reading.expanded(&frame).await?;
                        bytes += expanded.as_ref().map_or(0, Bytes::len);
                        frames.extend(expanded);
                    }
                    // The next round may need the names of this one.
                    reading.rows = reading.rows.split_off(&round);
                }
                Ok(Some(blocks_answer(frames)))
            }
            Request::Commits { first, most } => self.commits(*first, *most).await,
            Request::Latest => Ok(None),
        }
    }

    /// The most commits from `first` on that a certificate proves.
    async fn commits(&self, first: CommitIndex, most: u16) -> Result<Option<Bytes>, StorageError> {
        let count = u64::from(most).min(MAX_ANSWER_COMMITS as u64);
        let end = CommitIndex::new(first.get().saturating_add(count));
        let store = &self.0.store;
        let mut reading = Reading::new(&self.0);
        for names in store.certificates(first, end, MAX_CERTIFICATES).await? {
            let mut votes = Vec::with_capacity(names.len());
            for name in &names {
                if let Some(frame) = store.block(name).await? {
                    votes.extend(reading.header(&frame).await?);
                }
            }
            let Some(last) = last_voted::<S>(first, most, &votes) else {
                continue;
            };
            let Ok(wanted) = usize::try_from(last.get() - first.get() + 1) else {
                continue;
            };
            let commits = match store.commits(first, wanted).await {
                Ok(commits) => commits,
                Err(Unreadable::Storage(error)) => return Err(error),
                Err(Unreadable::Damaged(_)) => return Ok(None),
            };
            if commits.len() != wanted {
                continue;
            }
            if let Some(answer) = commits_answer::<S>(commits, votes) {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }
}

/// What one answer is read for.
#[derive(Clone, Copy, Debug)]
enum Want {
    Name(BlockRef),
    Slot(Slot),
}

/// The names of a round, with the blocks if they were read.
struct Row {
    names: Vec<BlockRef>,
    frames: Vec<Bytes>,
}

/// Rows that one answer has needed: each is read once.
struct Reading<'a, E: Env, S: Suite> {
    parts: &'a Parts<E, S>,
    rows: BTreeMap<Round, Row>,
}

impl<'a, E: Env, S: Suite> Reading<'a, E, S> {
    const fn new(parts: &'a Parts<E, S>) -> Self {
        Self {
            parts,
            rows: BTreeMap::new(),
        }
    }

    async fn row(&mut self, round: Round) -> Result<&Row, StorageError> {
        let parts = self.parts;
        Ok(match self.rows.entry(round) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(place) => {
                let (names, frames) = if round == Round::ZERO {
                    (genesis_row(&parts.rules, &parts.members), Vec::new())
                } else {
                    let most = MAX_TWINS * parts.members.size();
                    parts.store.row(round, most).await?.into_iter().unzip()
                };
                place.insert(Row { names, frames })
            }
        })
    }

    /// The stored blocks of one round that are wanted. A whole row costs as much as two of its blocks.
    async fn wanted(&mut self, round: Round, wants: &[Want]) -> Result<Vec<Bytes>, StorageError> {
        let store = &self.parts.store;
        let mut found = Vec::new();
        if wants.len() < 2 && !self.rows.contains_key(&round) {
            for want in wants {
                match want {
                    Want::Name(name) => found.extend(store.block(name).await?),
                    Want::Slot(slot) => {
                        found.extend(store.blocks_at(round, slot.author, MAX_TWINS).await?);
                    }
                }
            }
            return Ok(found);
        }
        let row = self.row(round).await?;
        let is_wanted = |name: &BlockRef| {
            wants.iter().any(|want| match want {
                Want::Name(wanted) => wanted == name,
                Want::Slot(slot) => name.slot() == *slot,
            })
        };
        let stored = row.names.iter().zip(&row.frames);
        found.extend(
            stored
                .filter(|(name, _)| is_wanted(name))
                .map(|(_, frame)| frame.clone()),
        );
        Ok(found)
    }

    /// A stored block, with the names of the round before if it needs them.
    async fn block(&mut self, frame: &Bytes) -> Result<Option<(SignedBlock<S>, &[BlockRef])>, StorageError> {
        let parts = self.parts;
        let Ok(block) = SignedBlock::decode(frame, &parts.rules, &parts.members) else {
            return Ok(None);
        };
        let row: &[BlockRef] = match row_needed(&block) {
            None => &[],
            Some(round) => &self.row(round).await?.names,
        };
        Ok(Some((block, row)))
    }

    async fn expanded(&mut self, frame: &Bytes) -> Result<Option<Bytes>, StorageError> {
        let block = self.block(frame).await?;
        Ok(block.and_then(|(block, row)| expand(&block, row)))
    }

    async fn header(&mut self, frame: &Bytes) -> Result<Option<SignedHeader<S::Block>>, StorageError> {
        let block = self.block(frame).await?;
        Ok(block.and_then(|(block, row)| header(&block, row)))
    }
}

/// Answers from the archive of an epoch that is over, until the node ends: requests, and streams of own blocks, which
/// end after the last. Dropping the future ends it.
///
/// # Errors
/// [`NetworkError`].
pub async fn serve<E: Env, S: Suite>(env: E, archive: Archive<E, S>) -> Result<(), NetworkError> {
    let addresses = archive.peers().iter().map(|peer| peer.address.clone());
    env.network().set_peers(addresses.collect());
    let mut requests = env.network().listen(REQUESTS)?;
    let mut streams = env.network().listen(BLOCKS)?;
    let scope = env.spawner().scope("archive");
    loop {
        let inbound = env::select! {
            inbound = requests.accept() => inbound?,
            inbound = streams.accept() => inbound?,
        };
        match inbound {
            Inbound::Message { .. } => {}
            Inbound::Request { from, body, reply } => {
                if let Some((epoch, request)) = decode_request(&body)
                    && epoch == archive.epoch()
                    && archive.member(&from).is_some()
                {
                    archive.answer_in(&scope, request, BTreeMap::new(), reply);
                }
            }
            Inbound::Stream {
                from,
                preamble,
                stream,
            } => {
                if let Some(preamble) = Preamble::decode(&preamble, archive.0.rules.chain) {
                    archive.stream_in(&scope, &preamble, from, stream);
                }
            }
        }
    }
}

impl<E: Env, S: Suite> Archive<E, S> {
    /// Answers a member's request beside the caller.
    pub(crate) fn answer_in(
        &self,
        scope: &<E::Spawner as Spawner>::Scope,
        request: Request,
        known: BTreeMap<BlockRef, Bytes>,
        reply: impl Reply,
    ) {
        let archive = self.clone();
        let task = scope.spawn("answer", async move {
            let metrics = archive.metrics();
            match archive.answer(&request, known).await {
                Ok(Some(answer)) => {
                    metrics.requests_served.one();
                    metrics.bytes_served.add(answer.len() as u64);
                    drop(reply.send(answer));
                }
                // Dropping the reply refuses the request.
                Ok(None) | Err(_) => metrics.requests_refused.one(),
            }
        });
        drop(task); // the scope owns it
    }

    /// Sends own blocks to a member that has opened a stream for them.
    pub(crate) fn stream_in(
        &self,
        scope: &<E::Spawner as Spawner>::Scope,
        preamble: &Preamble,
        from: PeerId,
        stream: <E::Network as Network>::Stream,
    ) {
        if preamble.epoch() != self.epoch() || self.member(&from).is_none() {
            return;
        }
        let (archive, after) = (self.clone(), preamble.after);
        let task = scope.spawn("old_blocks", async move {
            let (sender, receiver) = stream.split();
            drop(Outgoing::closed(archive).send(after, sender, receiver).await);
        });
        drop(task); // the scope owns it
    }
}
