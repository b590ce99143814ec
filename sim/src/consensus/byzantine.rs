//! What Byzantine members of a consensus do: each strategy sees what the node's program says, knows the node's secret keys,
//! and signs what it says instead.
//!
//! Modules in reading order: `witness` (what a node knows), `draft` (a block that may say anything), `lines` and `twists`
//! (authors of other blocks), `hiding` (authors who are late or silent), `answers` (peers).

mod answers;
mod draft;
mod hiding;
mod lines;
mod twists;
mod witness;

use self::answers::{Greedy, Lie, Peer, Slow};
use self::hiding::{Echo, Hider, Late, Lurker, Twin};
use self::lines::{Lines, Partners, Side, Twist};
use crate::adversary::{Assignment, Strategies};

/// The strategy of both nodes of a pair of twins.
pub const TWIN: &str = "twin";

/// Authors of blocks that their program did not make: name, what it does, who gets them, what they are.
const AUTHORS: [(&str, &str, Side, Twist); 20] = [
    (
        "equivocate",
        "signs another block for each second member",
        Side::Halves,
        twists::equivocate,
    ),
    (
        "equivocate_one",
        "signs another block for one member",
        Side::One,
        twists::equivocate,
    ),
    (
        "equivocate_each",
        "signs another block for each member",
        Side::Each,
        twists::equivocate,
    ),
    (
        "collude",
        "equivocates to halves, on what its partners tell the same half",
        Side::Halves,
        twists::collude,
    ),
    (
        "other_parents",
        "names of two blocks of a slot the one that its program did not take",
        Side::All,
        twists::other_parents,
    ),
    (
        "omit",
        "names a bare quorum, and leaders only if there is none without",
        Side::All,
        twists::omit,
    ),
    (
        "clock_ahead",
        "its clock is `ms` ahead (an hour, or for ever)",
        Side::All,
        twists::ahead,
    ),
    (
        "clock_behind",
        "its clock is `ms` behind (for ever)",
        Side::All,
        twists::behind,
    ),
    (
        "far_vote",
        "votes for commits that are far ahead",
        Side::All,
        twists::far_vote,
    ),
    (
        "false_vote",
        "votes for commits that nobody has",
        Side::All,
        twists::false_vote,
    ),
    (
        "split_vote",
        "votes for other commits at each second member",
        Side::Halves,
        twists::false_vote,
    ),
    (
        "foreign",
        "signs for another epoch or chain",
        Side::All,
        twists::foreign,
    ),
    (
        "false_share",
        "leaves its share of the beacon out, or makes it up",
        Side::All,
        twists::false_share,
    ),
    (
        "phantom",
        "names parents that nobody made",
        Side::All,
        twists::phantom,
    ),
    (
        "far_round",
        "signs blocks of rounds far ahead",
        Side::All,
        twists::far_round,
    ),
    (
        "bulky",
        "signs blocks as large as they may be",
        Side::All,
        twists::bulky,
    ),
    (
        "too_bulky",
        "signs blocks larger than they may be",
        Side::All,
        twists::too_bulky,
    ),
    (
        "mutate",
        "changes one field of a block and signs it",
        Side::All,
        twists::mutate,
    ),
    (
        "mutate_each",
        "changes one field of a block for each member and signs it",
        Side::Each,
        twists::mutate,
    ),
    (
        "grind",
        "signs choice number `bytes` of its blocks that could lead to a beacon",
        Side::All,
        twists::grind,
    ),
];

/// Peers whose answers are false.
const LIARS: [(&str, &str, Lie); 4] = [
    (
        "false_blocks",
        "answers with other blocks than it was asked for",
        answers::blocks,
    ),
    (
        "false_commits",
        "answers with commits that nobody decided",
        answers::commits,
    ),
    (
        "false_latest",
        "lies about how far it and others have been",
        answers::latest,
    ),
    ("lie", "all of its answers are false", answers::any),
];

/// What Byzantine nodes of the load may do.
pub fn strategies() -> Strategies {
    let mut strategies = Strategies::generic();
    let partners = Partners::default();
    for (name, summary, side, twist) in AUTHORS {
        let partners = partners.clone();
        strategies.add(name, summary, move |assignment| {
            Box::new(Lines::new(side, twist, partners.clone(), assignment))
        });
    }
    for (name, summary, lie) in LIARS {
        strategies.add(name, summary, move |assignment| {
            Box::new(Peer::new(lie, assignment))
        });
    }
    strategies.add(
        "slow_answers",
        "answers after `ms` (0.4 to 2.1 s)",
        |assignment: &Assignment<'_>| {
            let ms = assignment.manner.ms;
            Box::new(Slow { ms })
        },
    );
    strategies.add(
        "greedy",
        "asks eight questions instead of one, for all that can be asked",
        |assignment| Box::new(Greedy::new(assignment)),
    );
    strategies.add(
        "hide_from_few",
        "hides its blocks from members with at most f",
        |assignment| Box::new(Hider::new(false, assignment)),
    );
    strategies.add(
        "hide_from_many",
        "hides its blocks from members with just over f",
        |assignment| Box::new(Hider::new(true, assignment)),
    );
    strategies.add("lurk", "hides its blocks and answers nothing", |_| {
        Box::new(Lurker)
    });
    strategies.add(
        "late",
        "its blocks come `ms` (240) late: just before nobody waits",
        |assignment| {
            let ms = assignment.manner.ms;
            Box::new(Late { ms })
        },
    );
    strategies.add("echo", "says again what it and others said before", |_| {
        Box::<Echo>::default()
    });
    strategies.add(
        TWIN,
        "two nodes have its key: they are honest, and know nothing of each other",
        |_| Box::new(Twin),
    );
    strategies
}
