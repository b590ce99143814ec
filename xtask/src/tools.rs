//! Cargo's plug-ins: found, or installed into the cache, or done without.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;

/// A plug-in and the version that is installed where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The word after `cargo`.
    pub name: &'static str,
    version: &'static str,
}

/// Runs tests in processes of their own.
pub const NEXTEST: Tool = Tool {
    name: "nextest",
    version: "0.9.143",
};

/// Checks licences, bans and sources.
pub const DENY: Tool = Tool {
    name: "deny",
    version: "0.20.2",
};

impl Tool {
    /// Whether `cargo <name>` works, after an attempt to install it where it does not.
    pub fn is_there(self) -> anyhow::Result<bool> {
        if self.answers() {
            return Ok(true);
        }
        let package = format!("cargo-{}@{}", self.name, self.version);
        let root = cache()?.join("tools");
        fs::create_dir_all(&root)?;
        eprintln!("installing {package}, which takes some minutes once");
        // Outside the repository, whose flags are not meant for it.
        let installed = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
            .current_dir(&root)
            .env_remove("CARGO_TARGET_DIR")
            .stdin(Stdio::null())
            .args(["install", "--quiet", "--locked", &package, "--root"])
            .arg(&root)
            .status()
            .context("cargo cannot be started")?;
        Ok(installed.success() && self.answers())
    }

    fn answers(self) -> bool {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
        if let Some(path) = search_path() {
            command.env("PATH", path);
        }
        command
            .args([self.name, "--version"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

/// What outlives a checkout: build folders and tools.
pub fn cache() -> anyhow::Result<PathBuf> {
    let root = match env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    Ok(root.join("soma"))
}

/// `PATH`, and behind it the installed tools.
pub fn search_path() -> Option<OsString> {
    let own = cache().ok()?.join("tools").join("bin");
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(env::split_paths(&path).chain([own])).ok()
}
