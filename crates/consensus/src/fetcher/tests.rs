use types::{Round, Slot};

use super::*;
use crate::kit::members;
use crate::members::Production;

const PAUSE: Duration = Duration::from_millis(1);

fn fetcher(size: u8) -> Fetcher<Production> {
    Fetcher::new(members(size), index(0))
}

fn want(round: u32) -> Want {
    Want::Slot(Slot {
        round: Round::new(round),
        author: index(1),
    })
}

fn at(ms: u64) -> Mono {
    Mono::from_nanos(ms * 1_000_000)
}

/// Whom questions that nobody answers are asked of.
fn asked(fetcher: &mut Fetcher<Production>, times: usize) -> Vec<u16> {
    let pace = Pace::default();
    let mut asked = Vec::new();
    let mut now = at(0);
    for id in 0..times as u64 {
        now = now.max(fetcher.deadline(&pace).unwrap());
        let (to, _) = fetcher.ask(id, now, &pace).unwrap();
        asked.push(to.get());
        fetcher.answered(id, now, PAUSE, &pace, true, |_| Brought::Nothing);
    }
    asked
}

#[test]
fn what_nobody_tells_is_asked_of_everybody_in_turn() {
    let mut fetcher = fetcher(5);
    fetcher.search(want(1), index(3), at(0));
    assert_eq!(asked(&mut fetcher, 4), [3, 4, 1, 2]);
}

#[test]
fn who_answers_is_asked_before_who_does_not() {
    let mut fetcher = fetcher(5);
    let pace = Pace::default();
    fetcher.search(want(1), index(1), at(0));
    assert_eq!(asked(&mut fetcher, 1), [1]);
    // Another question is answered, by the member that follows the silent one.
    let (to, _) = fetcher.ask(7, at(9), &pace).unwrap();
    assert_eq!(to, index(2));
    fetcher.answered(7, at(9), PAUSE, &pace, false, |_| Brought::Nothing);
    fetcher.search(want(2), index(4), at(9));
    let (to, _) = fetcher.ask(8, at(9), &pace).unwrap();
    assert_eq!(to, index(4));
    fetcher.answered(8, at(9), PAUSE, &pace, true, |_| Brought::Nothing);
    // After 4 it would be 1's turn, and 1 is silent.
    fetcher.stop(&want(1));
    let (to, _) = fetcher.ask(9, at(20), &pace).unwrap();
    assert_eq!(to, index(2));
}

#[test]
fn who_was_silent_once_is_asked_again_when_those_that_answer_have_nothing() {
    let mut fetcher = fetcher(5);
    fetcher.search(want(1), index(1), at(0));
    assert_eq!(asked(&mut fetcher, 2), [1, 2]);
    let (pace, mut now, mut asked) = (Pace::default(), at(9), Vec::new());
    for id in 10..16 {
        now = now.max(fetcher.deadline(&pace).unwrap());
        let (to, _) = fetcher.ask(id, now, &pace).unwrap();
        asked.push(to.get());
        fetcher.answered(id, now, PAUSE, &pace, to.get() < 3, |_| Brought::Nothing);
    }
    assert_eq!(asked, [3, 4, 1, 2, 3, 4]);
}

#[test]
fn a_question_is_due_only_while_it_can_be_asked() {
    let mut fetcher = fetcher(3);
    let pace = Pace {
        fetch_blocks: 1,
        ..Pace::default()
    };
    for round in 1..=9 {
        fetcher.search(want(round), index(1), at(0));
    }
    for id in 0..pace.fetches as u64 {
        assert!(fetcher.ask(id, at(0), &pace).is_some());
    }
    let overtaken = at(0) + pace.fetch_timeout / TIME;
    assert_eq!(
        fetcher.deadline(&pace),
        Some(overtaken),
        "all that is left is for a member that is asked enough"
    );
    assert!(fetcher.ask(99, at(0), &pace).is_none());
    fetcher.answered(0, at(5), PAUSE, &pace, false, |_| Brought::Nothing);
    assert_eq!(fetcher.deadline(&pace), Some(at(0)));
}

#[test]
fn an_author_has_its_share_of_the_searches_and_no_more() {
    let mut fetcher = fetcher(4);
    let share = fetcher.share();
    let pace = Pace::default();
    for round in 1..=u32::try_from(share).unwrap() + 1 {
        fetcher.search_for(index(3), want(round), index(1), at(1));
    }
    assert_eq!(fetcher.searches.len(), share);
    assert_eq!(fetcher.has_room_again(), None);
    // Another author's is searched, and so is what a quorum says is there.
    let other = Want::Slot(Slot {
        round: Round::new(1),
        author: index(2),
    });
    fetcher.search_for(index(2), other, index(2), at(0));
    assert_eq!(fetcher.deadline(&pace), Some(at(0)));
    fetcher.search(want(0), index(1), at(0));
    assert_eq!(fetcher.searches.len(), share + 2);
    fetcher.retain(|kept| match kept {
        Want::Slot(at) => at.round.get() as usize <= share / 2,
        Want::Name(_) => true,
    });
    assert_eq!(fetcher.has_room_again(), Some(index(3)));
    assert_eq!(fetcher.has_room_again(), None, "it is named once");
}

#[test]
fn what_is_found_is_searched_no_more() {
    let mut fetcher = fetcher(3);
    let pace = Pace::default();
    fetcher.search(want(1), index(1), at(0));
    fetcher.search(want(2), index(1), at(0));
    fetcher.stop(&want(1));
    fetcher.retain(|kept| *kept == want(1));
    assert_eq!(
        (fetcher.deadline(&pace), fetcher.ask(0, at(0), &pace)),
        (None, None)
    );
}

#[test]
fn what_nobody_has_is_asked_for_less_and_less() {
    let mut fetcher = fetcher(4);
    let (pace, pause) = (Pace::default(), Duration::from_millis(100));
    let want = Want::Slot(Slot {
        round: Round::new(9),
        author: index(1),
    });
    fetcher.search(want, index(1), Mono::ZERO);
    let (mut now, mut pauses, mut asked) = (Mono::ZERO, Vec::new(), Vec::new());
    for id in 0..21 {
        let (to, _) = fetcher.ask(id, now, &pace).unwrap();
        asked.push(to.get());
        fetcher.answered(id, now, pause, &pace, false, |_| Brought::Nothing);
        let due = fetcher.deadline(&pace).unwrap();
        pauses.push(due.since(now).as_millis());
        now = due;
    }
    assert_eq!(asked[..6], [1, 2, 3, 1, 2, 3]);
    let expected = [
        100, 100, 200, 200, 200, 400, 400, 400, 800, 800, 800, 1_600, 1_600, 1_600, 3_200,
    ];
    assert_eq!(pauses[..15], expected);
    assert_eq!(pauses[20], 3_200);
}

/// The one that is asked next, when it is, and nobody else.
fn next(fetcher: &mut Fetcher<Production>, id: u64, now: Mono) -> (Mono, u16) {
    let pace = Pace::default();
    let due = fetcher.deadline(&pace).unwrap().max(now);
    let (to, _) = fetcher.ask(id, due, &pace).unwrap();
    assert!(
        fetcher.ask(id + 1_000, due, &pace).is_none(),
        "it is asked of one"
    );
    (due, to.get())
}

#[test]
fn who_is_told_to_have_it_is_asked_without_a_pause() {
    let mut fetcher = fetcher(9);
    let pace = Pace::default();
    fetcher.search(want(1), index(1), at(0));
    // Whoever has made it up has made the pause long.
    let mut now = at(0);
    for id in 0..20 {
        (now, _) = next(&mut fetcher, id, now);
        fetcher.answered(id, now, Duration::from_secs(1), &pace, false, |_| {
            Brought::Nothing
        });
    }
    assert!(fetcher.deadline(&pace).unwrap().since(now) >= Duration::from_secs(4));
    for hint in [6, 3, 4] {
        fetcher.search_for(index(hint), want(1), index(hint), now);
    }
    for (id, told) in [(20, 6), (21, 3), (22, 4)] {
        assert_eq!(next(&mut fetcher, id, now), (now, told));
        fetcher.answered(id, now, Duration::from_secs(1), &pace, false, |_| {
            Brought::Nothing
        });
    }
    // To say so again helps nobody.
    fetcher.search_for(index(3), want(1), index(3), now);
    assert!(fetcher.deadline(&pace).unwrap().since(now) >= Duration::from_secs(4));
}

#[test]
fn a_guess_that_is_answered_late_is_not_waited_for() {
    let mut fetcher = fetcher(9);
    let pace = Pace::default();
    fetcher.search(want(1), index(1), at(0));
    assert_eq!(next(&mut fetcher, 0, at(0)), (at(0), 1));
    // Who is told to have it has its time to answer.
    fetcher.search(want(1), index(5), at(1));
    assert_eq!(fetcher.deadline(&pace), Some(at(0) + pace.fetch_timeout / TIME));
    fetcher.answered(0, at(2), PAUSE, &pace, false, |_| Brought::Nothing);
    assert_eq!(next(&mut fetcher, 1, at(2)), (at(2), 5));
    fetcher.answered(1, at(3), PAUSE, &pace, false, |_| Brought::Nothing);
    assert_eq!(next(&mut fetcher, 2, at(3)), (at(4), 6));
    fetcher.search(want(1), index(2), at(5));
    assert_eq!(next(&mut fetcher, 3, at(5)), (at(5), 2));
    // What was guessed comes to nothing, late.
    fetcher.answered(2, at(6), PAUSE, &pace, false, |_| Brought::Nothing);
    let overtaken = at(5) + pace.fetch_timeout / TIME;
    assert_eq!((fetcher.deadline(&pace), fetcher.asked()), (Some(overtaken), 1));
}

#[test]
fn what_came_and_is_held_is_not_asked_for_again_soon() {
    let mut fetcher = fetcher(9);
    let pace = Pace::default();
    fetcher.search(want(1), index(1), at(0));
    assert_eq!(next(&mut fetcher, 0, at(0)), (at(0), 1));
    fetcher.answered(0, at(1), PAUSE, &pace, false, |_| Brought::Held);
    let later = at(1) + pace.fetch_timeout * HELD_LIMITS;
    assert_eq!(fetcher.deadline(&pace), Some(later));
    fetcher.search(want(1), index(2), at(2));
    assert_eq!(next(&mut fetcher, 1, at(2)).0, later);
}

#[test]
fn who_is_told_to_have_it_has_some_time_and_then_the_next_is_asked_too() {
    let mut fetcher = fetcher(9);
    let pace = Pace::default();
    fetcher.search(want(1), index(1), at(0));
    assert_eq!(next(&mut fetcher, 0, at(0)), (at(0), 1));
    // One that left its last question without an answer, and one that did not.
    fetcher.search(want(2), index(2), at(0));
    assert_eq!(next(&mut fetcher, 1, at(0)), (at(0), 2));
    fetcher.answered(1, at(1), PAUSE, &pace, true, |_| Brought::Nothing);
    fetcher.stop(&want(2));
    for hint in [2, 3] {
        fetcher.search(want(1), index(hint), at(1));
    }
    let time = at(0) + pace.fetch_timeout / TIME;
    fetcher.overtake(at(2), &pace);
    assert!(fetcher.ask(2, time, &pace).is_none());
    fetcher.overtake(time, &pace);
    assert_eq!(next(&mut fetcher, 2, time), (time, 3));
    // A hint that comes after the time is followed at once.
    let late = time + pace.fetch_timeout / TIME;
    fetcher.overtake(late, &pace);
    assert_eq!(next(&mut fetcher, 3, late), (late, 2));
    let later = late + pace.fetch_timeout / TIME;
    fetcher.overtake(later, &pace);
    fetcher.search(want(1), index(7), later);
    assert_eq!(next(&mut fetcher, 4, later), (later, 7));
    assert_eq!(fetcher.asked(), 4);
}
