//! A consumer's own record of what it was given, as text: one line a commit, in order, each of them once.
//!
//! `epoch index digest payloads`, and a line end. A line that a crash cut off is taken away at the next start, and its commit
//! is handed over again: so whatever happens to the process, the file has no gap and says nothing twice. After a power cut
//! it is as long as it was at the last start at least.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use consensus::SubDag;
use env::StorageError;
use node::consensus::{Consumer, Flow};
use types::{CommitIndex, CommitRef, Epoch};

/// More bytes than a line has.
const LINE: u64 = 256;

/// A file of notes.
#[derive(Debug)]
pub struct Notes {
    path: PathBuf,
    file: File,
    epoch: Epoch,
}

/// A file that takes no notes.
#[derive(Debug, thiserror::Error)]
pub enum NotesError {
    /// The system refuses.
    #[error("{}: {source}; check `--notes`", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// Somebody else wrote the end of the file.
    #[error("{}: its last line is no note: {line:?}; name a file that this member began", path.display())]
    NoNote {
        /// Which file.
        path: PathBuf,
        /// The line.
        line: String,
    },
}

impl Notes {
    /// Opens the file, or begins it.
    ///
    /// # Errors
    /// [`NotesError`].
    pub fn open(path: &Path) -> Result<Self, NotesError> {
        let refused = |source| NotesError::Io {
            path: path.to_path_buf(),
            source,
        };
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true);
        let mut notes = Self {
            path: path.to_path_buf(),
            file: options.open(path).map_err(refused)?,
            epoch: Epoch::ZERO,
        };
        let line = notes.whole_lines().map_err(refused)?;
        match line.map(|line| parse(&line).ok_or(line)) {
            Some(Err(line)) => Err(NotesError::NoNote {
                path: notes.path,
                line,
            }),
            None | Some(Ok(_)) => Ok(notes),
        }
    }

    /// Takes away a line without an end, makes the rest durable, and yields the last line.
    fn whole_lines(&mut self) -> std::io::Result<Option<String>> {
        let length = self.file.seek(SeekFrom::End(0))?;
        let from = length.saturating_sub(2 * LINE);
        self.file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        self.file.read_to_end(&mut tail)?;
        let whole = tail
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        // What is longer than a line and has no end is nobody's note: it stays, and is refused.
        let is_foreign = whole == 0 && from > 0;
        if !is_foreign {
            self.file.set_len(from + whole as u64)?;
            tail.truncate(whole);
        }
        self.file.seek(SeekFrom::End(0))?;
        self.file.sync_data()?;
        let text = String::from_utf8_lossy(&tail);
        Ok(text.lines().last().map(str::to_owned))
    }

    fn failed(&self, error: &std::io::Error) -> StorageError {
        StorageError::Io {
            store: self.path.display().to_string(),
            detail: error.to_string(),
        }
    }
}

/// The epoch and the commit that a line is about.
fn parse(line: &str) -> Option<(Epoch, CommitRef)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [epoch, index, digest, payloads] = words[..] else {
        return None;
    };
    payloads.parse::<usize>().ok()?;
    let index = CommitIndex::new(index.parse().ok()?);
    let digest = digest.parse().ok()?;
    Some((Epoch::new(epoch.parse().ok()?), CommitRef { index, digest }))
}

impl Consumer for Notes {
    async fn start(&mut self, epoch: Epoch) -> Result<Option<CommitRef>, StorageError> {
        let line = self.whole_lines().map_err(|error| self.failed(&error))?;
        self.epoch = epoch;
        let last = line.and_then(|line| parse(&line));
        Ok(last.filter(|(of, _)| *of == epoch).map(|(_, commit)| commit))
    }

    async fn handle(&mut self, commit: SubDag) -> Result<Flow, StorageError> {
        let payloads: usize = commit.payloads.iter().map(consensus::Payloads::len).sum();
        let line = format!(
            "{} {} {} {payloads}\n",
            self.epoch, commit.commit.index, commit.digest
        );
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|error| self.failed(&error))?;
        Ok(match commit.is_last {
            true => Flow::Close,
            false => Flow::Continue,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crypto::Digest;
    use types::CommitDigest;

    use super::*;

    fn line(index: u64) -> String {
        let digest = CommitDigest::new(Digest::of(&index.to_le_bytes()));
        format!("0 {index} {digest} 3\n")
    }

    fn opened(text: &str) -> (Result<Option<u64>, String>, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notes");
        fs::write(&path, text).expect("a file");
        let notes = Notes::open(&path).map_err(|error| error.to_string());
        let last = notes.map(|mut notes| {
            let line = notes.whole_lines().expect("it can be read");
            line.and_then(|line| parse(&line))
                .map(|(_, commit)| commit.index.get())
        });
        let name = path.display().to_string();
        let last = last.map_err(|error| error.replace(&name, "notes"));
        (last, fs::read_to_string(&path).expect("a file"))
    }

    #[test]
    fn the_last_whole_line_counts_and_a_line_that_was_cut_off_goes() {
        assert_eq!(opened(""), (Ok(None), String::new()));
        let text = line(1) + &line(2);
        assert_eq!(opened(&text), (Ok(Some(2)), text.clone()));
        let long: String = (1..40).map(line).collect();
        assert_eq!(opened(&long), (Ok(Some(39)), long.clone()));
        let next = line(40);
        for end in 1..next.len() {
            assert_eq!(
                opened(&(long.clone() + &next[..end])),
                (Ok(Some(39)), long.clone())
            );
        }
    }

    #[test]
    fn a_file_of_somebody_else_is_left_alone() {
        let foreign = "x".repeat(1_000);
        let (error, text) = opened(&foreign);
        assert!(error.unwrap_err().contains("is no note"));
        assert_eq!(text, foreign);
        let (error, _) = opened("a will\n");
        assert_eq!(
            error.unwrap_err(),
            "notes: its last line is no note: \"a will\"; name a file that this member began"
        );
    }
}
