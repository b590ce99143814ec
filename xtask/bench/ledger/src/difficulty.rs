//! The threshold among people who submit: whole epochs with the protocol's own parameters and pace.
//!
//! People produce random data at some rate and try each at all open targets. How near it comes is normally distributed, around 1
//! with the deviation that the parameters name. Hits come as often as expected; what is a part of one is carried on.

use std::fmt::Write;

use ledger::emission::{Emission, target_reward};
use ledger::{difficulty, pacing};
use types::{Difficulty, ProtocolParams, Shannons};

use crate::chart::{Axis, Chart, Line};
use crate::numbers::{Normal, ONE, decimal, log2, nothing};
use crate::pacing::COMMIT_MS;
use crate::world::params;

/// A demand is in millionths of the wanted one.
const WANTED: u128 = 1_000_000;
/// Epochs that are drawn.
const EPOCHS: usize = 24;
/// Epochs without anybody.
const ALONE: usize = 6;

struct World {
    params: ProtocolParams,
    normal: Normal,
    data_per_second: u64,
    difficulty: Difficulty,
}

/// An epoch as it went.
struct Day {
    distance_billionths: u32,
    /// How often an open target is hit by these people, in millionths of how often it should be.
    demand: u128,
}

impl World {
    /// People who hit targets so many millionths of the wanted times.
    fn off_by(data_per_second: u64, demand: u128) -> Self {
        let params = params();
        let mut world = Self {
            normal: Normal::new(),
            data_per_second,
            difficulty: difficulty::first(&params),
            params,
        };
        let (mut low, mut high) = (
            world.params.min_distance_billionths,
            world.params.max_distance_billionths,
        );
        while low < high {
            let middle = low.midpoint(high);
            world.difficulty.distance_billionths = middle;
            if world.demand() < demand {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        world.difficulty.distance_billionths = low;
        world
    }

    /// How often per second a target is hit, in parts of 2^62.
    fn rate(&self) -> u128 {
        let nearer = 1_000_000_000 - i64::from(self.difficulty.distance_billionths);
        let above = self
            .normal
            .above(nearer, self.params.distance_sigma_billionths.into());
        u128::from(self.data_per_second) * above
    }

    fn demand(&self) -> u128 {
        let hits_ms = self.rate() * u128::from(self.params.epoch_duration_ms / 1_000);
        let open = u128::from(self.params.wanted_open_targets);
        hits_ms * open / (ONE / WANTED) / u128::from(self.params.wanted_epoch_hits)
    }

    /// Runs an epoch, with these people or with nobody.
    fn day(&mut self, is_anybody_there: bool) -> Day {
        let day = Day {
            distance_billionths: self.difficulty.distance_billionths,
            demand: self.demand(),
        };
        let expected = self.rate() * u128::from(COMMIT_MS) / 1_000;
        let hit = if is_anybody_there {
            ONE - nothing(expected)
        } else {
            0
        };
        let (drawn, _) = Emission::draw(&self.params, Shannons::SUPPLY);
        let mut pace = pacing::begin(&self.params, drawn.affords(target_reward(&self.params)).0);
        let (mut open, mut hits, mut carried) = (0, 0, 0);
        for commit in 0..=self.params.epoch_duration_ms / COMMIT_MS {
            carried += u128::from(open) * hit;
            let filled = u64::try_from(carried / ONE).map_or(open, |filled: u64| filled.min(open));
            carried %= ONE;
            open -= filled;
            hits += filled;
            open += pacing::at_commit(&mut pace, &self.params, commit * COMMIT_MS, open, true);
        }
        self.difficulty = difficulty::after(&self.difficulty, &self.params, hits, pace.open_ms);
        day
    }

    fn days(mut self, alone: usize) -> Vec<Day> {
        (0..=EPOCHS).map(|epoch| self.day(epoch >= alone)).collect()
    }
}

/// After how many epochs the demand is within a tenth of the wanted one, and stays there.
fn settled(days: &[Day]) -> usize {
    let is_off = |day: &Day| day.demand.abs_diff(WANTED) > WANTED / 10;
    days.iter().rposition(is_off).map_or(0, |last| last + 1)
}

/// A start, by its name: a demand, and epochs without anybody.
const STARTS: [(&str, u128, usize); 3] = [
    ("100 times too easy", 100 * WANTED, 0),
    ("100 times too hard", WANTED / 100, 0),
    ("nobody for 6 epochs", WANTED, ALONE),
];

/// How the demand comes to what is wanted.
pub fn chart() -> Chart {
    let ten = log2(10 * ONE) - log2(ONE);
    let ticks = [
        (-3, "0.001"),
        (-2, "0.01"),
        (-1, "0.1"),
        (0, "1"),
        (1, "10"),
        (2, "100"),
        (3, "1,000"),
        (4, "10,000"),
        (5, "100,000"),
    ];
    let height = |demand: u128| log2(demand.max(1)) - log2(WANTED);
    let lines = STARTS.iter().zip(["#c0392b", "#2455a4", "#7d3c98"]);
    let lines = lines.map(|((name, demand, alone), color)| {
        let days = World::off_by(1_000, *demand).days(*alone);
        let points = (0..).zip(&days).map(|(epoch, day)| (epoch, height(day.demand)));
        Line {
            name: (*name).to_owned(),
            color,
            is_dashed: false,
            points: points.collect(),
        }
    });
    Chart {
        title: "Difficulty: 1,000 random data per second, each tried at every open target",
        across: Axis::even("epochs", EPOCHS as i64, 2, 1),
        up: Axis {
            label: "hits of an open target, in multiples of the wanted",
            low: -3 * ten,
            high: 5 * ten,
            ticks: ticks.map(|(power, text)| (power * ten, text.to_owned())).into(),
        },
        wanted: Some((
            height(WANTED * 9 / 10),
            height(WANTED * 11 / 10),
            "within a tenth",
        )),
        lines: lines.collect(),
    }
}

/// How long it takes, for few people and for many.
pub fn table() -> String {
    let mut text =
        "| data per second | start | threshold, first | settled | epochs to within a tenth |\n".to_owned();
    text += "|---:|---|---:|---:|---:|\n";
    for data_per_second in [30, 1_000, 100_000] {
        for (name, demand, alone) in STARTS {
            let days = World::off_by(data_per_second, demand).days(alone);
            let distance = |day: &Day| decimal(day.distance_billionths.into(), 1_000_000_000, 4);
            let (first, last) = (distance(&days[0]), distance(&days[EPOCHS]));
            let after = settled(&days[alone..]);
            writeln!(
                text,
                "| {data_per_second} | {name} | {first} | {last} | {after} |"
            )
            .expect("a string takes every write");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_off_by_what_it_says() {
        for (name, demand, _) in STARTS {
            let found = World::off_by(1_000, demand).demand();
            assert!(found.abs_diff(demand) <= demand / 100, "{name}: {found}");
        }
    }

    #[test]
    fn every_start_comes_to_rest() {
        for (name, demand, alone) in STARTS {
            let days = World::off_by(1_000, demand).days(alone);
            assert!(settled(&days) < EPOCHS, "{name}");
        }
    }
}
