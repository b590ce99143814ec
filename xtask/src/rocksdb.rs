//! The lane that builds RocksDB, whose C++ takes about fourteen minutes on two cores: once, then it is in the cache.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::bail;

use crate::cargo;
use crate::ci::Outcome;
use crate::tools;
use crate::workspace::Workspace;

const PACKAGE: &str = "soma-runtime";
const FEATURE: &str = "rocksdb";

/// Says in the build folder that a build was finished there.
const STAMP: &str = "built";

/// A first build that would begin later is left to the next run, which finds everything else built: a cold run ends within
/// three quarters of an hour.
const LATEST_START: Duration = Duration::from_secs(25 * 60);

const ADVICE: &str =
    "RocksDB needs a C++ compiler and its bindings libclang: `apt-get install g++ libclang-dev`";

/// Whether the lane runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// If what it needs is there or can be installed, and there is time
    Auto,
    /// Or else fail
    Always,
    /// Not at all
    Never,
}

/// Runs the tests of `runtime` with its feature `rocksdb`, `elapsed` after the run began.
pub fn run(workspace: &Workspace, when: When, elapsed: Duration) -> anyhow::Result<Outcome> {
    let built_before = |target: &Path| target.join(STAMP).is_file();
    let has_feature = workspace
        .package(PACKAGE)
        .is_some_and(|package| package.has_feature(FEATURE));
    let target = tools::cache()?.join("rocksdb-target");
    let reason = match when {
        When::Never => Some("not wanted"),
        _ if !has_feature => Some("there is no soma-runtime with the feature `rocksdb`"),
        When::Auto if !built_before(&target) && elapsed > LATEST_START => Some("too late for a first build"),
        _ if !(has_compiler() && has_libclang() || install()) => Some(ADVICE),
        _ => None,
    };
    match (reason, when) {
        (Some(reason), When::Always) => bail!("{reason}"),
        (Some(reason), _) => return Ok(Outcome::Skipped(reason.to_owned())),
        (None, _) => {}
    }
    if !built_before(&target) {
        println!(
            "first build of RocksDB in {}: about a quarter of an hour",
            target.display()
        );
    }
    let selection = ["--package", PACKAGE, "--features", FEATURE];
    let mut tests = cargo::command(&workspace.root);
    tests.env("CARGO_TARGET_DIR", &target);
    let closing = if tools::NEXTEST.is_there()? {
        tests.args(["nextest", "run", "--locked", "--no-fail-fast"]);
        crate::test::closing_line(tests.args(selection))?
    } else {
        tests.args(["test", "--locked", "--all-targets"]);
        cargo::check(tests.args(selection))?;
        String::new()
    };
    fs::write(target.join(STAMP), "")?;
    Ok(Outcome::Passed(closing))
}

/// Whether there is a C++ compiler by the name that build scripts call.
fn has_compiler() -> bool {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let mut version = Command::new(compiler);
    version
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Whether the loader that RocksDB's bindings use would find the library.
fn has_libclang() -> bool {
    let mut folders: Vec<_> = std::env::var_os("LIBCLANG_PATH")
        .into_iter()
        .map(Into::into)
        .collect();
    folders.extend(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(Into::into));
    for parent in ["/usr/lib", "/usr/local"] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            folders.push(entry.path()); // of one architecture
            folders.push(entry.path().join("lib")); // of one version of LLVM
        }
    }
    folders.iter().any(|folder: &std::path::PathBuf| {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        files
            .into_iter()
            .any(|file| is_libclang(&file.file_name().to_string_lossy()))
    })
}

/// `libclang.so`, `libclang.so.1`, `libclang-14.so.1`; not `libclang-cpp.so.14`, which is another library.
fn is_libclang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    let version =
        |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_digit()) && rest.contains(".so");
    rest.starts_with(".so") || rest == ".dylib" || rest.strip_prefix('-').is_some_and(version)
}

/// Installs both where that needs no question: as root, with apt-get.
fn install() -> bool {
    let silent = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let is_root = silent("id", &["-u"])
        .stdout(Stdio::piped())
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"0"));
    let ran = |mut command: Command| command.status().is_ok_and(|status| status.success());
    is_root
        && ran(silent("apt-get", &["update", "-qq"]))
        && ran(silent(
            "apt-get",
            &[
                "install",
                "-y",
                "-qq",
                "--no-install-recommends",
                "g++",
                "libclang-dev",
            ],
        ))
        && has_compiler()
        && has_libclang()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_told_from_its_sister() {
        for name in [
            "libclang.so",
            "libclang.so.1",
            "libclang-14.so.1",
            "libclang.dylib",
        ] {
            assert!(is_libclang(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclang.a", "libclang-14.a", "libc.so"] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
