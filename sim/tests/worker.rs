//! Workers end as they should, and say how.
// tidy: allow os-rng in this file: the planted leaks and the tripwire name what they watch for
// tidy: allow std-env in this file: the planted leaks and the tripwire name what they watch for

use std::{
    hint::black_box,
    ops::ControlFlow,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sim::{
    Seed,
    oracle::Class,
    verdict::Verdict,
    worker::{Assignment, Perturbation, Run, WorkerConfig, WorkerError, WorkerOutcome, run, run_many},
};

/// Forking beside another thread is unsound: `cargo test` runs tests on threads, nextest in processes.
fn alone() -> MutexGuard<'static, ()> {
    static FORKS: Mutex<()> = Mutex::new(());
    FORKS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn quiet() -> WorkerConfig {
    WorkerConfig {
        quiet: true,
        hang_after: Duration::from_secs(60),
        ..WorkerConfig::default()
    }
}

fn impatient() -> WorkerConfig {
    WorkerConfig {
        hang_after: Duration::from_secs(1),
        ..quiet()
    }
}

fn outcome(config: &WorkerConfig, body: fn(&Run<'_>) -> Vec<u8>) -> WorkerOutcome {
    let _alone = alone();
    run(config, Seed::new(7), |_| body)
        .expect("the host lets us fork")
        .outcome
}

fn culprit(outcome: &WorkerOutcome) -> String {
    let backtrace = outcome.backtrace().expect("the outcome has a place");
    backtrace.culprit().expect("a frame is ours").to_string()
}

#[test]
fn a_result_comes_back_whole() {
    let big = outcome(&quiet(), |run| run.seed().get().to_le_bytes().repeat(100_000));
    let expected = 7u64.to_le_bytes().repeat(100_000);
    assert_eq!(big, WorkerOutcome::Finished { result: expected });
}

#[test]
fn a_panic_comes_back_with_its_message_and_place() {
    let panicked = outcome(&quiet(), |_| panic!("the {} is wrong", "invariant"));
    let WorkerOutcome::Panicked { message, .. } = &panicked else {
        panic!("{panicked}");
    };
    assert!(
        message.starts_with("the invariant is wrong (sim/tests/worker.rs:"),
        "{message}"
    );
    assert!(
        culprit(&panicked).contains("a_panic_comes_back"),
        "{}",
        culprit(&panicked)
    );
}

/// What the command line makes of a run that does not return.
fn verdict(config: &WorkerConfig, body: fn(&Run<'_>) -> Vec<u8>) -> Verdict {
    let _alone = alone();
    Verdict::of(&run(config, Seed::new(7), |_| body).expect("the host lets us fork"))
}

#[test]
fn a_worker_that_died_has_a_verdict_with_its_class_its_place_and_the_way_to_it() {
    let panicked = verdict(&quiet(), |_| panic!("the invariant is wrong"));
    let hung = verdict(&impatient(), |_| vec![spin_for_ever()]);
    let aborted = verdict(&quiet(), |_| std::process::abort());
    let deaths = [
        (panicked, Class::Panic, "panicked: the invariant is wrong ("),
        (hung, Class::Hang, "hung after 0 events"),
        (aborted, Class::Panic, "killed by signal 6"),
    ];
    for (verdict, class, what) in deaths {
        let failure = verdict.failure.as_ref().expect("it died");
        assert_eq!((failure.class, verdict.exit_code()), (class, class.exit_code()));
        assert!(failure.what.starts_with(what), "{}", failure.what);
        let place = failure.place.as_deref().expect("a frame is ours");
        assert!(place.contains("sim/tests/worker.rs:"), "{place}");
        assert!(
            failure
                .backtrace
                .iter()
                .all(|frame| frame.contains("sim/tests/worker.rs:"))
        );
        assert!(
            verdict.story().contains(&format!("\nplace: {place}\n")),
            "{}",
            verdict.story()
        );
        assert!(failure.is_like(failure));
    }
}

#[test]
fn a_result_over_the_limit_is_a_panic() {
    let config = WorkerConfig {
        max_result: 10,
        ..quiet()
    };
    let panicked = outcome(&config, |_| vec![0; 11]);
    assert!(matches!(panicked, WorkerOutcome::Panicked { .. }), "{panicked}");
}

#[inline(never)]
fn spin_for_ever() -> u8 {
    while black_box(true) {}
    0
}

#[test]
fn a_run_without_a_heartbeat_is_ended_where_it_spins() {
    let hung = outcome(&impatient(), |run| {
        run.heartbeat().beat(41, 1_000);
        run.heartbeat().beat(42, 2_000);
        vec![spin_for_ever()]
    });
    assert!(culprit(&hung).contains("spin_for_ever"), "{}", culprit(&hung));
    assert_eq!(hung.to_string(), "hung after 42 events, at virtual time 2000");
}

#[test]
fn a_run_that_waits_for_a_lock_it_holds_is_ended() {
    let hung = outcome(&impatient(), |_| {
        let lock = Mutex::new(());
        let _held = lock.lock();
        drop(lock.lock());
        Vec::new()
    });
    assert!(culprit(&hung).contains("waits_for_a_lock"), "{}", culprit(&hung));
}

#[inline(never)]
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(true) {
        overflow(depth + 1) + frame[0]
    } else {
        0
    }
}

#[test]
fn a_stack_overflow_and_an_abort_are_named() {
    let overflowed = outcome(&quiet(), |_| vec![overflow(0) as u8]);
    assert!(
        matches!(
            overflowed,
            WorkerOutcome::Killed {
                signal: libc::SIGSEGV,
                ..
            }
        ),
        "{overflowed}"
    );
    assert!(
        culprit(&overflowed).contains("overflow"),
        "{}",
        culprit(&overflowed)
    );
    let aborted = outcome(&quiet(), |_| std::process::abort());
    assert!(
        matches!(
            aborted,
            WorkerOutcome::Killed {
                signal: libc::SIGABRT,
                ..
            }
        ),
        "{aborted}"
    );
    assert!(culprit(&aborted).contains("are_named"), "{}", culprit(&aborted));
}

#[test]
fn a_run_that_takes_too_much_memory_aborts() {
    let config = WorkerConfig {
        max_memory: 512 << 20,
        ..quiet()
    };
    let aborted = outcome(&config, |_| vec![black_box(1); 1 << 30]);
    assert!(matches!(aborted, WorkerOutcome::Killed { .. }), "{aborted}");
}

#[test]
fn a_run_that_churns_its_heap_trips_nothing() {
    let churned = outcome(&quiet(), |_| {
        let mut sum = 0u64;
        for round in 0..40usize {
            let blocks: Vec<Vec<u8>> = (0..200)
                .map(|size| vec![1; (size * round * 37) % 300_000])
                .collect();
            sum += blocks.iter().map(|block| block.len() as u64).sum::<u64>();
        }
        sum.to_le_bytes().to_vec()
    });
    assert!(
        matches!(churned, WorkerOutcome::Finished { .. }),
        "{churned} {:?}",
        churned.backtrace().map(|b| b.places())
    );
}

#[test]
fn what_the_parent_has_freed_does_not_decide_when_a_heap_shrinks() {
    // glibc takes the largest block that it has given back for the usual one.
    drop(black_box(Vec::<u8>::with_capacity(16 << 20)));
    let shrunk = outcome(&quiet(), |_| {
        let blocks: Vec<Vec<u8>> = (0..600).map(|_| vec![1; 100 << 10]).collect();
        let bytes: u64 = blocks.iter().map(|block| block.len() as u64).sum();
        drop(black_box(blocks));
        bytes.to_le_bytes().to_vec()
    });
    assert!(matches!(shrunk, WorkerOutcome::Finished { .. }), "{shrunk}");
}

#[test]
fn the_environment_is_empty_unless_it_is_perturbed() {
    let _alone = alone();
    let job = |_| |_: &Run<'_>| std::env::vars_os().count().to_le_bytes().to_vec();
    let plain = run(&quiet(), Seed::new(1), job).unwrap();
    assert_eq!(plain.outcome, WorkerOutcome::Finished { result: vec![0; 8] });
    let perturbation = Perturbation::draw(3);
    let count = perturbation.environment.len();
    let assignment = Assignment {
        seed: Seed::new(1),
        perturbation: Some(perturbation),
    };
    let perturbed = run(&quiet(), assignment, job).unwrap();
    let result = count.to_le_bytes().to_vec();
    assert_eq!(perturbed.outcome, WorkerOutcome::Finished { result });
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn entropy_of_the_host_is_answered_from_the_seed_where_that_is_allowed() {
    let _alone = alone();
    let draw = |seed: Seed| {
        move |_: &Run<'_>| {
            madsim::runtime::Runtime::with_seed_and_config(seed.get(), madsim::Config::default()).block_on(
                async {
                    let mut bytes = vec![0u8; 32];
                    // SAFETY: a buffer and its length.
                    unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), 0) };
                    bytes
                },
            )
        }
    };
    let config = WorkerConfig {
        guard: Some(sim::guard::Policy {
            os_rng: sim::guard::OsRng::Allow,
        }),
        ..quiet()
    };
    let [first, again, other] = [1, 1, 2].map(|seed| run(&config, Seed::new(seed), draw).unwrap());
    assert!(
        matches!(first.outcome, WorkerOutcome::Finished { .. }),
        "{}",
        first.outcome
    );
    assert_eq!(first.outcome, again.outcome);
    assert_ne!(first.outcome, other.outcome);
    assert_eq!(first.os_draws, 1);
    let trapped = run(&quiet(), Seed::new(1), draw).unwrap().outcome;
    assert_eq!(
        trapped.to_string(),
        "tripped the guard: 32 bytes of the host's entropy"
    );
}

#[test]
fn a_batch_reports_in_the_order_of_its_seeds() {
    let _alone = alone();
    let work = |seed: Seed| {
        move |_: &Run<'_>| {
            // The first of each four is slow.
            let rounds = if seed.get().is_multiple_of(4) {
                3_000_000
            } else {
                0u64
            };
            let sum = (0..rounds).fold(seed.get(), |sum, round| black_box(sum ^ round));
            sum.to_le_bytes().to_vec()
        }
    };
    let mut seeds = Vec::new();
    let config = WorkerConfig { jobs: 3, ..quiet() };
    let batch = run_many(&config, (0..40).map(Seed::new), work, |report| {
        seeds.push(report.assignment.seed.get());
        ControlFlow::Continue(())
    });
    assert_eq!(batch.unwrap().reported, 40);
    assert_eq!(seeds, (0..40).collect::<Vec<_>>());
}

#[test]
fn a_batch_that_is_stopped_names_the_seeds_in_flight() {
    let _alone = alone();
    let config = WorkerConfig { jobs: 2, ..quiet() };
    let seeds = (0..).map(Seed::new);
    let work = |seed: Seed| {
        move |_: &Run<'_>| {
            if seed.get() > 0 {
                vec![spin_for_ever()]
            } else {
                vec![]
            }
        }
    };
    let batch = run_many(&config, seeds, work, |_| ControlFlow::Break(())).unwrap();
    assert_eq!((batch.reported, batch.in_flight), (1, vec![Seed::new(1)]));
}

#[test]
fn ctrl_c_ends_a_batch() {
    let _alone = alone();
    let parent = std::process::id();
    let work = |_| {
        // SAFETY: a signal to the parent, which watches for it.
        unsafe { libc::kill(parent.cast_signed(), libc::SIGINT) };
        |_: &Run<'_>| vec![spin_for_ever()]
    };
    let batch = run_many(&quiet(), [Seed::new(5)], work, |_| ControlFlow::Continue(())).unwrap();
    assert!(batch.interrupted);
    assert_eq!(batch.in_flight, [Seed::new(5)]);
}

#[test]
fn ctrl_c_ends_a_run_inside_a_batch_and_the_batch() {
    let _alone = alone();
    let ends = |_| |_: &Run<'_>| Vec::new();
    let mut inner = Vec::new();
    let batch = run_many(&quiet(), (0..9).map(Seed::new), ends, |_| {
        // SAFETY: a signal to this process, which the batch watches for.
        unsafe { libc::raise(libc::SIGINT) };
        inner.push(run(&quiet(), Seed::new(5), ends));
        ControlFlow::Continue(())
    });
    assert!(batch.unwrap().interrupted);
    assert!(matches!(inner[..], [Err(WorkerError::Interrupted)]), "{inner:?}");
    let later = run(&quiet(), Seed::new(6), ends).expect("what came before is over");
    assert_eq!(later.outcome, WorkerOutcome::Finished { result: Vec::new() });
}
