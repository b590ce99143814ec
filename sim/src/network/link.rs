//! One direction between two nodes: how long a packet takes, and what may befall it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::{Body, NetEvent, Packet, Sent};
use crate::draw::Domain;
use crate::time::VirtualTime;
use crate::trace::{Kind, Name};
use crate::world::{Event, NodeIndex, State};

/// A link without faults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkProfile {
    /// Propagation time.
    pub latency_us: u64,
    /// Added evenly from 0 to this.
    pub jitter_us: u64,
    /// In how many of a million packets the jitter is ten times as long.
    pub tail_ppm: u32,
}

/// What is wrong with a link. Parts per million are drawn per packet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkFault {
    /// Packets that are lost; what the transport repeats comes late instead.
    pub loss_ppm: u32,
    /// Messages, requests and answers that never come, as if the sender's queue had been dropped.
    pub vanish_ppm: u32,
    /// Packets that come twice; the second copy is thrown away by the receiver's transport.
    pub duplicate_ppm: u32,
    /// Packets whose bytes are damaged: thrown away by the receiver's transport and sent again.
    pub corrupt_ppm: u32,
    /// Packets that take a detour of up to `detour_us`, so that later ones overtake them.
    pub reorder_ppm: u32,
    /// The longest detour.
    pub detour_us: u64,
    /// Added to the latency of every packet.
    pub extra_latency_us: u64,
    /// What the link carries at most; 0 is no limit.
    pub bytes_per_second: u64,
}

/// One direction between two nodes.
pub(crate) struct Link {
    pub profile: LinkProfile,
    pub fault: LinkFault,
    /// How many partitions block it.
    pub blocks: u32,
    packets: u64,
    free_at: VirtualTime,
    /// What the transport will send again once the block is gone.
    held: VecDeque<Packet>,
}

impl Link {
    pub fn new(profile: LinkProfile) -> Self {
        Self {
            profile,
            fault: LinkFault::default(),
            blocks: 0,
            packets: 0,
            free_at: VirtualTime::ZERO,
            held: VecDeque::new(),
        }
    }
}

/// Longer than any run; sums with it do not overflow.
const FOR_EVER_NS: u64 = u64::MAX / 4;
/// Doublings of the retransmission time after which a packet counts as arrived late enough.
const MAX_LOSSES: u32 = 6;

impl State {
    /// Lets a packet leave `from`, once its processor has done the work before it.
    pub(super) fn put(&mut self, from: NodeIndex, to: NodeIndex, session: u64, body: Body) {
        let mut packet = Packet::new(from, to, session, body);
        let size = packet.size();
        if let Some(tap) = &mut self.tap {
            let frame = match &packet.body {
                Body::Frame { frame, .. } => frame.as_ref(),
                _ => None,
            };
            let at = self.now;
            tap.sent(&Sent {
                from,
                at,
                size,
                frame,
            });
        }
        let mut record = self.record_of(Kind::Send, from, Name::NONE, to as u64, size);
        packet.sent = match packet.payload() {
            Some(payload) => self.recorder.record_payload(record, payload),
            None => {
                record.digest = Some(packet.session);
                self.recorder.record(record)
            }
        };
        let ready = if self.nodes[from].alive {
            self.acts_at(from)
        } else {
            self.now
        };
        let end = &mut self.net.ends[from];
        let rate = self.net.config.egress_bytes_per_second.max(1);
        end.egress_until = end
            .egress_until
            .max(ready)
            .after(size.saturating_mul(1_000_000_000) / rate);
        let leaves = end.egress_until;
        if let Some(session) = self.net.session(from, to) {
            session.sent = leaves;
        }
        self.carry(packet, leaves);
    }

    /// Takes a packet over its link, beginning at `leaves`.
    fn carry(&mut self, mut packet: Packet, leaves: VirtualTime) {
        let (from, to) = (packet.from, packet.to);
        let retransmit_ns = self.net.config.retransmit_ms * 1_000_000;
        let seed = self.seed;
        let link = self.net.link(from, to);
        if link.blocks > 0 {
            return self.hold(packet);
        }
        link.packets += 1;
        let mut draw = seed.draw(Domain::Link, from as u64, to as u64, link.packets);
        let (profile, fault) = (&link.profile, &link.fault);
        let mut leaves = leaves;
        if let Some(ns) = packet
            .size()
            .saturating_mul(1_000_000_000)
            .checked_div(fault.bytes_per_second)
        {
            link.free_at = link.free_at.max(leaves).after(ns);
            leaves = link.free_at;
        }
        let mut jitter_us = profile.jitter_us;
        if draw.chance(profile.tail_ppm) {
            jitter_us *= 10;
        }
        // The numbers of a fault come from a file: whatever they are, they are a time.
        let latency_us = profile.latency_us.saturating_add(fault.extra_latency_us);
        let mut ns = latency_us
            .saturating_mul(1_000)
            .saturating_add(draw.below(jitter_us * 1_000 + 1));
        if draw.chance(fault.reorder_ppm) {
            let detour_ns = fault.detour_us.saturating_mul(1_000).saturating_add(1);
            ns = ns.saturating_add(draw.below(detour_ns));
        }
        ns = ns.min(FOR_EVER_NS);
        let (vanishes, corrupt) = (draw.chance(fault.vanish_ppm), draw.chance(fault.corrupt_ppm));
        let mut losses = u32::from(corrupt);
        while losses < MAX_LOSSES && draw.chance(fault.loss_ppm) {
            losses += 1;
        }
        let twin_ns = draw
            .chance(fault.duplicate_ppm)
            .then(|| ns + draw.below(jitter_us * 1_000 + 1_000_000));
        if corrupt {
            self.lose(&packet, "corrupt");
        } else if losses > 0 {
            self.lose(&packet, "loss");
        }
        if losses > 0 && !packet.is_reliable() {
            return;
        }
        if vanishes && packet.may_vanish() {
            self.lose(&packet, "vanished");
            return self.return_credit(&packet);
        }
        for loss in 0..losses {
            ns += retransmit_ns << loss;
        }
        if let Some(ns) = twin_ns {
            // A packet that was held up may have a twin that was held up too: they stay twins.
            packet.twin.get_or_insert_default();
            let twin = packet.clone();
            self.schedule(leaves.after(ns), to, Event::Net(NetEvent::Arrive(twin)));
        }
        self.schedule(leaves.after(ns), to, Event::Net(NetEvent::Arrive(packet)));
    }

    /// Keeps a packet that met a block for later, or loses it.
    fn hold(&mut self, packet: Packet) {
        self.lose(&packet, "blocked");
        if packet.is_reliable() {
            self.net.link(packet.from, packet.to).held.push_back(packet);
        }
    }

    pub(super) fn lose(&mut self, packet: &Packet, reason: &'static str) {
        let name = self.drop_name(reason);
        let mut record = self.record_of(Kind::Drop, packet.to, name, packet.from as u64, packet.size());
        record.cause = self.recorder.since(packet.sent);
        self.recorder.record(record);
    }

    /// A packet has crossed its link.
    pub(super) fn arrive(&mut self, packet: Packet) {
        let (from, to) = (packet.from, packet.to);
        if self.net.link(from, to).blocks > 0 {
            return self.hold(packet);
        }
        if !self.nodes[to].alive {
            return self.lose(&packet, "down");
        }
        if let Some(twin) = &packet.twin
            && twin.swap(true, Ordering::Relaxed)
        {
            return self.lose(&packet, "duplicate");
        }
        let mut record = self.record_of(Kind::Deliver, to, Name::NONE, from as u64, packet.size());
        record.cause = self.recorder.since(packet.sent);
        self.cause = Some(self.recorder.record(record));
        self.receive(packet);
    }

    /// Adds a partition's block to one direction.
    pub(crate) fn block(&mut self, from: NodeIndex, to: NodeIndex) {
        self.net.link(from, to).blocks += 1;
    }

    /// Takes one block away; held packets are sent again after the retransmission time.
    pub(crate) fn unblock(&mut self, from: NodeIndex, to: NodeIndex) {
        let link = self.net.link(from, to);
        link.blocks = link.blocks.saturating_sub(1);
        if link.blocks > 0 {
            return;
        }
        let held = std::mem::take(&mut link.held);
        let again = self.now.after(self.net.config.retransmit_ms * 1_000_000);
        for packet in held {
            // Sessions that ended in the meantime have nobody left who would send it again.
            let alive = self
                .net
                .session(from, to)
                .is_some_and(|session| session.id == packet.session);
            if alive {
                self.carry(packet, again);
            }
        }
    }

    /// Forgets what a dead process would have sent again.
    pub(crate) fn forget_held(&mut self, from: NodeIndex) {
        for to in 0..self.net.ids.len() {
            self.net.link(from, to).held.clear();
        }
    }
}
