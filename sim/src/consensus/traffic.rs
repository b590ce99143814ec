//! What members send, by what it is for.
//!
//! Counted is what a member hands to the network, once for each receiver: what the transport repeats after a loss is not
//! counted again, and what never arrives is counted all the same. A block is a frame of a stream that decodes as one:
//! - `payload_bytes` are the bytes of its payloads, without the four of each one's length;
//! - `block_bytes` are all its other bytes, lengths among them;
//! - `other_bytes` is all else: the 60 bytes that each packet has around its content ([`Sent::size`]), credit, pings,
//!   the opening of streams, questions and answers, with whatever blocks those answers hold.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use consensus::{SignedBlock, Suite};

use super::Network;
use crate::draw::Seed;
use crate::network::{Sent, Tap};
use crate::scenario::Scenario;
use crate::time::VirtualTime;

/// Bytes that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Blocks, one for each receiver.
    pub blocks: u64,
    /// Bytes of payloads in blocks.
    pub payload_bytes: u64,
    /// Other bytes of blocks.
    pub block_bytes: u64,
    /// Everything else.
    pub other_bytes: u64,
}

impl Traffic {
    /// Bytes that are no payload, as a part of all; 0 of nothing.
    pub fn metadata_share(&self) -> f64 {
        let metadata = self.block_bytes + self.other_bytes;
        metadata as f64 / (metadata + self.payload_bytes).max(1) as f64
    }

    /// Bytes of a block besides its payloads, on average; 0 without blocks.
    pub fn bytes_per_block(&self) -> f64 {
        self.block_bytes as f64 / self.blocks.max(1) as f64
    }
}

/// Frames that are remembered of a sender. Its receivers are hardly further apart.
const FRAMES: usize = 8;

/// Counts what is sent in a window of virtual time. Cloning gives another handle on the same count.
#[derive(Clone)]
pub struct TrafficMeter<S: Suite> {
    network: Arc<Network<S>>,
    window: Range<VirtualTime>,
    state: Arc<Mutex<State>>,
}

struct State {
    traffic: Traffic,
    /// By sender: the latest frames, and the bytes of payloads in those that are blocks. All receivers share a frame.
    frames: Vec<VecDeque<(Bytes, Option<usize>)>>,
}

impl<S: Suite> TrafficMeter<S> {
    /// A meter of the run of `seed`.
    pub fn new(seed: Seed, scenario: &Scenario, window: Range<VirtualTime>) -> Self {
        let state = State {
            traffic: Traffic::default(),
            frames: vec![VecDeque::new(); scenario.nodes],
        };
        Self {
            network: Arc::new(Network::new(seed, scenario)),
            window,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What has been sent so far.
    pub fn traffic(&self) -> Traffic {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).traffic
    }

    /// The bytes of the payloads of a block in its first epoch; `None` of what is none.
    fn payload_bytes(&self, frame: &Bytes) -> Option<usize> {
        let block = SignedBlock::decode(frame, &self.network.rules[0], &self.network.members[0]).ok()?;
        let payloads = block.payloads();
        Some(payloads.iter().map(<[u8]>::len).sum())
    }
}

impl<S: Suite> Tap for TrafficMeter<S> {
    fn sent(&mut self, sent: &Sent<'_>) {
        if !self.window.contains(&sent.at) {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { traffic, frames } = &mut *state;
        let Some(frame) = sent.frame else {
            traffic.other_bytes += sent.size;
            return;
        };
        let frames = &mut frames[sent.from];
        let is_same =
            |(known, _): &&(Bytes, _)| known.as_ptr() == frame.as_ptr() && known.len() == frame.len();
        let payload_bytes = match frames.iter().find(is_same) {
            Some((_, payload_bytes)) => *payload_bytes,
            None => {
                let payload_bytes = self.payload_bytes(frame);
                if frames.len() == FRAMES {
                    frames.pop_front();
                }
                frames.push_back((frame.clone(), payload_bytes));
                payload_bytes
            }
        };
        let Some(payload_bytes) = payload_bytes else {
            traffic.other_bytes += sent.size;
            return;
        };
        let (payload_bytes, length) = (payload_bytes as u64, frame.len() as u64);
        traffic.blocks += 1;
        traffic.payload_bytes += payload_bytes;
        traffic.block_bytes += length - payload_bytes;
        traffic.other_bytes += sent.size - length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::SimSuite;
    use crate::consensus::measure::{Measured, measure};
    use crate::plan::Plan;
    use crate::scenario::Schedule;
    use crate::tasks::Policy;

    #[test]
    fn what_is_no_block_is_something_else_and_counts_only_in_the_window() {
        let at = VirtualTime::from_millis;
        let mut meter = TrafficMeter::<SimSuite>::new(Seed::new(1), &Scenario::default(), at(10)..at(20));
        let frame = Bytes::from_static(&[7; 100]);
        for (at, frame, size) in [
            (at(9), None, 60),
            (at(10), None, 61),
            (at(19), Some(&frame), 160),
            (at(20), Some(&frame), 160),
        ] {
            let from = 3;
            meter.sent(&Sent {
                from,
                at,
                size,
                frame,
            });
        }
        let traffic = Traffic {
            other_bytes: 61 + 160,
            ..Traffic::default()
        };
        assert_eq!(meter.traffic(), traffic);
    }

    #[test]
    fn every_block_is_sent_to_every_other_member_with_the_payloads_that_were_submitted() {
        let scenario = Scenario {
            payload: 512,
            transactions_per_second: 400,
            shipped: true,
            // So few rounds that there are some payloads in a block.
            min_round_ms: 50,
            schedule: Schedule::Fixed(Policy::Fifo),
            ..Scenario::built_in("calm").unwrap()
        };
        let at = VirtualTime::from_millis;
        let Measured {
            readings, traffic, ..
        } = measure(Seed::new(1), &scenario, &Plan::default(), at(1_000)..at(3_000)).unwrap();
        // In the window 800 payloads were due, and who is under way at one end is not at the other.
        assert_eq!((readings.submitted, readings.refused), (800, 0));
        assert_eq!(readings.latencies.count(), 800);
        assert!((780..=820).contains(&readings.committed), "{readings:?}");
        let copies = scenario.nodes as u64 - 1;
        let few = readings.blocks / 10;
        assert!(traffic.blocks.abs_diff(readings.blocks * copies) <= few * copies);
        assert!(traffic.payload_bytes.abs_diff(800 * 512 * copies) <= 40 * 512 * copies);
        assert_eq!(traffic.payload_bytes % 512, 0);
        // A signature and a digest at least.
        assert!(traffic.bytes_per_block() > 60.0 && traffic.bytes_per_block() < 400.0);
        assert!(readings.latencies.percentile(50) <= readings.latencies.percentile(99));
    }
}
