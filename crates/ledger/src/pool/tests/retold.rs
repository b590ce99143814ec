//! The same history, told in other words, pays everybody the same: in pieces or at once, forwards or backwards.

use proptest::prelude::*;
use types::{Epoch, Pool, SOMA, Shannons, StakedSoma};

use super::super::*;
use super::{UNBONDING, leave, new_pool, paid, soma};

/// An epoch: who deposits how many SOMA, who withdraws how many permille of all they have, then what the pool earns,
/// in permille of its balance, and what it is slashed by, in basis points.
#[derive(Clone, Debug)]
struct Chapter {
    deposits: Vec<(usize, u64)>,
    withdrawals: Vec<(usize, u64)>,
    reward: u64,
    slash: u16,
}

fn chapter() -> impl Strategy<Value = Chapter> {
    let permille = prop_oneof![1..=500u64, Just(1_000)];
    (
        proptest::collection::vec((0..4usize, 10_000..1_000_000u64), 0..5),
        proptest::collection::vec((0..4usize, permille), 0..3),
        prop_oneof![Just(0), 0..1_000u64],
        prop_oneof![3 => Just(0), 1 => 0..3_000u16],
    )
        .prop_map(|(deposits, withdrawals, reward, slash)| Chapter {
            deposits,
            withdrawals,
            reward,
            slash,
        })
}

/// In which words.
#[derive(Clone, Copy, Debug, Default)]
struct Words {
    /// Every deposit is made as three, and every withdrawal as two.
    in_pieces: bool,
    /// The actions of an epoch in the opposite order.
    backwards: bool,
    /// After each close everybody has one receipt.
    merged: bool,
}

/// What each of five people gets in the end, where the last one only ever waits.
fn tell(chapters: &[Chapter], words: Words) -> [u64; 5] {
    let mut pool = new_pool();
    let mut old: [Vec<StakedSoma>; 5] = Default::default();
    let mut exits: Vec<(usize, StakedSoma)> = vec![];
    old[4].push(deposit(&mut pool, soma(10_000)).unwrap());
    settle(&mut pool, Epoch::ZERO, UNBONDING).unwrap();

    for (chapter, epoch) in chapters.iter().zip(1..) {
        let deposits = chapter.deposits.iter().map(|(who, amount)| (*who, *amount, true));
        let withdrawals = chapter
            .withdrawals
            .iter()
            .map(|(who, permille)| (*who, *permille, false));
        let mut actions: Vec<_> = deposits.chain(withdrawals).collect();
        if words.backwards {
            actions.reverse();
        }
        let mut young: [Vec<StakedSoma>; 5] = Default::default();
        for (who, amount, is_deposit) in actions {
            if is_deposit {
                young[who].extend(pay_in(&mut pool, amount, words));
            } else {
                let mut kept = vec![];
                for staked in std::mem::take(&mut old[who]) {
                    let (taken, rest) = take_part(&mut pool, staked, amount);
                    kept.extend(rest);
                    exits.extend(
                        take_out(&mut pool, taken, epoch, words)
                            .into_iter()
                            .map(|exit| (who, exit)),
                    );
                }
                old[who] = kept;
            }
        }
        let earned =
            Shannons::new((u128::from(pool.balance.get()) * u128::from(chapter.reward) / 1_000) as u64);
        assert_eq!(reward(&mut pool, earned), Shannons::ZERO);
        let _ = slash(&mut pool, chapter.slash, Epoch::new(epoch));
        settle(&mut pool, Epoch::new(epoch), UNBONDING).unwrap();
        for (old, young) in old.iter_mut().zip(young) {
            old.extend(young);
            if words.merged {
                let merged = old
                    .drain(..)
                    .reduce(|one, other| merge(&mut pool, one, other).unwrap());
                old.extend(merged);
            }
        }
    }

    let last = chapters.len() as u64 + 1;
    for (who, receipts) in old.iter().enumerate() {
        exits.extend(
            receipts
                .iter()
                .map(|staked| (who, leave(&mut pool, staked, last))),
        );
    }
    settle(&mut pool, Epoch::new(last), UNBONDING).unwrap();
    let mut amounts = [0; 5];
    for (who, exit) in exits {
        amounts[who] += paid(&mut pool, &exit, last + 1 + UNBONDING).get();
    }
    amounts
}

fn pay_in(pool: &mut Pool, amount: u64, words: Words) -> Vec<StakedSoma> {
    let pieces = if words.in_pieces {
        vec![amount / 3, amount / 2, amount - amount / 3 - amount / 2]
    } else {
        vec![amount]
    };
    pieces
        .into_iter()
        .map(|piece| deposit(pool, soma(piece)).unwrap())
        .collect()
}

fn take_part(pool: &mut Pool, staked: StakedSoma, permille: u64) -> (StakedSoma, Option<StakedSoma>) {
    if permille == 1_000 {
        return (staked, None);
    }
    let all = u128::from(value(pool, &staked).unwrap().get());
    let part = Shannons::new((all * u128::from(permille) / 1_000) as u64);
    let (taken, rest) = split(pool, staked, part.max(SOMA)).unwrap();
    (taken, Some(rest))
}

fn take_out(pool: &mut Pool, staked: StakedSoma, epoch: u64, words: Words) -> Vec<StakedSoma> {
    match split(pool, staked.clone(), SOMA) {
        Ok((one, other)) if words.in_pieces => vec![leave(pool, &one, epoch), leave(pool, &other, epoch)],
        Ok((one, other)) => {
            let whole = merge(pool, one, other).unwrap();
            vec![leave(pool, &whole, epoch)]
        }
        Err(_) => vec![leave(pool, &staked, epoch)],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn pieces_order_and_merging_change_nothing_but_dust(chapters in proptest::collection::vec(chapter(), 1..7)) {
        // A millionth of a SOMA, where the least deposit is ten thousand.
        const DUST: u64 = 1_000;
        let once = tell(&chapters, Words::default());
        for words in [
            Words { in_pieces: true, ..Words::default() },
            Words { backwards: true, ..Words::default() },
            Words { merged: true, ..Words::default() },
            Words { in_pieces: true, backwards: true, merged: true },
        ] {
            let again = tell(&chapters, words);
            for (once, again) in once.into_iter().zip(again) {
                prop_assert!(once.abs_diff(again) <= DUST, "{} and {}, {:?}", once, again, words);
            }
        }
    }
}
