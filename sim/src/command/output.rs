//! Where answers go: standard output for verdicts, standard error for progress.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use serde_json::Value;
use sim::worker::WallClock;

use super::arguments::Format;

/// A terminal is told this often how far things are, after a moment of patience.
const TERMINAL_EVERY: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(1);
/// A log is told this often.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Prints, in one format.
pub struct Output {
    format: Format,
    is_terminal: bool,
    started: WallClock,
    said_at: Duration,
    /// Columns of the progress line that stand on the terminal.
    shown: bool,
}

impl Output {
    pub fn new(format: Format) -> Self {
        Self {
            format,
            is_terminal: io::stderr().is_terminal(),
            started: WallClock::now(),
            said_at: Duration::ZERO,
            shown: false,
        }
    }

    /// How long this has been going on.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints `text` for people, or `value` on a line of its own for programs.
    pub fn put(&mut self, text: &str, value: &Value) -> io::Result<()> {
        match self.format {
            Format::Text => self.text(text),
            Format::Json => self.text(&format!("{value}\n")),
        }
    }

    /// Prints `text` for people only.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        match self.format {
            Format::Text => self.text(text),
            Format::Json => Ok(()),
        }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.clear();
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Shows how far things are, now and then.
    pub fn progress(&mut self, text: impl FnOnce() -> String) {
        let now = self.started.elapsed();
        let (every, from) = match self.is_terminal {
            true => (TERMINAL_EVERY, PATIENCE),
            false => (LOG_EVERY, LOG_EVERY),
        };
        if now < from || now - self.said_at < every {
            return;
        }
        self.said_at = now;
        let line = text();
        // What cannot be shown is not worth a failed run.
        let _ = match self.is_terminal {
            true => write!(io::stderr(), "\r\x1b[K{line}"),
            false => writeln!(io::stderr(), "{line}"),
        };
        self.shown = self.is_terminal;
    }

    /// Says something beside the verdicts.
    pub fn note(&mut self, text: &str) {
        self.clear();
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `duration` in the largest units: `1h02m`, `3m20s`, `12s`.
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let times = [0, 59, 200, 3_720].map(|seconds| short(Duration::from_secs(seconds)));
        assert_eq!(times, ["0s", "59s", "3m20s", "1h02m"]);
    }
}
