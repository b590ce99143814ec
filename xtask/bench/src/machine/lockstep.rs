//! Machines without anything around them, round by round: each makes a block, and hears those of all others as frames.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use bytes::Bytes;
use consensus::{
    Action, Config, Core, Event, Member, Members, Now, Pace, Restored, Rules, SignedBlock, Signer, Suite,
};
use crypto::{Digest, Scheme};
use types::{AuthorityIndex, ChainId, Epoch, Mono, Round, UnixMillis, VotingPower};

/// A frame, and who made it.
#[derive(Clone, Debug)]
pub struct Frame {
    pub author: usize,
    pub bytes: Bytes,
}

/// The machines.
pub struct Lockstep<S: Suite> {
    cores: Vec<Core<S>>,
    pub members: Arc<Members<S>>,
    pub rules: Rules,
    step: u64,
    /// Frames that somebody is still to hear: to whom.
    late: Vec<(usize, Frame)>,
    /// Of each member, the payloads that it was given.
    pub delivered: Vec<u64>,
}

/// The time from one round to the next.
const PERIOD: Duration = Duration::from_millis(5);
const START_MS: u64 = 1_000;

fn index(member: usize) -> AuthorityIndex {
    let number = u16::try_from(member).ok().and_then(AuthorityIndex::new);
    number.expect("there are no more members than indices")
}

fn seed(member: usize, kind: u8) -> [u8; 32] {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&(member as u64).to_le_bytes());
    seed
}

/// Who may be heard one round late: by round, author and hearer.
pub type IsLate = fn(u64, usize, usize) -> bool;

impl<S: Suite> Lockstep<S> {
    /// So many machines of equal power, with so many leader slots in a round.
    pub fn new(size: usize, leaders: Option<u16>) -> anyhow::Result<Self> {
        let total = usize::from(VotingPower::TOTAL.get());
        ensure!((1..=1_000).contains(&size), "1 to 1000 members");
        let member = |member: usize| {
            let power = total / size + usize::from(member < total % size);
            anyhow::Ok(Member::<S> {
                power: VotingPower::new(u16::try_from(power)?),
                block_key: S::Block::public(&S::Block::secret(&seed(member, 1))),
                beacon_key: S::Beacon::public(&S::Beacon::secret(&seed(member, 2))),
            })
        };
        let members = (0..size).map(member).collect::<anyhow::Result<_>>()?;
        let members = Arc::new(Members::new(Epoch::ZERO, members)?);
        let chain = ChainId::new(Digest::of(b"soma-bench"));
        let mut rules = Rules::new(chain, Epoch::ZERO, UnixMillis::new(START_MS));
        rules.leaders_per_round = leaders.unwrap_or(rules.leaders_per_round);
        let pace = Pace {
            min_round: PERIOD,
            idle_round: PERIOD,
            // A leader that is late is not waited for.
            leader_timeout: PERIOD,
            ..Pace::default()
        };
        let mut machines = Self {
            cores: Vec::new(),
            members,
            rules,
            step: 0,
            late: Vec::new(),
            delivered: vec![0; size],
        };
        for member in 0..size {
            let config = Config {
                rules: machines.rules.clone(),
                pace: pace.clone(),
                members: Arc::clone(&machines.members),
                signer: Signer {
                    index: index(member),
                    block: S::Block::secret(&seed(member, 1)),
                    beacon: S::Beacon::secret(&seed(member, 2)),
                },
            };
            let restored = Restored {
                marker: Some(Round::ZERO),
                ..Restored::default()
            };
            let (core, actions) = Core::new(config, restored, machines.now())?;
            machines.cores.push(core);
            let made = machines.act(member, actions)?;
            ensure!(made.is_empty(), "the first blocks are made in the first round");
        }
        Ok(machines)
    }

    fn now(&self) -> Now {
        let passed = PERIOD * u32::try_from(self.step).expect("few rounds are played");
        Now {
            mono: Mono::ZERO + passed,
            wall: UnixMillis::new(START_MS + passed.as_millis() as u64),
        }
    }

    /// One round: everybody has `payloads` to order, makes a block, and hears what the others have made, but for what comes a
    /// round late. The frames that were made.
    pub fn round(&mut self, payloads: &[Bytes], is_late: IsLate) -> anyhow::Result<Vec<Frame>> {
        self.step += 1;
        let mut made = Vec::new();
        for member in 0..self.cores.len() {
            for payload in payloads {
                self.cores[member].submit(payload.clone())?;
            }
            made.extend(self.handle(member, Event::Tick)?);
        }
        for (to, frame) in std::mem::take(&mut self.late) {
            made.extend(self.hear(to, &frame)?);
        }
        let mut heard = 0;
        while let Some(frame) = made.get(heard).cloned() {
            heard += 1;
            for to in (0..self.cores.len()).filter(|to| *to != frame.author) {
                if is_late(self.step, frame.author, to) {
                    self.late.push((to, frame.clone()));
                } else {
                    made.extend(self.hear(to, &frame)?);
                }
            }
        }
        Ok(made)
    }

    fn hear(&mut self, to: usize, frame: &Frame) -> anyhow::Result<Vec<Frame>> {
        let block = SignedBlock::decode(&frame.bytes, &self.rules, &self.members)?;
        let block = block.verify(&self.members)?;
        let from = index(frame.author);
        self.handle(to, Event::Block { from, block })
    }

    fn handle(&mut self, member: usize, event: Event<S>) -> anyhow::Result<Vec<Frame>> {
        let now = self.now();
        let actions = self.cores[member].handle(now, event);
        self.act(member, actions)
    }

    fn act(&mut self, member: usize, actions: Vec<Action<S>>) -> anyhow::Result<Vec<Frame>> {
        let mut made = Vec::new();
        let mut durable = None;
        for action in actions {
            match action {
                Action::Publish { block, frame } => {
                    made.push(Frame {
                        author: member,
                        bytes: frame,
                    });
                    durable = Some(block);
                }
                Action::Deliver(dag) => {
                    let payloads = dag.payloads.iter().flat_map(|payloads| payloads.iter());
                    self.delivered[member] += payloads.count() as u64;
                }
                // What is missing comes a round later by itself.
                Action::Store(_) | Action::Rewrite(_) | Action::Ask { .. } => {}
                other => bail!("{other:?} among members that do as they should"),
            }
        }
        if let Some(block) = durable {
            made.extend(self.handle(member, Event::Durable { block })?);
        }
        Ok(made)
    }

    /// Ends the machines; what they agree on stays.
    pub fn forget(&mut self) {
        self.cores.clear();
        self.late.clear();
    }

    /// Whether every member was given so many payloads.
    pub fn check(&self, payloads: u64) -> anyhow::Result<()> {
        let wrong = self.delivered.iter().position(|delivered| *delivered != payloads);
        match wrong {
            None => Ok(()),
            Some(member) => Err(anyhow::anyhow!(
                "member {member} was given {} of {payloads} transactions",
                self.delivered[member]
            )),
        }
    }
}
