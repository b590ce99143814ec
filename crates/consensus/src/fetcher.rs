//! Asks for blocks that are missing: first whoever sent the block that needs them, then the others in turn. Each want is
//! asked of one member at a time, and the number of questions under way is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
}

struct Question {
    to: AuthorityIndex,
    wants: Vec<Want>,
}

/// What is searched, and the questions under way.
pub struct Fetcher<S: Suite> {
    members: Arc<Members<S>>,
    own: AuthorityIndex,
    searches: BTreeMap<Want, Search>,
    /// Searches without a question under way, by when they are due.
    due: BTreeSet<(Mono, Want)>,
    questions: BTreeMap<u64, Question>,
    /// Questions under way to each member.
    load: Vec<usize>,
}

/// Questions under way to one member, at most.
const TO_ONE: usize = 4;

impl<S: Suite> Fetcher<S> {
    /// Searches nothing.
    pub fn new(members: Arc<Members<S>>, own: AuthorityIndex) -> Self {
        Self {
            load: vec![0; members.size()],
            members,
            own,
            searches: BTreeMap::new(),
            due: BTreeSet::new(),
            questions: BTreeMap::new(),
        }
    }

    /// Questions under way.
    pub fn len(&self) -> usize {
        self.questions.len()
    }

    /// Searches for it from `due` on, first at `hint`, if it is not searched already.
    pub fn search(&mut self, want: Want, hint: AuthorityIndex, due: Mono) {
        let next = if hint == self.own { self.after(hint) } else { hint };
        self.searches.entry(want).or_insert_with(|| {
            self.due.insert((due, want));
            Search {
                next,
                due,
                asked: None,
            }
        });
    }

    /// Stops searching: it was found, or nobody wants it any more.
    pub fn stop(&mut self, want: &Want) {
        if let Some(search) = self.searches.remove(want) {
            self.due.remove(&(search.due, *want));
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

    /// When the next question is due.
    pub fn deadline(&self) -> Option<Mono> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The next question that is due, if there is room for one, under the number `id`.
    pub fn ask(&mut self, id: u64, now: Mono, pace: &Pace) -> Option<(AuthorityIndex, Request)> {
        if self.questions.len() >= pace.fetches {
            return None;
        }
        let is_due = |entry: &&(Mono, Want)| entry.0 <= now;
        let free = self.due.iter().take_while(is_due).find(|(_, want)| {
            let search = &self.searches[want];
            self.load[slot(search.next)] < TO_ONE
        });
        let to = self.searches[&free?.1].next;
        let for_it = self
            .due
            .iter()
            .take_while(is_due)
            .filter(|(_, want)| self.searches[want].next == to);
        let most = pace.fetch_blocks.clamp(1, MAX_ANSWER_BLOCKS);
        let wants: Vec<Want> = for_it.take(most).map(|(_, want)| *want).collect();
        let (mut names, mut slots) = (Vec::new(), Vec::new());
        for want in &wants {
            let search = self.searches.get_mut(want).expect("what is due is searched");
            self.due.remove(&(search.due, *want));
            search.asked = Some(id);
            match want {
                Want::Name(name) => names.push(*name),
                Want::Slot(at) => slots.push(*at),
            }
        }
        self.load[slot(to)] += 1;
        self.questions.insert(id, Question { to, wants });
        let request = Request::Blocks {
            names: Bounded::new(names).expect("a question has no more wants than an answer has blocks"),
            slots: Bounded::new(slots).expect("a question has no more wants than an answer has blocks"),
        };
        Some((to, request))
    }

    /// A question has ended, and what it brought has been taken in: what is still searched is asked of the next.
    /// Yields whom it was asked of; `None` for a question that is not of here.
    pub fn answered(&mut self, id: u64, now: Mono, pause: std::time::Duration) -> Option<AuthorityIndex> {
        let Question { to, wants } = self.questions.remove(&id)?;
        self.load[slot(to)] -= 1;
        for want in wants {
            let next = self.after(to);
            let Some(search) = self
                .searches
                .get_mut(&want)
                .filter(|search| search.asked == Some(id))
            else {
                continue;
            };
            search.asked = None;
            search.next = next;
            search.due = now + pause;
            self.due.insert((search.due, want));
        }
        Some(to)
    }

    /// The next member but this one.
    fn after(&self, member: AuthorityIndex) -> AuthorityIndex {
        let size = self.members.size();
        let others = (1..=size)
            .map(|step| (slot(member) + step) % size)
            .filter(|next| *next != slot(self.own));
        let next = others
            .map(|next| u16::try_from(next).ok().and_then(AuthorityIndex::new))
            .next();
        next.flatten().unwrap_or(member)
    }
}

fn slot(author: AuthorityIndex) -> usize {
    usize::from(author.get())
}
