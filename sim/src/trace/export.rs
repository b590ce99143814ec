//! Traces for other tools: a JSON object per line, and Chrome's trace events, which Perfetto opens.

use std::collections::BTreeSet;
use std::io::{Read, Seek, Write};

use serde::Serialize;

use super::{Entry, Error, Kind, Names, Record, Trace};

/// One event of [`ndjson`].
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    t: u64,
    /// `None` for what happens to no node.
    node: Option<u16>,
    incarnation: u16,
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    a: u64,
    b: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Sequence number.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<u64>,
}

/// Writes every kept event as one JSON object on a line, in order: `seq`, `t` (virtual nanoseconds), `node` (null for
/// the world), `incarnation`, `kind`, `a`, `b`, and where there are any `name`, `digest` (hexadecimal) and `cause`
/// (sequence number).
pub fn ndjson<R: Read + Seek>(trace: &mut Trace<R>, out: &mut impl Write) -> Result<(), Error> {
    for_each(trace, |entry, names| {
        let record = &entry.record;
        let line = Line {
            seq: entry.seq,
            t: record.time,
            node: Some(record.node).filter(|node| *node != Record::WORLD),
            incarnation: record.incarnation,
            kind: record.kind.name(),
            name: names.text(record.name),
            a: record.a,
            b: record.b,
            digest: record.digest.map(|digest| format!("{digest:016x}")),
            cause: entry.cause(),
        };
        writeln!(out, "{}", quoted(&line))
    })
}

/// Writes the kept events in Chrome's trace-event format: a process per node, a thread per incarnation, spans for
/// computations and disk operations, arrows for messages, marks for the rest.
pub fn perfetto<R: Read + Seek>(trace: &mut Trace<R>, out: &mut impl Write) -> Result<(), Error> {
    let put = |result: std::io::Result<()>| result.map_err(Error::Write);
    put(writeln!(out, "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":["))?;
    let mut nodes = BTreeSet::new();
    for_each(trace, |entry, names| {
        nodes.insert(entry.record.node);
        trace_event(entry, names, out)
    })?;
    for node in nodes {
        let name = match node {
            Record::WORLD => "world".to_owned(),
            node => format!("node {node}"),
        };
        let row = format!("{{\"ph\":\"M\",\"pid\":{node},\"tid\":0,\"name\":\"process_name\"");
        put(writeln!(out, "{row},\"args\":{{\"name\":\"{name}\"}}}},"))?;
    }
    // The last one has no comma; it is there so that all others can have one.
    let verdict = trace.footer().map_or("", |footer| &footer.verdict);
    let args = format!("{{\"name\":\"verdict\",\"verdict\":{}}}", quoted(&verdict));
    put(writeln!(
        out,
        "{{\"ph\":\"M\",\"pid\":0,\"tid\":0,\"name\":\"verdict\",\"args\":{args}}}\n]}}"
    ))
}

fn trace_event(entry: &Entry, names: &Names, out: &mut impl Write) -> std::io::Result<()> {
    let Record {
        time,
        node,
        incarnation,
        kind,
        a,
        b,
        ..
    } = entry.record;
    let name = names.text(entry.record.name);
    let title = quoted(&if name.is_empty() { kind.name() } else { name });
    let (micros, nanos) = (time / 1000, time % 1000);
    // The two ends of a span or of an arrow are found by their number in a category.
    let category = match kind {
        Kind::DiskStart | Kind::DiskEnd => "disk",
        Kind::BlobStart | Kind::BlobEnd => "blob",
        Kind::Send | Kind::Deliver => "message",
        _ => kind.name(),
    };
    let place =
        format!("\"pid\":{node},\"tid\":{incarnation},\"ts\":{micros}.{nanos:03},\"cat\":\"{category}\"");
    let args = format!("\"args\":{{\"seq\":{},\"a\":{a},\"b\":{b}}}", entry.seq);
    let cause = entry.cause().unwrap_or(entry.seq);
    match kind {
        Kind::Compute => {
            let (micros, nanos) = (a / 1000, a % 1000);
            let dur = format!("\"dur\":{micros}.{nanos:03}");
            writeln!(out, "{{\"ph\":\"X\",{place},{dur},\"name\":{title},{args}}},")
        }
        Kind::DiskStart | Kind::BlobStart => {
            writeln!(
                out,
                "{{\"ph\":\"b\",{place},\"id\":{},\"name\":{title},{args}}},",
                entry.seq
            )
        }
        Kind::DiskEnd | Kind::BlobEnd => {
            writeln!(
                out,
                "{{\"ph\":\"e\",{place},\"id\":{cause},\"name\":{title},{args}}},"
            )
        }
        // An arrow starts and ends in a span, so messages are spans of no length.
        Kind::Send => {
            writeln!(out, "{{\"ph\":\"X\",{place},\"dur\":0,\"name\":{title},{args}}},")?;
            writeln!(
                out,
                "{{\"ph\":\"s\",{place},\"id\":{},\"name\":\"message\"}},",
                entry.seq
            )
        }
        Kind::Deliver => {
            writeln!(out, "{{\"ph\":\"X\",{place},\"dur\":0,\"name\":{title},{args}}},")?;
            writeln!(
                out,
                "{{\"ph\":\"f\",\"bp\":\"e\",{place},\"id\":{cause},\"name\":\"message\"}},"
            )
        }
        _ => {
            let scope = if node == Record::WORLD { "g" } else { "t" };
            writeln!(
                out,
                "{{\"ph\":\"i\",\"s\":\"{scope}\",{place},\"name\":{title},{args}}},"
            )
        }
    }
}

fn for_each<R: Read + Seek>(
    trace: &mut Trace<R>,
    mut visit: impl FnMut(&Entry, &Names) -> std::io::Result<()>,
) -> Result<(), Error> {
    let names = trace.names().clone();
    for index in 0..trace.blocks().len() {
        for entry in trace.block(index)? {
            visit(entry, &names).map_err(Error::Write)?;
        }
    }
    Ok(())
}

fn quoted<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("texts and numbers have a JSON form")
}
