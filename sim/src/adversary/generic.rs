//! Strategies that need to know nothing of what packets say.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::{Adversary, Assignment, Content, Deed, Leaving, Manner, Shape, Strategies};
use crate::draw::Draw;
use crate::time::VirtualTime;
use crate::world::NodeIndex;

pub(super) fn add_all(strategies: &mut Strategies) {
    let mut plain = |name, summary, meet| {
        strategies.add(name, summary, move |assignment: &Assignment<'_>| {
            let manner = assignment.manner.clone();
            Box::new(Forgetful { manner, meet })
        });
    };
    plain("withhold", "what it strikes never leaves", |_, _, _| {
        Deed::withhold()
    });
    plain("delay", "what it strikes leaves `ms` (1000) later", delay);
    plain(
        "hold",
        "what it strikes leaves just before the next full `ms` (1000)",
        hold,
    );
    plain(
        "truncate",
        "what it strikes keeps its first `bytes` (drawn) only",
        truncate,
    );
    plain("garble", "some bits of what it strikes are flipped", garble);
    plain(
        "oversize",
        "what it strikes becomes `bytes` (1 MiB) of noise",
        oversize,
    );
    strategies.add(
        "replay",
        "with what it strikes comes something that it sent before",
        |_| Box::<Replay>::default(),
    );
    strategies.add(
        "trickle",
        "what it strikes leaves at `bytes` (1) a second",
        |assignment| {
            Box::new(Trickle {
                bytes_per_second: assignment.manner.bytes.max(1),
                free_at: BTreeMap::new(),
            })
        },
    );
}

/// What is done to a packet, whatever came before.
type Rule = fn(&Content<'_>, &Manner, &mut Draw) -> Deed;

/// One that remembers nothing.
struct Forgetful {
    manner: Manner,
    meet: Rule,
}

impl Adversary for Forgetful {
    fn meet(&mut self, packet: &Content<'_>, draw: &mut Draw) -> Deed {
        (self.meet)(packet, &self.manner, draw)
    }
}

/// `value`, or else what the strategy takes.
fn or(value: u64, otherwise: u64) -> u64 {
    if value == 0 { otherwise } else { value }
}

fn delay(packet: &Content<'_>, manner: &Manner, _: &mut Draw) -> Deed {
    Deed::delay(packet.bytes.clone(), Duration::from_millis(or(manner.ms, 1_000)))
}

/// Who waits until a certain time, for a leader say, may hear of it before, and those farther away do not.
fn hold(packet: &Content<'_>, manner: &Manner, _: &mut Draw) -> Deed {
    const JUST_BEFORE_NS: u64 = 1_000;
    let unit_ns = or(manner.ms, 1_000) * 1_000_000;
    let left_ns = unit_ns - packet.now.as_nanos() % unit_ns;
    let after = Duration::from_nanos(left_ns.saturating_sub(JUST_BEFORE_NS));
    Deed::delay(packet.bytes.clone(), after)
}

fn truncate(packet: &Content<'_>, manner: &Manner, draw: &mut Draw) -> Deed {
    let length = packet.bytes.len();
    let drawn = draw.below(length as u64);
    let kept = if manner.bytes == 0 { drawn } else { manner.bytes };
    let kept = usize::try_from(kept).map_or(length, |kept| kept.min(length));
    Deed::replace(packet.bytes.slice(..kept))
}

fn garble(packet: &Content<'_>, _: &Manner, draw: &mut Draw) -> Deed {
    if packet.bytes.is_empty() {
        return Deed::Pass;
    }
    let mut bytes = packet.bytes.to_vec();
    for _ in 0..draw.within(1, 8) {
        let bit = draw.below(bytes.len() as u64 * 8);
        let place = usize::try_from(bit / 8).expect("an index below a usize is a usize");
        bytes[place] ^= 1 << (bit % 8);
    }
    Deed::replace(Bytes::from(bytes))
}

fn oversize(_: &Content<'_>, manner: &Manner, draw: &mut Draw) -> Deed {
    let length = usize::try_from(or(manner.bytes, 1 << 20)).expect("the plan's check bounds it");
    let mut bytes = vec![0; length];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&draw.bits().to_le_bytes()[..chunk.len()]);
    }
    Deed::replace(Bytes::from(bytes))
}

/// What it sent lately, to whomever, by channel and shape.
#[derive(Default)]
struct Replay(BTreeMap<(u16, Shape), VecDeque<Bytes>>);

const REMEMBERED: usize = 64;

impl Adversary for Replay {
    fn meet(&mut self, packet: &Content<'_>, draw: &mut Draw) -> Deed {
        let sent = self.0.entry((packet.channel, packet.shape)).or_default();
        let drawn = usize::try_from(draw.below(sent.len() as u64)).expect("it remembers few");
        let old = sent.get(drawn).cloned();
        if sent.len() == REMEMBERED {
            sent.pop_front();
        }
        sent.push_back(packet.bytes.clone());
        let Some(old) = old else {
            return Deed::Pass;
        };
        let both = [packet.bytes.clone(), old].map(|bytes| Leaving {
            bytes,
            after: Duration::ZERO,
        });
        Deed::Send(both.into())
    }
}

/// One that holds connections open and sends next to nothing.
struct Trickle {
    bytes_per_second: u64,
    /// When what was sent to a node before will have left.
    free_at: BTreeMap<NodeIndex, VirtualTime>,
}

impl Adversary for Trickle {
    fn meet(&mut self, packet: &Content<'_>, _: &mut Draw) -> Deed {
        let takes_ns = (packet.bytes.len() as u64).saturating_mul(1_000_000_000) / self.bytes_per_second;
        let free_at = self.free_at.entry(packet.to).or_default();
        *free_at = (*free_at).max(packet.now).after(takes_ns);
        let after = Duration::from_nanos(free_at.since(packet.now));
        Deed::delay(packet.bytes.clone(), after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adversary::Installed;
    use crate::draw::Seed;
    use crate::trace::Name;

    /// What leaves instead of each of `sent`, one a second from 10.25 s on: bytes, and milliseconds later. `None` where
    /// it leaves as it is.
    fn leaving(strategy: &str, manner: Manner, sent: &[&'static [u8]]) -> Vec<Option<Vec<(Bytes, u128)>>> {
        let seed = Seed::new(3);
        let assignment = Assignment {
            seed,
            node: 0,
            stakes: &[2_500; 4],
            manner: &manner,
        };
        let adversary = Strategies::generic().make(strategy, &assignment).unwrap();
        let mut installed = Installed::new(adversary, manner, Name::NONE);
        let met = sent.iter().enumerate().map(|(second, bytes)| {
            let content = Content {
                shape: Shape::Message,
                channel: 7,
                bytes: &Bytes::from_static(bytes),
                from: 0,
                to: 1,
                now: VirtualTime::from_millis(10_250 + 1_000 * second as u64),
            };
            let leaving = installed.meet(seed, &content)?;
            Some(
                leaving
                    .into_iter()
                    .map(|leaving| (leaving.bytes, leaving.after.as_millis()))
                    .collect(),
            )
        });
        met.collect()
    }

    fn one(bytes: &'static [u8], after_ms: u128) -> Option<Vec<(Bytes, u128)>> {
        Some(vec![(Bytes::from_static(bytes), after_ms)])
    }

    #[test]
    fn each_strategy_does_what_its_summary_says() {
        let manner = Manner::default;
        assert_eq!(leaving("withhold", manner(), &[b"a"]), [Some(Vec::new())]);
        assert_eq!(leaving("delay", manner(), &[b"a"]), [one(b"a", 1_000)]);
        let ms = |ms| Manner { ms, ..manner() };
        assert_eq!(leaving("delay", ms(3), &[b"a"]), [one(b"a", 3)]);
        assert_eq!(leaving("hold", manner(), &[b"a"]), [one(b"a", 749)]);
        assert_eq!(leaving("hold", ms(20_000), &[b"a"]), [one(b"a", 9_749)]);
        let bytes = |bytes| Manner { bytes, ..manner() };
        assert_eq!(
            leaving("truncate", bytes(2), &[b"abc", b"a"]),
            [one(b"ab", 0), one(b"a", 0)]
        );
        assert_eq!(
            leaving("trickle", manner(), &[b"abc", b"", b"a"]),
            [one(b"abc", 3_000), one(b"", 2_000), one(b"a", 2_000)]
        );
        assert_eq!(
            leaving("trickle", bytes(2), &[b"abc", b"a"]),
            [one(b"abc", 1_500), one(b"a", 1_000)]
        );
    }

    #[test]
    fn what_a_strategy_draws_is_never_what_was_sent() {
        for (strategy, length) in [
            ("truncate", 0..100),
            ("garble", 100..101),
            ("oversize", 1 << 20..(1 << 20) + 1),
        ] {
            for leaving in leaving(strategy, Manner::default(), &[&[9; 100][..]; 20]) {
                let leaving = leaving.unwrap();
                assert!(
                    length.contains(&leaving[0].0.len()) && leaving[0].0[..] != [9; 100],
                    "{strategy}"
                );
            }
        }
    }

    #[test]
    fn a_replay_is_of_something_that_was_sent_before() {
        let told = leaving("replay", Manner::default(), &[b"a", b"b", b"c", b"d"]);
        assert_eq!(told[0], None);
        for (place, told) in told.iter().enumerate().skip(1) {
            let [(new, 0), (old, 0)] = &told.as_ref().unwrap()[..] else {
                panic!("{told:?}");
            };
            assert_eq!(new[0], b"abcd"[place]);
            assert!(b"abcd"[..place].contains(&old[0]), "{told:?}");
        }
    }

    #[test]
    fn what_a_manner_does_not_name_passes() {
        for (struck, manner) in [
            (
                true,
                Manner {
                    to: vec![0, 1],
                    channels: vec![7, 8],
                    ..Manner::default()
                },
            ),
            (
                false,
                Manner {
                    to: vec![2],
                    ..Manner::default()
                },
            ),
            (
                false,
                Manner {
                    channels: vec![6],
                    ..Manner::default()
                },
            ),
            (
                false,
                Manner {
                    ppm: 0,
                    ..Manner::default()
                },
            ),
        ] {
            assert_eq!(
                leaving("withhold", manner.clone(), &[b"a"])[0].is_some(),
                struck,
                "{manner:?}"
            );
        }
    }
}
