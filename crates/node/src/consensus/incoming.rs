//! Blocks of one peer, by a stream that this member opens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use consensus::{BlockError, Members, Rules, SignedBlock, Status, Suite};
use crypto::{Scheme, Verified, Work};
use env::sync::{mpsc, watch};
use env::{Clock, Compute, Cost, CostKind, Entropy, Env, Network, NetworkError, Stream, StreamReceiver};
use types::{AuthorityIndex, PeerId, Round};

use crate::consensus::channels::{BLOCKS, Preamble};
use crate::consensus::metrics::Metrics;

/// How long a connection may take to stand before the stream is tried again.
const OPEN_LIMIT: Duration = Duration::from_secs(5);

/// Rounds by which the machine may be ahead of a stream before the stream is opened again from there on.
const OVERTAKEN: u32 = 64;

/// What is done with a block that was received and checked.
pub(crate) type Received<S> = (AuthorityIndex, Verified<SignedBlock<S>>);

/// For each member the highest round of which a block of its was accepted, as the machine said last.
#[derive(Clone, Debug)]
pub(crate) struct Known(Arc<[AtomicU32]>);

impl Known {
    pub fn new(members: usize) -> Self {
        Self((0..members).map(|_| AtomicU32::new(0)).collect())
    }

    pub fn set(&self, member: AuthorityIndex, round: Round) {
        self.0[usize::from(member.get())].store(round.get(), Ordering::Relaxed);
    }

    pub fn get(&self, member: AuthorityIndex) -> Round {
        Round::new(self.0[usize::from(member.get())].load(Ordering::Relaxed))
    }
}

/// What it costs to check a signature of this scheme.
fn verify_cost<S: Scheme>() -> CostKind {
    match S::VERIFY_WORK {
        Work::Ed25519Sign => CostKind::Ed25519Sign,
        Work::Ed25519Verify => CostKind::Ed25519Verify,
        Work::BlsSign => CostKind::BlsSign,
        Work::BlsVerify => CostKind::BlsVerify,
    }
}

/// What it costs to make a signature of this scheme.
pub(crate) fn sign_cost<S: Scheme>() -> CostKind {
    match S::SIGN_WORK {
        Work::Ed25519Sign => CostKind::Ed25519Sign,
        Work::Ed25519Verify => CostKind::Ed25519Verify,
        Work::BlsSign => CostKind::BlsSign,
        Work::BlsVerify => CostKind::BlsVerify,
    }
}

/// States the work of checking one block of so many bytes and of this round.
pub(crate) fn charge_block<S: Suite>(compute: &impl Compute, bytes: usize, round: Round, rules: &Rules) {
    compute.charge(Cost::new(CostKind::HashByte, bytes as u64));
    compute.charge(Cost::new(verify_cost::<S::Block>(), 1));
    if rules.has_beacon(round) {
        compute.charge(Cost::new(verify_cost::<S::Beacon>(), 1));
    }
}

/// States the work of checking so many headers.
pub(crate) fn charge_headers<S: Suite>(compute: &impl Compute, count: usize) {
    compute.charge(Cost::new(verify_cost::<S::Block>(), count as u64));
}

/// The pause before the next attempt: none before the first, then 100 ms times 1.2 for each that failed, 5 s at most.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// A stream has brought something.
    const fn reset(&mut self) {
        self.failures = 0;
    }

    /// The peer is at fault: there is a pause before the next attempt in any case.
    const fn fault(&mut self) {
        if self.failures == 0 {
            self.failures = 1;
        }
    }

    /// How long to wait now; `jitter` of 255 takes a quarter off.
    fn next(&mut self, jitter: u8) -> Duration {
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        if failures == 0 {
            return Duration::ZERO;
        }
        let mut pause = Self::FIRST;
        for _ in 1..failures {
            pause = (pause * 6 / 5).min(Self::LONGEST);
            if pause == Self::LONGEST {
                break;
            }
        }
        pause - pause * u32::from(jitter) / 1_020
    }
}

/// One peer whose blocks are followed.
pub(crate) struct Incoming<E: Env, S: Suite> {
    pub env: E,
    pub rules: Rules,
    pub members: Arc<Members<S>>,
    pub peer: PeerId,
    pub author: AuthorityIndex,
    pub known: Known,
    /// What the machine says of itself.
    pub status: watch::Receiver<Status>,
    /// Rounds by which a block may be ahead of the graph: beyond, the machine could only drop it.
    pub ahead: u32,
    pub received: mpsc::Sender<Received<S>>,
    pub metrics: Arc<Metrics>,
}

/// Why a stream is not read on.
enum Broken {
    /// It was reset, or did not open; another may be better.
    Network,
    /// What came is no block of the peer.
    Fault,
    /// The member ends.
    Ended,
}

impl From<NetworkError> for Broken {
    fn from(error: NetworkError) -> Self {
        match error {
            NetworkError::Closed => Self::Ended,
            _ => Self::Network,
        }
    }
}

impl<E: Env, S: Suite> Incoming<E, S> {
    /// Reads the peer's blocks until the member ends.
    pub async fn follow(mut self) {
        let mut backoff = Backoff::default();
        loop {
            match self.read(&mut backoff).await {
                Ok(()) | Err(Broken::Network) => {}
                Err(Broken::Fault) => backoff.fault(),
                Err(Broken::Ended) => return,
            }
            self.metrics.streams_broken.one();
            env::reached!(self.env, "node.stream_broke");
            let mut jitter = [0];
            self.env.entropy().fill("node.backoff", &mut jitter);
            let pause = backoff.next(jitter[0]);
            self.env.clock().sleep(pause).await;
        }
    }

    /// Opens a stream and reads it to its end.
    async fn read(&mut self, backoff: &mut Backoff) -> Result<(), Broken> {
        let after = self.known.get(self.author);
        let preamble = Preamble::new(self.rules.chain, self.rules.epoch, after).encode();
        let network = self.env.network();
        let stream = network.open(self.peer, BLOCKS, preamble, OPEN_LIMIT).await?;
        // Nothing is said to the author. It learns from the end of the sender that nobody reads any more.
        let (_sender, mut receiver) = stream.split();
        let mut last = after;
        while let Some(frame) = receiver.recv().await? {
            let bytes = frame.len();
            let block = self.check(&frame, last).map_err(|wrong| {
                self.metrics.peers_blamed.one();
                env::event!(self.env, "bad_block", u64::from(self.author.get()), wrong.code());
                Broken::Fault
            })?;
            last = block.reference().round;
            backoff.reset();
            self.metrics.blocks_received.one();
            charge_block::<S>(self.env.compute(), bytes, block.reference().round, &self.rules);
            let ahead = self.ahead;
            let is_near = |status: &Status| last.get() <= status.round.get().saturating_add(ahead);
            if self.status.wait_for(is_near).await.is_err()
                || self.received.send((self.author, block)).await.is_err()
            {
                return Err(Broken::Ended);
            }
            // What was accepted by other ways need not come again.
            let is_overtaken = self.known.get(self.author).get() > last.get().saturating_add(OVERTAKEN);
            if is_overtaken || env::buggify!(self.env, "node.reopen_stream") {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The block in this frame, if the peer made it and it comes behind the round `last`. An author sends each of its
    /// blocks once and in order, so that no peer makes others check one block again and again.
    fn check(&self, frame: &Bytes, last: Round) -> Result<Verified<SignedBlock<S>>, Wrong> {
        let block = SignedBlock::decode(frame, &self.rules, &self.members)?;
        let name = block.reference();
        if name.author != self.author {
            return Err(Wrong::Author);
        }
        if name.round <= last {
            return Err(Wrong::Order);
        }
        Ok(block.verify(&self.members)?)
    }
}

/// Why a frame is not the next block of the peer.
enum Wrong {
    Block(BlockError),
    Author,
    Order,
}

impl From<BlockError> for Wrong {
    fn from(error: BlockError) -> Self {
        Self::Block(error)
    }
}

impl Wrong {
    /// A number for traces.
    const fn code(&self) -> u64 {
        match self {
            Self::Author => 1,
            Self::Order => 2,
            Self::Block(BlockError::Malformed(_)) => 3,
            Self::Block(BlockError::WrongEpoch { .. }) => 4,
            Self::Block(BlockError::Signature(_) | BlockError::Share(_)) => 5,
            Self::Block(_) => 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_comes_at_once_and_pauses_grow_to_a_limit() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..40).map(|_| backoff.next(0).as_millis()).collect();
        assert_eq!(pauses[..5], [0, 100, 120, 144, 172]);
        assert_eq!(pauses[39], 5_000);
        assert_eq!(backoff.next(255), Duration::from_millis(3_750));
        backoff.reset();
        backoff.fault();
        assert_eq!(backoff.next(0), Duration::from_millis(100));
    }
}
