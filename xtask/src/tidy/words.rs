//! Words that must not stand in the code, and where.

use std::path::Path;

use super::{Finding, source};
use crate::layers::{self, Layer};
use crate::workspace::{Package, Workspace};

/// A word that must not stand in code, unless a comment on its line or on the one above says
/// `tidy: allow <rule>: <reason>`, or one anywhere says `tidy: allow <rule> in this file: <reason>`.
struct Ban {
    rule: &'static str,
    word: &'static str,
    place: Place,
    fix: &'static str,
}

/// Where a ban holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In all of the repository.
    Everywhere,
    /// In layers 0 to 2, testkit and sim, tests included.
    Simulated,
    /// In layers 0 to 2, tests included.
    Network,
    /// In every crate but `runtime` and the tools.
    OutsideRuntime,
    /// In the folders `src` of layers 0 and 1.
    SourcesOfRules,
}

const fn ban(rule: &'static str, word: &'static str, place: Place, fix: &'static str) -> Ban {
    Ban {
        rule,
        word,
        place,
        fix,
    }
}

const SELECT: &str = "write `env::select!`, whose priority is the order of its branches";
const RANDOM: &str = "draw from `env::Entropy`, or take a seeded generator as an argument";
const HOST: &str = "reach the outside through `env`; only the edges may name the host";
const FLOAT: &str = "use integers: a float is not the same on every machine";
const PLACEHOLDER: &str = "write the code, or return an error that says what is missing";

const BANS: &[Ban] = &[
    ban("select", "select!", Place::Simulated, SELECT),
    ban("select", "select_biased!", Place::Simulated, SELECT),
    ban("select", "tokio::select", Place::Simulated, SELECT),
    ban("select", "futures_util::select", Place::Simulated, SELECT),
    ban("thread-rng", "thread_rng", Place::Simulated, RANDOM),
    ban("os-rng", "OsRng", Place::OutsideRuntime, RANDOM),
    ban(
        "std-env",
        "std::env",
        Place::Simulated,
        "pass configuration in as an argument",
    ),
    ban("host", "std::fs", Place::Network, HOST),
    ban("host", "std::net", Place::Network, HOST),
    ban("host", "std::process", Place::Network, HOST),
    ban("host", "std::thread", Place::Network, HOST),
    ban("float", "f32", Place::SourcesOfRules, FLOAT),
    ban("float", "f64", Place::SourcesOfRules, FLOAT),
    ban(
        "testkit",
        "testkit",
        Place::SourcesOfRules,
        "use it from the folder `tests/`: here its copy of this crate has other types",
    ),
    ban(
        "ignored-test",
        "#[ignore",
        Place::Everywhere,
        "make the test fast and certain, or delete it",
    ),
    ban(
        "ignored-test",
        "ignore)]",
        Place::Everywhere,
        "make the test fast and certain, or delete it",
    ),
    ban("placeholder", "todo!", Place::Everywhere, PLACEHOLDER),
    ban("placeholder", "unimplemented!", Place::Everywhere, PLACEHOLDER),
    ban("placeholder", "dbg!", Place::Everywhere, "remove it"),
];

/// The definition of `env::select!`.
const DEFINITION: &str = "crates/env/src/select.rs";

/// Checks the text of one Rust file.
pub fn check(workspace: &Workspace, file: &Path, text: &str) -> Vec<Finding> {
    let owner = owner(workspace, file);
    let name = owner.map(Package::short);
    let lines: Vec<&str> = text.lines().collect();
    let holds = |ban: &&Ban| {
        let whole_file = format!("{} in this file", ban.rule);
        ban.place.holds(workspace, file, owner) && !lines.iter().any(|line| allows(line, &whole_file))
    };
    let bans: Vec<&Ban> = BANS.iter().filter(holds).collect();
    let mut findings = Vec::new();
    let code = source::code(text);
    for index in 0..code.len() {
        // A group of modules of std reads as if each had a line of its own.
        let line = format!("{} {}", code[index], grouped(&code[index..]));
        for ban in &bans {
            let stands = match ban.word {
                "select!" => other_select(file, name, &line),
                // Both words of one line are one finding.
                "tokio::select" | "futures_util::select" => {
                    contains_word(&line, ban.word)
                        && !other_select(file, name, &line)
                        && file != Path::new(DEFINITION)
                }
                word => contains_word(&line, word),
            };
            let above = index.checked_sub(1).map(|above| lines[above]);
            let allowed = [Some(lines[index]), above]
                .into_iter()
                .flatten()
                .any(|line| allows(line, ban.rule));
            if stands && !allowed {
                let what = format!("`{}` must not stand here", ban.word);
                findings.push(Finding::new(ban.rule, file, index + 1, what, ban.fix));
            }
        }
    }
    findings
}

/// The package in whose folder `file` lies.
fn owner<'a>(workspace: &'a Workspace, file: &Path) -> Option<&'a Package> {
    let owners = workspace
        .packages
        .iter()
        .filter(|package| file.starts_with(workspace.folder(package)));
    owners.max_by_key(|package| workspace.folder(package).components().count())
}

impl Place {
    fn holds(self, workspace: &Workspace, file: &Path, owner: Option<&Package>) -> bool {
        let row = owner.and_then(|package| layers::find(package.short()));
        match self {
            Self::Everywhere => true,
            Self::Network => row.is_some_and(|row| row.layer <= Layer::Composition),
            Self::Simulated => row.is_some_and(layers::Row::is_simulated),
            Self::OutsideRuntime => row.is_some_and(|row| row.name != "runtime" && row.layer != Layer::Tools),
            Self::SourcesOfRules => {
                let in_sources =
                    owner.is_some_and(|package| file.starts_with(workspace.folder(package).join("src")));
                in_sources && row.is_some_and(|row| row.layer <= Layer::Rules)
            }
        }
    }
}

/// Whether a `select!` that is not env's stands in `code`, whatever it was imported as.
fn other_select(file: &Path, owner: Option<&str>, code: &str) -> bool {
    if file == Path::new(DEFINITION) {
        return false;
    }
    let ours = match owner {
        Some("env") => "crate::",
        _ => "env::",
    };
    code.match_indices("select!").any(|(at, _)| {
        let before = &code[..at];
        let whole = !before.ends_with(is_word);
        let path = before.ends_with(ours) && !before[..before.len() - ours.len()].ends_with([':', '_']);
        whole && !path
    })
}

/// The modules that a `std::{…}` on the first of these lines names, each as `std::module`.
fn grouped<S: AsRef<str>>(lines: &[S]) -> String {
    const GROUP: &str = "std::{";
    let first = lines[0].as_ref();
    let Some(at) = first.find(GROUP) else {
        return String::new();
    };
    let rest = lines[1..].iter().map(AsRef::as_ref);
    let text = [&first[at + GROUP.len()..]].into_iter().chain(rest);
    let (mut depth, mut modules) = (1, String::from("std::"));
    for letter in text.flat_map(|line| line.chars().chain([' '])) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match letter {
            _ if depth == 0 => break,
            ',' if depth == 1 => modules.push_str(" std::"),
            letter if letter.is_whitespace() && modules.ends_with("std::") => {}
            letter => modules.push(letter),
        }
    }
    modules
}

/// Whether `word` stands in `code` and is not part of a longer one.
fn contains_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].ends_with(is_word) && word.starts_with(is_word);
        let after = code[at + word.len()..].starts_with(is_word) && word.ends_with(is_word);
        !before && !after
    })
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether a comment on `line` allows what `rule` bans, and says why.
fn allows(line: &str, rule: &str) -> bool {
    let permission = format!("tidy: allow {rule}: ");
    let comment = line.split_once("// ").map_or("", |(_, comment)| comment);
    comment
        .strip_prefix(permission.as_str())
        .is_some_and(|reason| reason.trim().contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::samples;

    fn found(file: &str, text: &str) -> Vec<(usize, &'static str)> {
        let root = Path::new("/nowhere");
        let crates = ["env", "ledger", "node", "runtime", "cli"]
            .map(|name| samples::package(root, &format!("crates/{name}"), &format!("soma-{name}"), &[], &[]));
        let others = ["testkit", "sim", "xtask"]
            .map(|name| samples::package(root, name, &format!("soma-{name}"), &[], &[]));
        let workspace = samples::workspace(root, crates.into_iter().chain(others).collect());
        let findings = check(&workspace, Path::new(file), text);
        findings
            .iter()
            .map(|finding| (finding.line, finding.rule))
            .collect()
    }

    #[test]
    fn a_banned_word_is_found_where_it_is_banned() {
        let simulated = [
            "crates/node/src/a.rs",
            "sim/src/a.rs",
            "testkit/src/a.rs",
            "crates/ledger/tests/a.rs",
        ];
        let edges = ["crates/runtime/src/a.rs", "xtask/src/a.rs"];
        let table = [
            ("select", "tokio::select! {}"),
            ("select", "futures::select!(a)"),
            ("select", "futures_util::select! {}"),
            ("select", "select! {}"),
            ("select", "my_env::select! {}"),
            ("select", "select_biased! {}"),
            ("thread-rng", "rand::thread_rng()"),
            ("os-rng", "key(&mut OsRng)"),
            ("std-env", "std::env::args()"),
            ("std-env", "use std::env;"),
            ("std-env", "use std::{env, fmt};"),
            (
                "std-env",
                "use std::{\n    fmt::{self, Write},\n    env::var,\n};",
            ),
            ("select", "use tokio::select as pick;"),
        ];
        for (rule, line) in table {
            for file in simulated {
                let text = format!("// first\n{line}\n");
                assert_eq!(found(file, &text), [(2, rule)], "{file}: {line}");
            }
            for file in edges {
                assert_eq!(found(file, line), [], "{file}: {line}");
            }
        }
        assert_eq!(found("crates/cli/src/a.rs", "OsRng"), [(1, "os-rng")]);
        assert_eq!(found("crates/cli/src/a.rs", "std::env::args()"), []);
    }

    #[test]
    fn what_no_file_may_hold_is_found_in_each() {
        let table = [
            ("ignored-test", "#[ignore]"),
            ("ignored-test", "#[ignore = \"slow\"]"),
            ("ignored-test", "#[cfg_attr(all(), ignore)]"),
            ("placeholder", "todo!()"),
            ("placeholder", "unimplemented!()"),
            ("placeholder", "dbg!(a)"),
        ];
        for (rule, line) in table {
            for file in [
                "crates/runtime/src/a.rs",
                "sim/tests/a.rs",
                "xtask/src/a.rs",
                "fuzz/a.rs",
            ] {
                assert_eq!(found(file, line), [(1, rule)], "{file}: {line}");
            }
        }
    }

    #[test]
    fn the_host_and_floats_stay_outside_of_the_network() {
        for (rule, line) in [
            ("host", "std::fs::read(path)"),
            ("host", "use std::{net, process};"),
            ("host", "std::thread::Builder::new()"),
        ] {
            let expected = line.matches("process").map(|_| (1, rule)).chain([(1, rule)]);
            assert_eq!(
                found("crates/node/src/a.rs", line),
                expected.collect::<Vec<_>>(),
                "{line}"
            );
            assert_eq!(found("crates/runtime/src/a.rs", line), [], "{line}");
        }
        assert_eq!(found("crates/ledger/src/a.rs", "a as f64"), [(1, "float")]);
        assert_eq!(found("crates/ledger/tests/a.rs", "a as f64"), []);
        assert_eq!(found("crates/node/src/a.rs", "a as f64"), []);
    }

    #[test]
    fn rules_use_testkit_from_their_tests_only() {
        assert_eq!(
            found("crates/ledger/src/a.rs", "use testkit::a;"),
            [(1, "testkit")]
        );
        assert_eq!(found("crates/ledger/tests/a.rs", "use testkit::a;"), []);
        assert_eq!(found("crates/node/src/a.rs", "use testkit::a;"), []);
    }

    #[test]
    fn the_select_of_env_is_the_one_to_use() {
        assert_eq!(found("sim/src/a.rs", "env::select! {}"), []);
        assert_eq!(found("sim/src/a.rs", "crate::select! {}"), [(1, "select")]);
        assert_eq!(found("crates/env/src/a.rs", "crate::select! {}"), []);
        assert_eq!(found(DEFINITION, "$crate::__private::tokio::select! {}"), []);
    }

    #[test]
    fn a_longer_word_a_comment_and_a_string_are_something_else() {
        for line in [
            "my_thread_rng()",
            "OsRngs",
            "std::environment",
            "// OsRng",
            "\"OsRng\"",
            "dbg!x_todo",
        ] {
            let expected: &[(usize, &str)] = if line.starts_with("dbg!") {
                &[(1, "placeholder")]
            } else {
                &[]
            };
            assert_eq!(found("sim/src/a.rs", line), expected, "{line}");
        }
    }

    #[test]
    fn an_exception_for_a_file_has_a_reason_and_one_rule() {
        let text = "// tidy: allow os-rng in this file: the guard is shown what it has to catch\nOsRng\n\nOsRng\nstd::env\n";
        assert_eq!(found("sim/src/a.rs", text), [(5, "std-env")]);
        let text = "// tidy: allow os-rng in this file: yes\nOsRng\n";
        assert_eq!(found("sim/src/a.rs", text), [(2, "os-rng")]);
    }

    #[test]
    fn an_exception_has_a_reason() {
        let allowed = "// tidy: allow std-env: the worker is this binary again\nstd::env::current_exe()";
        assert_eq!(found("sim/src/a.rs", allowed), []);
        assert_eq!(
            found(
                "sim/src/a.rs",
                "std::env::args() // tidy: allow std-env: the command line"
            ),
            []
        );
        assert_eq!(
            found("sim/src/a.rs", "std::env::args() // tidy: allow std-env: yes"),
            [(1, "std-env")]
        );
        assert_eq!(
            found("sim/src/a.rs", "OsRng // tidy: allow std-env: the command line"),
            [(1, "os-rng")]
        );
    }
}
