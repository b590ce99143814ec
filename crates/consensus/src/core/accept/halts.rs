//! What a Byzantine member can do to a whole committee of four, whose three others are real machines.

use std::collections::VecDeque;

use super::attacks::over;
use super::*;
use crate::kit::{rules, signer};
use crate::machine::Unanswered;
use crate::{Config, SubDag};

/// Three honest members of four, and what E sends.
struct Net {
    cores: Vec<Core<Production>>,
    commits: Vec<Vec<SubDag>>,
    ms: u64,
    queue: BTreeMap<(u64, u64), (usize, Event<Production>)>,
    serial: u64,
    fetches: usize,
}

impl Net {
    fn new() -> Self {
        let mut net = Self {
            cores: vec![],
            commits: vec![vec![]; 3],
            ms: 0,
            queue: BTreeMap::new(),
            serial: 0,
            fetches: 0,
        };
        let mut first = VecDeque::new();
        for member in 0..3 {
            let config = Config {
                rules: rules(),
                pace: Pace::default(),
                members: members(4),
                signer: signer(member),
            };
            let restored = Restored {
                marker: Some(Round::ZERO),
                ..Restored::default()
            };
            let (core, actions) = Core::new(config, restored, now(0)).unwrap();
            net.cores.push(core);
            first.push_back(actions);
        }
        for (at, actions) in first.into_iter().enumerate() {
            net.apply(at, actions);
        }
        net
    }
    fn post(&mut self, delay: u64, to: usize, event: Event<Production>) {
        self.serial += 1;
        self.queue.insert((self.ms + delay, self.serial), (to, event));
    }
    fn read(&self, frame: &[u8]) -> Made {
        let frame = bytes::Bytes::copy_from_slice(frame);
        SignedBlock::decode(&frame, &rules(), &members(4))
            .unwrap()
            .verify(&members(4))
            .unwrap()
    }
    fn apply(&mut self, at: usize, actions: Vec<Action<Production>>) {
        for action in actions {
            match action {
                Action::Publish { block, frame } => {
                    self.post(1, at, Event::Durable { block });
                    let block = self.read(&frame);
                    for other in (0..3).filter(|other| *other != at) {
                        self.post(
                            20,
                            other,
                            Event::Block {
                                from: index(at as u8),
                                block: block.clone(),
                            },
                        );
                    }
                }
                Action::Deliver(dag) => self.commits[at].push(dag),
                Action::Ask { id, to, request, .. } => {
                    let to = usize::from(to.get());
                    let answer = self.answer(to, &request);
                    let late = if answer.is_err() { 500 } else { 40 };
                    self.post(late, at, Event::Answer { ask: id, answer });
                }
                _ => {}
            }
        }
    }
    fn answer(&mut self, to: usize, request: &Request) -> Result<Answer<Production>, Unanswered> {
        if to == 3 {
            return Err(Unanswered::Silent);
        }
        let core = &self.cores[to];
        match request {
            Request::Blocks { names, slots } => {
                self.fetches += 1;
                let mut all: Vec<BlockRef> = names.iter().copied().collect();
                for slot in slots.iter() {
                    all.extend(core.names(*slot));
                }
                let frames: Vec<_> = all.iter().filter_map(|name| core.frame(name)).collect();
                Ok(Answer::Blocks(
                    frames.iter().map(|frame| self.read(frame)).collect(),
                ))
            }
            Request::Commits { first, .. } => {
                let commits: Vec<Commit> = self.commits[to]
                    .iter()
                    .map(|dag| dag.commit.clone())
                    .filter(|c| c.index >= *first)
                    .collect();
                let votes = core
                    .votes
                    .iter()
                    .enumerate()
                    .filter_map(|(v, vote)| Some((index(v as u8), vote.as_ref()?.0)))
                    .collect();
                Ok(Answer::Commits { commits, votes })
            }
            Request::Latest => Err(Unanswered::Silent),
        }
    }
    fn run(&mut self, ms: u64) {
        let end = self.ms + ms;
        while self.ms < end {
            self.ms += 1;
            for at in 0..3 {
                if self.cores[at].status().queued < 4 {
                    let _ = self.cores[at].submit(bytes::Bytes::from_static(b"payload"));
                }
            }
            while let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= self.ms) {
                let (at, event) = entry.remove();
                let actions = self.cores[at].handle(now(self.ms), event);
                self.apply(at, actions);
            }
            for at in 0..3 {
                if self.cores[at]
                    .deadline()
                    .is_some_and(|due| due <= now(self.ms).mono)
                {
                    let actions = self.cores[at].handle(now(self.ms), Event::Tick);
                    self.apply(at, actions);
                }
            }
        }
    }
    fn state(&self) -> Vec<(u32, u64, usize)> {
        self.cores
            .iter()
            .map(|core| {
                let s = core.status();
                (s.own.get(), s.commit.get(), s.held)
            })
            .collect()
    }
}

/// One of four fills its share at one member, and shows what it needs to the others.
#[test]
fn one_of_four_does_not_halt_the_others() {
    for garbage in [0u64, 256] {
        let mut net = Net::new();
        net.run(2_000);
        let before = net.state();
        let round = net
            .cores
            .iter()
            .map(|core| core.dag.quorum_round().get())
            .min()
            .unwrap();
        let row = |net: &Net, round: u32| -> Vec<BlockRef> {
            (0..3)
                .map(|author| {
                    net.cores[0]
                        .dag
                        .names(types::Slot {
                            round: Round::new(round),
                            author: index(author),
                        })
                        .next()
                        .unwrap()
                })
                .collect()
        };
        let send = |net: &mut Net, to: usize, block: &Made| {
            net.post(
                1,
                to,
                Event::Block {
                    from: index(3),
                    block: block.clone(),
                },
            )
        };
        let (low_row, high_row) = (row(&net, round - 2), row(&net, round - 1));
        for salt in 0..garbage {
            let below = over(3, made_up(round - 2, 3, salt as u32), &low_row);
            let bad = block_with(&members(4), (3, round - 1, 0), below, &AuthoritySet::EMPTY);
            send(&mut net, 2, &bad);
        }
        net.run(5);
        let low = block_with(
            &members(4),
            (3, round - 1, 1_000),
            over(3, genesis(3), &low_row),
            &AuthoritySet::EMPTY,
        );
        let high = block_with(
            &members(4),
            (3, round, 1_000),
            over(3, low.reference(), &high_row),
            &AuthoritySet::EMPTY,
        );
        for to in [0, 1] {
            send(&mut net, to, &low);
            send(&mut net, to, &high);
        }
        net.run(10_000);
        let after = net.state();
        for (before, after) in before.iter().zip(&after) {
            assert!(
                after.1 > before.1 + 100,
                "{before:?} became {after:?} beside {garbage}"
            );
        }
    }
}

/// One equivocator of four that all know, and one honest member that is cut off.
#[test]
fn a_committee_goes_on_beside_an_equivocator_and_one_that_is_down() {
    for equivocates in [false, true] {
        let mut net = Net::new();
        net.run(2_000);
        let round = net
            .cores
            .iter()
            .map(|core| core.dag.quorum_round().get())
            .min()
            .unwrap();
        let row: Vec<BlockRef> = (0..3)
            .map(|a| {
                net.cores[0]
                    .dag
                    .names(types::Slot {
                        round: Round::new(round - 1),
                        author: index(a),
                    })
                    .next()
                    .unwrap()
            })
            .collect();
        let mut own = genesis(3);
        for clock in 0..1 + u64::from(equivocates) {
            let b = block_with(
                &members(4),
                (3, round, 1_000 + clock),
                over(3, genesis(3), &row),
                &AuthoritySet::EMPTY,
            );
            own = if clock == 0 { b.reference() } else { own };
            for to in 0..3 {
                net.post(
                    1,
                    to,
                    Event::Block {
                        from: index(3),
                        block: b.clone(),
                    },
                );
            }
        }
        net.run(1);
        // Member 2 is cut off; E goes on as if nothing was.
        let before = net.state();
        let end = net.ms + 10_000;
        while net.ms < end {
            net.queue.retain(|_, (to, event)| {
                *to != 2 && !matches!(event, Event::Block { from, .. } if *from == index(2))
            });
            net.run(1);
            let top = net.cores[0]
                .dag
                .quorum_round()
                .get()
                .max(net.cores[0].own.latest.round.get());
            while own.round.get() < top {
                let next = own.round.get() + 1;
                let row: Vec<BlockRef> = (0..3)
                    .filter_map(|a| {
                        net.cores[0]
                            .dag
                            .names(types::Slot {
                                round: own.round,
                                author: index(a),
                            })
                            .next()
                    })
                    .collect();
                if row.len() < 2 {
                    break;
                }
                let b = block_with(
                    &members(4),
                    (3, next, 1_000),
                    over(3, own, &row),
                    &AuthoritySet::EMPTY,
                );
                own = b.reference();
                for to in 0..2 {
                    net.post(
                        20,
                        to,
                        Event::Block {
                            from: index(3),
                            block: b.clone(),
                        },
                    );
                }
            }
        }
        // A stall is waited for once, and a leader's timeout in each round then.
        let (rounds, least) = (net.state()[0].0 - before[0].0, if equivocates { 15 } else { 200 });
        assert!(rounds >= least, "{rounds} rounds in ten seconds, {equivocates}");
    }
}
