//! Byzantine authors who say what their program says, and not to everybody, or not in time.

use std::time::Duration;

use bytes::Bytes;
use node::consensus::{BLOCKS, REQUESTS};

use crate::adversary::{Adversary, Assignment, Content, Deed, Leaving, Shape};
use crate::budget::most_bad;
use crate::draw::Draw;
use crate::world::NodeIndex;

/// An author whose blocks do not reach some of the others.
pub(super) struct Hider {
    from: Vec<NodeIndex>,
}

impl Hider {
    /// Hides from others with as much stake as may be bad, and with one more of them if `more`.
    pub fn new(more: bool, assignment: &Assignment<'_>) -> Self {
        let (stakes, node) = (assignment.stakes, assignment.node);
        let most = most_bad(stakes);
        let (mut from, mut stake) = (Vec::new(), 0);
        for other in (1..stakes.len()).map(|step| (node + step) % stakes.len()) {
            if stake + stakes[other] > most {
                if more {
                    from.push(other);
                }
                break;
            }
            stake += stakes[other];
            from.push(other);
        }
        Self { from }
    }
}

impl Adversary for Hider {
    fn meet(&mut self, packet: &Content<'_>, _: &mut Draw) -> Deed {
        let is_block = packet.shape == Shape::Frame && packet.channel == BLOCKS.id;
        if is_block && self.from.contains(&packet.to) {
            return Deed::withhold();
        }
        Deed::Pass
    }
}

/// An author whose blocks nobody gets, and who answers nobody: it follows.
pub(super) struct Lurker;

impl Adversary for Lurker {
    fn meet(&mut self, packet: &Content<'_>, _: &mut Draw) -> Deed {
        match packet.shape {
            Shape::Frame if packet.channel == BLOCKS.id => Deed::withhold(),
            Shape::Answer if packet.channel == REQUESTS.id => Deed::withhold(),
            _ => Deed::Pass,
        }
    }
}

/// A little less than a member waits for a leader, beyond the pause between its blocks.
const JUST_IN_TIME_MS: u64 = 240;

/// An author whose blocks come just before nobody waits for them any longer.
pub(super) struct Late {
    pub ms: u64,
}

impl Adversary for Late {
    fn meet(&mut self, packet: &Content<'_>, _: &mut Draw) -> Deed {
        if packet.shape != Shape::Frame || packet.channel != BLOCKS.id {
            return Deed::Pass;
        }
        let ms = if self.ms == 0 { JUST_IN_TIME_MS } else { self.ms };
        Deed::delay(packet.bytes.clone(), Duration::from_millis(ms))
    }
}

/// Blocks of others that are remembered.
const KEPT: usize = 64;

/// An author who says again what it and others said before.
#[derive(Default)]
pub(super) struct Echo {
    frames: Vec<Bytes>,
}

impl Echo {
    fn keep(&mut self, packet: &Content<'_>) {
        if packet.shape == Shape::Frame && packet.channel == BLOCKS.id {
            self.frames.push(packet.bytes.clone());
            if self.frames.len() > KEPT {
                self.frames.remove(0);
            }
        }
    }
}

impl Adversary for Echo {
    fn meet(&mut self, packet: &Content<'_>, draw: &mut Draw) -> Deed {
        if packet.shape != Shape::Frame || packet.channel != BLOCKS.id {
            return Deed::Pass;
        }
        let before =
            (!self.frames.is_empty() && draw.chance(250_000)).then(|| draw.pick(&self.frames).clone());
        self.keep(packet);
        let leaving = [Some(packet.bytes.clone()), before];
        let after = Duration::ZERO;
        Deed::Send(
            leaving
                .into_iter()
                .flatten()
                .map(|bytes| Leaving { bytes, after })
                .collect(),
        )
    }

    fn see(&mut self, packet: &Content<'_>) {
        self.keep(packet);
    }

    fn hear(&mut self, packet: &Content<'_>) {
        self.keep(packet);
    }
}

/// The other half of a pair of nodes with one key: each of them is honest.
pub(super) struct Twin;

impl Adversary for Twin {
    fn meet(&mut self, _: &Content<'_>, _: &mut Draw) -> Deed {
        Deed::Pass
    }
}
