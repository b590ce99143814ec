//! Signal handlers of a worker: say what happened and where, then end.

use std::{mem, ptr};

use super::{
    EXIT_HANG, EXIT_PANIC, EXIT_TRIP, end,
    registers::{PATH, Registers},
    slot,
};
use crate::worker::{Frames, Kind};

/// Enough to unwind on, which the host's least size is not.
const STACK: usize = 256 << 10;

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

/// Gives the calling thread a stack for its handlers. It is never freed: a worker has one such thread, or two.
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
        Some(registers) => Frames::interrupted_at(registers.instruction()),
        None => Frames::take(),
    };
    let frames = frames.as_slice();
    // SAFETY: the kernel passes a valid pointer.
    let cause = unsafe { (*info).si_code };
    match registers {
        Some(registers) if signal == libc::SIGSYS => {
            let mut path = [0; PATH];
            let length = registers.copy_path(&mut path);
            end(
                Kind::Syscall,
                registers.call(),
                &path[..length],
                frames,
                EXIT_TRIP,
            );
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
