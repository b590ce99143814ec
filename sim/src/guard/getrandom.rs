//! `syscall`, so that a draw of the host's entropy is seen.
//!
//! getrandom 0.2, and so `OsRng` of rand 0.8, which fastcrypto takes by default, goes past madsim: it calls libc's
//! `syscall` and not its `getrandom`. This definition takes the place of libc's in every binary that links the simulator.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use super::{EXIT_TRIP, end, is_armed, os_rng_is_trapped, slot};
use crate::worker::{Frames, Kind};

/// libc's `syscall`: makes a system call, unless it is one for entropy in a run.
///
/// # Safety
///
/// As the system call asks.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) unsafe extern "C" fn syscall(
    number: libc::c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> libc::c_long {
    if number == libc::SYS_getrandom && madsim::runtime::Handle::try_current().is_ok() {
        // getrandom asks for no bytes first, to learn whether the kernel has the call.
        if b > 0 && is_armed() && os_rng_is_trapped() {
            let frames = Frames::take();
            end(
                Kind::Entropy,
                i64::try_from(b).unwrap_or(i64::MAX),
                &[],
                frames.as_slice(),
                EXIT_TRIP,
            );
        }
        if let Some(slot) = slot().filter(|_| b > 0) {
            slot.count_os_draw();
        }
        let flags = libc::c_uint::try_from(c).unwrap_or(0);
        // SAFETY: the caller passed a buffer of `b` bytes at `a`; madsim's `getrandom` fills it from the seed.
        let filled = unsafe { libc::getrandom(std::ptr::with_exposed_provenance_mut(a), b, flags) };
        return filled as libc::c_long;
    }
    // SAFETY: the caller's promise.
    unsafe { invoke(number, [a, b, c, d, e, f]) }
}

/// Makes a system call; on failure sets `errno` and returns -1.
///
/// # Safety
///
/// As the system call asks.
pub(super) unsafe fn invoke(number: libc::c_long, arguments: [usize; 6]) -> libc::c_long {
    let [a, b, c, d, e, f] = arguments;
    let mut result: libc::c_long;
    // SAFETY: the kernel's convention on x86-64: number and result in rax, arguments in these registers, rcx and r11
    // lost. What the call does is the caller's promise.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    if (-4095..0).contains(&result) {
        // SAFETY: glibc's `errno` of this thread.
        unsafe { *libc::__errno_location() = i32::try_from(-result).unwrap_or(libc::EINVAL) };
        return -1;
    }
    result
}
