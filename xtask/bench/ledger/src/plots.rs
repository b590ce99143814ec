//! The plots, as files.

use std::fs;
use std::path::PathBuf;

use crate::{difficulty, emission, pacing};

/// Where they go.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder; those in the repository lie in crates/ledger/plots
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// Each with the name of its file.
fn all() -> [(&'static str, String); 3] {
    [
        ("difficulty.svg", difficulty::chart().svg()),
        ("emission.svg", emission::chart().svg()),
        ("pacing.svg", pacing::chart().svg()),
    ]
}

/// Writes them.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    fs::create_dir_all(&arguments.out)?;
    for (name, text) in all() {
        let file = arguments.out.join(name);
        fs::write(&file, text)?;
        println!("{}", file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_plots_in_the_repository_are_those_that_are_drawn() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../crates/ledger/plots");
        for (name, text) in all() {
            let kept = fs::read_to_string(folder.join(name)).unwrap();
            assert!(
                kept == text,
                "`cargo xtask bench ledger plots --out crates/ledger/plots` writes {name} anew"
            );
            assert!(text.len() < 30_000, "{name}");
        }
    }

    #[test]
    fn the_tables_in_the_repository_are_those_that_are_made() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../crates/ledger/FIGURES.md");
        let kept = fs::read_to_string(file).unwrap();
        for table in [
            difficulty::table(),
            emission::table(),
            pacing::table(),
            crate::audits::table(),
        ] {
            assert!(
                kept.contains(&table),
                "the figures say something else than\n{table}"
            );
        }
    }
}
