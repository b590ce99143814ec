//! Other commit rules on the blocks of a run: how many leader slots each decides, and how soon.
//!
//! The rules are those of `testkit::rule`, the specification. Leaders go round in turn, the same for each rule, whoever led in
//! the run. A slot is decided at the first block, in the order in which blocks were accepted anywhere, with which the rule
//! decides it: so times are those of an observer who is everywhere at once.

use std::collections::BTreeMap;
use std::str::FromStr;

use testkit::rule::{self, Conflict, Graph, Rule, Slot, round_robin};

use super::dag::{Block, Dag, EpochOf};

/// A commit rule, as people name it: `leaders=2,wave=3`, or `rule=two-round,leaders=1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    text: String,
    leaders: usize,
    wave: u32,
}

/// Why a text names no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no commit rule: name one as `leaders=2,wave=3`, with 3 rounds a wave at least, or `rule=two-round`"
)]
pub struct NoRule(String);

impl FromStr for Choice {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        let wrong = || NoRule(text.to_owned());
        let (mut leaders, mut wave, mut two_rounds) = (2, None, false);
        for part in text.split(',') {
            match part.split_once('=').ok_or_else(wrong)? {
                ("leaders", number) => leaders = number.parse().map_err(|_| wrong())?,
                ("wave", number) => wave = Some(number.parse().map_err(|_| wrong())?),
                ("rule", "two-round") => two_rounds = true,
                _ => return Err(wrong()),
            }
        }
        let wave = match (two_rounds, wave) {
            (true, None) => 2,
            (false, wave) => wave.unwrap_or(3),
            (true, Some(_)) => return Err(wrong()),
        };
        if leaders == 0 || wave > 64 || (wave < 3 && !two_rounds) {
            return Err(wrong());
        }
        let text = text.to_owned();
        Ok(Self { text, leaders, wave })
    }
}

impl Choice {
    /// The rule for so many authors. It has no more leaders than there are authors.
    fn rule(&self, authors: usize) -> Rule {
        let leaders = round_robin(authors, self.leaders.min(authors));
        match self.wave {
            2 => Rule::two_rounds(leaders),
            wave => Rule {
                wave,
                ..Rule::three_rounds(leaders)
            },
        }
    }
}

/// What a rule makes of a DAG.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The rule, as it was named.
    pub rule: String,
    /// Slots that are decided.
    pub decided: u64,
    /// Those that are committed.
    pub commits: u64,
    /// Those that are skipped.
    pub skips: u64,
    /// Rounds from a committed leader's to the block that decided, both counted: the sum over all commits.
    pub rounds: u64,
    /// Virtual nanoseconds from when a committed leader's block was accepted first: the sum over all commits.
    pub ns: u64,
    /// The epochs in which two outcomes of a slot were found: too many members contradict themselves for the rule.
    pub conflicts: u64,
}

impl Figures {
    /// One line for people, under [`title`].
    pub fn line(&self) -> String {
        let mean = |sum: u64, unit: u64| {
            let hundredths = (sum / (unit / 100)).checked_div(self.commits);
            hundredths.map_or("-".to_owned(), |mean| format!("{}.{:02}", mean / 100, mean % 100))
        };
        row(&[
            &self.rule,
            &self.decided.to_string(),
            &self.commits.to_string(),
            &self.skips.to_string(),
            &mean(self.rounds * 100, 100),
            &mean(self.ns, 1_000_000),
            &self.conflicts.to_string(),
        ])
    }
}

/// What the columns of [`Figures::line`] are.
pub fn title() -> String {
    row(&[
        "rule",
        "decided",
        "commits",
        "skips",
        "rounds",
        "commit_ms",
        "conflicts",
    ])
}

fn row(cells: &[&str; 7]) -> String {
    let [rule, rest @ ..] = cells;
    let rest = rest.iter().map(|cell| format!(" {cell:>10}"));
    format!("{rule:<28}") + &rest.collect::<String>()
}

/// What each rule makes of each epoch of a DAG, all together.
pub fn compare(dag: &Dag, choices: &[Choice]) -> Vec<Figures> {
    let of = |choice: &Choice| {
        let mut figures = Figures {
            rule: choice.text.clone(),
            ..Figures::default()
        };
        for epoch in &dag.epochs {
            let blocks = dag.blocks.iter().filter(|block| block.epoch == epoch.epoch);
            let mut blocks: Vec<(u64, &Block)> = blocks
                .filter_map(|block| block.at_ns.map(|at| (at, block)))
                .collect();
            blocks.sort_by_key(|(at, block)| (*at, block.round, block.author));
            Play::new(epoch, choice).run(&blocks, &mut figures);
        }
        figures
    };
    choices.iter().map(of).collect()
}

/// A rule that is given the blocks of an epoch one by one.
struct Play<'a> {
    rule: Rule,
    stakes: Vec<u16>,
    /// Blocks of rounds that are not all decided, by name, and when they came.
    known: BTreeMap<(u32, u16, &'a str), (u64, &'a Block)>,
    next: Slot,
    top: u32,
}

impl<'a> Play<'a> {
    fn new(epoch: &EpochOf, choice: &Choice) -> Self {
        let stake = |(_, power): &(usize, u64)| u16::try_from(*power).unwrap_or(0);
        Self {
            rule: choice.rule(epoch.members.len()),
            stakes: epoch.members.iter().map(stake).collect(),
            known: BTreeMap::new(),
            next: Slot { round: 1, offset: 0 },
            top: 0,
        }
    }

    fn run(&mut self, blocks: &[(u64, &'a Block)], figures: &mut Figures) {
        for (at, block) in blocks {
            self.known
                .insert((block.round, block.author, &block.digest), (*at, block));
            self.top = self.top.max(block.round);
            // It decides nothing before a block of the wave's last round.
            if block.round + 1 < self.next.round + self.rule.wave {
                continue;
            }
            if self.decide(*at, figures).is_err() {
                figures.conflicts += 1;
                return;
            }
        }
    }

    /// Decides what can be decided now.
    fn decide(&mut self, at: u64, figures: &mut Figures) -> Result<(), Conflict> {
        let base = self.next.round - 1;
        let (graph, names) = self.graph(base);
        let mut rule = self.rule.clone();
        let turn = base as usize % rule.leaders.len();
        rule.leaders.rotate_left(turn);
        let decisions = rule::decide(&graph, &rule)?;
        for decision in decisions.iter().skip(self.next.offset) {
            figures.decided += 1;
            match decision.block {
                None => figures.skips += 1,
                Some(block) => {
                    let (made, leader) = names[block];
                    figures.commits += 1;
                    figures.rounds += u64::from(self.top - leader.round + 1);
                    figures.ns += at - made;
                }
            }
            let slots = rule.leaders_of(decision.slot.round).len();
            self.next = match decision.slot.offset + 1 {
                offset if offset < slots => Slot {
                    round: base + decision.slot.round,
                    offset,
                },
                _ => Slot {
                    round: base + decision.slot.round + 1,
                    offset: 0,
                },
            };
        }
        let first = self.next.round;
        self.known.retain(|(round, _, _), _| *round >= first);
        Ok(())
    }

    /// The graph of the blocks above `base`, which is round 0 of it, and which block each of its is.
    fn graph(&self, base: u32) -> (Graph, Vec<(u64, &'a Block)>) {
        let mut graph = Graph::new(self.stakes.clone(), 0);
        let mut places = BTreeMap::new();
        let mut names = Vec::new();
        for (name, (at, block)) in &self.known {
            let parent = |(round, author, digest): &(u32, u16, String)| {
                if *round <= base {
                    return Some(usize::from(*author));
                }
                places.get(&(*round, *author, digest.as_str())).copied()
            };
            let added = graph.add(rule::Block {
                round: block.round - base,
                author: usize::from(block.author),
                digest: bytes(&block.digest),
                timestamp_ms: block.timestamp_ms,
                parents: block.parents.iter().filter_map(parent).collect(),
            });
            // What does not fit, because somebody has edited the file, is no block.
            if let Ok(place) = added {
                if names.is_empty() {
                    names = vec![(*at, *block); place];
                }
                places.insert(*name, place);
                names.push((*at, *block));
            }
        }
        (graph, names)
    }
}

/// The digest that begins with these hexadecimal digits.
fn bytes(digits: &str) -> [u8; 32] {
    let number = u64::from_str_radix(digits, 16).unwrap_or(0);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A DAG of four equals, in which each block has all blocks of the round before as parents, but for what `is_missing` says
    /// of round and author. A round takes 100 ms.
    fn full(rounds: u32, is_missing: impl Fn(u32, u16) -> bool) -> Dag {
        let digest = |round: u32, author: u16| format!("{:016x}", u64::from(round) << 16 | u64::from(author));
        let block = |round: u32, author: u16| {
            let parents = (0..4).filter(|author| !is_missing(round - 1, *author));
            Block {
                epoch: 0,
                round,
                author,
                digest: digest(round, author),
                parents: parents
                    .map(|author| (round - 1, author, digest(round - 1, author)))
                    .collect(),
                timestamp_ms: 0,
                payloads: 0,
                payload_bytes: 0,
                at_ns: Some(u64::from(round) * 100_000_000),
                node: Some(author),
                leader: None,
            }
        };
        let slots = (1..=rounds).flat_map(|round| (0..4).map(move |author| (round, author)));
        let there = slots.filter(|(round, author)| !is_missing(*round, *author));
        Dag {
            epochs: vec![EpochOf {
                epoch: 0,
                start_ms: 0,
                members: (0..4).map(|node| (node, 2_500)).collect(),
            }],
            blocks: there.map(|(round, author)| block(round, author)).collect(),
        }
    }

    fn figures(dag: &Dag, rule: &str) -> Figures {
        compare(dag, &[rule.parse().unwrap()]).remove(0)
    }

    #[test]
    fn a_rule_commits_each_leader_of_a_full_graph_in_its_rounds() {
        let dag = full(20, |_, _| false);
        for (rule, leaders, wave) in [
            ("leaders=1", 1, 3),
            ("leaders=2,wave=3", 2, 3),
            ("leaders=4,wave=5", 4, 5),
            ("rule=two-round,leaders=1", 1, 2),
        ] {
            let commits = leaders * (21 - wave);
            let expected = Figures {
                rule: rule.to_owned(),
                decided: commits,
                commits,
                skips: 0,
                rounds: commits * wave,
                ns: commits * (wave - 1) * 100_000_000,
                conflicts: 0,
            };
            assert_eq!(figures(&dag, rule), expected);
        }
    }

    #[test]
    fn a_silent_leader_is_skipped() {
        let dag = full(20, |round, author| round > 0 && author == 2);
        let found = figures(&dag, "leaders=1");
        // Author 2 leads rounds 3, 7, 11, 15 and 19, and round 18 is the last that has certificates.
        assert_eq!((found.commits, found.skips), (14, 5));
        // A quorum of 8,000 has no three of four equals.
        assert_eq!(figures(&dag, "rule=two-round").decided, 0);
    }

    #[test]
    fn what_a_file_says_comes_back() {
        let dag = full(3, |_, _| false);
        let text: String = dag.lines().map(|line| line + "\n").collect();
        assert_eq!(Dag::parse(&text).unwrap(), dag);
        let error = Dag::parse(&(text + "{}\n")).unwrap_err();
        assert!(error.to_string().starts_with("line 14 is neither"), "{error}");
    }

    #[test]
    fn what_names_no_rule_is_refused() {
        for wrong in [
            "",
            "leaders=0",
            "wave=2",
            "leaders",
            "rule=three",
            "rule=two-round,wave=3",
            "wave=65",
            "k=1",
        ] {
            assert_eq!(wrong.parse::<Choice>(), Err(NoRule(wrong.to_owned())));
        }
    }

    #[test]
    fn a_line_has_means_and_a_rule_without_commits_has_none() {
        let line = figures(&full(20, |_, _| false), "leaders=1").line();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["leaders=1", "18", "18", "0", "3.00", "200.00", "0"]);
        assert!(Figures::default().line().contains(" - "));
        assert_eq!(title().len(), line.len());
    }
}
