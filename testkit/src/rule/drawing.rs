//! Graphs as text, round by round.
//!
//! Authors are letters; `B2` is the block of author B in round 2, and `B2'` another one of that slot. A drawing is a list
//! of statements, one a line or with `;` between them, and `#` begins a remark:
//!
//! - `1-3: *` gives everyone a block in rounds 1 to 3, `4: A C` only these, `4: * -B` all but B. They have the usual
//!   parents: the blocks without a prime of the round below, and the own latest block if there is none in that round;
//! - `A2: -B` is a block with the usual parents but B's, `A2: +B1` or `A2: +B'` with that block for B's usual one, and
//!   `A2: A B D'` with these parents alone. A name without a number is of the round below;
//! - `A2@1500:` says the timestamp; the usual one is [`START_MS`] and 100 for each round.
//!
//! A statement knows the statements above it.

use std::iter;
use std::ops::RangeInclusive;

use super::{Block, Decision, Graph, Misfit, Rule};

/// The timestamp of the genesis blocks of a drawing.
pub const START_MS: u64 = 1_000;

/// Why a drawing cannot be read, with the statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{statement}`: {why}")]
pub struct DrawingError {
    /// The statement, as it was written.
    pub statement: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A statement begins with rounds or a block, and a colon.
    #[error("it does not begin with `round:`, `round-round:` or `block:`")]
    Begin,
    /// A word that is no name of a block.
    #[error("`{0}` is no name")]
    Name(String),
    /// A block that no statement above has drawn.
    #[error("there is no {0} yet")]
    Missing(String),
    /// A usual parent is taken away that is none.
    #[error("{0} is no usual parent")]
    Unusual(String),
    /// A list of all parents beside changes to the usual ones.
    #[error("either all parents, or changes with `-` and `+`")]
    Mixed,
    /// The first block of a slot has no prime, the next one has one, and so on.
    #[error("the next block of that slot has {0} primes")]
    Primes(usize),
    /// The block does not fit into the graph.
    #[error("{0}")]
    Misfit(#[from] Misfit),
}

/// Reads a drawing.
///
/// # Errors
/// The first statement that cannot be read.
pub fn parse(stakes: Vec<u16>, drawing: &str) -> Result<Graph, DrawingError> {
    let mut graph = Graph::new(stakes, START_MS);
    for line in drawing.lines() {
        let line = line.split('#').next().unwrap_or_default();
        for statement in line.split(';').map(str::trim).filter(|text| !text.is_empty()) {
            read(&mut graph, statement).map_err(|why| DrawingError {
                statement: statement.to_owned(),
                why,
            })?;
        }
    }
    Ok(graph)
}

fn read(graph: &mut Graph, statement: &str) -> Result<(), Why> {
    let (head, tail) = statement.split_once(':').ok_or(Why::Begin)?;
    if let Some(rounds) = rounds(head.trim()) {
        for round in rounds {
            for author in authors(graph, tail)? {
                let parents = usual_parents(graph, round, author);
                insert(graph, round, author, usual_time(round), parents)?;
            }
        }
        return Ok(());
    }
    let (name, time) = match head.split_once('@') {
        Some((name, time)) => (name.trim(), Some(time.trim().parse().map_err(|_| Why::Begin)?)),
        None => (head.trim(), None),
    };
    let name = Name::read(graph, name, None).ok_or(Why::Begin)?;
    let primes = graph.slot(name.round, name.author).len();
    if name.primes != primes {
        return Err(Why::Primes(primes));
    }
    let parents = parents(graph, &name, tail)?;
    let time = time.unwrap_or(usual_time(name.round));
    insert(graph, name.round, name.author, time, parents)
}

fn rounds(head: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = head.split_once('-').unwrap_or((head, head));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

fn authors(graph: &Graph, list: &str) -> Result<Vec<usize>, Why> {
    let mut found = Vec::new();
    for word in list.split_whitespace() {
        let without = word.strip_prefix('-');
        match (word, without) {
            ("*", _) => found.extend(0..graph.stakes().len()),
            (_, Some(name)) => {
                let author = author(graph, name).ok_or_else(|| Why::Name(word.to_owned()))?;
                found.retain(|&other| other != author);
            }
            (name, None) => found.push(author(graph, name).ok_or_else(|| Why::Name(word.to_owned()))?),
        }
    }
    Ok(found)
}

fn parents(graph: &Graph, of: &Name, list: &str) -> Result<Vec<usize>, Why> {
    let words: Vec<&str> = list.split_whitespace().collect();
    let changes = words.iter().filter(|word| word.starts_with(['-', '+'])).count();
    if changes != 0 && changes != words.len() {
        return Err(Why::Mixed);
    }
    let mut parents = match changes == words.len() {
        true => usual_parents(graph, of.round, of.author),
        false => Vec::new(),
    };
    for word in words {
        let text = word.trim_start_matches(['-', '+']);
        let name = Name::read(graph, text, of.round.checked_sub(1));
        let name = name.ok_or_else(|| Why::Name(word.to_owned()))?;
        let block = name.find(graph).ok_or_else(|| Why::Missing(text.to_owned()))?;
        if word.starts_with('-') {
            let place = parents.iter().position(|&parent| parent == block);
            parents.remove(place.ok_or_else(|| Why::Unusual(text.to_owned()))?);
        } else {
            if word.starts_with('+') {
                parents.retain(|&parent| graph.blocks()[parent].author != name.author);
            }
            parents.push(block);
        }
    }
    Ok(parents)
}

fn usual_parents(graph: &Graph, round: u32, author: usize) -> Vec<usize> {
    let below = round.saturating_sub(1);
    let first = |round, author| Name::new(round, author).find(graph);
    let mut parents: Vec<usize> = (0..graph.stakes().len())
        .filter_map(|author| first(below, author))
        .collect();
    if first(below, author).is_none() {
        parents.extend((0..below).rev().find_map(|round| first(round, author)));
    }
    parents
}

fn usual_time(round: u32) -> u64 {
    START_MS + 100 * u64::from(round)
}

fn insert(
    graph: &mut Graph,
    round: u32,
    author: usize,
    timestamp_ms: u64,
    parents: Vec<usize>,
) -> Result<(), Why> {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&(graph.slot(round, author).len() as u64).to_be_bytes());
    graph.add(Block {
        round,
        author,
        digest,
        timestamp_ms,
        parents,
    })?;
    Ok(())
}

/// What a block is called. Primes count the blocks of the slot with a lower digest.
struct Name {
    round: u32,
    author: usize,
    primes: usize,
}

impl Name {
    fn new(round: u32, author: usize) -> Self {
        Self {
            round,
            author,
            primes: 0,
        }
    }

    fn read(graph: &Graph, text: &str, round: Option<u32>) -> Option<Self> {
        let without = text.trim_end_matches('\'');
        let letter = without.chars().next()?;
        let digits = &without[letter.len_utf8()..];
        let round = if digits.is_empty() {
            round
        } else {
            digits.parse().ok()
        };
        Some(Self {
            round: round?,
            author: author(graph, &letter.to_string())?,
            primes: text.len() - without.len(),
        })
    }

    fn find(&self, graph: &Graph) -> Option<usize> {
        let mut slot = graph.slot(self.round, self.author);
        slot.sort_by_key(|&block| graph.blocks()[block].digest);
        slot.get(self.primes).copied()
    }
}

fn letters() -> impl Iterator<Item = char> {
    ('A'..='Z').chain('a'..='z')
}

fn author(graph: &Graph, text: &str) -> Option<usize> {
    let place = letters().position(|letter| text == letter.to_string())?;
    (place < graph.stakes().len()).then_some(place)
}

fn letter(author: usize) -> char {
    letters().nth(author).unwrap_or('?')
}

/// What a block is called in drawings.
pub fn name(graph: &Graph, block: usize) -> String {
    let block = &graph.blocks()[block];
    let lower = graph
        .slot(block.round, block.author)
        .into_iter()
        .filter(|&twin| graph.blocks()[twin].digest < block.digest);
    format!(
        "{}{}{}",
        letter(block.author),
        block.round,
        "'".repeat(lower.count())
    )
}

/// Decisions as text: the committed blocks by name, and skipped slots as the name of their leader's block after a `-`.
pub fn decisions(graph: &Graph, rule: &Rule, decisions: &[Decision]) -> String {
    let words = decisions.iter().map(|decision| match decision.block {
        Some(block) => name(graph, block),
        None => {
            let slot = decision.slot;
            format!(
                "-{}{}",
                letter(rule.leaders_of(slot.round)[slot.offset]),
                slot.round
            )
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Draws a graph, so that [`parse`] with the same stakes makes an equal one, but for digests and the order of blocks.
pub fn draw(graph: &Graph) -> String {
    let mut lines = Vec::new();
    for round in 1..=graph.highest_round() {
        let mut blocks: Vec<(String, usize)> = graph
            .round(round)
            .iter()
            .map(|&block| (name(graph, block), block))
            .collect();
        blocks.sort();
        let (usual, others): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|(name, block)| {
            changes(graph, *block).is_empty()
                && graph.blocks()[*block].timestamp_ms == usual_time(round)
                && !name.ends_with('\'')
        });
        let usual: String = usual
            .iter()
            .map(|(_, block)| format!(" {}", letter(graph.blocks()[*block].author)))
            .collect();
        if !usual.is_empty() {
            lines.push(format!("{round}:{usual}"));
        }
        for (name, block) in others {
            let time = graph.blocks()[block].timestamp_ms;
            let time = match time == usual_time(round) {
                true => String::new(),
                false => format!("@{time}"),
            };
            lines.push(format!("{name}{time}:{}", changes(graph, block)));
        }
    }
    lines.join("\n")
}

/// What a block's parents have and lack, compared with the usual ones.
fn changes(graph: &Graph, block: usize) -> String {
    let Block {
        round,
        author,
        ref parents,
        ..
    } = graph.blocks()[block];
    let usual = usual_parents(graph, round, author);
    let author_of = |block: usize| graph.blocks()[block].author;
    let replaced = |block: usize| {
        parents
            .iter()
            .any(|&parent| author_of(parent) == author_of(block))
    };
    let lacks = usual.iter().copied().filter(|&block| !replaced(block));
    let has = parents.iter().copied().filter(|parent| !usual.contains(parent));
    let signed = lacks.zip(iter::repeat('-')).chain(has.zip(iter::repeat('+')));
    let told = signed.map(|(parent, sign)| match graph.blocks()[parent].round + 1 == round {
        true => format!(" {sign}{}", name(graph, parent).replace(char::is_numeric, "")),
        false => format!(" {sign}{}", name(graph, parent)),
    });
    told.collect()
}
