//! Signal handlers of a worker: say what happened and where, then end.

use std::{mem, ptr};

use super::{EXIT_HANG, EXIT_PANIC, EXIT_TRIP, end, slot};
use crate::worker::{Frames, Kind};

/// Enough to unwind on, which the host's least size is not.
const STACK: usize = 256 << 10;
/// Longest path that is reported.
const PATH: usize = 256;

const SIGNALS: [libc::c_int; 6] = [
    libc::SIGSYS,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
];

/// Installs the handlers in this process.
pub(super) fn install() {
    for signal in SIGNALS {
        // SAFETY: zero is a valid value of the struct; the handler has the signature that SA_SIGINFO asks for.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction =
                on_signal as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }
}

/// Gives the calling thread a stack for its handlers, never freed: the thread is the process's last.
pub(super) fn give_stack() {
    // SAFETY: a new anonymous mapping, handed to the kernel for this thread alone.
    unsafe {
        let memory = libc::mmap(
            ptr::null_mut(),
            STACK,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON,
            -1,
            0,
        );
        if memory != libc::MAP_FAILED {
            let stack = libc::stack_t {
                ss_sp: memory,
                ss_flags: 0,
                ss_size: STACK,
            };
            libc::sigaltstack(&raw const stack, ptr::null_mut());
        }
    }
}

/// Reports and ends the worker. Best effort: unwinding is not promised to be safe here, but it takes no lock and no
/// memory with glibc, and what goes wrong ends the worker all the same.
extern "C" fn on_signal(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let registers = Registers::of(context);
    let frames = match &registers {
        Some(registers) => Frames::interrupted_at(registers.instruction),
        None => Frames::take(),
    };
    let frames = frames.as_slice();
    // SAFETY: the kernel passes a valid pointer.
    let cause = unsafe { (*info).si_code };
    match registers {
        Some(registers) if signal == libc::SIGSYS => {
            let mut path = [0; PATH];
            let length = registers.copy_path(&mut path);
            end(Kind::Syscall, registers.call, &path[..length], frames, EXIT_TRIP);
        }
        Some(registers) if signal == libc::SIGSEGV && registers.at_time_stamp(cause) => {
            end(Kind::TimeStamp, 0, &[], frames, EXIT_TRIP);
        }
        _ if signal == libc::SIGABRT && slot().is_some_and(crate::worker::Slot::is_hung) => {
            end(Kind::Hang, 0, &[], frames, EXIT_HANG);
        }
        _ => end(Kind::Signal, i64::from(signal), &[], frames, EXIT_PANIC),
    }
}

/// What a handler needs of the interrupted thread's registers.
struct Registers {
    instruction: u64,
    call: i64,
    arguments: [u64; 2],
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
impl Registers {
    fn of(context: *mut libc::c_void) -> Option<Self> {
        // SAFETY: the kernel passes a ucontext to a handler with SA_SIGINFO.
        let general = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
        let register = |index: libc::c_int| general[usize::try_from(index).unwrap_or(0)];
        Some(Self {
            instruction: register(libc::REG_RIP).cast_unsigned(),
            call: register(libc::REG_RAX),
            arguments: [register(libc::REG_RDI), register(libc::REG_RSI)].map(i64::cast_unsigned),
        })
    }

    /// Whether a fault with code `cause` is one of RDTSC or RDTSCP, which the kernel makes a general protection fault.
    fn at_time_stamp(&self, cause: libc::c_int) -> bool {
        const SI_KERNEL: libc::c_int = 128;
        if cause != SI_KERNEL {
            return false;
        }
        let code = ptr::with_exposed_provenance::<u8>(usize::try_from(self.instruction).unwrap_or(0));
        // SAFETY: the processor decoded the instruction here. Only after 0f 01 is a third byte read.
        unsafe {
            match (code.read(), code.add(1).read()) {
                (0x0f, 0x31) => true,
                (0x0f, 0x01) => code.add(2).read() == 0xf9,
                _ => false,
            }
        }
    }

    /// Copies the path that the call was given, if it takes one. Returns its length.
    fn copy_path(&self, path: &mut [u8; PATH]) -> usize {
        let argument = match self.call {
            libc::SYS_open | libc::SYS_stat | libc::SYS_lstat | libc::SYS_access | libc::SYS_readlink => 0,
            libc::SYS_unlink | libc::SYS_mkdir | libc::SYS_rename | libc::SYS_creat | libc::SYS_execve => 0,
            libc::SYS_openat | libc::SYS_newfstatat | libc::SYS_statx | libc::SYS_readlinkat => 1,
            libc::SYS_faccessat | libc::SYS_faccessat2 | libc::SYS_openat2 | libc::SYS_unlinkat => 1,
            _ => return 0,
        };
        let text = ptr::with_exposed_provenance::<u8>(usize::try_from(self.arguments[argument]).unwrap_or(0));
        if text.is_null() {
            return 0;
        }
        for (length, byte) in path.iter_mut().enumerate() {
            // SAFETY: the caller passed a text that ends in zero, of which nothing past the end is read. If it did not,
            // the fault ends the worker, which is on its way out.
            *byte = unsafe { text.add(length).read() };
            if *byte == 0 {
                return length;
            }
        }
        PATH
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
impl Registers {
    fn of(_context: *mut libc::c_void) -> Option<Self> {
        None
    }

    fn at_time_stamp(&self, _cause: libc::c_int) -> bool {
        false
    }

    fn copy_path(&self, _path: &mut [u8; PATH]) -> usize {
        0
    }
}
