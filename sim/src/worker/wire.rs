//! The one message that a worker writes before it ends.
//!
//! Kind (1 byte), number (8), length of the text (8), count of frames (8), the text, the frames (8 each). A signal
//! handler writes it too, so writing allocates nothing.

use std::os::fd::RawFd;

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The run ended; the text is its result.
    Result = 1,
    /// The run panicked; the text is the message.
    Panic,
    /// The parent gave up on the run.
    Hang,
    /// A signal that a program dies of; the number is the signal.
    Signal,
    /// A system call that no run makes; the number is its number, the text the path that it named.
    Syscall,
    /// The time-stamp counter was read.
    TimeStamp,
    /// A library function that asks the host was called; the text is its name and argument.
    Function,
    /// The host's entropy was drawn, by the system call that madsim does not see; the number is how many bytes.
    Entropy,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Result,
        Self::Panic,
        Self::Hang,
        Self::Signal,
        Self::Syscall,
        Self::TimeStamp,
        Self::Function,
        Self::Entropy,
    ];
}

const HEADER: usize = 25;

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub kind: Kind,
    pub number: i64,
    pub text: Vec<u8>,
    pub frames: Vec<u64>,
}

/// Writes a message. It allocates nothing and takes no lock; what the reader has closed is lost.
pub(crate) fn write(descriptor: RawFd, kind: Kind, number: i64, text: &[u8], frames: &[u64]) {
    let mut header = [0; HEADER];
    header[0] = kind as u8;
    header[1..9].copy_from_slice(&number.to_le_bytes());
    header[9..17].copy_from_slice(&(text.len() as u64).to_le_bytes());
    header[17..].copy_from_slice(&(frames.len() as u64).to_le_bytes());
    let _ = write_all(descriptor, &header)
        && write_all(descriptor, text)
        && frames
            .iter()
            .all(|frame| write_all(descriptor, &frame.to_le_bytes()));
}

fn write_all(descriptor: RawFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        // SAFETY: the pointer and the length are of one slice that lives through the call.
        let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(0) | Err(_) => return false,
            Ok(written) => bytes = &bytes[written..],
        }
    }
    true
}

/// The message in `bytes`, or `None` when a worker died before it had written all of one.
pub(super) fn read(bytes: &[u8]) -> Option<Message> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let field = |at: usize| {
        let bytes = header[at..at + 8].try_into().expect("eight bytes were sliced");
        u64::from_le_bytes(bytes)
    };
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == header[0])?;
    let (text, rest) = rest.split_at_checked(usize::try_from(field(9)).ok()?)?;
    let count = usize::try_from(field(17)).ok()?;
    let (frames, []) = rest.as_chunks::<8>() else {
        return None;
    };
    (frames.len() == count).then(|| Message {
        kind,
        number: field(1).cast_signed(),
        text: text.to_vec(),
        frames: frames.iter().map(|frame| u64::from_le_bytes(*frame)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, pipe},
        os::fd::AsRawFd,
    };

    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written_and_no_part_of_it_is_one() {
        let (mut reader, writer) = pipe().unwrap();
        write(
            writer.as_raw_fd(),
            Kind::Syscall,
            -7,
            b"/etc/hosts",
            &[1, u64::MAX],
        );
        drop(writer);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        let expected = Message {
            kind: Kind::Syscall,
            number: -7,
            text: b"/etc/hosts".to_vec(),
            frames: vec![1, u64::MAX],
        };
        assert_eq!(read(&bytes), Some(expected));
        assert!((0..bytes.len()).all(|end| read(&bytes[..end]).is_none()));
        bytes.push(0);
        assert_eq!(read(&bytes), None);
    }
}
