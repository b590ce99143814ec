//! Where things lie in memory: the same place in every worker, unless a check asks for another.
// tidy: allow std-env in this file: the planted leaks and the tripwire name what they watch for

use std::{io, process::Command, ptr};

/// Names, in the environment of a process of ours, the layout that it was started for.
const VARIABLE: &str = "SOMA_SIM_LAYOUT";
const GIB: usize = 1 << 30;

/// Where the image, the stack and the mappings of a process lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// At the same addresses in every process of this image.
    Fixed,
    /// Where the host's randomization puts them.
    Random,
}

/// Gives this process, and so every worker that it forks, a fixed layout. Call it first in `main`: it starts the program
/// again, with the same arguments, because only a new image takes the setting.
///
/// Returns what the process has. That is `Random` on a host that refuses the setting, on one that is not Linux, and in
/// a process that [`random_layout_command`] started.
pub fn fix_layout() -> io::Result<Layout> {
    let asked = std::env::var_os(VARIABLE);
    match asked {
        _ if layout() == Layout::Fixed => Ok(Layout::Fixed),
        Some(_) => Ok(Layout::Random),
        None if personality::set_randomization(false).is_err() => Ok(Layout::Random),
        None => Err(restart()),
    }
}

/// The layout that this process has.
pub fn layout() -> Layout {
    match personality::randomization_is_off() {
        true => Layout::Fixed,
        false => Layout::Random,
    }
}

/// A command that runs this program again under address randomization, whatever this process has. Its workers differ
/// from this process's in every address, that of the image included: the second half of a thorough check.
pub fn random_layout_command() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(VARIABLE, "random");
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // SAFETY: between fork and exec the hook makes one system call and allocates nothing.
        unsafe { command.pre_exec(|| personality::set_randomization(true).or(Ok(()))) };
    }
    Ok(command)
}

/// Replaces this process by the same program. Returns only to say why it could not.
fn restart() -> io::Error {
    use std::os::unix::process::CommandExt;

    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    Command::new(program)
        .arg0(name)
        .args(arguments)
        .env(VARIABLE, "fixed")
        .exec()
}

/// Moves the place where the next large mappings go down to a multiple of 1 GiB, and `shift` MiB further: what the
/// parent has mapped since it started does not show in the addresses of a run.
pub(super) fn settle(shift: u64) {
    let reserve = |hint: usize, size: usize| {
        // SAFETY: a new mapping that nothing can read or write, where nothing is mapped: the address is a hint.
        let start = unsafe {
            libc::mmap(
                ptr::without_provenance_mut(hint),
                size,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        (start != libc::MAP_FAILED).then_some(start)
    };
    // Only below everything else is there room for this one, so its end is the lowest address in use.
    let Some(probe) = reserve(0, GIB) else {
        return;
    };
    // SAFETY: unmaps the mapping made above, which nothing points into.
    unsafe { libc::munmap(probe, GIB) };
    let lowest = probe.addr() + GIB;
    let size = lowest % GIB + usize::try_from(shift << 20).unwrap_or(0);
    if size > 0 {
        let _ = reserve(lowest.saturating_sub(size), size);
    }
}

#[cfg(target_os = "linux")]
pub(super) mod personality {
    use std::io;

    const NO_RANDOMIZATION: libc::c_int = libc::ADDR_NO_RANDOMIZE;

    fn current() -> libc::c_int {
        // SAFETY: this argument asks and changes nothing.
        unsafe { libc::personality(0xffff_ffff) }
    }

    pub fn randomization_is_off() -> bool {
        let current = current();
        current >= 0 && current & NO_RANDOMIZATION != 0
    }

    /// Turns randomization on or off in the images that this process executes from now on.
    pub fn set_randomization(on: bool) -> io::Result<()> {
        let wanted = match on {
            true => current() & !NO_RANDOMIZATION,
            false => current() | NO_RANDOMIZATION,
        };
        // SAFETY: takes an integer; only a later exec is affected.
        match unsafe { libc::personality(libc::c_ulong::from(wanted.cast_unsigned())) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) mod personality {
    use std::io;

    pub fn randomization_is_off() -> bool {
        false
    }

    pub fn set_randomization(_on: bool) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}
