//! What a Byzantine minority can do to what honest members wait for, with bounds on how long.

use super::*;

/// Garbage of `EQUIVOCATOR` that takes its whole share of what is held, in a low row.
fn fill_share(rows: &mut Rows) {
    for salt in 0..Pace::default().held_blocks as u64 {
        let first = rows.first.clone();
        let mut parents = parents(EQUIVOCATOR, |parent| first[usize::from(parent)]);
        *parents.last_mut().unwrap() = made_up(1, HONEST - 1, salt as u32);
        let members = rows.world.members.clone();
        let garbage = block_with(
            &members,
            (EQUIVOCATOR, 2, 1_000 + salt),
            parents,
            &AuthoritySet::EMPTY,
        );
        rows.world.send(&garbage);
    }
}

/// How long an honest block takes that stands on blocks of one whose share of what is held may be full.
fn full_share(is_full: bool, in_short: bool) -> u64 {
    let mut rows = Rows::new();
    let members = rows.world.members.clone();
    let thirds: Vec<Made> = (0..HONEST).map(|author| rows.third(author, &[])).collect();
    thirds.iter().for_each(|block| rows.world.send(block));
    if is_full {
        fill_share(&mut rows);
    }
    // Valid, first of their slots, told by an honest member.
    let low = rows.third(EQUIVOCATOR, &[]);
    let mut below = parents(1, |parent| thirds[usize::from(parent)].reference());
    below.remove(0);
    let mut below_high = vec![low.reference()];
    below_high.extend(thirds.iter().map(|block| block.reference()));
    let high = block(&members, EQUIVOCATOR, 4, below_high);
    let fourths: Vec<Made> = (0..HONEST)
        .map(|author| {
            let parents = parents(author, |parent| thirds[usize::from(parent)].reference());
            block(&members, author, 4, parents)
        })
        .collect();
    fourths.iter().for_each(|block| rows.world.send(block));
    let mut above = parents(1, |parent| fourths[usize::from(parent)].reference());
    above.push(high.reference());
    let plain: AuthoritySet = above.iter().map(|parent| parent.author).collect();
    let short = block_with(&members, (1, 5, 0), above.clone(), &plain);
    let honest = block(&members, 1, 5, above);
    for block in [&low, &high, &honest] {
        rows.world.told.insert(block.reference(), block.clone());
    }
    rows.world.send(if in_short { &short } else { &honest });
    let start = rows.world.ms;
    while !rows.world.has(&honest) && rows.world.ms < start + 60_000 {
        rows.world.step();
    }
    rows.world.ms - start
}

/// The own parent first, then those of everybody else, ascending.
pub(super) fn over(by: u8, own: BlockRef, below: &[BlockRef]) -> Vec<BlockRef> {
    let mut names: Vec<BlockRef> = below.iter().filter(|n| n.author != index(by)).copied().collect();
    names.sort_unstable_by_key(|n| n.author);
    names.insert(0, own);
    names
}

#[test]
fn who_fills_its_share_hides_nothing_that_others_need() {
    for (is_full, in_short) in [(false, false), (true, false), (false, true), (true, true)] {
        let waited = full_share(is_full, in_short);
        assert!(waited < 1_000, "{waited} ms, {is_full}, {in_short}");
    }
}

fn names(blocks: &[Made]) -> Vec<BlockRef> {
    blocks.iter().map(|b| b.reference()).collect()
}

/// Byzantine members that name what others have, before those do, and answer late.
#[test]
fn who_is_told_first_and_answers_late_keeps_nobody_from_asking_the_others() {
    for (liars, late) in [(0, 1), (9, 1), (1, 1_900), (3, 499), (9, 499), (9, 1_900)] {
        let mut world = World::new(late);
        let rows = world.rows(1);
        let wanted = rows[1].clone();
        let genesis: Vec<BlockRef> = (0..MEMBERS).map(genesis).collect();
        for by in HONEST..HONEST + liars {
            let own = genesis[usize::from(by)];
            let first = block(&world.members, by, 1, over(by, own, &genesis));
            world.send(&first);
            // Names the honest block before anybody else does.
            let above = block(&world.members, by, 2, over(by, first.reference(), &names(&rows)));
            world.send(&above);
        }
        for _ in 0..30 {
            world.step();
        }
        // All honest members tell.
        for by in 1..HONEST {
            let own = rows[usize::from(by)].reference();
            let above = block(&world.members, by, 2, over(by, own, &names(&rows)));
            world.send(&above);
        }
        let start = world.ms;
        while !world.has(&wanted) && world.ms < start + 60_000 {
            world.step();
        }
        let waited = world.ms - start;
        assert!(
            waited < 3_000,
            "{waited} ms beside {liars} that answer after {late} ms"
        );
    }
}

/// Byzantine members that name a block which comes in short, and do not have it.
#[test]
fn a_block_that_is_wanted_in_full_is_asked_of_who_has_it() {
    for liars in [0u8, 1, 3, 8] {
        let mut rows = Rows::new();
        let low = rows.sibling(EQUIVOCATOR, 1);
        let high = rows.third(EQUIVOCATOR, &[low.reference()]);
        let thirds: Vec<Made> = (0..HONEST).map(|author| rows.third(author, &[])).collect();
        thirds.iter().for_each(|block| rows.world.send(block));
        let mut parents = parents(1, |parent| thirds[usize::from(parent)].reference());
        parents.push(high.reference());
        let plain: AuthoritySet = parents.iter().map(|parent| parent.author).collect();
        let members = rows.world.members.clone();
        let in_short = block_with(&members, (1, 4, 0), parents.clone(), &plain);
        let in_full = block_with(&members, (1, 4, 0), parents, &AuthoritySet::EMPTY);
        let other = rows.sibling(EQUIVOCATOR, 2);
        rows.world.send(&other);
        for block in [&low, &high, &in_full] {
            rows.world.told.insert(block.reference(), block.clone());
        }
        // Byzantine members' blocks name it, which comes a moment before they answer that they have nothing.
        let mut fourths: Vec<Made> = (0..HONEST)
            .map(|by| {
                block(
                    &members,
                    by,
                    4,
                    over(by, thirds[usize::from(by)].reference(), &names(&thirds)),
                )
            })
            .collect();
        fourths.remove(1);
        fourths.iter().for_each(|block| rows.world.send(block));
        for by in HONEST..HONEST + liars {
            let mut below = names(&fourths);
            below.push(in_full.reference());
            let child = block(&members, by, 5, over(by, made_up(4, by, 0), &below));
            rows.world.send(&child);
        }
        for _ in 0..15 {
            rows.world.step();
        }
        let start = rows.world.ms;
        rows.world.send(&in_short);
        while !rows.world.has(&in_short) && rows.world.ms < start + 60_000 {
            rows.world.step();
        }
        let waited = rows.world.ms - start;
        assert!(waited < 1_000, "{waited} ms beside {liars}");
    }
}

/// A slot of which a block with a made-up parent is held, and told by whoever is asked first.
#[test]
fn a_slot_is_searched_on_where_what_came_is_another() {
    for (is_poisoned, liars) in [(false, 0), (true, 0), (false, 8), (true, 1), (true, 3), (true, 8)] {
        let mut world = World::new(1);
        let rows = world.rows(1);
        let e = EQUIVOCATOR;
        let genesis: Vec<BlockRef> = (0..MEMBERS).map(genesis).collect();
        let first = block(&world.members, e, 1, over(e, genesis[usize::from(e)], &genesis));
        for block in rows.iter().chain([&first]) {
            world.send(block);
        }
        let second = block(&world.members, e, 2, over(e, first.reference(), &names(&rows)));
        world.told.insert(second.reference(), second.clone());
        if is_poisoned {
            // The same slot, with a parent that is made up.
            let bad = block(&world.members, e, 2, over(e, made_up(1, e, 7), &names(&rows)));
            world.bad.insert(bad.reference(), bad.clone());
            world.send(&bad);
        }
        let seconds: Vec<Made> = (0..HONEST)
            .map(|by| {
                block(
                    &world.members,
                    by,
                    2,
                    over(by, rows[usize::from(by)].reference(), &names(&rows)),
                )
            })
            .collect();
        seconds.iter().for_each(|block| world.send(block));
        let mut below = names(&seconds);
        below.push(second.reference());
        for by in HONEST..HONEST + liars {
            let plain: AuthoritySet = below.iter().map(|p| p.author).collect();
            let child = block_with(
                &world.members,
                (by, 3, 0),
                over(by, made_up(2, by, 0), &below),
                &plain,
            );
            world.send(&child);
        }
        for _ in 0..15 {
            world.step();
        }
        let plain: AuthoritySet = below.iter().map(|p| p.author).collect();
        let mut thirds = Vec::new();
        for by in 1..HONEST {
            let own = seconds[usize::from(by)].reference();
            thirds.push(block_with(
                &world.members,
                (by, 3, 0),
                over(by, own, &below),
                &plain,
            ));
            world.send(thirds.last().unwrap());
        }
        let start = world.ms;
        while !world.has(&thirds[0]) && world.ms < start + 60_000 {
            world.step();
        }
        let waited = world.ms - start;
        assert!(waited < 2_000, "{waited} ms beside {liars}, {is_poisoned}");
    }
}

/// What a commit holds came, and was dropped to make room.
#[test]
fn what_a_commit_holds_is_searched_until_it_is_there() {
    let mut rows = Rows::new();
    let members = rows.world.members.clone();
    let low = rows.third(EQUIVOCATOR, &[]);
    let thirds: Vec<Made> = (0..HONEST).map(|author| rows.third(author, &[])).collect();
    let leader = block(
        &members,
        EQUIVOCATOR,
        4,
        over(EQUIVOCATOR, low.reference(), &names(&thirds)),
    );
    let mut blocks = names(&thirds);
    blocks.push(low.reference());
    blocks.push(leader.reference());
    let commit = Commit {
        index: CommitIndex::new(1),
        previous: rows.world.core.chain.last.digest,
        leader: leader.reference(),
        timestamp: UnixMillis::new(0),
        beacon: None,
        blocks,
    };
    rows.world.commit = Some(commit);
    rows.world.told.insert(leader.reference(), leader.clone());
    while rows.world.core.held.len() == 0 {
        rows.world.step();
    }
    assert!(rows.world.core.catch_up.wants(&leader.reference()));
    // The leader is held now; its author takes its room.
    for salt in 0..Pace::default().held_blocks as u64 {
        let first = rows.first.clone();
        let mut below = over(EQUIVOCATOR, first[usize::from(EQUIVOCATOR)], &first);
        *below.last_mut().unwrap() = made_up(1, ANOTHER, salt as u32);
        let garbage = block_with(
            &members,
            (EQUIVOCATOR, 2, 1_000 + salt),
            below,
            &AuthoritySet::EMPTY,
        );
        rows.world.send(&garbage);
    }
    for block in thirds.iter().chain([&low]) {
        rows.world.told.insert(block.reference(), block.clone());
    }
    let start = rows.world.ms;
    while !rows.world.has(&leader) && rows.world.ms < start + 5_000 {
        rows.world.step();
    }
    assert!(rows.world.has(&leader), "within {} ms", rows.world.ms - start);
}

/// Blocks in short that name an equivocator whose block is a moment late.
#[test]
fn who_is_a_moment_late_makes_nobody_fetch_what_came() {
    for is_known in [false, true] {
        let mut rows = Rows::new();
        if is_known {
            let other = rows.sibling(EQUIVOCATOR, 2);
            rows.world.send(&other);
        }
        let members = rows.world.members.clone();
        let late = rows.third(EQUIVOCATOR, &[]);
        let thirds: Vec<Made> = (0..HONEST).map(|author| rows.third(author, &[])).collect();
        thirds.iter().for_each(|block| rows.world.send(block));
        let mut below = names(&thirds);
        below.push(late.reference());
        let plain: AuthoritySet = below.iter().map(|p| p.author).collect();
        let mut fourths = Vec::new();
        for by in 1..HONEST {
            let own = thirds[usize::from(by)].reference();
            let short = block_with(&members, (by, 4, 0), over(by, own, &below), &plain);
            let full = block_with(&members, (by, 4, 0), over(by, own, &below), &AuthoritySet::EMPTY);
            rows.world.told.insert(full.reference(), full);
            rows.world.send(&short);
            fourths.push(short);
        }
        rows.world.step();
        rows.world.send(&late);
        let start = rows.world.ms;
        while !fourths.iter().all(|b| rows.world.has(b)) {
            rows.world.step();
        }
        assert_eq!(
            rows.world.sent,
            0,
            "known {is_known}: {} ms",
            rows.world.ms - start
        );
    }
}

/// A liar makes siblings wanted, and an equivocator builds on them.
#[test]
fn what_only_equivocators_build_on_settles_nothing() {
    let mut rows = Rows::new();
    let members = rows.world.members.clone();
    for by in [EQUIVOCATOR, ANOTHER] {
        let b = rows.sibling(by, 999);
        rows.world.send(&b);
    }
    let depth = 7;
    // Honest rows, and first blocks of both equivocators, so that the tree is of siblings.
    let mut row: Vec<Vec<BlockRef>> = vec![vec![]; 12];
    (row[1], row[2]) = (rows.first[..19].to_vec(), rows.second[..19].to_vec());
    let mut firsts = [
        rows.second[usize::from(EQUIVOCATOR)],
        rows.second[usize::from(ANOTHER)],
    ];
    for round in 3..=2 + depth {
        let below = row[round as usize - 1].clone();
        for by in 0..HONEST {
            let b = block(&members, by, round, over(by, below[usize::from(by)], &below));
            rows.world.send(&b);
            row[round as usize].push(b.reference());
        }
        for (own, by) in firsts.iter_mut().zip([EQUIVOCATOR, ANOTHER]) {
            let b = block(&members, by, round, over(by, *own, &below));
            rows.world.send(&b);
            assert!(rows.world.has(&b));
            *own = b.reference();
        }
    }
    struct Tree<'a> {
        members: &'a Members<Production>,
        row: &'a [Vec<BlockRef>],
        first: &'a [BlockRef],
        made: Vec<Made>,
    }
    impl Tree<'_> {
        fn make(&mut self, by: u8, round: u32, salt: u64) -> BlockRef {
            let mut below = self.row[round as usize - 1].clone();
            let mut own = self.first[usize::from(by)];
            if round > 2 {
                let pair = [
                    self.make(EQUIVOCATOR, round - 1, 2 * salt),
                    self.make(ANOTHER, round - 1, 2 * salt + 1),
                ];
                own = if by == EQUIVOCATOR { pair[0] } else { pair[1] };
                below.extend(pair);
            }
            let b = block_with(
                self.members,
                (by, round, salt),
                over(by, own, &below),
                &AuthoritySet::EMPTY,
            );
            self.made.push(b.clone());
            b.reference()
        }
    }
    let mut tree = Tree {
        members: &members,
        row: &row,
        first: &rows.first,
        made: vec![],
    };
    let tip = tree.make(EQUIVOCATOR, 2 + depth, 1);
    let made = tree.made;
    let below: Vec<BlockRef> = row[2 + depth as usize].iter().copied().chain([tip]).collect();
    let liar = block(
        &members,
        LIAR,
        3 + depth,
        over(LIAR, made_up(2 + depth, LIAR, 0), &below),
    );
    rows.world.send(&liar);
    for b in made.iter().rev() {
        rows.world.send(b);
    }
    for _ in 0..3 {
        for b in &made {
            rows.world.send(b);
        }
    }
    let has = made.iter().filter(|b| rows.world.has(b)).count();
    let owed = |rows: &Rows| rows.world.core.credit.owes(index(LIAR));
    assert_eq!((has, owed(&rows)), (made.len(), made.len()));
    let top = block(
        &members,
        EQUIVOCATOR,
        3 + depth,
        over(EQUIVOCATOR, tip, &row[2 + depth as usize]),
    );
    rows.world.send(&top);
    assert!(rows.world.has(&top));
    assert_eq!(owed(&rows), made.len(), "an equivocator's block proves no need");
    let own = row[2 + depth as usize][1];
    let mut tops: Vec<Made> = (0..HONEST)
        .filter(|by| *by != 1)
        .map(|by| {
            block(
                &members,
                by,
                3 + depth,
                over(
                    by,
                    row[2 + depth as usize][usize::from(by)],
                    &row[2 + depth as usize],
                ),
            )
        })
        .collect();
    tops.push(block(
        &members,
        1,
        3 + depth,
        over(1, own, &row[2 + depth as usize]),
    ));
    tops.iter().for_each(|block| rows.world.send(block));
    let below: Vec<BlockRef> = names(&tops).into_iter().chain([top.reference()]).collect();
    let honest = block(
        &members,
        1,
        4 + depth,
        over(1, tops[tops.len() - 1].reference(), &below),
    );
    rows.world.send(&honest);
    assert!(rows.world.has(&honest));
    assert_eq!(owed(&rows), 0, "and an honest one does, for all below");
}
