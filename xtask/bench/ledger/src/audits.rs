//! What auditors have to run when every target of an epoch is filled with the longest data there may be.

use ledger::emission::{Emission, target_reward};
use types::Shannons;

use crate::world::params;

/// Bytes that a model scores at a time.
const CHUNK_BYTES: u64 = 1_024;

/// The worst case, from the parameters alone.
pub fn table() -> String {
    let params = params();
    let (drawn, _) = Emission::draw(&params, Shannons::SUPPLY);
    let targets = drawn.affords(target_reward(&params)).0;
    let (models, seats) = (u64::from(params.models_per_target), u64::from(params.audit_seats));
    let chunks = u64::from(params.max_submission_bytes).div_ceil(CHUNK_BYTES);
    let epoch = params.epoch_duration_ms / 1_000;
    let once = targets * models * chunks;
    let mut text =
        "| worst case of an epoch | chunks under a model | per second |\n|---|---:|---:|\n".to_owned();
    let mut row = |name: &str, count: u64| {
        let hundredths = count * 100 / epoch;
        text += &format!(
            "| {name} | {count} | {}.{:02} |\n",
            hundredths / 100,
            hundredths % 100
        );
    };
    row("one audit", models * chunks);
    row("each target once", once);
    row("all seats of all audits", once * seats);
    for validators in [16, 50, 100] {
        row(
            &format!("one of {validators} equal validators"),
            once * seats / validators,
        );
    }
    row("one validator, were every audit escalated", once);
    text
}

/// Prints it.
pub fn run() -> anyhow::Result<()> {
    print!("{}", table());
    Ok(())
}
