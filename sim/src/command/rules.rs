//! `replay --rule`: other commit rules on the blocks that `export --dag` wrote.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use sim::consensus::compare::{Choice, compare, title};
use sim::consensus::dag::Dag;

use super::Refusal;
use super::output::Output;

/// Says what each rule makes of the blocks in the file at `path`.
pub fn replay(output: &mut Output, path: &Path, choices: &[Choice]) -> Result<u8> {
    let refused = |error: &dyn std::fmt::Display| Refusal(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| refused(&error))?;
    let dag = Dag::parse(&text).map_err(|error| refused(&error))?;
    output.say(&format!("{}\n", title()))?;
    for figures in compare(&dag, choices) {
        let value = json!({
            "type": "rule",
            "rule": figures.rule,
            "decided": figures.decided,
            "commits": figures.commits,
            "skips": figures.skips,
            "rounds": figures.rounds,
            "ns": figures.ns,
            "conflicts": figures.conflicts,
        });
        output.put(&format!("{}\n", figures.line()), &value)?;
    }
    Ok(0)
}
