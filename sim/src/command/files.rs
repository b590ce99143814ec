//! What is done with one trace: a page, an export.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use sim::consensus::dag::Dag;
use sim::recipe::{Build, Recipe};
use sim::trace::{Header, Trace, ndjson, perfetto, view};

use super::arguments::ExportArguments;
use super::localise::{AnyTrace, Source};
use super::{Refusal, setup};

/// Opens a trace that the command line names.
pub fn open(path: &Path) -> Result<AnyTrace> {
    let refused = |error: &dyn std::fmt::Display| Refusal(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(|error| refused(&error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(refused(&"this is a folder; name a .simtrace file in it").into());
    }
    let trace = Trace::open(Box::new(file) as Box<dyn Source>);
    Ok(trace.map_err(|error| refused(&error))?)
}

/// Writes the page of the trace at `path`.
pub fn write_page(path: &Path, page: &Path) -> Result<()> {
    let mut trace = open(path)?;
    let text = view(&mut trace).with_context(|| path.display().to_string())?;
    std::fs::write(page, text).with_context(|| format!("{} cannot be written", page.display()))
}

/// Makes a page.
pub fn make_page(path: &Path, page: &Path) -> Result<u8> {
    if path == page {
        return Err(
            Refusal("the page would replace the trace: name another file after -o".to_owned()).into(),
        );
    }
    let trace = open(path)?;
    if trace.blocks().is_empty() {
        eprintln!(
            "note: the trace keeps no events, so the page shows its header; record with --trace L1 or more"
        );
    }
    drop(trace);
    drop(setup::create(page)?);
    write_page(path, page)?;
    Ok(0)
}

/// Writes a trace for other tools.
pub fn export(arguments: &ExportArguments) -> Result<u8> {
    let mut trace = open(&arguments.trace)?;
    if arguments.out.as_ref() == Some(&arguments.trace) {
        return Err(
            Refusal("the export would replace the trace: name another file after -o".to_owned()).into(),
        );
    }
    let mut out: BufWriter<Box<dyn Write>> = BufWriter::new(match &arguments.out {
        Some(path) => Box::new(setup::create(path)?),
        None => Box::new(io::stdout().lock()),
    });
    if arguments.dag {
        let dag = Dag::read(&mut trace);
        let dag = dag.map_err(|error| Refusal(format!("{}: {error}", arguments.trace.display())))?;
        for line in dag.lines() {
            writeln!(out, "{line}")?;
        }
    } else if arguments.ndjson {
        ndjson(&mut trace, &mut out)?;
    } else {
        perfetto(&mut trace, &mut out)?;
    }
    out.flush()?;
    Ok(0)
}

/// The recipe of the run that `header`, of the trace at `path`, describes.
pub fn recipe_of(path: &Path, header: &Header, build: &Build) -> Result<Recipe> {
    let recipe = Recipe::of(header, build.clone());
    Ok(recipe.map_err(|error| Refusal(format!("{}: {error}", path.display())))?)
}
