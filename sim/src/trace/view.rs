//! A trace as one page: it needs no network and no other file.

use std::io::{Read, Seek};

use serde::Serialize;

use super::{Entry, Error, Kind, Level, Record, Trace};

/// The most events on a page; of a longer trace it has the last ones, since that is where failures are.
pub const VIEW_EVENTS: usize = 200_000;

const PAGE: &str = include_str!("view/page.html");
const STYLE: &str = include_str!("view/page.css");
const SCRIPT: &str = concat!(include_str!("view/blocks.js"), include_str!("view/page.js"));

/// What the script gets. Numbers above 2^53 are strings, for the page's numbers are doubles.
#[derive(Serialize)]
struct Page<'a> {
    title: String,
    verdict: &'a str,
    complete: bool,
    facts: Vec<(&'static str, String)>,
    scenario: &'a str,
    plan: &'a str,
    /// Name, labels of the numbers, level.
    kinds: Vec<(&'static str, [&'static str; 2], u8)>,
    names: &'a [String],
    world: u16,
    left_out: u64,
    events: Columns,
}

#[derive(Default, Serialize)]
struct Columns {
    seq: Vec<u64>,
    time: Vec<u64>,
    node: Vec<u16>,
    incarnation: Vec<u16>,
    kind: Vec<u8>,
    name: Vec<u16>,
    a: Vec<Number>,
    b: Vec<Number>,
    /// Empty for none.
    digest: Vec<String>,
    cause: Vec<u32>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Exact(u64),
    Text(String),
}

/// The page of a trace: its header, time lines of all nodes, a table of events, the causes of any event, and of a consensus the
/// blocks by round and author.
pub fn view<R: Read + Seek>(trace: &mut Trace<R>) -> Result<String, Error> {
    let kept: u64 = trace.blocks().iter().map(|block| u64::from(block.events)).sum();
    let mut first = trace.blocks().len();
    let mut shown = 0;
    for (index, block) in trace.blocks().iter().enumerate().rev() {
        shown += block.events as usize;
        if shown > VIEW_EVENTS {
            break;
        }
        first = index;
    }
    let mut events = Columns::default();
    for index in first..trace.blocks().len() {
        for entry in trace.block(index)? {
            events.push(entry);
        }
    }
    let header = trace.header();
    let page = Page {
        title: format!("seed {}", header.seed),
        verdict: trace.footer().map_or("", |footer| &footer.verdict),
        complete: trace.cut().is_none(),
        facts: facts(trace),
        scenario: &header.scenario,
        plan: &header.plan,
        kinds: Kind::ALL
            .iter()
            .map(|kind| (kind.name(), kind.numbers(), level(*kind)))
            .collect(),
        names: trace.names().texts(),
        world: Record::WORLD,
        left_out: kept - events.seq.len() as u64,
        events,
    };
    let data = serde_json::to_string(&page).expect("texts and numbers have a JSON form");
    // Within a script element only a `<` can end it, and JSON has that character in strings alone.
    let data = data.replace('<', "\\u003c");
    let page = PAGE.replace("/* style */", STYLE).replace("/* script */", SCRIPT);
    let (before, after) = page
        .split_once("/* data */")
        .expect("the page has a place for data");
    Ok([before, &data, after].concat())
}

fn facts<R: Read + Seek>(trace: &Trace<R>) -> Vec<(&'static str, String)> {
    let header = trace.header();
    let mut facts = vec![
        ("seed", header.seed.to_string()),
        ("level", format!("{:?}", trace.level())),
        ("kernel", header.kernel.clone()),
        ("crypto", header.crypto.clone()),
        ("commit", header.commit.clone()),
        ("binary", header.binary.clone()),
    ];
    facts.retain(|(_, text)| !text.is_empty());
    if let Some(footer) = trace.footer() {
        facts.push(("events", footer.summary.events.to_string()));
        facts.push(("run hash", footer.summary.run_hash.to_string()));
        facts.push(("semantic hash", footer.summary.semantic_hash.to_string()));
        let counters: Vec<_> = footer
            .counters
            .iter()
            .map(|(name, count)| format!("{name}={count}"))
            .collect();
        facts.push(("counters", counters.join(" ")));
    }
    facts
}

fn level(kind: Kind) -> u8 {
    match kind.level() {
        Level::L0 => 0,
        Level::L1 => 1,
        Level::L2 => 2,
        Level::L3 => 3,
    }
}

impl Columns {
    fn push(&mut self, entry: &Entry) {
        let record = &entry.record;
        self.seq.push(entry.seq);
        self.time.push(record.time);
        self.node.push(record.node);
        self.incarnation.push(record.incarnation);
        self.kind.push(record.kind as u8);
        self.name.push(record.name.number());
        self.a.push(number(record.a));
        self.b.push(number(record.b));
        self.digest.push(
            record
                .digest
                .map_or(String::new(), |digest| format!("{digest:016x}")),
        );
        self.cause.push(record.cause);
    }
}

fn number(value: u64) -> Number {
    if value < 1 << 53 {
        Number::Exact(value)
    } else {
        Number::Text(value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::trace::sample::{Shared, file, header};
    use crate::trace::{Header, Options, Recorder};

    #[test]
    fn a_hostile_text_stays_a_text() {
        let hostile = "</script><script>alert(1)</script><!--";
        let sink = Shared::default();
        let options = Options {
            level: Level::L2,
            ..Options::default()
        };
        let header = Header {
            scenario: hostile.to_owned(),
            ..header(1)
        };
        let mut recorder = Recorder::new(header, options, Some(Box::new(sink.clone())));
        let name = recorder.name(hostile);
        recorder.record(Record {
            name,
            a: u64::MAX,
            ..Record::new(0, 0, Kind::Protocol)
        });
        recorder
            .finish(hostile, BTreeMap::from([(hostile.to_owned(), 1)]))
            .unwrap();
        let page = view(&mut Trace::from_bytes(&sink.bytes()).unwrap()).unwrap();
        assert!(!page.contains("alert(1)</script>"));
        assert_eq!(page.matches("</script>").count(), 2);
        assert_eq!(page.matches("\\u003c/script>\\u003cscript>alert(1)").count(), 4);
        assert!(page.contains("\"18446744073709551615\""));
        assert!(!SCRIPT.contains("innerHTML"), "texts of a trace are never markup");
    }

    #[test]
    fn a_page_asks_for_nothing_outside_itself() {
        let bytes = file(
            Options {
                level: Level::L2,
                ..Options::default()
            },
            7,
            4,
            1000,
        );
        let page = view(&mut Trace::from_bytes(&bytes).unwrap()).unwrap();
        for outside in ["http:", "https:", "src=", "@import", "url(", "fetch("] {
            assert!(!page.contains(outside), "{outside}");
        }
        for place in ["/* style */", "/* script */", "/* data */"] {
            assert!(!page.contains(place));
        }
    }
}
