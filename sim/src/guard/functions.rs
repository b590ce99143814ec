//! Library functions that learn something of the host without a system call that the filter could see.
//!
//! Like madsim's, these definitions take the place of libc's in every binary that links the simulator. Outside a run
//! they do what libc's do.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) use linux::are_linked;

/// Nothing is ours here.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(super) fn are_linked() -> bool {
    false
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux {
    use std::{
        ffi::CStr,
        hint::black_box,
        mem, ptr,
        sync::atomic::{AtomicPtr, Ordering},
    };

    use crate::{
        guard::{EXIT_TRIP, end, getrandom, is_armed},
        worker::{Frames, Kind},
    };

    /// What std asks for on its own, when it fails or starts a thread. It gets an answer, so that the failure is what is
    /// reported; the environment of a run is empty.
    const OF_STD: [&CStr; 3] = [c"RUST_BACKTRACE", c"RUST_LIB_BACKTRACE", c"RUST_MIN_STACK"];

    unsafe extern "C" {
        static environ: *const *mut libc::c_char;
    }

    /// Whether the names are bound to ours. Asking also keeps the linker from leaving them out.
    pub fn are_linked() -> bool {
        let bound: [(*const (), *const ()); 6] = [
            (libc::syscall as *const (), getrandom::syscall as *const ()),
            (libc::getenv as *const (), getenv as *const ()),
            (libc::getpid as *const (), getpid as *const ()),
            (libc::pthread_create as *const (), pthread_create as *const ()),
            (libc::time as *const (), time as *const ()),
            (libc::sched_getcpu as *const (), sched_getcpu as *const ()),
        ];
        bound
            .into_iter()
            .all(|(theirs, ours)| ptr::eq(black_box(theirs), black_box(ours)))
    }

    fn trip(call: &str) -> ! {
        let frames = Frames::take();
        end(Kind::Function, 0, call.as_bytes(), frames.as_slice(), EXIT_TRIP)
    }

    /// # Safety
    ///
    /// As libc's.
    #[unsafe(no_mangle)]
    #[inline(never)]
    unsafe extern "C" fn getenv(name: *const libc::c_char) -> *mut libc::c_char {
        // SAFETY: the caller passes a text that ends in zero.
        let name = unsafe { CStr::from_ptr(name) };
        if is_armed() && !OF_STD.contains(&name) {
            trip(&format!("getenv({name:?})"));
        }
        let name = name.to_bytes();
        // SAFETY: a list of texts that ends in null, which no thread changes while another reads it.
        unsafe {
            let mut entry = environ;
            while !entry.is_null() && !(*entry).is_null() {
                let text = CStr::from_ptr(*entry).to_bytes();
                if text.starts_with(name) && text.get(name.len()) == Some(&b'=') {
                    return (*entry).add(name.len() + 1);
                }
                entry = entry.add(1);
            }
        }
        ptr::null_mut()
    }

    #[unsafe(no_mangle)]
    #[inline(never)]
    extern "C" fn getpid() -> libc::pid_t {
        if is_armed() {
            trip("getpid()");
        }
        // SAFETY: asks for an integer.
        let number = unsafe { getrandom::invoke(libc::SYS_getpid, [0; 6]) };
        libc::pid_t::try_from(number).unwrap_or(0)
    }

    type Body = extern "C" fn(*mut libc::c_void) -> *mut libc::c_void;
    type Create = unsafe extern "C" fn(
        *mut libc::pthread_t,
        *const libc::pthread_attr_t,
        Body,
        *mut libc::c_void,
    ) -> libc::c_int;

    /// Seen here because the filter sees it too late: libc blocks signals when it starts a thread, so the trap would
    /// kill the worker before it could say where.
    ///
    /// # Safety
    ///
    /// As libc's.
    #[unsafe(no_mangle)]
    #[inline(never)]
    unsafe extern "C" fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        body: Body,
        argument: *mut libc::c_void,
    ) -> libc::c_int {
        if is_armed() {
            trip("pthread_create()");
        }
        static NEXT: AtomicPtr<libc::c_void> = AtomicPtr::new(ptr::null_mut());
        let mut next = NEXT.load(Ordering::Relaxed);
        if next.is_null() {
            // SAFETY: looks a name up.
            next = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()) };
            NEXT.store(next, Ordering::Relaxed);
        }
        if next.is_null() {
            return libc::EAGAIN;
        }
        // SAFETY: the name is that of libc's function, of this type; the arguments are the caller's.
        unsafe {
            let create: Create = mem::transmute(next);
            create(thread, attributes, body, argument)
        }
    }

    /// # Safety
    ///
    /// As libc's: `time` is null or a place for the answer.
    #[unsafe(no_mangle)]
    #[inline(never)]
    unsafe extern "C" fn time(time: *mut libc::time_t) -> libc::time_t {
        if is_armed() {
            trip("time()");
        }
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the pointers are to a local and to what the caller passed.
        unsafe {
            libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now);
            if !time.is_null() {
                time.write(now.tv_sec);
            }
        }
        now.tv_sec
    }

    #[unsafe(no_mangle)]
    #[inline(never)]
    extern "C" fn sched_getcpu() -> libc::c_int {
        if is_armed() {
            trip("sched_getcpu()");
        }
        let mut cpu: libc::c_uint = 0;
        let place = (&raw mut cpu).expose_provenance();
        // SAFETY: the kernel writes to a local that lives through the call.
        match unsafe { getrandom::invoke(libc::SYS_getcpu, [place, 0, 0, 0, 0, 0]) } {
            0 => libc::c_int::try_from(cpu).unwrap_or(-1),
            _ => -1,
        }
    }
}
