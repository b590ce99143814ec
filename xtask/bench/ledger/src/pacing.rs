//! How fast an epoch's budget can be spent by people who fill every target at once, beside others who do not (W-H10).

use std::fmt::Write;

use ledger::emission::{Emission, target_reward};
use ledger::pacing;
use types::Shannons;

use crate::chart::{Axis, Chart, Line};
use crate::world::params;

/// Every commit has a beacon, as often as one is due when rounds follow each other ten times a second.
pub const COMMIT_MS: u64 = 3_200;

/// Who fills targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum People {
    /// Each open target once in a hundred seconds, as is wanted.
    Steady,
    /// Every target in the commit behind its own, from this part of the epoch on, in percent.
    Burst(u64),
    /// The same from the start, if nothing were paced: each commit replaces all that was filled.
    Unpaced,
}

const ALL: [(&str, &str, People); 4] = [
    ("burst from the start", "#c0392b", People::Burst(0)),
    ("steady", "#1e8449", People::Steady),
    ("burst from the middle", "#2455a4", People::Burst(50)),
    ("burst, were it not paced", "#888", People::Unpaced),
];

/// Targets that were filled by each commit.
fn filled(people: People) -> (u64, Vec<u64>) {
    let params = params();
    let (drawn, _) = Emission::draw(&params, Shannons::SUPPLY);
    let budget = drawn.affords(target_reward(&params)).0;
    let wanted = u64::from(params.wanted_open_targets);
    let mut pace = pacing::begin(&params, budget);
    // In parts of a target: one takes as many as there are milliseconds in a hundred seconds.
    let (mut open, mut sum, mut part) = (0, 0, 0);
    let mut sums = Vec::new();
    for commit in 0..=params.epoch_duration_ms / COMMIT_MS {
        let now_ms = commit * COMMIT_MS;
        let hits = match people {
            People::Burst(from) if now_ms * 100 < params.epoch_duration_ms * from => 0,
            People::Burst(_) | People::Unpaced => open,
            People::Steady => {
                part += open * COMMIT_MS;
                let hits = part / 100_000;
                part %= 100_000;
                hits
            }
        };
        open -= hits;
        sum += hits;
        sums.push(sum);
        open += match people {
            People::Unpaced => (wanted - open).min(budget - sum - open),
            People::Steady | People::Burst(_) => pacing::at_commit(&mut pace, &params, now_ms, open, true),
        };
    }
    (budget, sums)
}

/// The part of the budget that is spent over the epoch.
pub fn chart() -> Chart {
    const POINTS: usize = 120;
    let lines = ALL.map(|(name, color, people)| {
        let (budget, sums) = filled(people);
        let step = sums.len() / POINTS;
        let at = |commit: usize| {
            let seconds = commit as u64 * COMMIT_MS / 1_000;
            let part = sums[commit] * 10_000 / budget;
            (seconds as i64, part as i64)
        };
        // The first hour has more points: there the burst is that nothing would slow down.
        let dense = (0..step * 6).step_by(step / 10);
        let points = dense
            .chain((step * 6..sums.len()).step_by(step))
            .chain([sums.len() - 1]);
        Line {
            name: name.to_owned(),
            color,
            is_dashed: matches!(people, People::Unpaced | People::Steady),
            points: points.map(at).collect(),
        }
    });
    Chart {
        title: "Pacing: how fast an epoch's target budget is spent",
        across: Axis::even("hours since the epoch's start", 86_400, 2 * 3_600, 3_600),
        up: Axis::even("spent of the budget, in percent", 10_000, 1_000, 100),
        wanted: None,
        lines: lines.into(),
    }
}

/// After how many seconds so much of the budget is spent.
pub fn table() -> String {
    let parts = [
        ("0.1", 10),
        ("1", 100),
        ("10", 1_000),
        ("25", 2_500),
        ("50", 5_000),
        ("90", 9_000),
        ("99.8", 9_980),
    ];
    let mut text = "| seconds until so much is spent | ".to_owned();
    text += &parts.map(|(name, _)| format!("{name} %")).join(" | ");
    text += " | spent in the end |\n|---|";
    text += &"---:|".repeat(parts.len() + 1);
    text += "\n";
    for (name, _, people) in ALL {
        let (budget, sums) = filled(people);
        let seconds = parts.map(|(_, part)| {
            let commit = sums.iter().position(|sum| sum * 10_000 >= budget * part);
            commit.map_or("-".to_owned(), |commit| {
                (commit as u64 * COMMIT_MS / 1_000).to_string()
            })
        });
        let end = sums.last().map_or(0, |sum| sum * 10_000 / budget);
        writeln!(
            text,
            "| {name} | {} | {}.{:02} % |",
            seconds.join(" | "),
            end / 100,
            end % 100
        )
        .expect("a string takes every write");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_no_more_than_a_set_ahead_of_time() {
        let (budget, sums) = filled(People::Burst(0));
        let last = sums.len() as u64 - 1;
        for (commit, sum) in (0..).zip(sums) {
            assert!(sum <= 101 + budget * commit / last, "{commit}: {sum}");
        }
    }
}
