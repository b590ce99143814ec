//! Where something happened: addresses taken in a worker, named by its parent, which is the same image.

use std::{fmt, path::Path};

/// The return addresses of a worker's thread, innermost first.
///
/// A worker must not read files, so it sends addresses only. They have names in the process that forked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backtrace {
    addresses: Vec<u64>,
}

/// One frame of a backtrace: a function, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The function.
    pub function: String,
    /// File, from the workspace's root where it lies in it, and line.
    pub line: Option<(String, u32)>,
}

impl Backtrace {
    pub(super) fn new(addresses: Vec<u64>) -> Self {
        Self { addresses }
    }

    /// Every frame, innermost first. This reads debug information: keep it for what is shown.
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for &address in &self.addresses {
            let Ok(address) = usize::try_from(address) else {
                continue;
            };
            backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
                places.push(Place {
                    function: symbol.name().map_or_else(
                        || String::from("?"),
                        |name| without_arguments(&format!("{name:#}")),
                    ),
                    line: symbol
                        .filename()
                        .zip(symbol.lineno())
                        .map(|(file, line)| (relative(file), line)),
                });
            });
        }
        places
    }

    /// The frames in files of this workspace that are not the harness, innermost first; where there are none, those of
    /// other crates.
    pub fn relevant(&self) -> Vec<Place> {
        let (ours, others): (Vec<_>, Vec<_>) = self.places().into_iter().partition(Place::is_ours);
        if !ours.is_empty() {
            return ours;
        }
        others.into_iter().filter(Place::is_foreign).collect()
    }

    /// The first frame that is neither the standard library nor the harness: first by file, among the crates that have
    /// line tables; else by the function's name.
    pub fn culprit(&self) -> Option<Place> {
        let places = self.places();
        places
            .iter()
            .find(|place| place.is_ours())
            .or_else(|| places.iter().find(|place| place.is_foreign()))
            .cloned()
    }
}

impl Place {
    /// In a file of this workspace that is not the harness. Other files have absolute paths, those of C relative ones
    /// that start with a dot.
    fn is_ours(&self) -> bool {
        const OTHERS: [&str; 4] = ["/", ".", "sim/src/guard", "sim/src/worker"];
        let line = self.line.as_ref();
        line.is_some_and(|(file, _)| !OTHERS.iter().any(|others| file.starts_with(others)))
    }

    /// A Rust function of a crate other than the standard library and the harness.
    fn is_foreign(&self) -> bool {
        const KNOWN: [&str; 7] = [
            "std::",
            "core::",
            "alloc::",
            "backtrace::",
            "sim::guard::",
            "sim::worker::",
            "rust_",
        ];
        let name = self.function.trim_start_matches('<');
        let in_std = self
            .line
            .as_ref()
            .is_some_and(|(file, _)| file.starts_with("/rustc/"));
        !in_std && name.contains("::") && !KNOWN.iter().any(|known| name.starts_with(known))
    }
}

impl fmt::Display for Place {
    /// The function, if its name says which (that of an inlined one may not), and the line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.line {
            Some((file, line)) if self.function.contains("::") => {
                write!(f, "{} at {file}:{line}", self.function)
            }
            Some((file, line)) => write!(f, "{file}:{line}"),
            None => f.write_str(&self.function),
        }
    }
}

/// The name of a function without the types that it is made for, which can fill a screen.
fn without_arguments(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    let mut depth = 0u32;
    let mut before = ' ';
    for letter in name.chars() {
        let is_after_name = before.is_alphanumeric() || matches!(before, '_' | '}');
        match letter {
            '<' if depth > 0 || is_after_name => depth += 1,
            '>' if depth > 0 && before != '-' => depth -= 1,
            _ if depth == 0 => short.push(letter),
            _ => {}
        }
        before = letter;
    }
    short
}

fn relative(file: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.and_then(|root| file.strip_prefix(root).ok())
        .unwrap_or(file)
        .display()
        .to_string()
}

/// Most frames that are taken.
const DEPTH: usize = 96;

/// Return addresses on the stack of the thread that takes them: no allocation, so a signal handler can.
pub(crate) struct Frames {
    addresses: [u64; DEPTH],
    count: usize,
}

impl Frames {
    /// The frames of this thread, from its caller out.
    pub(crate) fn take() -> Self {
        let mut frames = Self {
            addresses: [0; DEPTH],
            count: 0,
        };
        // SAFETY: the unsynchronized form is for threads that do not trace at one time; only symbolising, which no
        // worker does, has shared state.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                frames.push(frame.ip().addr() as u64);
                frames.count < DEPTH
            });
        }
        frames
    }

    /// The frames of this thread from the instruction at `address` out, where a signal interrupted it.
    pub(crate) fn interrupted_at(address: u64) -> Self {
        let mut frames = Self::take();
        let inner = frames.as_slice().iter().position(|frame| *frame == address);
        let skipped = inner.map_or(0, |index| index + 1);
        frames.addresses.copy_within(skipped..frames.count, 0);
        frames.count -= skipped;
        // Lookups take the instruction before an address, as it should be for a return address.
        frames.count = frames.count.min(DEPTH - 1);
        frames.addresses.copy_within(0..frames.count, 1);
        frames.addresses[0] = address + 1;
        frames.count += 1;
        frames
    }

    /// The addresses, innermost first.
    pub(crate) fn as_slice(&self) -> &[u64] {
        &self.addresses[..self.count]
    }

    fn push(&mut self, address: u64) {
        self.addresses[self.count] = address;
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_without_its_types() {
        let table = [
            ("sim::run::go", "sim::run::go"),
            ("run<a::B<c::D>, fn() -> e::F<u8>>", "run"),
            ("{async_fn#0}<sim::Env>", "{async_fn#0}"),
            ("<a::B<C> as d::E>::f", "<a::B as d::E>::f"),
            ("a::<impl b::C>::d", "a::<impl b::C>::d"),
            ("a::<impl b::C<D>>::e<F>", "a::<impl b::C>::e"),
        ];
        for (name, short) in table {
            assert_eq!(without_arguments(name), short);
        }
    }
}
