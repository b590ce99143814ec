//! How the emission pool empties in twenty years, where targets take all of their budget or a part of it.

use std::fmt::Write;

use ledger::emission::{Emission, target_reward};
use types::{SOMA, Shannons};

use crate::chart::{Axis, Chart, Line};
use crate::numbers::decimal;
use crate::world::params;

const YEAR: usize = 365;
const YEARS: usize = 20;
/// A chart has a point for each of so many epochs.
const STEP: usize = 73;
/// The parts of the target budget that are taken, in hundredths.
const FILLED: [u64; 5] = [100, 75, 50, 25, 0];

/// What has gone where at the end of an epoch.
#[derive(Clone, Copy, Debug)]
struct Sums {
    pool: Shannons,
    targets: Shannons,
    validators: Shannons,
}

/// At the start and at the end of each epoch.
fn schedule(epochs: usize, filled: u64) -> Vec<Sums> {
    let params = params();
    let reward = target_reward(&params);
    let mut sums = Sums {
        pool: Shannons::SUPPLY,
        targets: Shannons::ZERO,
        validators: Shannons::ZERO,
    };
    let mut all = vec![sums];
    for _ in 0..epochs {
        let (drawn, rest) = Emission::draw(&params, sums.pool);
        let hits = drawn.affords(reward).0 * filled / 100;
        let spent = hits * reward.get();
        let unspent = Emission {
            targets: Shannons::new(drawn.targets.get() - spent),
            validators: Shannons::ZERO,
        };
        sums = Sums {
            pool: unspent.put_back(rest).expect("a part of the supply"),
            targets: Shannons::new(sums.targets.get() + spent),
            validators: Shannons::new(sums.validators.get() + drawn.validators.get()),
        };
        all.push(sums);
    }
    all
}

/// The pool over the years, and where it goes.
pub fn chart() -> Chart {
    let thousands =
        |amount: Shannons| i64::try_from(amount.get() / SOMA.get() / 1_000).expect("a part of the supply");
    let line = |name: String, color, is_dashed, filled, amount: fn(&Sums) -> Shannons| {
        let all = schedule(YEARS * YEAR, filled);
        let points = (0..).step_by(STEP).zip(all.iter().step_by(STEP));
        Line {
            name,
            color,
            is_dashed,
            points: points
                .map(|(epoch, sums)| (epoch, thousands(amount(sums))))
                .collect(),
        }
    };
    let colors = ["#c0392b", "#d35400", "#b7950b", "#1e8449", "#2455a4"];
    let pools = FILLED.iter().zip(colors);
    let pools = pools.map(|(filled, color)| {
        line(
            format!("pool, {filled} % filled"),
            color,
            false,
            *filled,
            |sums| sums.pool,
        )
    });
    let shares = [
        line("targets, 100 % filled".to_owned(), "#555", true, 100, |sums| {
            sums.targets
        }),
        line("validators".to_owned(), "#aaa", true, 100, |sums| sums.validators),
    ];
    Chart {
        title: "Emission: 1,370 SOMA per epoch, 80 % of it the targets' budget, what is unspent returns",
        across: Axis::even(
            "years of 365 epochs",
            (YEARS * YEAR) as i64,
            2 * YEAR as i64,
            YEAR as i64,
        ),
        up: Axis::even("million SOMA", 10_000, 1_000, 1_000),
        wanted: None,
        lines: pools.chain(shares).collect(),
    }
}

/// The pool after some years, and how long epochs draw all that they may.
pub fn table() -> String {
    let mut text =
        "| targets filled | pool after 5 years | 10 | 15 | 20 | epochs with the full emission |\n".to_owned();
    text += "|---:|---:|---:|---:|---:|---:|\n";
    let full = params().epoch_emission;
    for filled in FILLED {
        let all = schedule(120 * YEAR, filled);
        let pools = [5, 10, 15, 20].map(|years: usize| {
            let pool = all[years * YEAR].pool.get();
            decimal(pool.into(), SOMA.get().into(), 0)
        });
        let epochs = all.iter().position(|sums| sums.pool < full).unwrap_or(all.len());
        writeln!(text, "| {filled} % | {} | {epochs} |", pools.join(" | "))
            .expect("a string takes every write");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_on_the_way() {
        for filled in FILLED {
            for sums in schedule(YEARS * YEAR, filled) {
                let all = sums.pool.get() + sums.targets.get() + sums.validators.get();
                assert_eq!(all, Shannons::SUPPLY.get(), "{filled}");
            }
        }
    }
}
