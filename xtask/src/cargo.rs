//! Starting cargo so that it behaves the same in every environment.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::tools;

/// The flag that turns madsim into the simulator's kernel; `.cargo/config.toml` sets the same.
const FLAG: &str = "--cfg madsim";
/// Between the words of cargo's encoded flags.
const SEPARATOR: char = '\u{1f}';

/// What `cargo run` leaves in the environment of this process. Build scripts watch some of these (ring's does), and
/// would run again on every change between cargo and `cargo xtask`.
const LEFT_BY_CARGO: &[&str] = &[
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "OUT_DIR",
];

/// A cargo that runs in `root`, reads nothing from standard input and passes `--cfg madsim` to every compilation.
pub fn command(root: &Path) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(root).stdin(Stdio::null());
    forget_cargo(&mut command);
    if let Some(path) = tools::search_path() {
        command.env("PATH", path);
    }
    for kind in ["RUSTFLAGS", "RUSTDOCFLAGS"] {
        let encoded = format!("CARGO_ENCODED_{kind}");
        if let Ok(flags) = env::var(&encoded) {
            command.env(&encoded, with_flag(&flags, SEPARATOR));
        }
        if let Ok(flags) = env::var(kind) {
            command.env(kind, with_flag(&flags, ' '));
        }
    }
    command
}

/// Takes from `command`'s environment what describes this crate and no other.
pub fn forget_cargo(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let ours = name
            .to_str()
            .is_some_and(|name| LEFT_BY_CARGO.iter().any(|prefix| name.starts_with(prefix)));
        if ours {
            command.env_remove(name);
        }
    }
}

/// Runs `command` to its end; an error says which one failed and how.
pub fn check(command: &mut Command) -> anyhow::Result<()> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words: Vec<_> = std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words = words.join(" ");
    let status = command
        .status()
        .with_context(|| format!("`{words}` cannot be started"))?;
    ensure!(status.success(), "`{words}` ended with {status}");
    Ok(())
}

/// Rustdoc that takes a warning for an error.
pub fn documentation(root: &Path) -> Command {
    let flags = env::var("RUSTDOCFLAGS").unwrap_or_default();
    let mut command = command(root);
    command.env(
        "RUSTDOCFLAGS",
        with_flag(format!("{flags} -D warnings").trim(), ' '),
    );
    command
}

/// `flags` with the flag that the simulator needs.
fn with_flag(flags: &str, separator: char) -> String {
    let flag = FLAG.replace(' ', &separator.to_string());
    let words: Vec<&str> = flags.split(separator).filter(|word| !word.is_empty()).collect();
    let present = words.windows(2).any(|pair| pair == ["--cfg", "madsim"]) || words.contains(&"--cfg=madsim");
    match (present, words.is_empty()) {
        (true, _) => flags.to_owned(),
        (false, true) => flag,
        (false, false) => format!("{flags}{separator}{flag}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_that_replaces_the_flags_keeps_the_simulators() {
        let table = [
            ("", ' ', "--cfg madsim"),
            ("-C debuginfo=0", ' ', "-C debuginfo=0 --cfg madsim"),
            ("--cfg madsim -C debuginfo=0", ' ', "--cfg madsim -C debuginfo=0"),
            ("--cfg=madsim", ' ', "--cfg=madsim"),
            ("--cfg madsimple", ' ', "--cfg madsimple --cfg madsim"),
            ("-Dwarnings", SEPARATOR, "-Dwarnings\u{1f}--cfg\u{1f}madsim"),
            ("--cfg\u{1f}madsim", SEPARATOR, "--cfg\u{1f}madsim"),
        ];
        for (flags, separator, expected) in table {
            assert_eq!(with_flag(flags, separator), expected, "{flags:?}");
        }
    }
}
