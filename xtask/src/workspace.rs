//! What the workspace consists of, as cargo says.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::cargo;

/// The packages of this workspace and where they lie.
#[derive(Debug)]
pub struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub root: PathBuf,
    /// In order of their names.
    pub packages: Vec<Package>,
}

/// One package, as its `Cargo.toml` declares it. Nothing here is resolved.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    /// As cargo knows it, for example `soma-types`.
    pub name: String,
    /// Its `Cargo.toml`.
    pub manifest_path: PathBuf,
    /// Those of every kind and for every platform.
    pub dependencies: Vec<Dependency>,
    targets: Vec<Target>,
    features: std::collections::BTreeMap<String, Vec<String>>,
}

/// One line of a `[dependencies]` table.
#[derive(Clone, Debug, Deserialize)]
pub struct Dependency {
    /// The package's name, not what it is renamed to.
    pub name: String,
    kind: Option<String>,
    /// Named on this line or inherited.
    pub features: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

impl Workspace {
    /// Asks cargo, which needs neither a network nor a lock file for this.
    pub fn load() -> anyhow::Result<Self> {
        // `cargo run` sets the variable; two checkouts may share one target directory and so this binary.
        let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let manifest = manifest.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = manifest
            .parent()
            .context("xtask lies in a folder of the repository")?;
        Self::load_from(root)
    }

    fn load_from(root: &Path) -> anyhow::Result<Self> {
        let arguments = ["metadata", "--format-version=1", "--no-deps"];
        let output = cargo::command(root)
            .args(arguments)
            .output()
            .context("cargo cannot be started")?;
        ensure!(
            output.status.success(),
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let Metadata { mut packages } = serde_json::from_slice(&output.stdout)?;
        packages.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(Self {
            root: root.to_path_buf(),
            packages,
        })
    }

    /// The package called `name`, with or without `soma-`.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages
            .iter()
            .find(|package| package.name == name || package.short() == name)
    }

    /// The package's folder, relative to the root.
    pub fn folder<'a>(&self, package: &'a Package) -> &'a Path {
        let folder = package
            .manifest_path
            .parent()
            .expect("a manifest lies in a folder");
        folder.strip_prefix(&self.root).unwrap_or(folder)
    }

    /// Every file that git tracks or would track, relative to the root, in order.
    pub fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let output = Command::new("git")
            .current_dir(&self.root)
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .output()
            .context("git cannot be started")?;
        ensure!(
            output.status.success(),
            "git ls-files: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let names = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
        let mut files: Vec<PathBuf> = names
            .split_terminator('\0')
            .map(PathBuf::from)
            .filter(|file| self.root.join(file).is_file()) // a removal that is not staged is listed too
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }
}

impl Package {
    /// The word we say: `types` for `soma-types`.
    pub fn short(&self) -> &str {
        self.name.strip_prefix("soma-").unwrap_or(&self.name)
    }

    /// Whether others can depend on it, and doc tests exist.
    pub fn has_library(&self) -> bool {
        self.targets
            .iter()
            .any(|target| target.kind.iter().any(|kind| kind == "lib"))
    }

    /// Whether it has a binary called `name`.
    pub fn has_binary(&self, name: &str) -> bool {
        self.targets
            .iter()
            .any(|target| target.name == name && target.kind.iter().any(|kind| kind == "bin"))
    }

    /// Whether it declares the feature `name`.
    pub fn has_feature(&self, name: &str) -> bool {
        self.features.contains_key(name)
    }
}

impl Dependency {
    /// Whether only tests, examples and benchmarks see it.
    pub fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

#[cfg(test)]
pub mod samples {
    use super::*;

    /// A package in `folder` with `normal` and `dev` dependencies; `tokio/rt` asks for a feature.
    pub fn package(root: &Path, folder: &str, name: &str, normal: &[&str], dev: &[&str]) -> Package {
        let dependency = |words: &&str, kind: Option<&str>| {
            let (name, feature) = words
                .split_once('/')
                .map_or((*words, None), |(name, feature)| (name, Some(feature)));
            Dependency {
                name: name.to_owned(),
                kind: kind.map(str::to_owned),
                features: feature.map(str::to_owned).into_iter().collect(),
            }
        };
        let normal = normal.iter().map(|words| dependency(words, None));
        let dev = dev.iter().map(|words| dependency(words, Some("dev")));
        Package {
            name: name.to_owned(),
            manifest_path: root.join(folder).join("Cargo.toml"),
            dependencies: normal.chain(dev).collect(),
            targets: Vec::new(),
            features: std::collections::BTreeMap::new(),
        }
    }

    /// A workspace of `packages` at `root`.
    pub fn workspace(root: &Path, packages: Vec<Package>) -> Workspace {
        Workspace {
            root: root.to_path_buf(),
            packages,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_knows_itself() {
        let workspace = Workspace::load().unwrap();
        let xtask = workspace.package("xtask").unwrap();
        assert_eq!(xtask.name, "soma-xtask");
        assert_eq!(workspace.folder(xtask), Path::new("xtask"));
        assert!(xtask.has_binary("xtask") && !xtask.has_library());
        assert!(
            xtask
                .dependencies
                .iter()
                .any(|dependency| dependency.name == "tempfile" && dependency.is_dev())
        );
    }
}
