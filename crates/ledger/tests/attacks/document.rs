//! What `ATTACKS.md` says: each line that holds a figure is made here from what a population came to, and has to stand there.

use ledger::emission::{Emission, target_reward};
use types::Shannons;

use crate::network::params;

/// The document, as it was when the tests were built.
const DOCUMENT: &str = include_str!("../../ATTACKS.md");

/// An attack, and what it came to, in shannons.
pub struct Row {
    pub attack: &'static str,
    pub who: &'static str,
    /// Bonds, stake and reveal fees that the attacker needs.
    pub put_in: u64,
    /// By how much the attacker is richer in the end.
    pub change: i128,
    /// By how much the same accounts are richer without the attack.
    pub baseline: i128,
    /// The test that computes it.
    pub test: &'static str,
}

impl Row {
    pub fn profit(&self) -> i128 {
        self.change - self.baseline
    }

    fn line(&self) -> String {
        let is_open = self.profit() > 0;
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | `{}` |",
            self.attack,
            self.who,
            grouped(self.put_in.into()),
            grouped(i128::from(self.put_in) + self.change),
            grouped(self.baseline),
            grouped(self.profit()),
            if is_open { "**open**" } else { "no gain" },
            self.test,
        )
    }

    /// The summary has this row.
    pub fn is_stated(&self) {
        states(&self.line());
    }
}

/// The document has this line, or this part of one.
pub fn states(line: &str) {
    assert!(DOCUMENT.contains(line), "ATTACKS.md does not say\n{line}");
}

/// A number whose thousands are set apart.
pub fn grouped(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Whether the last cell but one of a row says what its profit is, for every row there is.
#[test]
fn a_row_with_a_gain_is_called_open_and_no_other_is() {
    let rows = DOCUMENT.lines().filter(|line| line.ends_with("` |"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, _, _, _, _, _, profit, verdict, _, _] = &cells[..] else {
            panic!("{row} has other cells")
        };
        let profit: i128 = profit.replace(',', "").parse().unwrap();
        assert_eq!(*verdict == "**open**", profit > 0, "{row}");
        count += 1;
    }
    assert!(count >= 12, "{count} rows");
}

#[test]
fn thousands_are_set_apart() {
    assert_eq!(
        [0, -1, 999, 1_000, -1_234_567].map(grouped),
        ["0", "-1", "999", "1,000", "-1,234,567"]
    );
}

#[test]
fn the_numbers_that_rows_rest_on_are_those_of_version_1() {
    let params = params();
    let reward = target_reward(&params);
    let (emission, _) = Emission::draw(&params, Shannons::SUPPLY);
    let numbers = [
        ("targets of an epoch", emission.affords(reward).0),
        ("reward of a target", reward.get()),
        (
            "of it the submitter's",
            reward.get() * u64::from(params.submitter_reward_bps) / 10_000,
        ),
        ("bond per byte, beside the reward", params.bond_byte_fee.get()),
        ("what an unopened ticket loses", params.ticket_fee.get()),
        ("the fee of a reveal", params.reveal_fee.get()),
        (
            "what a missed reveal takes of a model's pool, in bps",
            params.reveal_slash_bps.into(),
        ),
        (
            "what a false verdict takes of a validator's pool, in bps",
            params.false_verdict_slash_bps.into(),
        ),
        (
            "what a finder takes of a claim, in bps",
            params.finder_fee_bps.into(),
        ),
    ];
    for (what, number) in numbers {
        states(&format!("| {what} | {} |", grouped(number.into())));
    }
}
