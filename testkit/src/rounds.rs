//! A small replicated protocol: the load that environments are tried with before there is a consensus, and beside it.
//!
//! Every member makes one signed block per round and goes to the next round once a quorum of the members has made one.
//! It uses everything an [`Env`] has: messages (blocks as they are made), requests (blocks that are missing), a stream
//! per member (the feed of its neighbour), storage with and without a barrier, timers, entropy, compute, blobs.
//!
//! What it promises, and tells oracles by events:
//! - `block_made(round, author, digest)`: an own block is durable before anyone sees it, so that a member never makes
//!   two blocks of one round, whatever crashes;
//! - `recovered(round, author, digest)`: after a restart a member knows the last block that it made;
//! - `block_seen(round, author, digest)`: the first block of an author and round that it accepted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crypto::{Digest, FixedBytes, Scheme};
use env::storage::{Batch, Direction, Durability, Family, KeyRange, Reader, Storage, StorageError, Store};
use env::sync::{mpsc, watch};
use env::{
    Blobs, Channel, Clock, Compute, Cost, CostKind, Entropy, Env, Inbound, Listener, Network, NetworkError,
    PeerAddress, Reply, Scope, Spawner, Stream, StreamReceiver, StreamSender,
};
use serde::{Deserialize, Serialize};

/// The members and the pace.
pub struct Rounds<S: Scheme> {
    /// This member's place among `members`.
    pub index: u16,
    /// Addresses of all members, in the order of their places.
    pub members: Vec<PeerAddress>,
    /// Their block keys.
    pub keys: Vec<S::PublicKey>,
    /// This member's block key.
    pub secret: S::SecretKey,
    /// The least time between two own blocks.
    pub pause: Duration,
    /// Bytes of payload per block.
    pub payload: usize,
    /// URL, size and digest of a blob that members read from time to time.
    pub blob: Option<(String, u64, Digest)>,
}

const BLOCKS: Channel = Channel {
    id: 1,
    label: "blocks",
    max_frame: MAX_BLOCK,
    queue: 256,
    concurrency: 1,
};
const FETCH: Channel = Channel {
    id: 2,
    label: "fetch",
    max_frame: MAX_BLOCK,
    queue: 1,
    concurrency: 4,
};
const FEED: Channel = Channel {
    id: 3,
    label: "feed",
    max_frame: MAX_BLOCK,
    queue: 16,
    concurrency: 2,
};
const MAX_BLOCK: u32 = 64 << 10;

const OWN: Family = Family::new("own");
const SEEN: Family = Family::new("seen");

/// What a stream of the feed says first.
const FEED_PREAMBLE: &[u8] = b"rounds/1";

/// Rounds of other members' blocks that are kept.
const KEPT_ROUNDS: u64 = 32;

const TICK: Duration = Duration::from_millis(250);
const REQUEST_LIMIT: Duration = Duration::from_secs(2);
const REOPEN_PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Block {
    author: u16,
    round: u64,
    nonce: [u8; 16],
    // Bytes are encoded as a vector's are, but at once and not one by one.
    payload: Bytes,
    signature: Bytes,
}

impl Block {
    fn signed_bytes(&self) -> Vec<u8> {
        bcs::to_bytes(&(self.author, self.round, self.nonce, &self.payload))
            .expect("numbers and bytes encode")
    }

    fn encode(&self) -> Bytes {
        Bytes::from(bcs::to_bytes(self).expect("numbers and bytes encode"))
    }
}

impl<S: Scheme> Rounds<S> {
    fn quorum(&self) -> usize {
        self.members.len() - (self.members.len() - 1) / 3
    }

    /// Decodes and checks a block of another member.
    fn check(&self, bytes: &[u8]) -> Option<(Block, Digest)> {
        let block: Block = types::decode(bytes, MAX_BLOCK as usize).ok()?;
        let key = self.keys.get(usize::from(block.author))?;
        let signature = S::Signature::from_slice(&block.signature).ok()?;
        let signed = block.signed_bytes();
        S::verify(key, &signed, &signature).ok()?;
        Some((block, Digest::of(&signed)))
    }
}

/// Runs one member for ever. A failed store is reopened after a pause.
pub async fn run<E: Env, S: Scheme>(env: E, rounds: Arc<Rounds<S>>) {
    loop {
        let Err(error) = Member::run(env.clone(), rounds.clone()).await;
        let code = match error {
            Failure::Storage(StorageError::Closed) | Failure::Network(NetworkError::Closed) => return,
            Failure::Storage(StorageError::Corrupt { .. }) => 1,
            Failure::Storage(StorageError::Full { .. }) => 2,
            Failure::Storage(_) => 3,
            Failure::Network(_) => 4,
        };
        env::event!(env, "member_failed", code, u64::from(rounds.index));
        env.clock().sleep(REOPEN_PAUSE).await;
    }
}

enum Failure {
    Storage(StorageError),
    Network(NetworkError),
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<NetworkError> for Failure {
    fn from(error: NetworkError) -> Self {
        Self::Network(error)
    }
}

struct Member<E: Env, S: Scheme> {
    env: E,
    rounds: Arc<Rounds<S>>,
    store: <E::Storage as Storage>::Store,
    scope: <E::Spawner as Spawner>::Scope,
    /// Own latest block.
    latest: Option<(u64, Bytes)>,
    /// The newest round heard of each author.
    newest: BTreeMap<u16, u64>,
    feed: watch::Sender<Bytes>,
    fetched: mpsc::Sender<Bytes>,
    ticks: u64,
}

impl<E: Env, S: Scheme> Member<E, S> {
    async fn run(env: E, rounds: Arc<Rounds<S>>) -> Result<std::convert::Infallible, Failure> {
        let network = env.network().clone();
        network.set_peers(rounds.members.clone());
        let store = env.storage().open("rounds", &[OWN, SEEN]).await?;
        let mut blocks = network.listen(BLOCKS)?;
        let mut fetches = network.listen(FETCH)?;
        let mut feeds = network.listen(FEED)?;
        let (fetched, mut arrivals) = mpsc::channel(64);
        let scope = env.spawner().scope("rounds");
        let mut member = Self {
            env,
            rounds,
            store,
            scope,
            latest: None,
            newest: BTreeMap::new(),
            feed: watch::channel(Bytes::new()).0,
            fetched,
            ticks: 0,
        };
        member.recover().await?;
        member.follow_neighbour();
        let mut tick = member.env.clock().interval(TICK);
        let mut next = member.env.clock().now();
        loop {
            if member.may_advance() && member.env.clock().now() >= next {
                member.make_block().await?;
                next = member.env.clock().now() + member.rounds.pause;
            }
            let pause = member.env.clock().sleep_until(next);
            let waits = member.may_advance();
            env::select! {
                inbound = blocks.accept() => {
                    if let Inbound::Message { body, .. } = inbound? {
                        member.on_block(body).await?;
                    }
                }
                Some(block) = arrivals.recv() => member.on_block(block).await?,
                inbound = fetches.accept() => {
                    if let Inbound::Request { body, reply, .. } = inbound? {
                        member.on_fetch(&body, reply).await?;
                    }
                }
                inbound = feeds.accept() => {
                    if let Inbound::Stream { preamble, stream, .. } = inbound?
                        && preamble == FEED_PREAMBLE
                    {
                        member.feed_to(stream);
                    }
                }
                _ = tick.tick() => member.on_tick(),
                () = pause, if waits => {}
            }
        }
    }

    async fn recover(&mut self) -> Result<(), Failure> {
        let last = self.store.scan(OWN, KeyRange::ALL, Direction::Reverse, 1).await?;
        let Some((_, bytes)) = last.into_iter().next() else {
            return Ok(());
        };
        let Some((block, digest)) = self.rounds.check(&bytes) else {
            return Ok(());
        };
        // A write that failed may be there and not be safe: nobody hears of the block before it is.
        self.store.write(Batch::default(), Durability::Synced).await?;
        env::event!(
            self.env,
            "recovered",
            block.round,
            u64::from(block.author),
            digest.as_bytes()
        );
        self.newest.insert(block.author, block.round);
        self.latest = Some((block.round, bytes.clone()));
        self.feed.send_replace(bytes);
        Ok(())
    }

    /// The round that the next own block may have: above the own last one, and right after a quorum was heard.
    fn next_round(&self) -> Option<u64> {
        // A block of a later round says that its author had heard a quorum of every round before: it counts for them.
        let mut newest: Vec<u64> = self.newest.values().copied().collect();
        newest.sort_unstable_by(|one, other| other.cmp(one));
        let heard = newest.get(self.rounds.quorum() - 1).copied();
        match (&self.latest, heard) {
            (None, None) => Some(0),
            (None, Some(heard)) => Some(heard + 1),
            (Some((own, _)), Some(heard)) if heard >= *own => Some(heard + 1),
            _ => None,
        }
    }

    fn may_advance(&self) -> bool {
        self.next_round().is_some()
    }

    async fn make_block(&mut self) -> Result<(), Failure> {
        let Some(round) = self.next_round() else {
            return Ok(());
        };
        let mut nonce = [0; 16];
        self.env.entropy().fill("rounds.nonce", &mut nonce);
        let payload = Bytes::from(vec![nonce[0]; self.rounds.payload]);
        let mut block = Block {
            author: self.rounds.index,
            round,
            nonce,
            payload,
            signature: Bytes::new(),
        };
        let signed = block.signed_bytes();
        self.env.compute().charge(Cost::new(CostKind::Ed25519Sign, 1));
        self.env
            .compute()
            .charge(Cost::new(CostKind::HashByte, signed.len() as u64));
        block.signature = Bytes::copy_from_slice(S::sign(&self.rounds.secret, &signed).as_ref());
        let digest = Digest::of(&signed);
        let bytes = block.encode();
        let mut batch = Batch::default();
        batch.put(OWN, round.to_be_bytes().to_vec(), bytes.clone());
        // A member may have made a block and died before its own store said so; then it makes none for that round.
        self.store.write(batch, Durability::Synced).await?;
        env::event!(
            self.env,
            "block_made",
            round,
            u64::from(block.author),
            digest.as_bytes()
        );
        self.newest.insert(block.author, round);
        self.latest = Some((round, bytes.clone()));
        self.forget_old(round).await?;
        if env::buggify!(self.env, "rounds.slow_broadcast") {
            self.env.clock().sleep(TICK).await;
        }
        self.broadcast(&bytes);
        self.feed.send_replace(bytes);
        self.read_blob(round);
        Ok(())
    }

    async fn forget_old(&mut self, round: u64) -> Result<(), Failure> {
        if !round.is_multiple_of(KEPT_ROUNDS) || round < 2 * KEPT_ROUNDS {
            return Ok(());
        }
        let floor = round - 2 * KEPT_ROUNDS;
        let range = KeyRange {
            start: std::ops::Bound::Unbounded,
            end: std::ops::Bound::Excluded(Bytes::copy_from_slice(&floor.to_be_bytes())),
        };
        let mut batch = Batch::default();
        batch.delete_range(OWN, range.clone()).delete_range(SEEN, range);
        self.store.write(batch, Durability::Buffered).await?;
        Ok(())
    }

    fn broadcast(&self, block: &Bytes) {
        for (place, member) in self.rounds.members.iter().enumerate() {
            if place != usize::from(self.rounds.index) {
                let sent = self.env.network().send(member.id, BLOCKS, block.clone());
                env::sometimes!(
                    self.env,
                    "rounds.peer_busy",
                    matches!(sent, Err(NetworkError::Busy { .. }))
                );
            }
        }
    }

    async fn on_block(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.env.compute().charge(Cost::new(CostKind::Ed25519Verify, 1));
        let Some((block, digest)) = self.rounds.check(&bytes) else {
            env::event!(self.env, "bad_block", bytes.len() as u64, 0);
            return Ok(());
        };
        if self
            .newest
            .get(&block.author)
            .is_some_and(|newest| block.round <= *newest)
        {
            return Ok(());
        }
        self.newest.insert(block.author, block.round);
        env::event!(
            self.env,
            "block_seen",
            block.round,
            u64::from(block.author),
            digest.as_bytes()
        );
        let mut key = block.round.to_be_bytes().to_vec();
        key.extend(block.author.to_be_bytes());
        let mut batch = Batch::default();
        batch.put(SEEN, key, bytes);
        self.store.write(batch, Durability::Buffered).await?;
        Ok(())
    }

    /// Says the own block again, and asks a member in turn for its own.
    fn on_tick(&mut self) {
        self.ticks += 1;
        let Some((_, block)) = &self.latest else { return };
        self.broadcast(block);
        let members = self.rounds.members.len() as u64;
        let place = (u64::from(self.rounds.index) + self.ticks) % members;
        if place == u64::from(self.rounds.index) {
            return;
        }
        let peer = self.rounds.members[usize::try_from(place).expect("fewer members than memory")].id;
        let (env, fetched) = (self.env.clone(), self.fetched.clone());
        let task = self.scope.spawn("fetch", async move {
            let answer = env
                .network()
                .request(peer, FETCH, Bytes::from_static(b"latest"), REQUEST_LIMIT)
                .await;
            match answer {
                Ok(block) => {
                    env::reached!(env, "rounds.fetched");
                    // A full queue means that blocks come in by other ways.
                    drop(fetched.try_send(block));
                }
                Err(error) => {
                    env::sometimes!(
                        env,
                        "rounds.fetch_timed_out",
                        matches!(error, NetworkError::Timeout { .. })
                    );
                }
            }
        });
        drop(task); // the scope owns it
    }

    async fn on_fetch(
        &mut self,
        request: &[u8],
        reply: <E::Network as Network>::Reply,
    ) -> Result<(), Failure> {
        // A request for anything else is refused by dropping the reply.
        if request == b"latest"
            && let Some((round, _)) = &self.latest
            && let Some(block) = self.store.get(OWN, &round.to_be_bytes()).await?
        {
            drop(reply.send(block));
        }
        Ok(())
    }

    /// Sends every new own block over `stream` until it breaks.
    fn feed_to(&self, stream: <E::Network as Network>::Stream) {
        let mut latest = self.feed.subscribe();
        let task = self.scope.spawn("feed", async move {
            let (mut sender, _receiver) = stream.split();
            loop {
                let block = latest.borrow_and_update().clone();
                if !block.is_empty() && sender.send(block).await.is_err() {
                    return;
                }
                if latest.changed().await.is_err() {
                    return sender.finish();
                }
            }
        });
        drop(task); // the scope owns it
    }

    /// Reads the feed of the next member, and opens it again when it breaks.
    fn follow_neighbour(&self) {
        let place = (usize::from(self.rounds.index) + 1) % self.rounds.members.len();
        let peer = self.rounds.members[place].id;
        if place == usize::from(self.rounds.index) {
            return;
        }
        let (env, fetched) = (self.env.clone(), self.fetched.clone());
        let task = self.scope.spawn("follow", async move {
            loop {
                let preamble = Bytes::from_static(FEED_PREAMBLE);
                if let Ok(stream) = env.network().open(peer, FEED, preamble, REQUEST_LIMIT).await {
                    let (_sender, mut receiver) = stream.split();
                    while let Ok(Some(block)) = receiver.recv().await {
                        if fetched.send(block).await.is_err() {
                            return;
                        }
                    }
                    env::reached!(env, "rounds.feed_broke");
                }
                env.clock().sleep(REOPEN_PAUSE).await;
            }
        });
        drop(task); // the scope owns it
    }

    /// Reads the blob in another task, in a few rounds of many, and says whether it is the right one.
    fn read_blob(&self, round: u64) {
        let Some((url, size, expected)) = &self.rounds.blob else {
            return;
        };
        if !round.is_multiple_of(16) {
            return;
        }
        let (env, url, size, expected) = (self.env.clone(), url.clone(), *size, *expected);
        let task = self.scope.spawn("blob", async move {
            let read = env.blobs().read(&url, 0..size, REQUEST_LIMIT).await;
            let Ok(bytes) = read else {
                return env::reached!(env, "rounds.blob_failed");
            };
            let cost = Cost::new(CostKind::HashByte, size);
            let Ok(digest) = env.compute().run(cost, move || Digest::of(&bytes)).await else {
                return;
            };
            env::sometimes!(env, "rounds.blob_lied", digest != expected);
            env::event!(env, "blob_read", u64::from(digest == expected), round);
        });
        drop(task); // the scope owns it
    }
}
