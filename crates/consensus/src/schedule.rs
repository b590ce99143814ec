//! Who leads: drawn by power from the epoch's seed, and corrected by reputation (HammerHead, arXiv 2309.12713, in
//! integers).
//!
//! # The draw
//! For slot `offset` of `round`, `x` is the first eight bytes, little endian, of
//! `Blake2b-256("soma.leader:" ‖ seed ‖ round ‖ offset ‖ 0)` (round: 4 bytes, offset: 2 bytes, little endian). Among the
//! members that lead no earlier slot of the round, ascending by index, the leader is the one in whose share of their
//! power lies `⌊x · power / 2^64⌋`. So the leaders of a round are distinct.
//!
//! # The swap
//! A leader that is *bad* gives its slot to a *good* member that leads no earlier slot of the round, if there is one: the
//! one at position `⌊x · count / 2^64⌋` of those, ascending, with the last byte of the hashed bytes 1 instead of 0.
//!
//! # Reputation
//! A *vote* is a block of round `r + 1` whose parents hold the committed leader block of a slot of round `r`. When a block
//! of round `r + 2` is ordered, the author of each vote among its parents of round `r + 1` scores the power of the block's
//! author, for each such leader. So who votes late, or is heard late, scores little. After every `commits_per_schedule`
//! commits, members stand in ascending order of (score, index); the first of them are bad, and the last good, each while
//! their power together stays within `swapped_power`; bad are only those whose score is below half of the median's, which is
//! the score of the member in the middle of the power. Then scores start from 0. The new table is in force from the round
//! after the leader's on, and what slots are left in that leader's round are passed over: so the rounds of one table are whole,
//! and a member that starts again needs no other.

use std::collections::VecDeque;
use std::sync::Arc;

use crypto::Hasher;
use types::{AuthorityIndex, Round};

use crate::members::{Members, Suite};
use crate::rules::Rules;
use crate::set::AuthoritySet;

/// Who leads, as of the last swap table.
#[derive(Debug)]
pub struct Schedule<S: Suite> {
    members: Arc<Members<S>>,
    seed: [u8; 32],
    slots: u16,
    swaps: Swaps,
    /// Leaders of consecutive rounds, from `first` on.
    rounds: VecDeque<Vec<AuthorityIndex>>,
    first: Round,
}

/// Whose slots go to whom. Both ascending, without a common member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swaps {
    /// These lose theirs.
    pub bad: Vec<AuthorityIndex>,
    /// These take them.
    pub good: Vec<AuthorityIndex>,
}

/// Rounds whose leaders are kept, at most: as many as a graph is high in practice.
const KEPT: usize = 512;

impl<S: Suite> Schedule<S> {
    /// The schedule of an epoch with these swaps.
    pub fn new(rules: &Rules, members: Arc<Members<S>>, swaps: Swaps) -> Self {
        let size = u16::try_from(members.size()).expect("there are no more members than indices");
        Self {
            seed: rules.seed,
            slots: rules.leaders_per_round.clamp(1, size),
            swaps,
            rounds: VecDeque::new(),
            first: Round::ZERO,
            members,
        }
    }

    /// The swaps in force.
    pub const fn swaps(&self) -> &Swaps {
        &self.swaps
    }

    /// The leaders of a round by offset.
    pub fn leaders(&mut self, round: Round) -> &[AuthorityIndex] {
        let is_next =
            round.get() == self.first.get() + u32::try_from(self.rounds.len()).expect("few rounds are kept");
        if round < self.first || (!is_next && round.get() - self.first.get() >= self.rounds.len() as u32) {
            self.rounds.clear();
            self.first = round;
        }
        let index = (round.get() - self.first.get()) as usize;
        if index == self.rounds.len() {
            let leaders = self.draw(round);
            self.rounds.push_back(leaders);
            if self.rounds.len() > KEPT {
                self.rounds.pop_front();
                self.first = Round::new(self.first.get() + 1);
            }
        }
        let index = (round.get() - self.first.get()) as usize;
        &self.rounds[index]
    }

    /// Puts other swaps in force.
    pub fn replace(&mut self, swaps: Swaps) {
        self.swaps = swaps;
        self.rounds.clear();
    }

    fn draw(&self, round: Round) -> Vec<AuthorityIndex> {
        let (mut leaders, mut leading) = (Vec::with_capacity(usize::from(self.slots)), AuthoritySet::EMPTY);
        let mut power: u32 = self
            .members
            .indices()
            .map(|member| self.members.power(member))
            .sum();
        for offset in 0..self.slots {
            let drawn = share(self.random(round, offset, 0), power);
            let mut below = 0;
            let free = self.members.indices().filter(|member| !leading.contains(*member));
            let elected = free.clone().find(|member| {
                below += self.members.power(*member);
                drawn < below
            });
            // Who has no power is drawn only when nobody else is left.
            let elected = elected
                .or_else(|| free.clone().next())
                .expect("there are no more slots than members");
            let leader = self.swapped(elected, &leading, round, offset);
            leading.insert(leader);
            power -= self.members.power(leader);
            leaders.push(leader);
        }
        leaders
    }

    fn swapped(
        &self,
        elected: AuthorityIndex,
        leading: &AuthoritySet,
        round: Round,
        offset: u16,
    ) -> AuthorityIndex {
        if self.swaps.bad.binary_search(&elected).is_err() {
            return elected;
        }
        let free: Vec<_> = self
            .swaps
            .good
            .iter()
            .filter(|good| !leading.contains(**good))
            .collect();
        let Ok(count) = u32::try_from(free.len()) else {
            return elected;
        };
        let drawn = share(self.random(round, offset, 1), count);
        free.get(drawn as usize).map_or(elected, |good| **good)
    }

    fn random(&self, round: Round, offset: u16, purpose: u8) -> u64 {
        let mut hasher = Hasher::new();
        hasher.bytes(b"soma.leader:");
        hasher.bytes(&self.seed);
        hasher.bytes(&round.get().to_le_bytes());
        hasher.bytes(&offset.to_le_bytes());
        hasher.bytes(&[purpose]);
        let digest = hasher.finish();
        let (first, _) = digest
            .as_bytes()
            .split_first_chunk()
            .expect("a digest has 32 bytes");
        u64::from_le_bytes(*first)
    }
}

/// `⌊x · whole / 2^64⌋`.
fn share(x: u64, whole: u32) -> u32 {
    u32::try_from((u128::from(x) * u128::from(whole)) >> 64).expect("a part is no larger than the whole")
}

/// Reputation since the last swap table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scores {
    /// By author.
    pub scores: Vec<u64>,
    /// Commits that were weighed.
    pub commits: u64,
}

impl Scores {
    /// Nobody has any.
    pub fn new(members: usize) -> Self {
        Self {
            scores: vec![0; members],
            commits: 0,
        }
    }

    /// Adds to an author's score.
    pub fn add(&mut self, author: AuthorityIndex, power: u32) {
        self.scores[usize::from(author.get())] += u64::from(power);
    }

    /// The swaps that follow from the scores.
    pub fn swaps<S: Suite>(&self, members: &Members<S>, swapped_power: u16) -> Swaps {
        let score = |member: &AuthorityIndex| self.scores[usize::from(member.get())];
        let mut order: Vec<AuthorityIndex> = members.indices().collect();
        order.sort_by_key(|member| (score(member), *member));
        let total: u32 = order.iter().map(|member| members.power(*member)).sum();
        let mut below = 0;
        let median = order.iter().find(|member| {
            below += members.power(**member);
            2 * below >= total
        });
        let median = median.map_or(0, score);
        let within = |from: &mut dyn Iterator<Item = &AuthorityIndex>| {
            let mut power = 0;
            let fits = |member: &&AuthorityIndex| {
                power += members.power(**member);
                power <= u32::from(swapped_power)
            };
            let mut taken: Vec<AuthorityIndex> = from.take_while(fits).copied().collect();
            taken.sort_unstable();
            taken
        };
        let bad = within(&mut order.iter().take_while(|member| 2 * score(member) < median));
        let good = within(
            &mut order
                .iter()
                .rev()
                .take_while(|member| 2 * score(member) >= median),
        );
        Swaps { bad, good }
    }
}
