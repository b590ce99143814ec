//! The sum of a batch: counts, and the first failures. It stays small however many seeds there are.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::draw::Seed;
use crate::oracle::Class;
use crate::verdict::{Failure, Verdict, millis, speed, words, worse};

/// Failures that are remembered one by one.
pub const KEPT: usize = 100;

/// What became of the seeds so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Seeds that ended.
    pub seeds: u64,
    /// Those that failed.
    pub failed: u64,
    /// Events of all of them.
    pub events: u64,
    /// Virtual time of all of them.
    pub virtual_ns: u64,
    /// Faults of all plans.
    pub faults: u64,
    /// How often each marked place was reached.
    pub sites: BTreeMap<String, u64>,
    /// Sums of the runs' figures, in the order of the first run that has them.
    pub figures: Vec<(String, u64)>,
    classes: BTreeMap<Class, u64>,
    kept: Vec<Kept>,
    exit_code: u8,
}

#[derive(Clone, Debug)]
struct Kept {
    seed: Seed,
    wall: Duration,
    failure: Failure,
    line: String,
    repro: String,
    files: Vec<String>,
}

impl Tally {
    /// Adds a seed.
    pub fn add(&mut self, verdict: &Verdict) {
        self.seeds += 1;
        self.events = self.events.saturating_add(verdict.events);
        self.virtual_ns = self.virtual_ns.saturating_add(verdict.virtual_ns);
        self.faults = self.faults.saturating_add(verdict.faults as u64);
        for (site, count) in &verdict.sites {
            *self.sites.entry(site.clone()).or_default() += count;
        }
        for (name, count) in &verdict.figures {
            match self.figures.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum = sum.saturating_add(*count),
                None => self.figures.push((name.clone(), *count)),
            }
        }
        let Some(failure) = &verdict.failure else { return };
        self.failed += 1;
        *self.classes.entry(failure.class).or_default() += 1;
        self.exit_code = worse(self.exit_code, verdict.exit_code());
        if self.kept.len() < KEPT {
            self.kept.push(Kept {
                seed: verdict.seed,
                wall: verdict.wall,
                failure: failure.clone(),
                line: verdict.line(),
                repro: verdict.repro.clone(),
                files: verdict.files.clone(),
            });
        }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// The verdict line of the batch, which took `wall` and was cut off with `in_flight` seeds begun if any are.
    pub fn line(&self, wall: Duration, in_flight: &[Seed]) -> String {
        let word = match (self.failed, in_flight) {
            (0, []) => "PASS",
            (0, _) => "INTERRUPTED",
            _ => "FAIL",
        };
        let mut line = format!(
            "{word} seeds={} passed={} failed={}",
            self.seeds,
            self.seeds - self.failed,
            self.failed
        );
        for (class, count) in &self.classes {
            write!(line, " {}={count}", class.name()).expect("a string takes all text");
        }
        if let Some(first) = self.kept.first() {
            write!(line, " first_failed={}", first.seed).expect("a string takes all text");
        }
        if !in_flight.is_empty() {
            write!(line, " in_flight={}", list(in_flight)).expect("a string takes all text");
        }
        let speed = speed(self.virtual_ns, wall);
        let figures = words(&self.figures);
        line + &format!(" events={} {speed}{figures} faults={}", self.events, self.faults)
    }

    /// The same for programs.
    pub fn json(&self, wall: Duration, in_flight: &[Seed]) -> serde_json::Value {
        let failing: Vec<u64> = self.kept.iter().map(|kept| kept.seed.get()).collect();
        serde_json::json!({
            "type": "batch",
            "verdict": if self.failed > 0 { "fail" } else if in_flight.is_empty() { "pass" } else { "interrupted" },
            "seeds": self.seeds,
            "passed": self.seeds - self.failed,
            "failed": self.failed,
            "classes": self.classes.iter().map(|(class, count)| (class.name(), *count)).collect::<BTreeMap<_, _>>(),
            "failing": failing,
            "in_flight": in_flight.iter().map(|seed| seed.get()).collect::<Vec<_>>(),
            "events": self.events,
            "virtual_ns": self.virtual_ns,
            "wall_ms": millis(wall),
            "faults": self.faults,
            "sites": self.sites,
            "figures": self.figures.iter().cloned().collect::<BTreeMap<_, _>>(),
        })
    }

    /// A JUnit report: a case for each failure that is remembered, and one for all seeds that passed. Its counts are of
    /// all seeds.
    pub fn junit(&self, name: &str, wall: Duration) -> String {
        let passed = self.seeds - self.failed;
        let name = xml(name);
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{name}\" tests=\"{}\" \
             failures=\"{}\" errors=\"0\" time=\"{:.3}\">\n",
            self.seeds,
            self.failed,
            wall.as_secs_f64()
        );
        if passed > 0 {
            writeln!(
                text,
                "<testcase classname=\"{name}\" name=\"{passed} seeds passed\"/>"
            )
            .expect("a string takes all text");
        }
        for kept in &self.kept {
            let story: Vec<&str> = [kept.line.as_str(), kept.repro.as_str()]
                .into_iter()
                .chain(kept.failure.story.iter().map(String::as_str))
                .chain(kept.failure.backtrace.iter().map(String::as_str))
                .collect();
            writeln!(
                text,
                "<testcase classname=\"{name}\" name=\"seed {}\" time=\"{:.3}\">\n<failure type=\"{}\" message=\"{}: \
                 {}\">{}</failure>\n</testcase>",
                kept.seed,
                kept.wall.as_secs_f64(),
                kept.failure.class.name(),
                xml(&kept.failure.oracle),
                xml(&kept.failure.what),
                xml(&story.join("\n")),
            )
            .expect("a string takes all text");
        }
        if let Some(more) = self.more() {
            writeln!(text, "<system-out>{more}</system-out>").expect("a string takes all text");
        }
        text + "</testsuite>\n</testsuites>\n"
    }

    /// A summary in markdown. `known` is every marked place of the program.
    pub fn markdown(&self, name: &str, wall: Duration, known: &[&str]) -> String {
        let missed: Vec<&str> = known
            .iter()
            .copied()
            .filter(|site| self.sites.get(*site).is_none_or(|count| *count == 0))
            .collect();
        let word = if self.failed > 0 { "failed" } else { "passed" };
        let mut text = format!(
            "## Simulator: {word}\n\n| | |\n|---|---|\n| what | {} |\n| seeds | {} |\n| failed | {} |\n| events | {} |\n\
             | time | {} |\n| faults | {} |\n| marked places reached | {} of {} |\n",
            cell(name),
            self.seeds,
            self.failed,
            self.events,
            speed(self.virtual_ns, wall),
            self.faults,
            known.len() - missed.len(),
            known.len()
        );
        if !missed.is_empty() {
            let missed: Vec<String> = missed.iter().map(|site| format!("`{site}`")).collect();
            write!(text, "\nNot reached: {}\n", missed.join(", ")).expect("a string takes all text");
        }
        if !self.kept.is_empty() {
            text += "\n| seed | class | rule | what | again | files |\n|---|---|---|---|---|---|\n";
        }
        for kept in &self.kept {
            writeln!(
                text,
                "| {} | {} | {} | {} | `{}` | {} |",
                kept.seed,
                kept.failure.class.name(),
                cell(&kept.failure.oracle),
                cell(&kept.failure.what),
                cell(&kept.repro),
                cell(&kept.files.join(" "))
            )
            .expect("a string takes all text");
        }
        if let Some(more) = self.more() {
            writeln!(text, "\n{more}").expect("a string takes all text");
        }
        text
    }

    /// How many failures are not remembered one by one, if any are not.
    fn more(&self) -> Option<String> {
        let more = self.failed - self.kept.len() as u64;
        (more > 0).then(|| format!("and {more} more seeds failed"))
    }
}

fn list(seeds: &[Seed]) -> String {
    let seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
    seeds.join(",")
}

/// `text` inside an element or an attribute. What XML cannot say at all becomes the replacement character.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            '\n' => escaped += "&#10;",
            '\t' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => escaped.push(letter),
            _ => escaped.push('\u{fffd}'),
        }
    }
    escaped
}

/// `text` inside a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace(['\n', '\r', '`'], " ")
        .replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(seed: u64, class: Option<Class>) -> Verdict {
        Verdict {
            seed: Seed::new(seed),
            wall: Duration::from_millis(10),
            events: 1000,
            virtual_ns: 5_000_000_000,
            hash: None,
            faults: 2,
            sites: BTreeMap::from([("here".to_owned(), 1)]),
            figures: vec![("commits".to_owned(), 9)],
            failure: class.map(|class| Failure {
                class,
                oracle: "rule".to_owned(),
                node: None,
                at_ns: 0,
                event: None,
                what: "<a> & \"b\"\u{1}|\nc".to_owned(),
                story: vec!["first".to_owned()],
                place: None,
                backtrace: Vec::new(),
            }),
            objection: None,
            trace_error: None,
            repro: format!("sim --seed {seed}"),
            files: Vec::new(),
        }
    }

    fn tally() -> Tally {
        let mut tally = Tally::default();
        for (seed, class) in [
            (1, None),
            (2, Some(Class::Hang)),
            (3, Some(Class::Safety)),
            (4, Some(Class::Hang)),
            (5, None),
        ] {
            tally.add(&verdict(seed, class));
        }
        tally
    }

    #[test]
    fn a_batch_is_one_line_with_its_counts() {
        let wall = Duration::from_millis(50);
        let line = "FAIL seeds=5 passed=2 failed=3 safety=1 hang=2 first_failed=2 events=5000 vtime=25.000s wall=50ms \
                    speed=500x commits=45 faults=10";
        assert_eq!(tally().line(wall, &[]), line);
        assert_eq!(tally().exit_code(), 10);
        let mut passed = Tally::default();
        passed.add(&verdict(1, None));
        assert!(
            passed
                .line(wall, &[])
                .starts_with("PASS seeds=1 passed=1 failed=0 events=")
        );
        let cut = passed.line(wall, &[Seed::new(7), Seed::new(8)]);
        assert!(
            cut.starts_with("INTERRUPTED seeds=1 passed=1 failed=0 in_flight=7,8 "),
            "{cut}"
        );
        assert_eq!(passed.exit_code(), 0);
        assert_eq!(tally().json(wall, &[])["classes"]["hang"], 2);
        assert_eq!(tally().json(wall, &[])["failing"], serde_json::json!([2, 3, 4]));
    }

    #[test]
    fn a_batch_of_many_failures_keeps_a_few() {
        let mut tally = Tally::default();
        for seed in 0..10_000 {
            tally.add(&verdict(seed, Some(Class::Panic)));
        }
        assert_eq!((tally.failed, tally.kept.len()), (10_000, KEPT));
        let text = tally.markdown("swarm", Duration::ZERO, &["here", "there"]);
        assert!(text.contains("and 9900 more seeds failed"), "{text}");
        let junit = tally.junit("swarm", Duration::ZERO);
        assert!(
            junit.contains("tests=\"10000\" failures=\"10000\"")
                && junit.contains("<system-out>and 9900 more seeds failed</system-out>"),
            "{junit}"
        );
        assert!(
            text.contains("| marked places reached | 1 of 2 |\n\nNot reached: `there`"),
            "{text}"
        );
    }

    #[test]
    fn a_junit_report_escapes_what_it_quotes() {
        let text = tally().junit("sim \"swarm\"", Duration::from_secs(2));
        assert!(text.contains("<testsuite name=\"sim &quot;swarm&quot;\" tests=\"5\" failures=\"3\" errors=\"0\" time=\"2.000\">"));
        assert!(
            text.contains("message=\"rule: &lt;a&gt; &amp; &quot;b&quot;\u{fffd}|&#10;c\""),
            "{text}"
        );
        assert_eq!(text.matches("<testcase ").count(), 4);
        assert_eq!(text.matches("</testcase>").count(), 3);
    }

    #[test]
    fn a_summary_keeps_its_table_whole() {
        let text = tally().markdown("swarm", Duration::from_secs(2), &["here"]);
        let row = "| 2 | hang | rule | &lt;a> & \"b\"\u{1}\\| c | `sim --seed 2` |  |";
        assert!(text.lines().any(|line| line == row), "{text}");
    }
}
