//! What is written by programs and kept in the repository: compared, or accepted as it is now.

use crate::workspace::Workspace;
use anyhow::ensure;

use crate::{readme, test};

/// The command line of `cargo xtask fixtures`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Write what is found now. A change in `fixtures/encoding` is a change of the protocol
    #[arg(long)]
    accept: bool,
}

/// What a test is called that compares with such a fixture.
const GOLDEN: &str = "golden";

/// Runs the tests that compare with `insta` and the run that README.md shows, and lets both write instead if that is
/// asked for.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> anyhow::Result<()> {
    // `insta` runs in those tests and reads this; none of its answers reaches a run of the simulator.
    let update = if arguments.accept { "always" } else { "no" };
    let filters = [GOLDEN.to_owned()];
    let mut ran = 0;
    for group in test::groups(workspace) {
        let closing = test::tests(workspace, &group, &[], &filters, &[("INSTA_UPDATE", update)])?;
        ran += test::count(&closing);
    }
    ensure!(ran > 0, "no test is called `{GOLDEN}`, so nothing was compared");
    readme::check(workspace, arguments.accept)
}
