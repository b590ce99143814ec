//! What can go wrong with a trace.

use std::io;

/// Why a trace could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("cannot write the trace: {0}. The run's hashes stand; free space or name another --out")]
    Write(#[source] io::Error),
    /// The disk refused.
    #[error("cannot read the trace: {0}. Check the path and its permissions")]
    Read(#[source] io::Error),
    /// The file is something else.
    #[error("this is not a .simtrace file: it does not begin with `simtrace`")]
    NotATrace,
    /// The file is of another version of the format.
    #[error(
        "the trace has format {found}, this build reads format {known}. Use the build that its run named"
    )]
    Format {
        /// The file's version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The file has kinds of events that this build does not know.
    #[error("the trace has an event kind `{kind}` that this build does not know. Use a newer build")]
    Kind {
        /// The first such kind.
        kind: String,
    },
    /// Bytes of the file are wrong.
    #[error("the trace is damaged at byte {offset}: {what}. Run its seed again with --trace")]
    Damaged {
        /// Where the damaged part begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}
