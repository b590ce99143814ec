//! What the second run of a check changes about its process. None of it may reach a result.

use crate::draw::{Domain, Seed};

/// What is changed about the process of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Perturbation {
    /// Keys of the run's `RandomState`, in place of the ones that madsim makes of the seed. They are the thread's, so
    /// all nodes of a run have the same.
    pub hasher_key: Option<u64>,
    /// Address space taken before the run's stack and heap are mapped, in MiB: their addresses move. The image's own
    /// move only in a process that [`super::random_layout_command`] started.
    pub shift: u64,
    /// Bytes of stack taken before the run is called.
    pub stack_offset: usize,
    /// Blocks of odd sizes allocated before the run and held through it.
    pub alloc_padding: usize,
    /// The run's environment, empty otherwise.
    pub environment: Vec<(String, String)>,
    /// The run happens once before, on another thread of the worker, and its result is thrown away: statics, caches
    /// and counters of the process are no longer new.
    pub history: bool,
}

impl Perturbation {
    /// Everything changed, by amounts drawn from `key`.
    pub fn draw(key: u64) -> Self {
        let mut draw = Seed::new(key).draw(Domain::Kernel, 0, 0, 0);
        let small = |value: u64| usize::try_from(value).expect("a value below a million is a usize");
        let word = format!("{:x}", draw.bits());
        let environment = ["HOME", "USER", "LANG", "LC_ALL", "TZ", "TERM", "PATH", "RUST_LOG"]
            .map(|name| (String::from(name), format!("/perturbed/{word}/{name}")))
            .to_vec();
        Self {
            hasher_key: Some(draw.bits()),
            shift: draw.within(64, 4096),
            stack_offset: small(draw.within(1, 4096)) * 16,
            alloc_padding: small(draw.within(100, 1000)),
            environment,
            history: true,
        }
    }
}
