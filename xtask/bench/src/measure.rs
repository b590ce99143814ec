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

/// To which power of `x` the `y` of these points grow, by least squares of the logarithms.
pub fn exponent(points: &[(f64, f64)]) -> f64 {
    let logarithms = points.iter().map(|(x, y)| (x.ln(), y.ln()));
    let count = points.len() as f64;
    let (sum_x, sum_y) = logarithms
        .clone()
        .fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x, sum.1 + y));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (above, below) = logarithms.fold((0.0, 0.0), |sum, (x, y)| {
        let from_mean = x - mean_x;
        (sum.0 + from_mean * (y - mean_y), sum.1 + from_mean * from_mean)
    });
    above / below
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
    fn an_exponent_is_the_one_that_points_were_made_with() {
        let points: Vec<(f64, f64)> = [10.0, 50.0, 100.0, 200.0_f64]
            .map(|x| (x, 7.0 * x.powf(1.3)))
            .to_vec();
        assert!((exponent(&points) - 1.3).abs() < 1e-9, "{}", exponent(&points));
        // What is above the line in the middle does not turn it.
        let bent = [(1.0, 1.0), (10.0, 30.0), (100.0, 100.0)];
        assert!((exponent(&bent) - 1.0).abs() < 1e-9, "{}", exponent(&bent));
    }

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
