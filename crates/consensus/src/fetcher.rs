//! Asks for blocks that are missing: first whoever sent the block that needs them, then the others in turn. Each want is
//! asked of one member at a time, and the number of questions under way is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use types::{AuthorityIndex, Bounded, Mono};

use crate::dag::Want;
use crate::members::{Members, Suite};
use crate::messages::{MAX_ANSWER_BLOCKS, Request};
use crate::rules::Pace;

#[derive(Clone, Copy, Debug)]
struct Search {
    /// Whom to ask next.
    next: AuthorityIndex,
    /// Not before.
    due: Mono,
    /// The question under way.
    asked: Option<u64>,
    /// Members that were asked in vain.
    vain: usize,
    /// Whose block wants it, when its share of the searches is used up by it.
    owed_by: Option<AuthorityIndex>,
}

struct Question {
    to: AuthorityIndex,
    wants: Vec<Want>,
}

/// What is to be asked of one member.
#[derive(Default)]
struct Line {
    /// Searches without a question under way, by when they are due.
    due: BTreeSet<(Mono, Want)>,
    /// Questions under way.
    asked: usize,
    /// The last question had no answer: those that answer are asked before.
    is_silent: bool,
}

/// What is searched for the blocks of one author.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    searches: usize,
    /// More was wanted than there was room for.
    wants_more: bool,
}

/// What is searched, and the questions under way.
pub struct Fetcher<S: Suite> {
    members: Arc<Members<S>>,
    own: AuthorityIndex,
    searches: BTreeMap<Want, Search>,
    questions: BTreeMap<u64, Question>,
    /// By member.
    lines: Vec<Line>,
    /// By author of the blocks that want something.
    shares: Vec<Share>,
}

/// Wants of blocks that are searched at a time; each author has an equal share of them, so that one who makes up parents
/// takes nobody else's. Questions under way are not shared out like this.
const MAX_SEARCHES: usize = 32_768;

/// How often the pause of a search is doubled at most.
const MOST_DOUBLED: u32 = 5;

/// Questions under way to one member, at most.
const TO_ONE: usize = 4;

impl<S: Suite> Fetcher<S> {
    /// Searches nothing.
    pub fn new(members: Arc<Members<S>>, own: AuthorityIndex) -> Self {
        Self {
            lines: members.indices().map(|_| Line::default()).collect(),
            shares: vec![Share::default(); members.size()],
            members,
            own,
            searches: BTreeMap::new(),
            questions: BTreeMap::new(),
        }
    }

    /// Questions under way.
    pub fn asked(&self) -> usize {
        self.questions.len()
    }

    /// Searches for it from `due` on, first at `hint`, if it is not searched already: somebody who is trusted says that it is
    /// there, and bounds how many.
    pub fn search(&mut self, want: Want, hint: AuthorityIndex, due: Mono) {
        self.begin(want, hint, due, None);
    }

    /// Searches for what a block of `author` wants, within its share. Where that is used up the author is named by
    /// [`has_room_again`](Self::has_room_again) later.
    pub fn search_for(&mut self, author: AuthorityIndex, want: Want, hint: AuthorityIndex, due: Mono) {
        let most = self.share();
        let share = &mut self.shares[slot(author)];
        if share.searches >= most {
            share.wants_more |= !self.searches.contains_key(&want);
        } else {
            self.begin(want, hint, due, Some(author));
        }
    }

    fn begin(&mut self, want: Want, hint: AuthorityIndex, due: Mono, owed_by: Option<AuthorityIndex>) {
        if self.searches.contains_key(&want) {
            return;
        }
        let next = if hint == self.own { self.after(hint) } else { hint };
        self.lines[slot(next)].due.insert((due, want));
        if let Some(author) = owed_by {
            self.shares[slot(author)].searches += 1;
        }
        self.searches.insert(
            want,
            Search {
                next,
                due,
                asked: None,
                vain: 0,
                owed_by,
            },
        );
    }

    /// Searches for the blocks of one author, at most.
    fn share(&self) -> usize {
        (MAX_SEARCHES / self.members.size()).max(1)
    }

    /// An author for whose blocks more is to be searched than there was room for, and half of its share is free again. It is
    /// named once.
    pub fn has_room_again(&mut self) -> Option<AuthorityIndex> {
        let half = self.share() / 2;
        let mut shares = self.shares.iter();
        let found = shares.position(|share| share.wants_more && share.searches <= half)?;
        self.shares[found].wants_more = false;
        Some(index(found))
    }

    /// Stops searching: it was found, or nobody wants it any more.
    pub fn stop(&mut self, want: &Want) {
        if let Some(search) = self.searches.remove(want) {
            self.lines[slot(search.next)].due.remove(&(search.due, *want));
            if let Some(author) = search.owed_by {
                self.shares[slot(author)].searches -= 1;
            }
        }
    }

    /// Stops what `is_wanted` denies.
    pub fn retain(&mut self, is_wanted: impl Fn(&Want) -> bool) {
        let moot: Vec<Want> = self
            .searches
            .keys()
            .filter(|want| !is_wanted(want))
            .copied()
            .collect();
        moot.iter().for_each(|want| self.stop(want));
    }

    /// Members of whom more can be asked, with what is due first.
    fn free(&self, pace: &Pace) -> impl Iterator<Item = (usize, Mono)> + '_ {
        let has_room = !self.searches.is_empty() && self.questions.len() < pace.fetches;
        let lines = self
            .lines
            .iter()
            .enumerate()
            .take(if has_room { self.lines.len() } else { 0 });
        lines
            .filter(|(_, line)| line.asked < TO_ONE)
            .filter_map(|(member, line)| Some((member, line.due.first()?.0)))
    }

    /// When the next question is due.
    pub fn deadline(&self, pace: &Pace) -> Option<Mono> {
        self.free(pace).map(|(_, due)| due).min()
    }

    /// The next question that is due, if there is room for one, under the number `id`.
    pub fn ask(&mut self, id: u64, now: Mono, pace: &Pace) -> Option<(AuthorityIndex, Request)> {
        let first = self
            .free(pace)
            .filter(|(_, due)| *due <= now)
            .min_by_key(|(_, due)| *due);
        let (member, _) = first?;
        let line = &mut self.lines[member];
        let most = pace.fetch_blocks.clamp(1, MAX_ANSWER_BLOCKS);
        let (mut wants, mut names, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        while let Some((_, want)) = line
            .due
            .first()
            .copied()
            .filter(|(due, _)| *due <= now && wants.len() < most)
        {
            line.due.pop_first();
            let search = self.searches.get_mut(&want).expect("what is due is searched");
            search.asked = Some(id);
            wants.push(want);
            match want {
                Want::Name(name) => names.push(name),
                Want::Slot(at) => slots.push(at),
            }
        }
        line.asked += 1;
        let to = index(member);
        self.questions.insert(id, Question { to, wants });
        let request = Request::Blocks {
            names: Bounded::new(names).expect("a question has no more wants than an answer has blocks"),
            slots: Bounded::new(slots).expect("a question has no more wants than an answer has blocks"),
        };
        Some((to, request))
    }

    /// Whom a question was asked of; `None` for one that is not of here.
    pub fn whom(&self, id: u64) -> Option<AuthorityIndex> {
        self.questions.get(&id).map(|question| question.to)
    }

    /// A question has ended, and what it brought has been taken in: what is still searched is asked of the next that answers,
    /// or, when it was asked in vain of as many as do, of everybody in turn: the one that has it may have been cut off for a
    /// while. It is asked twice as slowly each time that all have been asked in vain, for it may be a name that somebody
    /// made up.
    pub fn answered(&mut self, id: u64, now: Mono, pause: Duration, is_silent: bool) {
        let Some(Question { to, wants }) = self.questions.remove(&id) else {
            return;
        };
        self.lines[slot(to)].asked -= 1;
        self.lines[slot(to)].is_silent = is_silent;
        let answering = self.lines.iter().enumerate();
        let answering = answering.filter(|(member, line)| *member != slot(self.own) && !line.is_silent);
        let answering = answering.count();
        let (next_of_all, next_answering) = (self.next(to), self.after(to));
        for want in wants {
            let Some(search) = self
                .searches
                .get_mut(&want)
                .filter(|search| search.asked == Some(id))
            else {
                continue;
            };
            let vain = search.vain + 1;
            let next = if planted!(AskedOnce) {
                to
            } else if vain < answering || planted!(SilentForGood) {
                next_answering
            } else {
                next_of_all
            };
            let turns = vain / (self.members.size() - 1).max(1);
            let turns = u32::try_from(turns).unwrap_or(u32::MAX).min(MOST_DOUBLED);
            *search = Search {
                next,
                due: now + pause * (1 << turns),
                asked: None,
                vain,
                ..*search
            };
            self.lines[slot(next)].due.insert((search.due, want));
        }
    }

    /// The other members, in turn, from behind this one to it.
    fn others(&self, member: AuthorityIndex) -> impl Iterator<Item = usize> {
        let (size, own) = (self.members.size(), slot(self.own));
        let others = (1..=size).map(move |step| (slot(member) + step) % size);
        others.filter(move |next| *next != own)
    }

    /// The next member behind this one.
    fn next(&self, member: AuthorityIndex) -> AuthorityIndex {
        self.others(member).next().map_or(member, index)
    }

    /// The next one of those that answer, if there are any.
    fn after(&self, member: AuthorityIndex) -> AuthorityIndex {
        let mut others = self.others(member);
        let answers = others.find(|next| !self.lines[*next].is_silent);
        answers.map_or_else(|| self.next(member), index)
    }
}

fn slot(author: AuthorityIndex) -> usize {
    usize::from(author.get())
}

fn index(member: usize) -> AuthorityIndex {
    let number = u16::try_from(member).ok().and_then(AuthorityIndex::new);
    number.expect("a member has an index")
}

#[cfg(test)]
mod tests;
