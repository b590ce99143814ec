//! Building the benchmarks optimised and becoming them.

use std::ffi::OsString;

use anyhow::bail;

use crate::workspace::Workspace;
use crate::{cargo, sim};

const PACKAGE: &str = "soma-bench";
/// What `ledger` runs: a program of its own, which builds without the simulator, QUIC and a store.
const LEDGER: &str = "soma-ledger-bench";

/// Builds the benchmarks and replaces this process by them. Returns only when that fails.
pub fn run(workspace: &Workspace, mut arguments: Vec<OsString>) -> anyhow::Result<()> {
    let mut package = PACKAGE;
    if arguments.first().is_some_and(|name| name == "ledger") {
        arguments.remove(0);
        package = LEDGER;
    }
    if workspace.package(package).is_none() {
        bail!("this workspace has no package {package}");
    }
    let mut bench = cargo::command(&workspace.root);
    bench
        .args(["run", "--quiet", "--release", "--package", package, "--"])
        .args(arguments);
    sim::become_process(bench)
}
