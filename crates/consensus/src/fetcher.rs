//! Asks for blocks that are missing: first whoever is *told* to have them, since a block of theirs needs them, then the others
//! in turn, which is a *guess*. Each want is asked of one member at a time.
//!
//! The questions under way are bounded for each member, and most of them are for what the member itself is told to have: what
//! others make up, and what they answer late or never, takes nobody else's place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use types::{AuthorityIndex, Bounded, Mono};

use crate::dag::Want;
use crate::members::{Members, Suite};
use crate::messages::{MAX_ANSWER_BLOCKS, Request};
use crate::rules::Pace;
use crate::set::AuthoritySet;

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
    /// Who is told to have it.
    told: AuthoritySet,
    /// Those of them that were asked since they are told to have it.
    tried: AuthoritySet,
    /// It came, and waits for its own parents: to ask again helps only if it is dropped there.
    is_held: bool,
    /// Whose block wants it, when its share of the searches is used up by it.
    owed_by: Option<AuthorityIndex>,
}

impl Search {
    /// Whether it is to be asked of somebody who may not have it.
    fn is_guess(&self) -> bool {
        !self.told.contains(self.next)
    }
}

struct Question {
    to: AuthorityIndex,
    wants: Vec<Want>,
    is_guess: bool,
    /// When it was asked. When it has had its time, others that are told to have it are asked as well.
    at: Mono,
    had_its_time: bool,
}

/// What an answer has brought of what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// Nothing.
    Nothing,
    /// It, and it waits for its own parents.
    Held,
    /// A block of the slot, which may be another than the one that is meant.
    Other,
}

/// What is to be asked of one member.
#[derive(Default)]
struct Line {
    /// Searches without a question under way for what it is told to have, by when they are due.
    told: BTreeSet<(Mono, Want)>,
    /// And for what it may have.
    guesses: BTreeSet<(Mono, Want)>,
    /// Questions under way.
    asked: usize,
    /// Guesses among them.
    guessed: usize,
    /// The last question had no answer: those that answer are asked before.
    is_silent: bool,
}

impl Line {
    fn queue(&mut self, is_guess: bool) -> &mut BTreeSet<(Mono, Want)> {
        if is_guess {
            &mut self.guesses
        } else {
            &mut self.told
        }
    }

    /// When the next question may be asked that there is room for, and whether it is a guess.
    fn next(&self, pace: &Pace) -> Option<(Mono, bool)> {
        if self.asked >= pace.fetches {
            return None;
        }
        let told = self.told.first().map(|(due, _)| (*due, false));
        let guess = self.guesses.first().map(|(due, _)| (*due, true));
        let guess = guess.filter(|_| self.guessed < GUESSES);
        told.into_iter().chain(guess).min()
    }
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
    /// Those that have not had their time.
    young: BTreeSet<(Mono, u64)>,
    /// By member.
    lines: Vec<Line>,
    /// By author of the blocks that want something.
    shares: Vec<Share>,
}

/// Wants of blocks that are searched at a time; each author has an equal share of them, so that one who makes up parents
/// takes nobody else's.
const MAX_SEARCHES: usize = 32_768;

/// How often the pause of a search is doubled at most.
const MOST_DOUBLED: u32 = 5;

/// Guesses under way to one member, at most.
const GUESSES: usize = 1;

/// Which part of the limit of an answer a question has for itself.
const TIME: u32 = 2;

/// Which part of it passes before another block of a slot is asked for.
const OTHER: u32 = 4;

/// How many times the limit of an answer passes before what came and is held is asked for again.
const HELD_LIMITS: u32 = 4;

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
            young: BTreeSet::new(),
        }
    }

    /// Questions under way.
    pub fn asked(&self) -> usize {
        self.questions.len()
    }

    /// Searches for it from `due` on, and at `hint` before the others: somebody who is trusted says that it is there, and
    /// bounds how many.
    pub fn search(&mut self, want: Want, hint: AuthorityIndex, due: Mono) {
        if !self.hint(want, hint, due) {
            self.begin(want, hint, due, None);
        }
    }

    /// Searches for what a block of `author` wants, within its share. Where that is used up the author is named by
    /// [`has_room_again`](Self::has_room_again) later.
    pub fn search_for(&mut self, author: AuthorityIndex, want: Want, hint: AuthorityIndex, due: Mono) {
        if self.hint(want, hint, due) {
            return;
        }
        let most = self.share();
        let share = &mut self.shares[slot(author)];
        if share.searches >= most {
            share.wants_more = true;
        } else {
            share.searches += 1;
            self.begin(want, hint, due, Some(author));
        }
    }

    fn begin(&mut self, want: Want, hint: AuthorityIndex, due: Mono, owed_by: Option<AuthorityIndex>) {
        let mut told = AuthoritySet::EMPTY;
        let next = if hint == self.own {
            self.after(hint)
        } else {
            told.insert(hint);
            hint
        };
        let search = Search {
            next,
            due,
            asked: None,
            vain: 0,
            told,
            tried: AuthoritySet::EMPTY,
            is_held: false,
            owed_by,
        };
        self.enqueue(want, search);
    }

    /// Notes that `hint` has what is searched; `false` when it is not searched. A member is believed once: whoever says so
    /// again and again is not asked more often than others. It is asked in place of somebody who was only a guess, also
    /// where that question is under way, for it may be answered late.
    fn hint(&mut self, want: Want, hint: AuthorityIndex, due: Mono) -> bool {
        let Some(search) = self.searches.get(&want).copied() else {
            return false;
        };
        if hint == self.own || search.told.contains(hint) {
            return true;
        }
        let is_placed = match search.asked {
            _ if search.is_held => true,
            Some(id) => {
                !search.is_guess() && self.questions.get(&id).is_some_and(|asked| !asked.had_its_time)
            }
            None => search.told.contains(search.next) && !search.tried.contains(search.next),
        };
        let mut search = self.dequeue(&want).expect("it was just seen there");
        search.told.insert(hint);
        search.tried.remove(hint);
        if !is_placed {
            search.next = hint;
            search.due = due;
            search.asked = None;
        }
        self.enqueue(want, search);
        true
    }

    fn enqueue(&mut self, want: Want, search: Search) {
        if search.asked.is_none() {
            let queue = self.lines[slot(search.next)].queue(search.is_guess());
            queue.insert((search.due, want));
        }
        self.searches.insert(want, search);
    }

    fn dequeue(&mut self, want: &Want) -> Option<Search> {
        let search = self.searches.remove(want)?;
        let queue = self.lines[slot(search.next)].queue(search.is_guess());
        queue.remove(&(search.due, *want));
        Some(search)
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
        if let Some(search) = self.dequeue(want)
            && let Some(author) = search.owed_by
        {
            self.shares[slot(author)].searches -= 1;
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

    /// When the next question is due, or has had its time.
    pub fn deadline(&self, pace: &Pace) -> Option<Mono> {
        let lines = self.lines.iter().filter_map(|line| line.next(pace));
        let young = self.young.first().map(|(at, _)| *at + pace.fetch_timeout / TIME);
        lines.map(|(due, _)| due).chain(young).min()
    }

    /// What was asked some time ago is asked of the next that is told to have it, without waiting for the answer: who answers
    /// late keeps nobody from asking those that have it.
    pub fn overtake(&mut self, now: Mono, pace: &Pace) {
        while let Some((_, id)) = self
            .young
            .first()
            .copied()
            .filter(|(at, _)| *at + pace.fetch_timeout / TIME <= now)
        {
            self.young.pop_first();
            let Some(question) = self.questions.get_mut(&id) else {
                continue;
            };
            question.had_its_time = true;
            let (to, wants) = (question.to, question.wants.clone());
            for want in wants {
                let search = self.searches.get(&want).copied();
                let Some(search) = search.filter(|search| search.asked == Some(id)) else {
                    continue;
                };
                if let Some(next) = self.next_told(&search, to) {
                    self.dequeue(&want);
                    let (due, asked) = (now, None);
                    self.enqueue(
                        want,
                        Search {
                            next,
                            due,
                            asked,
                            ..search
                        },
                    );
                }
            }
        }
    }

    /// The next member behind this one that is told to have it and was not asked since, those that answer first.
    fn next_told(&self, search: &Search, to: AuthorityIndex) -> Option<AuthorityIndex> {
        let is_told = |other: &AuthorityIndex| search.told.contains(*other) && !search.tried.contains(*other);
        let told = || self.others(to).map(index).filter(is_told);
        let answering = told().find(|other| !self.lines[slot(*other)].is_silent);
        answering.or_else(|| told().next())
    }

    /// The next question that is due, if there is room for one, under the number `id`.
    pub fn ask(&mut self, id: u64, now: Mono, pace: &Pace) -> Option<(AuthorityIndex, Request)> {
        let lines = self.lines.iter().enumerate();
        let next = lines.filter_map(|(member, line)| Some((line.next(pace)?, member)));
        let ((due, is_guess), member) = next.min()?;
        if due > now {
            return None;
        }
        let line = &mut self.lines[member];
        let most = pace.fetch_blocks.clamp(1, MAX_ANSWER_BLOCKS);
        let (mut wants, mut names, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        let queue = line.queue(is_guess);
        while let Some((_, want)) = queue
            .first()
            .copied()
            .filter(|(due, _)| *due <= now && wants.len() < most)
        {
            queue.pop_first();
            let search = self.searches.get_mut(&want).expect("what is due is searched");
            search.asked = Some(id);
            search.is_held = false;
            search.tried.insert(search.next);
            wants.push(want);
            match want {
                Want::Name(name) => names.push(name),
                Want::Slot(at) => slots.push(at),
            }
        }
        line.asked += 1;
        line.guessed += usize::from(is_guess);
        let to = index(member);
        let question = Question {
            to,
            wants,
            is_guess,
            at: now,
            had_its_time: false,
        };
        self.questions.insert(id, question);
        self.young.insert((now, id));
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

    /// A question has ended, and what it brought has been taken in. What is still searched is asked at once of the next that is
    /// told to have it, and else, after a pause, of the next that answers or, when it was asked in vain of as many as do, of
    /// everybody in turn: the one that has it may have been cut off for a while. It is asked twice as slowly each time that
    /// all have been asked in vain, for it may be a name that somebody made up. What came and is held is not asked for again soon.
    pub fn answered(
        &mut self,
        id: u64,
        now: Mono,
        pause: Duration,
        pace: &Pace,
        is_silent: bool,
        brought: impl Fn(&Want) -> Brought,
    ) {
        let Some(question) = self.questions.remove(&id) else {
            return;
        };
        self.young.remove(&(question.at, id));
        let Question {
            to, wants, is_guess, ..
        } = question;
        let line = &mut self.lines[slot(to)];
        line.asked -= 1;
        line.guessed -= usize::from(is_guess);
        line.is_silent = is_silent;
        let answering = self.lines.iter().enumerate();
        let answering = answering.filter(|(member, line)| *member != slot(self.own) && !line.is_silent);
        let answering = answering.count();
        let (next_of_all, next_answering) = (self.next(to), self.after(to));
        for want in wants {
            let Some(mut search) = self
                .searches
                .get(&want)
                .copied()
                .filter(|search| search.asked == Some(id))
            else {
                continue;
            };
            search.asked = None;
            let brought = brought(&want);
            search.is_held = brought == Brought::Held;
            search.vain += usize::from(!search.is_held);
            let told = self.next_told(&search, to);
            search.next = if planted!(AskedOnce) {
                to
            } else if let Some(told) = told {
                told
            } else if search.vain < answering || planted!(SilentForGood) {
                next_answering
            } else {
                next_of_all
            };
            let turns = search.vain / (self.members.size() - 1).max(1);
            let turns = u32::try_from(turns).unwrap_or(u32::MAX).min(MOST_DOUBLED);
            search.due = match (brought, told) {
                (Brought::Held, _) => now + pace.fetch_timeout * HELD_LIMITS,
                (Brought::Other, Some(_)) => now + pace.fetch_timeout / OTHER,
                (Brought::Nothing, Some(_)) => now,
                (Brought::Other, None) => now + pace.fetch_timeout / OTHER * (1 << turns),
                (Brought::Nothing, None) => now + pause * (1 << turns),
            };
            self.enqueue(want, search);
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
