//! What tests of oracles tell them, in words.

use crate::consensus::committees::Committees;
use crate::draw::Seed;
use crate::oracle::{Fact, Oracle};
use crate::scenario::Scenario;
use crate::time::VirtualTime;
use crate::world::NodeIndex;

use super::scene::Scene;

/// Nodes that are members of each of two epochs.
pub fn scene(nodes: usize) -> Scene {
    let scenario = Scenario {
        nodes,
        epochs: 2,
        epoch_ms: 1_000,
        ..Scenario::default()
    };
    Scene::new(Committees::new(Seed::new(1), &scenario), nodes)
}

/// What an oracle makes of a life, of a word each second.
///
/// A word is a node, a letter, and numbers with `/` between them. What nodes say: `e` and an epoch start it, `m`, `a` and
/// `o` with a round, an author and a digest say that a block is made, accepted, ordered; `c`, `C` and an index that a
/// commit is handled and committed (`C` with its leader's round), `l` that it is the epoch's last, `q` and `p` with a number
/// that a payload is queued and ordered, `x` accuses an author, `b` blames one of a fault, `s` has a round, blocks and bytes
/// in memory, `i` held blocks and queued payloads. What happens: `y` and `o` alone turn it Byzantine and honest, `a`
/// alone takes it away, `r` starts it, `d` damages its disk without a word, `z` wipes it. `h` heals the network, and `w` lets so
/// many seconds pass.
pub fn live(oracle: &mut impl Oracle, life: &str) -> bool {
    let mut at = VirtualTime::ZERO;
    let broken = life.split(' ').any(|word| {
        at = at.after(1_000_000_000);
        if word == "h" {
            return oracle.observe(&Fact::Healed { at }).is_err();
        }
        if let Some(seconds) = word.strip_prefix('w') {
            let seconds: u64 = seconds.parse().expect("a number of seconds");
            at = at.after((seconds - 1) * 1_000_000_000);
            return false;
        }
        let (node, rest) = word.split_at(1);
        let node: NodeIndex = node.parse().expect("a node");
        let (letter, numbers) = rest.split_at(1);
        let numbers: Vec<u64> = numbers
            .split('/')
            .filter_map(|number| number.parse().ok())
            .collect();
        said(letter, node, &numbers, at, oracle)
    });
    broken || oracle.finish(at).is_err()
}

/// As [`live`], with an oracle that is not needed any more.
pub fn objects(mut oracle: impl Oracle, life: &str) -> bool {
    live(&mut oracle, life)
}

fn said(letter: &str, node: NodeIndex, numbers: &[u64], at: VirtualTime, oracle: &mut impl Oracle) -> bool {
    let number = |place: usize| numbers.get(place).copied().unwrap_or(0);
    let event = match (letter, numbers) {
        ("y", []) => return oracle.observe(&Fact::Byzantine { node, at }).is_err(),
        ("o", []) => return oracle.observe(&Fact::Honest { node, at }).is_err(),
        ("a", []) => return oracle.observe(&Fact::Absent { node, at }).is_err(),
        ("z", []) => return oracle.observe(&Fact::Wiped { node, at }).is_err(),
        ("d", []) => {
            let unnoticed = true;
            return oracle.observe(&Fact::Damaged { node, unnoticed }).is_err();
        }
        ("r", []) => {
            let incarnation = 1;
            return oracle
                .observe(&Fact::Started {
                    node,
                    incarnation,
                    at,
                })
                .is_err();
        }
        ("s", _) => {
            let rows = [
                ("status_memory", number(1), number(2)),
                ("status_progress", number(0), 0),
            ];
            return rows
                .iter()
                .any(|(kind, a, b)| tell(kind, (*a, *b), 0, node, at, oracle));
        }
        ("e", _) => "epoch_started",
        ("m", _) => "block_made",
        ("a", _) => "block_accepted",
        ("o", _) => "block_ordered",
        ("c", _) => "handled",
        ("C", _) => "committed",
        ("l", _) => "epoch_over",
        ("q", _) => "payload_queued",
        ("p", _) => "payload_ordered",
        ("x", _) => "equivocation",
        ("b", _) => "peer_blamed",
        ("i", _) => "status_waiting",
        _ => panic!("no word begins with {letter}"),
    };
    let digest = match letter {
        "q" | "p" => number(0),
        _ => number(2),
    };
    tell(event, (number(0), number(1)), digest, node, at, oracle)
}

fn tell(
    kind: &'static str,
    (a, b): (u64, u64),
    digest: u64,
    node: NodeIndex,
    at: VirtualTime,
    oracle: &mut impl Oracle,
) -> bool {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&digest.to_le_bytes());
    let event = env::Event {
        kind,
        a,
        b,
        digest: Some(&bytes),
    };
    let fact = Fact::Said {
        node,
        at,
        event: &event,
        seq: 0,
    };
    oracle.observe(&fact).is_err()
}
