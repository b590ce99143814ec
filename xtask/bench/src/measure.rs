//! What the benchmarks share: building a program beside this one, and the middle of some numbers.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// The middle one of some numbers, which it sorts.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

/// The value of which so many of a hundred are no larger, of values that ascend; 0 of none.
pub fn rank(ascending: &[u32], hundredth: usize) -> u32 {
    let place = (ascending.len() * hundredth).div_ceil(100).saturating_sub(1);
    ascending.get(place).copied().unwrap_or(0)
}

/// Builds the package in `folder` and says where its program is.
pub fn executable(folder: &Path, arguments: &[&str]) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .current_dir(folder)
        .args(["build", "--quiet", "--message-format=json"])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{} was not built", folder.display());
    let mut programs = output.stdout.split(|byte| *byte == b'\n').filter_map(|line| {
        let message: serde_json::Value = serde_json::from_slice(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    programs
        .next_back()
        .with_context(|| format!("{} builds no program", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_one_of_the_values() {
        let values: Vec<u32> = (1..=199).collect();
        assert_eq!(
            [50, 99, 100].map(|hundredth| rank(&values, hundredth)),
            [100, 198, 199]
        );
        assert_eq!((rank(&[7], 50), rank(&[7], 99), rank(&[], 50)), (7, 7, 0));
    }
}
