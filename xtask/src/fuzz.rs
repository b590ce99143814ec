//! Fuzzing a decoder for a while, and keeping what was found worth trying again.
//!
//! The targets are a workspace of their own, `fuzz`. They are built with the coverage that libFuzzer asks for, by the same
//! compiler as everything else, and begin with golden encodings, with the words in `fixtures/fuzz`, and with what the program
//! `seed` writes. With `--keep` the fewest words that reach everything that any word reached replace those in `fixtures/fuzz`;
//! tests replay them.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::cargo;
use crate::workspace::Workspace;

/// The command line of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Arguments {
    /// What is fuzzed, one after the other; the words of consensus unless named
    targets: Vec<String>,
    /// Seconds for each
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Keeps the words that matter in `fixtures/fuzz`
    #[arg(long)]
    keep: bool,
}

/// What members of consensus tell each other.
const CONSENSUS: &[&str] = &[
    "block_frame",
    "block_header",
    "blocks_answer",
    "certificate",
    "commit",
    "commits_answer",
    "equivocation",
    "latest_answer",
    "request",
];

/// What libFuzzer asks of the compiler. Without a sanitizer: the decoders are safe Rust, whose faults are panics.
const FLAGS: &[&str] = &[
    "--cfg",
    "madsim",
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
];

/// Where encodings stand in rows of name, digest and bytes.
const GOLDEN: &[&str] = &["fixtures/encoding/words.snap", "fixtures/encoding/consensus.snap"];
/// Those that begin with what the program `seed` writes.
const OWN_SEEDS: &[&str] = &["peer_certificate", "plan", "scenario", "stream", "trace"];
/// The longest word that is made up, in bytes.
const LONGEST: usize = 4_096;
/// The most bytes of all kept words of a target.
const KEPT_BYTES: usize = 16 << 10;

/// Fuzzes the targets. Fails at the first one that breaks; the word that broke it stays in `fuzz/artifacts`.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = workspace.root.join("fuzz");
    let known = names(&folder)?;
    let targets: Vec<&str> = match arguments.targets.is_empty() {
        true => CONSENSUS.to_vec(),
        false => arguments.targets.iter().map(String::as_str).collect(),
    };
    if let Some(unknown) = targets
        .iter()
        .find(|name| !known.iter().any(|known| known == *name))
    {
        bail!("there is no target {unknown}; there are {}", known.join(", "));
    }
    let built = build(&folder, &targets)?;
    if targets.iter().any(|target| OWN_SEEDS.contains(target)) {
        cargo::check(cargo::command(&folder).args([
            "run",
            "--quiet",
            "--release",
            "--locked",
            "--bin",
            "seed",
        ]))?;
    }
    seed(workspace, &folder)?;
    for target in targets {
        let corpus = format!("corpus/{target}");
        let artifacts = format!("artifacts/{target}/");
        for made in [&corpus, &artifacts] {
            fs::create_dir_all(folder.join(made)).with_context(|| format!("{made} cannot be made"))?;
        }
        let mut fuzzer = std::process::Command::new(built.join(target));
        fuzzer
            .current_dir(&folder)
            .arg(&corpus)
            .arg(format!("-artifact_prefix={artifacts}"))
            .arg(format!("-max_total_time={}", arguments.seconds))
            .arg(format!("-max_len={LONGEST}"))
            .args([
                "-print_final_stats=1",
                "-timeout=10",
                "-rss_limit_mb=2048",
                "-verbosity=0",
            ]);
        println!("==> {target}");
        cargo::check(&mut fuzzer)?;
        if arguments.keep {
            keep(workspace, &folder, &built, target)?;
        }
    }
    Ok(())
}

/// The targets' names.
fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let sources = folder.join("fuzz_targets");
    let entries = fs::read_dir(&sources).with_context(|| format!("{} cannot be read", sources.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort_unstable();
    Ok(names)
}

/// Builds the targets, and says where they are.
fn build(folder: &Path, targets: &[&str]) -> anyhow::Result<PathBuf> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| folder.join("target"), PathBuf::from);
    let target = target.join("fuzz");
    let host = "x86_64-unknown-linux-gnu";
    ensure!(
        cfg!(all(target_arch = "x86_64", target_os = "linux")),
        "fuzzing is set up for {host} only"
    );
    // Named, so that build scripts and macros are built without coverage.
    let mut build = cargo::command(folder);
    build
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .args(["build", "--release", "--locked", "--target", host, "--target-dir"])
        .arg(&target);
    for name in targets {
        build.args(["--bin", name]);
    }
    cargo::check(&mut build)?;
    Ok(target.join(host).join("release"))
}

/// Fills the corpus with golden encodings and kept words.
fn seed(workspace: &Workspace, folder: &Path) -> anyhow::Result<()> {
    let put = |target: &str, name: &str, digits: &str| -> anyhow::Result<()> {
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        fs::write(
            corpus.join(name),
            bytes(digits).with_context(|| format!("{target}: {name}"))?,
        )?;
        Ok(())
    };
    for golden in GOLDEN {
        let path = workspace.root.join(golden);
        let text = fs::read_to_string(&path).with_context(|| format!("{golden} cannot be read"))?;
        // The head of the file, between two lines of dashes, says where it comes from.
        let rows = text.splitn(3, "---\n").nth(2).unwrap_or_default();
        for row in rows.lines() {
            let columns: Vec<_> = row.split_whitespace().collect();
            let [name, _, digits] = columns[..] else {
                bail!("{golden}: a row has three columns: {row}");
            };
            let kind = name.split("::").next().unwrap_or(name);
            put(
                &snake_case(kind),
                &name.replace("::", "_"),
                digits.trim_start_matches("0x"),
            )?;
        }
    }
    let kept = workspace.root.join("fixtures/fuzz");
    for entry in fs::read_dir(&kept).with_context(|| format!("{} cannot be read", kept.display()))? {
        let path = entry?.path();
        let target = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for (number, line) in fs::read_to_string(&path)?.lines().enumerate() {
            put(&target, &format!("kept_{number}"), line)?;
        }
    }
    Ok(())
}

/// What hexadecimal digits stand for.
fn bytes(digits: &str) -> anyhow::Result<Vec<u8>> {
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair)?;
        u8::from_str_radix(pair, 16).with_context(|| format!("{pair:?} are no hexadecimal digits"))
    };
    digits.as_bytes().chunks(2).map(byte).collect()
}

/// `BlsPublicKey` becomes `bls_public_key`; `MultiSig` is one word.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for character in name.replace("MultiSig", "Multisig").chars() {
        if character.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}

/// Replaces the kept words of a target by the fewest that reach as much.
fn keep(workspace: &Workspace, folder: &Path, built: &Path, target: &str) -> anyhow::Result<()> {
    let merged = folder.join("corpus").join(format!("{target}-kept"));
    if merged.exists() {
        fs::remove_dir_all(&merged).with_context(|| format!("{} is in the way", merged.display()))?;
    }
    fs::create_dir_all(&merged)?;
    let mut merge = std::process::Command::new(built.join(target));
    merge
        .current_dir(folder)
        .args(["-merge=1", "-verbosity=0"])
        .arg(&merged)
        .arg(format!("corpus/{target}"));
    cargo::check(&mut merge)?;
    let mut words = Vec::new();
    for entry in fs::read_dir(&merged)? {
        words.push(fs::read(entry?.path())?);
    }
    fs::remove_dir_all(&merged)?;
    let file = workspace.root.join("fixtures/fuzz").join(format!("{target}.hex"));
    fs::write(&file, lines(words)).with_context(|| format!("{} cannot be written", file.display()))
}

/// The words as lines of hexadecimal digits, the short ones first, within the limit.
fn lines(mut words: Vec<Vec<u8>>) -> String {
    words.sort_unstable_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    words.dedup();
    let (mut text, mut bytes) = (String::new(), 0);
    for word in words.iter().filter(|word| !word.is_empty()) {
        bytes += word.len();
        if bytes > KEPT_BYTES {
            break;
        }
        for byte in word {
            write!(text, "{byte:02x}").expect("a string takes everything");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_kind_go_to_its_target() {
        assert_eq!(snake_case("BlsPublicKey"), "bls_public_key");
        assert_eq!(snake_case("MultiSigKey"), "multisig_key");
        assert_eq!(bytes("00ff").unwrap(), [0, 255]);
        assert!(bytes("0g").is_err() && bytes("é0").is_err());
    }

    #[test]
    fn kept_words_are_lines_in_order_and_bounded() {
        let words = vec![vec![1, 2], vec![], vec![0xff], vec![1, 2], vec![0, 9]];
        assert_eq!(lines(words), "ff\n0009\n0102\n");
        let many = (0..100u8).map(|byte| vec![byte; 1_024]).collect();
        assert_eq!(lines(many).lines().count(), KEPT_BYTES / 1_024);
    }
}
