//! Planted bugs: whether the simulator finds them, and the page that says so.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::sim::{self, Profile};
use crate::workspace::Workspace;

/// The page with a row for each bug.
const PAGE: &str = "sim/PLANTED.md";

/// Runs bugs until they are found, and writes the page. Returns only when that fails.
pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> anyhow::Result<()> {
    let mut planted = planted(workspace, Profile::Sim)?;
    planted.args(arguments);
    sim::become_process(planted)
}

/// Runs a few rows of the page again, for `cargo xtask ci`: the same oracles have to object. It is compiled fast, together
/// with the canaries.
pub fn check(workspace: &Workspace) -> anyhow::Result<Command> {
    let mut planted = planted(workspace, Profile::Dev)?;
    planted.stdin(Stdio::null()).arg("--check");
    Ok(planted)
}

fn planted(workspace: &Workspace, profile: Profile) -> anyhow::Result<Command> {
    let mut planted = sim::planted(workspace, profile)?;
    let page = workspace.root.join(PAGE);
    planted.arg("planted").arg("--page").arg(page);
    Ok(planted)
}
