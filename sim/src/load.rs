//! The test load: `testkit::rounds` on every node, and the oracles that watch it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crypto::{Digest, Scheme};
use env::PeerAddress;
use testkit::rounds::{Rounds, run};
use types::PeerId;

use crate::adversary::Strategies;
use crate::draw::{Domain, Seed};
use crate::oracle::{Class, Fact, Oracle, Violation};
use crate::scenario::HEAL_LIMIT;
use crate::scheme::SimScheme;
use crate::time::VirtualTime;
use crate::world::{NodeIndex, NodeSpec};

/// Where the blob of the load is.
pub const BLOB_URL: &str = "https://blobs.sim/data";
const BLOB_BYTES: usize = 64 << 10;

/// The nodes of the load, and its blob.
pub fn build(
    seed: Seed,
    nodes: usize,
    pause: Duration,
    payload: usize,
) -> (Vec<NodeSpec>, Vec<(String, Bytes)>) {
    build_with::<SimScheme>(seed, nodes, pause, payload)
}

/// As [`build`], with the block signatures of scheme `S`.
pub fn build_with<S: Scheme>(
    seed: Seed,
    nodes: usize,
    pause: Duration,
    payload: usize,
) -> (Vec<NodeSpec>, Vec<(String, Bytes)>) {
    let secret_seed = |node: usize, kind: u64| {
        let mut draw = seed.draw(Domain::Identity, node as u64, kind, 0);
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&draw.bits().to_le_bytes());
        }
        bytes
    };
    let members: Vec<PeerAddress> = (0..nodes)
        .map(|node| PeerAddress {
            id: PeerId::new(secret_seed(node, 0)),
            address: String::new(),
        })
        .collect();
    let keys: Vec<_> = (0..nodes)
        .map(|node| S::public(&S::secret(&secret_seed(node, 1))))
        .collect();
    let content = Bytes::from((0..BLOB_BYTES).map(|byte| (byte % 251) as u8).collect::<Vec<_>>());
    let blob = (BLOB_URL.to_owned(), content.len() as u64, Digest::of(&content));
    let specs = (0..nodes).map(|node| {
        let rounds = Arc::new(Rounds::<S> {
            index: u16::try_from(node).expect("a scenario has fewer than 65,536 nodes"),
            members: members.clone(),
            keys: keys.clone(),
            secret: S::secret(&secret_seed(node, 1)),
            pause,
            payload,
            blob: Some(blob.clone()),
        });
        NodeSpec {
            name: format!("n{node}"),
            id: members[node].id,
            program: Arc::new(move |env| Box::pin(run(env, rounds.clone()))),
        }
    });
    (specs.collect(), vec![(BLOB_URL.to_owned(), content)])
}

/// What Byzantine nodes of the load may do.
pub fn strategies() -> Strategies {
    Strategies::generic()
}

/// The oracles of the load.
pub fn oracles(nodes: usize) -> Vec<Box<dyn Oracle>> {
    vec![
        Box::new(OneBlockPerRound::default()),
        Box::new(NothingForgotten::new(nodes)),
        Box::new(Progress::new(nodes)),
    ]
}

/// No member makes two blocks of one round, in whatever incarnation: blocks made and blocks seen agree.
#[derive(Default)]
struct OneBlockPerRound {
    blocks: BTreeMap<(u64, u64), [u8; 32]>,
    amnesic: Vec<NodeIndex>,
}

impl Oracle for OneBlockPerRound {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Damaged {
                node,
                unnoticed: true,
            } => self.amnesic.push(*node),
            Fact::Spared { node } => self.amnesic.retain(|amnesic| amnesic != node),
            Fact::Said { node, at, event, seq } if matches!(event.kind, "block_made" | "block_seen") => {
                let digest = *event.digest.expect("a block event carries the block's digest");
                let author = event.b;
                let known = *self.blocks.entry((event.a, author)).or_insert(digest);
                let excused = self.amnesic.iter().any(|amnesic| *amnesic as u64 == author);
                if known != digest && !excused {
                    return Err(Violation {
                        class: Class::Safety,
                        oracle: "one_block_per_round",
                        node: Some(*node),
                        at: *at,
                        seq: Some(*seq),
                        what: format!("two blocks of author {author} in round {}", event.a),
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _at: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

/// A restarted member knows the last block that it said it had made, and says so before it makes another.
struct NothingForgotten {
    made: Vec<Option<u64>>,
    /// Whether the present incarnation knows, and its store is the one that it knows from.
    knows: Vec<bool>,
    excused: Vec<bool>,
}

impl NothingForgotten {
    fn new(nodes: usize) -> Self {
        Self {
            made: vec![None; nodes],
            knows: vec![false; nodes],
            excused: vec![false; nodes],
        }
    }
}

impl Oracle for NothingForgotten {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Damaged { node, .. } => self.excused[*node] = true,
            Fact::Spared { node } => self.excused[*node] = false,
            Fact::Started { node, .. } => self.knows[*node] = self.made[*node].is_none(),
            // It opens its store anew.
            Fact::Said { node, event, .. } if event.kind == "member_failed" => {
                self.knows[*node] = self.made[*node].is_none();
            }
            Fact::Said { node, at, event, seq } if matches!(event.kind, "block_made" | "recovered") => {
                let (node, made) = (*node, self.made[*node]);
                let recovered = event.kind == "recovered";
                let forgot = if recovered {
                    made.is_some_and(|made| event.a < made)
                } else {
                    !self.knows[node]
                };
                if forgot && !self.excused[node] {
                    return Err(Violation {
                        class: Class::Safety,
                        oracle: "nothing_forgotten",
                        node: Some(node),
                        at: *at,
                        seq: Some(*seq),
                        what: format!("{} of round {}, after making round {made:?}", event.kind, event.a),
                    });
                }
                self.knows[node] = true;
                if !recovered {
                    self.made[node] = Some(event.a);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _at: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

/// Soon after the heal every member makes a block of a round that nobody had reached before.
struct Progress {
    newest: Vec<Option<u64>>,
    excused: Vec<bool>,
    byzantine: BTreeSet<NodeIndex>,
    absent: BTreeSet<NodeIndex>,
    healed: Option<Healed>,
}

/// What has to follow the last heal.
struct Healed {
    at: VirtualTime,
    wanted: u64,
    /// When each member got there.
    reached: Vec<Option<VirtualTime>>,
}

/// Rounds that have to follow the heal.
const ROUNDS_AFTER_HEAL: u64 = 5;

impl Progress {
    fn new(nodes: usize) -> Self {
        Self {
            newest: vec![None; nodes],
            excused: vec![false; nodes],
            byzantine: BTreeSet::new(),
            absent: BTreeSet::new(),
            healed: None,
        }
    }
}

impl Oracle for Progress {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Damaged { node, .. } => self.excused[*node] = true,
            Fact::Spared { node } => self.excused[*node] = false,
            Fact::Byzantine { node, .. } => _ = self.byzantine.insert(*node),
            Fact::Honest { node, .. } => _ = self.byzantine.remove(node),
            Fact::Absent { node, .. } => _ = self.absent.insert(*node),
            Fact::Started { node, .. } => _ = self.absent.remove(node),
            Fact::Said { node, at, event, .. } if event.kind == "block_made" => {
                self.newest[*node] = Some(event.a);
                if let Some(healed) = &mut self.healed
                    && event.a >= healed.wanted
                {
                    healed.reached[*node].get_or_insert(*at);
                }
            }
            Fact::Healed { at } => {
                // What followed an earlier heal is not forgotten.
                self.finish(*at)?;
                let newest = self.newest.iter().flatten().max().copied().unwrap_or(0);
                self.healed = Some(Healed {
                    at: *at,
                    wanted: newest + ROUNDS_AFTER_HEAL,
                    reached: vec![None; self.newest.len()],
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, at: VirtualTime) -> Result<(), Violation> {
        let Some(healed) = &self.healed else {
            return Ok(());
        };
        let took = |reached: VirtualTime| Duration::from_nanos(reached.since(healed.at));
        let late = |node: &NodeIndex| match healed.reached[*node] {
            Some(reached) => took(reached) > HEAL_LIMIT,
            None => took(at) >= HEAL_LIMIT,
        };
        let excused =
            |node| self.excused[node] || self.byzantine.contains(&node) || self.absent.contains(&node);
        let mut nodes = (0..self.newest.len()).filter(|node| !excused(*node));
        let Some(node) = nodes.find(late) else {
            return Ok(());
        };
        let round = |reached: &Option<u64>| reached.map_or("none".to_owned(), |round| round.to_string());
        let rounds: Vec<String> = self.newest.iter().map(round).collect();
        let when = match healed.reached[node] {
            Some(reached) => format!("it was there after {:?}", took(reached)),
            None => format!("it is at {}", rounds[node]),
        };
        Err(Violation {
            class: Class::Liveness,
            oracle: "progress_after_heal",
            node: Some(node),
            at,
            seq: None,
            what: format!(
                "round {} was due {HEAL_LIMIT:?} after the heal; {when}, and all of them at {}",
                healed.wanted,
                rounds.join(", ")
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an oracle makes of one node's life, of a word each second: `r` starts it, `b` and a round make a block,
    /// `k` and a round recover one, `f` reopens its store, `d` damages its disk, `s` says that nothing did, `y` and `o`
    /// turn it Byzantine and honest, `a` takes it away, `h` heals the network, `w` and a number wait for so many seconds more.
    fn objects(mut oracle: impl Oracle, life: &str) -> bool {
        let mut at = VirtualTime::ZERO;
        let broken = life.split(' ').any(|word| {
            let (deed, round) = word.split_at(1);
            let node = 0;
            at = at.after(1_000_000_000);
            let digest = [u8::from(deed == "k"); 32];
            let event = env::Event {
                kind: match deed {
                    "k" => "recovered",
                    "f" => "member_failed",
                    _ => "block_made",
                },
                a: round.parse().unwrap_or(0),
                b: 0,
                digest: Some(&digest),
            };
            let fact = match deed {
                "r" => Fact::Started {
                    node,
                    incarnation: 1,
                    at,
                },
                "d" => Fact::Damaged {
                    node,
                    unnoticed: false,
                },
                "s" => Fact::Spared { node },
                "y" => Fact::Byzantine { node, at },
                "o" => Fact::Honest { node, at },
                "a" => Fact::Absent { node, at },
                "h" => Fact::Healed { at },
                "w" => {
                    let seconds: u64 = round.parse().expect("a number of seconds");
                    at = at.after(seconds * 1_000_000_000);
                    return false;
                }
                _ => Fact::Said {
                    node,
                    at,
                    event: &event,
                    seq: 0,
                },
            };
            oracle.observe(&fact).is_err()
        });
        broken || oracle.finish(at).is_err()
    }

    #[test]
    fn a_member_has_to_go_on_in_time() {
        for (life, expected) in [
            ("b3 h b4 b7 b8 w100", false),
            ("b3 h b4 w27 b8", false),
            ("b3 h b4 w28 b8", true),
            ("b3 h b4 b7 w100", true),
            ("b3 h w100 b8 b9 h b14", true),
            ("b3 h b4", false),
            ("d b3 h w100", false),
            ("d s b3 h w100", true),
            ("y b3 h w100", false),
            ("y r o b3 h w100", true),
            ("a h w100", false),
            ("a r b3 h w100", true),
            ("b3 w100", false),
        ] {
            assert_eq!(objects(Progress::new(1), life), expected, "{life}");
        }
    }

    #[test]
    fn a_restarted_member_has_to_know_what_it_made() {
        for (life, expected) in [
            ("r b0 b1 b2", false),
            ("r b0 b1 r k1 b2", false),
            ("r b0 b1 r k2 b3", false),
            ("r r b0", false),
            ("r b0 b1 r k0", true),
            ("r b0 b1 r b2", true),
            ("r b0 b1 r k1 b2 r b3", true),
            ("r b0 b1 d r b2 r k0", false),
            ("r b0 b1 d s r b2 r k0", true),
            ("r f b0 b1 f k1 b2", false),
            ("r b0 b1 f b2", true),
            ("r b0 b1 f k0", true),
        ] {
            assert_eq!(objects(NothingForgotten::new(1), life), expected, "{life}");
        }
    }
}
