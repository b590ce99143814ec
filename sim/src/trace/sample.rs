//! A made-up run that looks like a real one: validators that broadcast blocks, lose some messages, set timers and
//! write to disks. For tests and measurements.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Domain, Seed};

use super::{Header, Kind, Options, Record, Recorder};

/// A sink that the test can read when the recorder is gone.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    /// What was written.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The header of the made-up run.
pub fn header(seed: u64) -> Header {
    Header {
        binary: "0123456789abcdef".to_owned(),
        commit: "7c08c58".to_owned(),
        kernel: "sample 1".to_owned(),
        scenario: "name = \"sample\"\n".to_owned(),
        plan: "at 0 start everyone\n".to_owned(),
        seed,
        crypto: "fast".to_owned(),
    }
}

/// What will happen.
#[derive(Clone, Copy)]
enum Due {
    Deliver(Message),
    Timer { node: u16, timer: u64 },
    Disk { node: u16, bytes: u64 },
    Restart { node: u16 },
}

/// A block on its way.
#[derive(Clone, Copy)]
struct Message {
    from: u16,
    to: u16,
    round: u64,
    bytes: u64,
    digest: u64,
}

struct Sample<'a> {
    recorder: &'a mut Recorder,
    seed: Seed,
    nodes: u16,
    /// By time, then by order of planning; with the event that planned it.
    queue: BTreeMap<(u64, u64), (Due, u64)>,
    planned: u64,
    /// Per node: incarnation, round, deliveries in this round, whether it is down.
    state: Vec<(u16, u64, u16, bool)>,
}

/// Feeds `events` records, or a few more, of a run of `nodes` validators to `recorder`.
pub fn run(recorder: &mut Recorder, seed: u64, nodes: u16, events: u64) {
    let mut sample = Sample {
        recorder,
        seed: Seed::new(seed),
        nodes,
        queue: BTreeMap::new(),
        planned: 0,
        state: vec![(0, 0, 0, false); usize::from(nodes)],
    };
    for node in 0..nodes {
        let start = sample.recorder.record(Record::new(0, node, Kind::Restart));
        sample.propose(0, node, start);
    }
    while sample.recorder.next_seq() < events {
        let Some(((time, _), (due, cause))) = sample.queue.pop_first() else {
            break;
        };
        sample.step(time, due, cause);
    }
}

/// The bytes of the file of such a run.
pub fn file(options: Options, seed: u64, nodes: u16, events: u64) -> Vec<u8> {
    let sink = Shared::default();
    let mut recorder = Recorder::new(header(seed), options, Some(Box::new(sink.clone())));
    run(&mut recorder, seed, nodes, events);
    let counters = BTreeMap::from([("commits".to_owned(), 12)]);
    recorder
        .finish("PASS seed=7", counters)
        .expect("a vector takes all bytes");
    sink.bytes()
}

impl Sample<'_> {
    fn draw(&self, low: u64, high: u64) -> u64 {
        self.seed
            .draw(Domain::Link, self.recorder.next_seq(), 0, 0)
            .within(low, high)
    }

    fn plan(&mut self, time: u64, due: Due, cause: u64) {
        self.planned += 1;
        self.queue.insert((time, self.planned), (due, cause));
    }

    fn record(&mut self, cause: u64, record: Record) -> u64 {
        let incarnation = self
            .state
            .get(usize::from(record.node))
            .map_or(0, |state| state.0);
        let cause = self.recorder.since(cause);
        self.recorder.record(Record {
            cause,
            incarnation,
            ..record
        })
    }

    fn propose(&mut self, time: u64, node: u16, cause: u64) {
        let round = self.state[usize::from(node)].1;
        let name = self.recorder.name("block_proposed");
        let digest = self.seed.draw(Domain::Load, u64::from(node), round, 0).bits();
        let bytes = self.draw(300, 9000);
        let numbers = Record {
            a: round,
            b: bytes,
            digest: Some(digest),
            ..Record::new(time, node, Kind::Protocol)
        };
        let made = self.record(cause, Record { name, ..numbers });
        let name = self.recorder.name("append");
        let start = Record {
            a: 1,
            b: bytes,
            name,
            ..Record::new(time, node, Kind::DiskStart)
        };
        let start = self.record(made, start);
        let ready = time + self.draw(80, 900) * 1000;
        self.plan(ready, Due::Disk { node, bytes }, start);
        for to in (0..self.nodes).filter(|to| *to != node) {
            let send = Record {
                a: u64::from(to),
                ..Record {
                    kind: Kind::Send,
                    ..numbers
                }
            };
            let sent = self.record(made, send);
            let arrives = time + self.draw(18_000, 62_000) * 1000;
            self.plan(
                arrives,
                Due::Deliver(Message {
                    from: node,
                    to,
                    round,
                    bytes,
                    digest,
                }),
                sent,
            );
        }
        let deadline = time + 250_000_000;
        let set = Record {
            a: round,
            b: deadline,
            ..Record::new(time, node, Kind::Spawn)
        };
        let set = self.record(made, set);
        self.plan(deadline, Due::Timer { node, timer: round }, set);
    }

    fn step(&mut self, time: u64, due: Due, cause: u64) {
        match due {
            Due::Deliver(message) => self.deliver(time, message, cause),
            Due::Timer { node, timer } => {
                let fired = self.record(
                    cause,
                    Record {
                        a: timer,
                        ..Record::new(time, node, Kind::Choose)
                    },
                );
                if !self.state[usize::from(node)].3 && self.state[usize::from(node)].1 == timer {
                    self.advance(time, node, fired);
                }
            }
            Due::Disk { node, bytes } => {
                self.record(
                    cause,
                    Record {
                        a: 1,
                        b: bytes,
                        ..Record::new(time, node, Kind::DiskEnd)
                    },
                );
            }
            Due::Restart { node } => {
                self.state[usize::from(node)].0 += 1;
                self.state[usize::from(node)].3 = false;
                let start = self.record(cause, Record::new(time, node, Kind::Restart));
                self.propose(time, node, start);
            }
        }
    }

    fn deliver(&mut self, time: u64, message: Message, cause: u64) {
        let Message {
            from,
            to,
            round,
            bytes,
            digest,
        } = message;
        let record = Record {
            a: u64::from(from),
            b: bytes,
            ..Record::new(time, to, Kind::Deliver)
        };
        let fate = self.draw(0, 999);
        if fate < 5 || self.state[usize::from(to)].3 {
            let name = self.recorder.name(if fate < 5 { "loss" } else { "down" });
            self.record(
                cause,
                Record {
                    kind: Kind::Drop,
                    name,
                    ..record
                },
            );
            return;
        }
        // Every other run says the digest again, as a kernel might.
        let repeats = self.seed.get() % 2 == 1;
        let delivered = self.record(
            cause,
            Record {
                digest: repeats.then_some(digest),
                ..record
            },
        );
        if fate == 999 {
            self.state[usize::from(to)].3 = true;
            let name = self.recorder.name("power cut");
            let fault = Record {
                name,
                ..Record::new(time, Record::WORLD, Kind::Fault)
            };
            let fault = self.record(delivered, fault);
            let crash = self.record(fault, Record::new(time, to, Kind::Crash));
            self.plan(time + 400_000_000, Due::Restart { node: to }, crash);
            return;
        }
        let state = &mut self.state[usize::from(to)];
        if round > state.1 {
            // It fell behind, and follows.
            state.1 = round - 1;
            self.advance(time, to, delivered);
        }
        let state = &mut self.state[usize::from(to)];
        state.2 += u16::from(round == state.1);
        if state.2 > (self.nodes - 1) * 2 / 3 {
            self.advance(time, to, delivered);
        }
    }

    fn advance(&mut self, time: u64, node: u16, cause: u64) {
        let state = &mut self.state[usize::from(node)];
        state.1 += 1;
        state.2 = 0;
        let round = state.1;
        let cost = self.draw(40, 400) * 1000;
        let charged = self.record(
            cause,
            Record {
                a: cost,
                ..Record::new(time, node, Kind::Compute)
            },
        );
        if round.is_multiple_of(3) {
            let name = self.recorder.name("committed");
            let digest = Some(self.seed.draw(Domain::Load, round, 9, 9).bits());
            let commit = Record {
                a: round / 3,
                digest,
                name,
                ..Record::new(time, node, Kind::Protocol)
            };
            self.record(charged, commit);
        }
        self.propose(time, node, charged);
    }
}
