//! The run that README.md shows: the same that the simulator prints, but for what depends on the machine.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, bail, ensure};

use crate::sim;
use crate::workspace::Workspace;

const README: &str = "README.md";
const BEGIN: &str = "<!-- run: begin -->\n";
const END: &str = "<!-- run: end -->\n";

/// The run that is shown.
const SEED: [&str; 2] = ["--seed", "7"];

/// What another machine, or the same one on another day, prints otherwise.
const VARIES: [&str; 2] = ["wall=", "speed="];

/// Runs the seed and compares, or writes what it prints if `accept`.
pub fn check(workspace: &Workspace, accept: bool) -> anyhow::Result<()> {
    let mut simulator = sim::command(workspace)?;
    let output = simulator
        .current_dir(&workspace.root)
        .args(SEED)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("the simulator cannot be started")?;
    ensure!(output.status.success(), "the run that README.md shows fails");
    let printed = String::from_utf8(output.stdout).context("the simulator prints UTF-8")?;
    let shown = format!("```\n$ cargo xtask sim {}\n{printed}```\n", SEED.join(" "));
    let path = workspace.root.join(README);
    let text = fs::read_to_string(&path).with_context(|| format!("{README} cannot be read"))?;
    let (before, old, after) = split(&text)?;
    if stable(old) == stable(&shown) {
        return Ok(());
    }
    if !accept {
        bail!("{README} shows another run; `cargo xtask fixtures --accept` writes this one:\n{shown}");
    }
    fs::write(&path, format!("{before}{shown}{after}")).with_context(|| format!("{README} cannot be written"))
}

/// What stands before, between and after the marks.
fn split(text: &str) -> anyhow::Result<(&str, &str, &str)> {
    let lacks = || format!("{README} lacks the lines {} and {}", BEGIN.trim(), END.trim());
    let begin = text.find(BEGIN).with_context(lacks)? + BEGIN.len();
    let end = begin + text[begin..].find(END).with_context(lacks)?;
    Ok((&text[..begin], &text[begin..end], &text[end..]))
}

/// The words that are the same on every machine.
fn stable(shown: &str) -> Vec<&str> {
    shown
        .split_whitespace()
        .filter(|word| !VARIES.iter().any(|varies| word.starts_with(varies)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_the_same_whatever_time_it_took() {
        let one = "PASS seed=7 hash=ab wall=10ms speed=9x faults=1\n";
        assert_eq!(
            stable(one),
            stable("PASS seed=7 hash=ab wall=99ms speed=1x faults=1")
        );
        assert_ne!(
            stable(one),
            stable("PASS seed=7 hash=ac wall=10ms speed=9x faults=1")
        );
    }

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("a\n{BEGIN}b\n{END}c\n");
        let (before, old, after) = split(&text).unwrap();
        assert_eq!(
            (before, old, after),
            (&*format!("a\n{BEGIN}"), "b\n", &*format!("{END}c\n"))
        );
        assert!(split("a\nb\n").is_err());
    }
}
