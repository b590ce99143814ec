//! Building the benchmarks optimised and becoming them.

use std::ffi::OsString;

use anyhow::bail;

use crate::workspace::Workspace;
use crate::{cargo, sim};

const PACKAGE: &str = "soma-bench";

/// Builds `soma-bench` and replaces this process by it. Returns only when that fails.
pub fn run(workspace: &Workspace, arguments: Vec<OsString>) -> anyhow::Result<()> {
    if workspace.package(PACKAGE).is_none() {
        bail!("this workspace has no package {PACKAGE}");
    }
    let mut bench = cargo::command(&workspace.root);
    bench
        .args(["run", "--quiet", "--release", "--package", PACKAGE, "--"])
        .args(arguments);
    sim::become_process(bench)
}
