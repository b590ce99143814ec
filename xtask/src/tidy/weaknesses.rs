//! Whether each weakness of the reference has the tests that its page names, which say by their names or documents what they
//! are about.

use std::fs;
use std::path::Path;

use super::Finding;
use crate::workspace::Workspace;

const PAGE: &str = "crates/ledger/WEAKNESSES.md";

/// What weaknesses are called, and how many there are of each class.
const CLASSES: &[(&str, usize)] = &[("W-C", 10), ("W-H", 27)];

/// Checks that the page has a row for each weakness, and that each test of a row is there.
pub fn check(workspace: &Workspace) -> Vec<Finding> {
    let text = fs::read_to_string(workspace.root.join(PAGE)).unwrap_or_default();
    let names = CLASSES
        .iter()
        .flat_map(|(class, count)| (1..=*count).map(move |number| format!("{class}{number}")));
    names
        .flat_map(|name| row(&workspace.root, &text, &name))
        .collect()
}

/// What is wrong with the row of one weakness.
fn row(root: &Path, text: &str, weakness: &str) -> Vec<Finding> {
    let begins = format!("| {weakness} |");
    let finding = |line: usize, what: String, fix: String| Finding::new("weakness", PAGE, line, what, fix);
    let mut rows = (1..)
        .zip(text.lines())
        .filter(|(_, line)| line.starts_with(&begins));
    let Some((number, row)) = rows.next() else {
        let fix = format!(
            "add a row that begins with `{begins}` and names a test, or says where else it is answered"
        );
        return vec![finding(1, format!("{weakness} has no row"), fix)];
    };
    let row = row.trim_end();
    let row = row.strip_suffix('|').unwrap_or(row);
    let cell = row.rsplit('|').next().unwrap_or_default();
    let mut findings = Vec::new();
    let mut file = String::new();
    // Words of code are a file, and then tests in it.
    for word in cell.split('`').skip(1).step_by(2) {
        if word.contains('/') {
            file = fs::read_to_string(root.join("crates").join(word)).unwrap_or_default();
        } else if let Err(what) = test(&file, word, weakness) {
            let fix = "name the test that tries this, or write it".to_owned();
            findings.push(finding(number, format!("{word} {what}"), fix));
        }
    }
    if cell.trim().is_empty() {
        let fix = "name a test, or say where else it is answered".to_owned();
        findings.push(finding(number, format!("{weakness} has no test"), fix));
    }
    findings
}

/// Whether the file has this test, and whether it says that it is about the weakness.
fn test(file: &str, name: &str, weakness: &str) -> Result<(), String> {
    let begins = format!("fn {name}(");
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    let Some(at) = lines.iter().position(|line| line.starts_with(&begins)) else {
        return Err("is not there".to_owned());
    };
    let above = lines[..at].iter().rev();
    let above: Vec<&str> = above
        .copied()
        .take_while(|line| line.starts_with('#') || line.starts_with("///"))
        .collect();
    if !above.contains(&"#[test]") {
        return Err("is no test".to_owned());
    }
    let prefix = format!("{}_", weakness.to_lowercase().replace('-', "_"));
    let says = above.iter().any(|line| {
        let said = line.trim_start_matches('/').split(':').next().unwrap_or_default();
        said.split([',', ' ', '(']).any(|word| word == weakness)
    });
    if name.starts_with(&prefix) || says {
        return Ok(());
    }
    Err(format!("does not begin with {weakness}, nor does its document"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::samples;

    const SOURCE: &str = "#[test]\nfn w_c1_nobody_does() {}\n\n/// W-M4, W-C10(a): it was lost.\n#[test]\nfn all_is_there() {}\n\nfn w_c2_helps() {}\n";

    #[test]
    fn a_test_says_what_it_is_about() {
        for (name, weakness, expected) in [
            ("w_c1_nobody_does", "W-C1", Ok(())),
            ("all_is_there", "W-C10", Ok(())),
            (
                "all_is_there",
                "W-C1",
                Err("does not begin with W-C1, nor does its document"),
            ),
            ("w_c2_helps", "W-C2", Err("is no test")),
            ("w_c3_is_lost", "W-C3", Err("is not there")),
        ] {
            assert_eq!(
                test(SOURCE, name, weakness),
                expected.map_err(str::to_owned),
                "{name}"
            );
        }
    }

    #[test]
    fn a_row_names_tests_that_are_there_or_says_why_it_names_none() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("crates/a")).unwrap();
        fs::write(root.path().join("crates/a/b.rs"), SOURCE).unwrap();
        let found = |text: &str| -> Vec<String> {
            let findings = row(root.path(), text, "W-C1");
            findings.iter().map(|finding| finding.what.clone()).collect()
        };
        assert_eq!(found("| W-C1 | anybody | `a/b.rs` `w_c1_nobody_does` |"), [""; 0]);
        assert_eq!(
            found("| W-C1 | anybody | `node` answers it |"),
            ["node is not there"]
        );
        assert_eq!(found("| W-C1 | anybody | the node answers it |"), [""; 0]);
        assert_eq!(found("| W-C1 | anybody | |"), ["W-C1 has no test"]);
        assert_eq!(found("| W-C10 | anybody | |"), ["W-C1 has no row"]);
        assert_eq!(
            found("| W-C1 | anybody | `a/c.rs` `w_c1_nobody_does` |"),
            ["w_c1_nobody_does is not there"]
        );
    }

    #[test]
    fn every_weakness_of_this_repository_has_its_tests() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(check(&samples::workspace(root, vec![])), []);
    }
}
