//! The commit rule (arXiv 2310.14821, sections III.B and III.C) with one or more leader slots in every round.
//!
//! - A block of round `r + 1` *votes* for a leader's block of round `r` that is among its parents, and *blames* a slot of
//!   round `r` of which no block is.
//! - A block of round `r + 2` is a *certificate* for a leader's block when its parents that vote for it are a quorum.
//! - *Direct*: a leader's block with certificates of a quorum commits. A slot blamed by a quorum is skipped: two quorums
//!   share an honest author, whose one block of the round either votes or blames, so no certificate can exist.
//! - *Indirect*: the first slot from round `r + 3` on that is not skipped is the anchor. While it is undecided, so is the
//!   slot. If it commits, the slot commits its block that has a certificate among the anchor's ancestors, or else is skipped.
//!   Whoever has committed or skipped the slot directly agrees: every later quorum of certificates meets the anchor's.
//! - Slots are decided in the order of (round, offset). Where a commit changes the leaders (see [`crate::schedule`]), the
//!   slots of its leader's round that are left are passed over.
//!
//! Only the block that an author's own block names can be voted for by it, so within the fault bound at most one block of a
//! slot is ever certified. Beyond the bound the one with the lowest digest is taken: nothing is promised there, but that the
//! rule stays a function of the graph.
//!
//! The tallies are kept as blocks come, so that a block costs as much as it has parents, whatever the graph's size.

use std::collections::VecDeque;
use std::sync::Arc;

use types::{AuthorityIndex, BlockRef, Round, Slot};

use crate::dag::{Dag, Place, Places, Vertex};
use crate::members::{Members, Suite, is_quorum, is_validity};
use crate::schedule::Schedule;

/// Rounds from a leader to its certificates, both counted.
pub const WAVE: u32 = 3;

/// What became of a leader slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing yet.
    Undecided,
    /// This block is the next leader of the order.
    Commit(BlockRef),
    /// No block of it ever will be.
    Skip,
}

/// A decided slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which.
    pub slot: Slot,
    /// Its place among the slots of its round.
    pub offset: u16,
    /// The block that commits; `None` when the slot is skipped.
    pub block: Option<BlockRef>,
}

struct Candidate {
    name: BlockRef,
    position: u16,
    voters: Places,
    certificates: Places,
    /// Of the authors of certificates.
    power: u32,
    /// Of the authors of votes.
    votes: u32,
}

struct Tally {
    leader: AuthorityIndex,
    candidates: Vec<Candidate>,
    blamers: Places,
    blame: u32,
    status: Status,
}

impl Tally {
    fn new(leader: AuthorityIndex) -> Self {
        Self {
            leader,
            candidates: Vec::new(),
            blamers: Places::default(),
            blame: 0,
            status: Status::Undecided,
        }
    }

    fn direct(&self) -> Status {
        let certified = self
            .candidates
            .iter()
            .filter(|candidate| is_quorum(candidate.power) || (planted!(CommitByOne) && candidate.power > 0));
        match certified.map(|candidate| candidate.name).min() {
            Some(name) => Status::Commit(name),
            None if is_quorum(self.blame) => Status::Skip,
            None if planted!(SkipByFew) && is_validity(self.blame) => Status::Skip,
            None if planted!(SkipPerBlock) && is_quorum(self.against_first()) => Status::Skip,
            None => Status::Undecided,
        }
    }

    /// Of a planted bug: who votes for any block of the slot.
    fn voters(&self) -> Places {
        let mut voters = Places::default();
        for place in self
            .candidates
            .iter()
            .flat_map(|candidate| candidate.voters.iter())
        {
            voters.insert(place);
        }
        voters
    }

    /// Of a planted bug: the power that does not vote for the block that came first.
    fn against_first(&self) -> u32 {
        let others = self.candidates.iter().skip(1);
        self.blame + others.map(|candidate| candidate.votes).sum::<u32>()
    }
}

/// Decides leader slots as the graph grows.
pub struct Committer<S: Suite> {
    members: Arc<Members<S>>,
    /// Tallies of consecutive rounds from `next` on.
    rounds: VecDeque<Vec<Tally>>,
    /// The round of the next slot to be decided.
    next: Round,
    /// Its offset.
    offset: usize,
    /// Whether a slot may be decidable that was not at the last look.
    is_ripe: bool,
}

impl<S: Suite> Committer<S> {
    /// Decides from slot `offset` of round `next` on, of which no block is known.
    pub fn new(members: Arc<Members<S>>, next: Round, offset: u16) -> Self {
        Self {
            members,
            rounds: VecDeque::new(),
            next,
            offset: usize::from(offset),
            is_ripe: false,
        }
    }

    /// The round of the next slot to be decided.
    pub const fn next_round(&self) -> Round {
        self.next
    }

    fn tallies(&mut self, round: Round) -> Option<&mut Vec<Tally>> {
        let index = round.get().checked_sub(self.next.get())?;
        self.rounds.get_mut(index as usize)
    }

    /// Counts a block that was just accepted.
    pub fn observe(&mut self, vertex: &Vertex<S>, place: Place, schedule: &mut Schedule<S>) {
        self.observe_from(Round::ZERO, vertex, place, schedule);
    }

    /// Counts a block for the slots of rounds above `above`.
    fn observe_from(&mut self, above: Round, vertex: &Vertex<S>, place: Place, schedule: &mut Schedule<S>) {
        let members = self.members.clone();
        let round = vertex.name().round;
        while round >= self.next && self.rounds.len() <= (round.get() - self.next.get()) as usize {
            let at = Round::new(self.next.get() + self.rounds.len() as u32);
            self.rounds
                .push_back(schedule.leaders(at).iter().copied().map(Tally::new).collect());
        }
        if round > above {
            let tallies = self.tallies(round).into_iter().flatten();
            for tally in tallies.filter(|tally| tally.leader == place.author) {
                tally.candidates.push(Candidate {
                    name: vertex.name(),
                    position: place.position,
                    voters: Places::default(),
                    certificates: Places::default(),
                    power: 0,
                    votes: 0,
                });
            }
        }
        let mut is_ripe = false;
        let voted = Round::new(round.get() - 1);
        if voted > above {
            for tally in self.tallies(voted).into_iter().flatten() {
                let Some(parent) = vertex.parent(tally.leader) else {
                    let authors = tally.blamers.authors();
                    if tally.blamers.insert(place) && !authors.contains(place.author) {
                        tally.blame += members.power(place.author);
                        is_ripe |= is_quorum(tally.blame) || planted!(SkipByFew);
                    }
                    continue;
                };
                let candidates = tally.candidates.iter_mut();
                for candidate in candidates.filter(|candidate| candidate.position == parent.position) {
                    let authors = candidate.voters.authors();
                    if candidate.voters.insert(place) && !authors.contains(place.author) {
                        candidate.votes += members.power(place.author);
                        is_ripe |= planted!(SkipPerBlock);
                    }
                }
            }
        }
        let Some(certified) = voted.get().checked_sub(1).map(Round::new) else {
            self.is_ripe |= is_ripe;
            return;
        };
        if certified > above {
            for tally in self.tallies(certified).into_iter().flatten() {
                let any = planted!(VotesForSlot).then(|| tally.voters());
                for candidate in &mut tally.candidates {
                    let support = || vertex.support(any.as_ref().unwrap_or(&candidate.voters), &members);
                    let is_enough = if planted!(CertificateOfFew) {
                        is_validity
                    } else {
                        is_quorum
                    };
                    // Nobody looks up votes that cannot be a quorum.
                    if !(is_enough(candidate.votes) || any.is_some()) || !is_enough(support()) {
                        continue;
                    }
                    let authors = candidate.certificates.authors();
                    if candidate.certificates.insert(place) && !authors.contains(place.author) {
                        candidate.power += members.power(place.author);
                        is_ripe |= is_quorum(candidate.power) || planted!(CommitByOne);
                    }
                }
            }
        }
        self.is_ripe |= is_ripe;
    }

    /// The next slot, if it is decided.
    pub fn decide(&mut self, dag: &Dag<S>) -> Option<Decision> {
        if let Some(decision) = self.pop() {
            return Some(decision);
        }
        if !std::mem::take(&mut self.is_ripe) {
            return None;
        }
        for index in (0..self.rounds.len()).rev() {
            for offset in (0..self.rounds[index].len()).rev() {
                if self.rounds[index][offset].status == Status::Undecided {
                    let mut status = self.rounds[index][offset].direct();
                    if status == Status::Undecided {
                        status = self.indirect(index, offset, dag);
                    }
                    self.rounds[index][offset].status = status;
                }
            }
        }
        self.pop()
    }

    fn pop(&mut self) -> Option<Decision> {
        let tally = self.rounds.front()?.get(self.offset)?;
        let block = match tally.status {
            Status::Undecided => return None,
            Status::Commit(name) => Some(name),
            Status::Skip => None,
        };
        let decision = Decision {
            slot: Slot {
                round: self.next,
                author: tally.leader,
            },
            offset: u16::try_from(self.offset).expect("there are no more slots than members"),
            block,
        };
        self.advance();
        Some(decision)
    }

    fn advance(&mut self) {
        self.offset += 1;
        if self
            .rounds
            .front()
            .is_some_and(|tallies| self.offset >= tallies.len())
        {
            self.rounds.pop_front();
            self.next = Round::new(self.next.get() + 1);
            self.offset = 0;
        }
    }

    fn indirect(&self, index: usize, offset: usize, dag: &Dag<S>) -> Status {
        let later = self.rounds.iter().skip(index + WAVE as usize).flatten();
        let anchor = later
            .map(|tally| tally.status)
            .find(|status| *status != Status::Skip);
        let Some(Status::Commit(anchor)) = anchor else {
            return Status::Undecided;
        };
        let round = Round::new(self.next.get() + index as u32 + WAVE - 1);
        let reached = ancestors(dag, &anchor, round);
        let certified = self.rounds[index][offset].candidates.iter().filter(|candidate| {
            let mut certificates = candidate.certificates.iter();
            certificates.any(|place| reached.contains(place))
        });
        match certified.map(|candidate| candidate.name).min() {
            Some(_) if planted!(FirstCandidate) => {
                Status::Commit(self.rounds[index][offset].candidates[0].name)
            }
            Some(name) => Status::Commit(name),
            None => Status::Skip,
        }
    }

    /// Takes the slots up to the one of a block that a quorum is known to have committed as decided; `false`, and nothing, when
    /// the block leads no slot from the next one on.
    pub fn jump(&mut self, leader: &BlockRef, schedule: &mut Schedule<S>) -> bool {
        let leaders = schedule.leaders(leader.round);
        let Some(offset) = leaders.iter().position(|author| *author == leader.author) else {
            return false;
        };
        if (leader.round, offset) < (self.next, self.offset) {
            return false;
        }
        let count = leaders.len();
        while self.next < leader.round {
            self.rounds.pop_front();
            self.next = Round::new(self.next.get() + 1);
        }
        self.offset = offset + 1;
        if self.offset >= count {
            self.rounds.pop_front();
            self.next = Round::new(self.next.get() + 1);
            self.offset = 0;
        }
        self.is_ripe = true;
        true
    }

    /// Leaves the slots of rounds up to `above` as they are, decided or not, and counts anew for those above, whose leaders
    /// have changed.
    pub fn begin(&mut self, above: Round, dag: &Dag<S>, schedule: &mut Schedule<S>) {
        self.rounds.clear();
        self.next = Round::new(above.get() + 1);
        self.offset = 0;
        for round in above.get() + 1..=dag.top().get() {
            for (place, vertex) in dag.round(Round::new(round)) {
                self.observe_from(above, vertex, place, schedule);
            }
        }
        self.is_ripe = true;
    }

    /// Whether a round's slots leave nothing to wait for: each block of a leader in it that some voted for can be
    /// certified by who has `voters` as parents in the round after, or the slot is blamed.
    pub fn is_settled(&mut self, round: Round) -> bool {
        let Some(tallies) = self.tallies(round) else {
            return true;
        };
        tallies.iter().all(|tally| {
            tally.candidates.is_empty()
                || is_quorum(tally.blame)
                || tally
                    .candidates
                    .iter()
                    .any(|candidate| is_quorum(candidate.votes))
        })
    }
}

/// The ancestors of `block` in `round`, itself if it is of that round.
pub fn ancestors<S: Suite>(dag: &Dag<S>, block: &BlockRef, round: Round) -> Places {
    let height = block.round.get().saturating_sub(round.get()) as usize;
    let mut rows = vec![Places::default(); height + 1];
    let Some(position) = dag.position(block) else {
        return Places::default();
    };
    rows[height].insert(Place {
        author: block.author,
        position,
    });
    for above in (1..=height).rev() {
        let at = Round::new(round.get() + above as u32);
        for place in std::mem::take(&mut rows[above]).iter() {
            let Some(vertex) = dag.at(at, place) else {
                continue;
            };
            for parent in vertex.parents_before().iter() {
                rows[above - 1].insert(parent);
            }
            for parent in vertex.older() {
                let Some(row) = parent.round.get().checked_sub(round.get()) else {
                    continue;
                };
                if let Some(position) = dag.position(parent) {
                    let author = parent.author;
                    rows[row as usize].insert(Place { author, position });
                }
            }
        }
    }
    std::mem::take(&mut rows[0])
}
