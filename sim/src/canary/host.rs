//! Leaks from the host: clocks, threads, sockets, files, identity.
// tidy: allow std-env in this file: the planted leaks and the tripwire name what they watch for

#![expect(
    clippy::disallowed_methods,
    reason = "these are the leaks that the lint keeps out of everything else"
)]

use std::{net::UdpSocket, time::Duration};

use super::{
    Canary,
    Expected::{Panic, Trip},
    Tripwire::{Functions, Seccomp, Tsc},
    canary,
};

pub(super) static CANARIES: [Canary; 17] = [
    canary!("std thread", Panic("assertion `left == right` failed"), thread),
    canary!("raw thread", Trip(Functions, "pthread_create()"), raw_thread),
    canary!("rdtsc", Trip(Tsc, "time-stamp counter"), rdtsc),
    canary!("vdso clock", Trip(Tsc, "time-stamp counter"), vdso_clock),
    canary!("raw clock", Trip(Seccomp, "clock_gettime"), raw_clock),
    canary!("libc time", Trip(Functions, "time()"), libc_time),
    canary!("real sleep", Trip(Seccomp, "clock_nanosleep"), sleep),
    canary!("socket", Trip(Seccomp, "socket"), socket),
    canary!("environment", Trip(Functions, "getenv(\"HOME\")"), environment),
    canary!("file", Trip(Seccomp, "openat(\"/etc/hostname\")"), file),
    canary!("working directory", Trip(Seccomp, "getcwd"), directory),
    canary!(
        "core count",
        Trip(Seccomp, "openat(\"/proc/self/cgroup\")"),
        core_count
    ),
    canary!(
        "child process",
        Trip(Seccomp, "openat(\"/dev/null\")"),
        child_process
    ),
    canary!("fork", Trip(Seccomp, "clone"), fork),
    canary!("process id", Trip(Functions, "getpid()"), process_id),
    canary!("cpu number", Trip(Functions, "sched_getcpu()"), cpu_number),
    canary!(
        "raw entropy",
        Trip(Functions, "16 bytes of the host's entropy"),
        raw_entropy
    ),
];

async fn thread() -> Vec<u8> {
    let sum = std::thread::spawn(|| 7).join();
    sum.map_or_else(|_| Vec::new(), |sum| vec![sum])
}

/// As C++ starts one: with no attributes, which madsim does not see.
async fn raw_thread() -> Vec<u8> {
    extern "C" fn body(_: *mut libc::c_void) -> *mut libc::c_void {
        std::ptr::null_mut()
    }
    let mut thread: libc::pthread_t = 0;
    // SAFETY: a place for the answer, no attributes, and a function that touches nothing.
    let started =
        unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), body, std::ptr::null_mut()) };
    vec![u8::from(started == 0)]
}

#[cfg(target_arch = "x86_64")]
async fn rdtsc() -> Vec<u8> {
    // SAFETY: every x86-64 has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }.to_le_bytes().to_vec()
}

#[cfg(not(target_arch = "x86_64"))]
async fn rdtsc() -> Vec<u8> {
    Vec::new()
}

/// libc's own clock, found past madsim's: it reads the counter in the vDSO and makes no system call.
async fn vdso_clock() -> Vec<u8> {
    type Clock = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> libc::c_int;
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the name is that of libc's function, of this type; the answer goes to a local.
    unsafe {
        let clock = libc::dlsym(libc::RTLD_NEXT, c"clock_gettime".as_ptr());
        if !clock.is_null() {
            let clock: Clock = std::mem::transmute(clock);
            clock(libc::CLOCK_MONOTONIC, &raw mut now);
        }
    }
    now.tv_nsec.to_le_bytes().to_vec()
}

#[cfg(target_os = "linux")]
async fn raw_clock() -> Vec<u8> {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the answer goes to a local.
    unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_nsec.to_le_bytes().to_vec()
}

#[cfg(not(target_os = "linux"))]
async fn raw_clock() -> Vec<u8> {
    Vec::new()
}

async fn libc_time() -> Vec<u8> {
    // SAFETY: null asks for the answer alone.
    unsafe { libc::time(std::ptr::null_mut()) }.to_le_bytes().to_vec()
}

async fn sleep() -> Vec<u8> {
    std::thread::sleep(Duration::from_millis(1));
    Vec::new()
}

async fn socket() -> Vec<u8> {
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    port.map_or_else(|_| Vec::new(), |port| port.port().to_le_bytes().to_vec())
}

async fn environment() -> Vec<u8> {
    std::env::var("HOME").unwrap_or_default().into_bytes()
}

async fn file() -> Vec<u8> {
    std::fs::read("/etc/hostname").unwrap_or_default()
}

async fn directory() -> Vec<u8> {
    let directory = std::env::current_dir().unwrap_or_default();
    directory.into_os_string().into_encoded_bytes()
}

/// madsim answers `sched_getaffinity`, but std looks at the quota of the control group too.
async fn core_count() -> Vec<u8> {
    let cores = std::thread::available_parallelism();
    cores.map_or(0, |cores| cores.get()).to_le_bytes().to_vec()
}

async fn child_process() -> Vec<u8> {
    let output = std::process::Command::new("hostname").output();
    output.map_or_else(|_| Vec::new(), |output| output.stdout)
}

async fn fork() -> Vec<u8> {
    // SAFETY: a child, if there is one, ends at once.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        child.to_le_bytes().to_vec()
    }
}

async fn process_id() -> Vec<u8> {
    std::process::id().to_le_bytes().to_vec()
}

async fn cpu_number() -> Vec<u8> {
    // SAFETY: asks for an integer.
    #[cfg(target_os = "linux")]
    return unsafe { libc::sched_getcpu() }.to_le_bytes().to_vec();
    #[cfg(not(target_os = "linux"))]
    return Vec::new();
}

#[cfg(target_os = "linux")]
async fn raw_entropy() -> Vec<u8> {
    let mut bytes = vec![0u8; 16];
    // SAFETY: a buffer and its length.
    unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), 0) };
    bytes
}

#[cfg(not(target_os = "linux"))]
async fn raw_entropy() -> Vec<u8> {
    Vec::new()
}
