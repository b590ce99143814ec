//! The two tripwires of the kernel: a filter of system calls, and the fault of the time-stamp counter.

/// What a run may call: memory, locks, output to files that were open before, signals of its own, and exit. Every other
/// call, those of later kernels too, trips.
const ALLOWED: [libc::c_long; 29] = [
    libc::SYS_brk,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fdatasync,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_futex,
    libc::SYS_getpid, // by `abort`; the library's function is one of ours
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_pwrite64,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Makes reading the time-stamp counter a fault on this thread. False if the kernel refuses.
pub(super) fn forbid_time_stamps() -> bool {
    // SAFETY: integers; changes how one instruction behaves on this thread.
    unsafe { libc::prctl(libc::PR_SET_TSC, libc::PR_TSC_SIGSEGV) == 0 }
}

/// Makes every system call that is not allowed a SIGSYS on this thread. False if the kernel refuses.
pub(super) fn forbid_system_calls() -> bool {
    let program = program();
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("the filter is short"),
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the filter, which lives through the call.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) == 0
    }
}

/// The filter in BPF: the architecture must be ours, then the number is looked up in a list.
fn program() -> Vec<libc::sock_filter> {
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    let statement = |code: u32, k: u32, jt: u8| libc::sock_filter {
        code: u16::try_from(code).expect("an instruction's code is 16 bits"),
        jt,
        jf: 0,
        k,
    };
    let load = |offset: usize| {
        let offset = u32::try_from(offset).expect("the struct is 64 bytes");
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0)
    };
    let jump_if =
        |value: u32, distance: u8| statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, distance);
    let answer = |value: u32| statement(libc::BPF_RET | libc::BPF_K, value, 0);

    let mut program = vec![
        load(std::mem::offset_of!(libc::seccomp_data, arch)),
        jump_if(AUDIT_ARCH_X86_64, 1),
        answer(libc::SECCOMP_RET_TRAP),
        load(std::mem::offset_of!(libc::seccomp_data, nr)),
    ];
    // Past the rest of the list, the three instructions of the exception, and the trap.
    let to_allow = |left: usize| u8::try_from(left + 4).expect("the list is shorter than a jump");
    for (index, call) in ALLOWED.iter().enumerate() {
        let number = u32::try_from(*call).expect("the number of a system call is small");
        program.push(jump_if(number, to_allow(ALLOWED.len() - 1 - index)));
    }
    // A draw of no entropy: madsim makes one when a runtime starts, to keep its `getrandom` linked.
    let getrandom = u32::try_from(libc::SYS_getrandom).expect("the number of a system call is small");
    program.push(libc::sock_filter {
        jf: 2,
        ..jump_if(getrandom, 0)
    });
    program.push(load(
        std::mem::offset_of!(libc::seccomp_data, args) + size_of::<u64>(),
    ));
    program.push(jump_if(0, 1));
    program.push(answer(libc::SECCOMP_RET_TRAP));
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}
