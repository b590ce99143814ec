//! What the kernel shows a signal handler of the thread that it interrupted.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(super) use elsewhere::Registers;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) use linux::Registers;

/// Longest path that is reported.
pub(super) const PATH: usize = 256;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux {
    use std::ptr;

    use super::PATH;

    /// What a handler needs of the interrupted thread's registers.
    pub struct Registers {
        instruction: u64,
        call: i64,
        arguments: [u64; 2],
    }

    impl Registers {
        pub fn of(context: *mut libc::c_void) -> Option<Self> {
            // SAFETY: the kernel passes a ucontext to a handler with SA_SIGINFO.
            let general = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
            let register = |index: libc::c_int| general[usize::try_from(index).unwrap_or(0)];
            Some(Self {
                instruction: register(libc::REG_RIP).cast_unsigned(),
                call: register(libc::REG_RAX),
                arguments: [register(libc::REG_RDI), register(libc::REG_RSI)].map(i64::cast_unsigned),
            })
        }

        /// The address of the instruction that was to run.
        pub fn instruction(&self) -> u64 {
            self.instruction
        }

        /// The number of the system call, when one was trapped.
        pub fn call(&self) -> i64 {
            self.call
        }

        /// Whether a fault with code `cause` is one of RDTSC or RDTSCP, which the kernel makes a general protection fault.
        pub fn at_time_stamp(&self, cause: libc::c_int) -> bool {
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
        pub fn copy_path(&self, path: &mut [u8; PATH]) -> usize {
            let argument = match self.call {
                libc::SYS_open | libc::SYS_stat | libc::SYS_lstat | libc::SYS_access | libc::SYS_readlink => {
                    0
                }
                libc::SYS_unlink
                | libc::SYS_mkdir
                | libc::SYS_rename
                | libc::SYS_creat
                | libc::SYS_execve => 0,
                libc::SYS_openat | libc::SYS_newfstatat | libc::SYS_statx | libc::SYS_readlinkat => 1,
                libc::SYS_faccessat | libc::SYS_faccessat2 | libc::SYS_openat2 | libc::SYS_unlinkat => 1,
                _ => return 0,
            };
            let text =
                ptr::with_exposed_provenance::<u8>(usize::try_from(self.arguments[argument]).unwrap_or(0));
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
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod elsewhere {
    use super::PATH;

    /// There are none to be read.
    pub enum Registers {}

    impl Registers {
        pub fn of(_context: *mut libc::c_void) -> Option<Self> {
            None
        }

        pub fn instruction(&self) -> u64 {
            match *self {}
        }

        pub fn call(&self) -> i64 {
            match *self {}
        }

        pub fn at_time_stamp(&self, _cause: libc::c_int) -> bool {
            match *self {}
        }

        pub fn copy_path(&self, _path: &mut [u8; PATH]) -> usize {
            match *self {}
        }
    }
}
