//! Partitions: a side goes on exactly if it has a quorum of the stake, and all agree after the heal.

use std::collections::BTreeSet;

use sim::Seed;
use sim::budget::Stakes;
use sim::plan::{Action, Direction, Step};
use sim::world::NodeIndex;

use crate::{committee, run};

/// What makes a quorum, of all stake.
const QUORUM: u64 = 6_667;
/// When the network parts and when it heals, in milliseconds; what was on its way is over a moment after.
const PARTS: u64 = 3_000;
const SETTLED: u64 = 5_000;
const HEALS: u64 = 12_000;

fn part(side: &[NodeIndex], direction: Direction) -> Step {
    let side = side.to_vec();
    Step::new(PARTS, Action::Partition { side, direction })
}

fn cut(from: NodeIndex, to: NodeIndex) -> Step {
    Step::new(PARTS, Action::Cut { from, to })
}

#[test]
fn of_seven_equals_five_go_on_and_four_do_not() {
    // 3f + 1 = 7: sides of f, f + 1, 2f and 2f + 1.
    for size in [2, 3, 4, 5] {
        let side: Vec<NodeIndex> = (0..size).collect();
        let ran = run(&committee(7), vec![part(&side, Direction::Both)]);
        let expected: BTreeSet<NodeIndex> = match size {
            2 => (2..7).collect(),
            5 => (0..5).collect(),
            _ => BTreeSet::new(),
        };
        assert_eq!(ran.active(SETTLED, HEALS), expected, "a side of {size}");
    }
}

#[test]
fn a_side_goes_on_by_its_stake_and_not_by_its_number() {
    let mut scenario = committee(7);
    scenario.stakes = Stakes::Drawn;
    let stakes = scenario.stakes(Seed::new(1));
    let sides = (1u32..127).map(|mask| {
        (0..7)
            .filter(|node| mask >> node & 1 == 1)
            .collect::<Vec<NodeIndex>>()
    });
    let weigh = |side: &Vec<NodeIndex>| side.iter().map(|node| stakes[*node]).sum::<u64>();
    let enough = sides
        .clone()
        .filter(|side| weigh(side) >= QUORUM)
        .min_by_key(weigh);
    let enough = enough.expect("all but one are a quorum");
    let too_few = sides.filter(|side| weigh(side) < QUORUM).max_by_key(weigh);
    let too_few = too_few.expect("one alone is none");
    assert!(weigh(&enough) - weigh(&too_few) < 500, "{stakes:?}");
    let ran = run(&scenario, vec![part(&enough, Direction::Both)]);
    assert_eq!(
        ran.active(SETTLED, HEALS),
        enough.iter().copied().collect(),
        "{stakes:?}"
    );
    let ran = run(&scenario, vec![part(&too_few, Direction::Both)]);
    assert_eq!(ran.active(SETTLED, HEALS), BTreeSet::new(), "{stakes:?}");
}

#[test]
fn who_is_cut_off_in_one_direction_stops_nobody_else() {
    for direction in [Direction::In, Direction::Out] {
        let ran = run(&committee(4), vec![part(&[2], direction)]);
        let others = [0, 1, 3].into_iter().collect::<BTreeSet<NodeIndex>>();
        // Who is heard and hears nothing has no quorum; who hears and is not heard has what was on its way.
        assert_eq!(ran.active(SETTLED + 2_000, HEALS), others, "{direction:?}");
    }
}

#[test]
fn members_in_a_ring_go_on_although_each_is_cut_off_from_one() {
    let cuts = [(0, 2), (2, 0), (1, 3), (3, 1)].map(|(from, to)| cut(from, to));
    let ran = run(&committee(4), cuts.to_vec());
    assert_eq!(ran.active(SETTLED, HEALS), (0..4).collect());
}

#[test]
fn nobody_goes_on_in_three_parts() {
    let steps = vec![part(&[0, 1], Direction::Both), part(&[2, 3], Direction::Both)];
    let ran = run(&committee(6), steps);
    assert_eq!(ran.active(SETTLED, HEALS), BTreeSet::new());
}

#[test]
fn a_part_that_moves_around_the_committee_loses_nothing() {
    let steps = (0..8u64).flat_map(|turn| {
        let side = vec![usize::try_from(turn % 4).expect("four nodes")];
        let direction = Direction::Both;
        let (begins, ends) = (2_000 + turn * 1_000, 2_900 + turn * 1_000);
        let heal = Action::Heal {
            side: side.clone(),
            direction,
        };
        [
            Step::new(begins, Action::Partition { side, direction }),
            Step::new(ends, heal),
        ]
    });
    let ran = run(&committee(4), steps.collect());
    assert_eq!(ran.active(SETTLED, HEALS), (0..4).collect());
}
