//! How members go from round to round: what the rules of liveness say of each block, and how long it takes where nothing is
//! wrong but that some never come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::consensus::oracles::scene::Scene;
use crate::consensus::oracles::violation;
use crate::oracle::{Class, Fact, Oracle, Violation};
use crate::time::VirtualTime;
use crate::world::NodeIndex;

/// A member makes a block in every round, one after the other: it leaves none out unless the floor has passed it, or it does
/// not know any more what it has signed. Members that jump can leave rounds without a quorum of votes (Qiu, Xiao and Shao,
/// S&P 2026).
pub(super) struct EveryRound {
    gc_depth: u64,
    scene: Scene,
    /// Each member's last own block in it.
    own: Vec<u64>,
    /// The highest block of anybody, by epoch.
    top: BTreeMap<u64, u64>,
    /// Who has lost something, or may have, and may leave out rounds.
    excused: BTreeSet<NodeIndex>,
}

impl EveryRound {
    pub fn new(scene: Scene, gc_depth: u64) -> Self {
        Self {
            gc_depth,
            own: vec![0; scene.nodes()],
            scene,
            top: BTreeMap::new(),
            excused: BTreeSet::new(),
        }
    }
}

impl Oracle for EveryRound {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.scene.note(fact);
        match fact {
            Fact::Damaged { node, .. } | Fact::Wiped { node, .. } | Fact::Byzantine { node, .. } => {
                self.excused.insert(*node);
            }
            Fact::Said { node, event, .. } if event.kind == "epoch_started" => {
                self.own[*node] = event.b;
            }
            Fact::Said { node, event, .. } if event.kind == "recovering" => _ = self.excused.insert(*node),
            Fact::Said { node, event, .. } if event.kind == "block_accepted" => {
                let (round, author) = (event.a, event.b);
                let top = self.top.entry(self.scene.epoch(*node)).or_default();
                if self.scene.author(*node, author) == Some(*node) {
                    let last = std::mem::replace(&mut self.own[*node], round);
                    // A leader that high has moved the floor up to the rounds that were left out.
                    let is_below = round + self.gc_depth <= *top + 1;
                    if round > last + 1 && !is_below && !self.excused.contains(node) {
                        let what = format!("a block of round {round} follows one of round {last}");
                        return Err(violation(fact, Class::Safety, "every_round", what));
                    }
                }
                *top = (*top).max(round);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _at: VirtualTime) -> Result<(), Violation> {
        Ok(())
    }
}

/// Members that never come cost the others nothing for long: in the second half of a run in which nothing else is wrong, a
/// round takes less than twice the least time on average.
pub(super) struct SteadyPace {
    pause: Duration,
    half: VirtualTime,
    /// The leader's round of the last commit in the first half, and of the last of all.
    rounds: [u64; 2],
}

impl SteadyPace {
    pub const fn new(pause: Duration, half: VirtualTime) -> Self {
        Self {
            pause,
            half,
            rounds: [0; 2],
        }
    }
}

impl Oracle for SteadyPace {
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        if let Fact::Said { at, event, .. } = fact
            && event.kind == "committed"
        {
            let is_late = usize::from(*at >= self.half);
            for round in &mut self.rounds[is_late..] {
                *round = (*round).max(event.b);
            }
        }
        Ok(())
    }

    fn finish(&mut self, at: VirtualTime) -> Result<(), Violation> {
        let [before, after] = self.rounds;
        let took = Duration::from_nanos(at.since(self.half));
        let least = took.as_nanos() / (2 * self.pause.as_nanos()).max(1);
        if u128::from(after - before) >= least {
            return Ok(());
        }
        Err(Violation {
            class: Class::Liveness,
            oracle: "steady_pace",
            node: None,
            at,
            seq: None,
            what: format!(
                "leaders of {} rounds were committed in the last {took:?}, and {least} were due",
                after - before
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::oracles::lives::scene;

    /// Says `kind` with two numbers, at a second.
    fn say(
        oracle: &mut impl Oracle,
        node: NodeIndex,
        second: u64,
        kind: &'static str,
        a: u64,
        b: u64,
    ) -> bool {
        let event = env::Event {
            kind,
            a,
            b,
            digest: None,
        };
        let fact = Fact::Said {
            node,
            at: VirtualTime::from_millis(second * 1_000),
            event: &event,
            seq: 0,
        };
        oracle.observe(&fact).is_err()
    }

    /// What an oracle of two nodes makes of own blocks of node 0, after a block of node 1 in the round `top`.
    fn leaps(top: u64, words: &[&str]) -> bool {
        let mut oracle = EveryRound::new(scene(2), 8);
        say(&mut oracle, 0, 0, "block_accepted", top, 1);
        words.iter().any(|word| match word.parse() {
            Ok(round) => say(&mut oracle, 0, 0, "block_accepted", round, 0),
            Err(_) if *word == "wiped" => {
                let at = VirtualTime::ZERO;
                oracle.observe(&Fact::Wiped { node: 0, at }).is_err()
            }
            Err(_) => match word.split_once(' ') {
                Some((_, own)) => say(&mut oracle, 0, 0, "epoch_started", 0, own.parse().unwrap()),
                None => say(&mut oracle, 0, 0, "recovering", 0, 0),
            },
        })
    }

    #[test]
    fn a_round_is_left_out_only_below_the_floor_or_after_a_loss() {
        assert!(!leaps(9, &["1", "2", "3"]));
        assert!(leaps(9, &["1", "3"]));
        assert!(!leaps(3 + 8 - 1, &["1", "3"]));
        assert!(leaps(3 + 8 - 2, &["1", "3"]));
        assert!(!leaps(9, &["1", "recovering", "7", "restart 1", "7"]));
        assert!(!leaps(9, &["wiped", "1", "7", "9"]));
        // A crash took block 3 back, or block 3 was made and nobody said so.
        assert!(!leaps(9, &["1", "2", "3", "restart 2", "3"]));
        assert!(!leaps(9, &["1", "2", "restart 3", "4"]));
        assert!(leaps(9, &["1", "2", "restart 2", "4"]));
    }

    #[test]
    fn half_the_least_pace_is_enough_and_less_is_not() {
        let is_slow = |rounds: u64| {
            let mut oracle = SteadyPace::new(Duration::from_millis(100), VirtualTime::from_millis(10_000));
            assert!(!say(&mut oracle, 0, 9, "committed", 1, 90));
            assert!(!say(&mut oracle, 1, 19, "committed", 2, 90 + rounds));
            oracle.finish(VirtualTime::from_millis(20_000)).is_err()
        };
        assert_eq!([49, 50, 100].map(is_slow), [true, false, false]);
    }
}
