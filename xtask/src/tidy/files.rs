//! What a file may be: its name, its size, its lines.

use std::path::Path;

use super::Finding;

/// A Rust file of more lines is hard to hold in one's head.
const COMFORTABLE: usize = 600;
const LONGEST: usize = 800;

/// A binary file of more bytes does not belong into the history.
const LARGEST_BINARY: usize = 256 * 1024;

/// The first folders of paths that exist on one machine only.
const MACHINES: &[&str] = &["home", "root", "Users", "work"];

/// Checks one file, whose name is relative to the root.
pub fn check(file: &Path, bytes: &[u8]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |rule, line, what: String, fix: &str| {
        findings.push(Finding::new(rule, file, line, what, fix));
    };
    if file.file_name().is_some_and(|name| name == "mod.rs") {
        let fix = "call it after its folder: `foo.rs` beside `foo/`";
        found("mod-file", 1, "the name says nothing".to_owned(), fix);
    }
    if bytes.contains(&0) {
        if bytes.len() > LARGEST_BINARY {
            let what = format!("a binary of {} KiB", bytes.len() / 1024);
            found(
                "large-binary",
                1,
                what,
                "generate it, or make it smaller than 256 KiB",
            );
        }
        return findings;
    }
    let text = String::from_utf8_lossy(bytes);
    for (index, line) in text.lines().enumerate() {
        if !is_data(file) && line.ends_with([' ', '\t', '\r']) {
            let what = "blanks at the end of the line".to_owned();
            found("trailing-blanks", index + 1, what, "remove them");
        }
        if let Some(folder) = machine_path(line) {
            let what = format!("a path below /{folder} exists on one machine only");
            found(
                "machine-path",
                index + 1,
                what,
                "make it relative to the repository",
            );
        }
    }
    let lines = text.lines().count();
    if is_rust(file) && lines > COMFORTABLE {
        let what = format!("{lines} lines");
        let finding = Finding::new("long-file", file, lines, what, "split it by concept");
        findings.push(if lines > LONGEST {
            finding
        } else {
            finding.warning()
        });
    }
    findings
}

fn is_rust(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "rs")
}

/// Written by programs, byte for byte.
fn is_data(file: &Path) -> bool {
    file.starts_with("fixtures") || file.extension().is_some_and(|extension| extension == "snap")
}

fn machine_path(line: &str) -> Option<&'static str> {
    let absolute = |folder: &&&str| {
        let path = format!("/{folder}/");
        line.match_indices(&path).any(|(at, _)| {
            // Part of a longer path or of an address, unless nothing stands before it.
            !line[..at].ends_with(|letter: char| letter.is_alphanumeric() || "._-}~*)/".contains(letter))
        })
    };
    MACHINES.iter().find(absolute).copied()
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;

    fn found(file: &str, bytes: &[u8]) -> Vec<(usize, &'static str)> {
        let findings = check(Path::new(file), bytes);
        findings
            .iter()
            .map(|finding| (finding.line, finding.rule))
            .collect()
    }

    #[test]
    fn a_long_file_warns_and_a_longer_one_fails() {
        let lines = |count| "a\n".repeat(count).into_bytes();
        assert_eq!(found("a.rs", &lines(600)), []);
        assert_eq!(found("a.md", &lines(900)), []);
        for (count, weight) in [
            (601, Weight::Warning),
            (800, Weight::Warning),
            (801, Weight::Failure),
        ] {
            let findings = check(Path::new("a.rs"), &lines(count));
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!((findings[0].rule, findings[0].weight), ("long-file", weight));
        }
    }

    #[test]
    fn a_module_is_called_after_its_folder() {
        assert_eq!(found("a/mod.rs", b""), [(1, "mod-file")]);
        assert_eq!(found("a/model.rs", b""), []);
    }

    #[test]
    fn a_line_ends_with_its_last_word() {
        assert_eq!(
            found("a.md", b"a\nb \nc\t\nd\r\n"),
            [(2, "trailing-blanks"), (3, "trailing-blanks")]
        );
        assert_eq!(found("fixtures/a.txt", b"a \n"), []);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        for folder in MACHINES {
            let bad = format!("a\nsee `/{folder}/b`\n");
            assert_eq!(found("a.md", bad.as_bytes()), [(2, "machine-path")], "{bad}");
            let good = format!("https://example.org/{folder}/b $A/{folder}/b ./{folder}/b /{folder}less/b\n");
            assert_eq!(found("a.md", good.as_bytes()), [], "{good}");
        }
    }

    #[test]
    fn a_large_binary_is_found() {
        assert_eq!(
            found("a.bin", &vec![0; LARGEST_BINARY + 1]),
            [(1, "large-binary")]
        );
        assert_eq!(found("a.bin", &vec![0; LARGEST_BINARY]), []);
        assert_eq!(found("a.txt", &vec![b'a'; LARGEST_BINARY + 1]), []);
    }
}
