//! A length prefix is a claim of the sender: decoding must not reserve memory on its word alone.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use types::{Bitmap, BlockHeader, Bounded, Commit, Committee, decode};

/// The system's allocator, remembering the largest request.
struct Watching;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

fn largest_request(work: impl FnOnce()) -> usize {
    LARGEST.store(0, Ordering::Relaxed);
    work();
    LARGEST.load(Ordering::Relaxed)
}

/// 2^31 - 1, the longest sequence BCS knows, and one byte of content.
const LONG: [u8; 6] = [0xff, 0xff, 0xff, 0xff, 0x07, 1];
/// What serde reserves at most for a vector, whatever its length prefix says.
const RESERVE: usize = 1 << 20;

#[test]
fn a_length_prefix_alone_reserves_at_most_a_mebibyte() {
    // One test, so that no other thread's requests are seen.
    assert!(
        largest_request(|| drop(Vec::<u8>::with_capacity(2 << 20))) > RESERVE,
        "the watch works"
    );

    assert!(largest_request(|| assert!(decode::<Vec<u8>>(&LONG, 9).is_err())) <= RESERVE);
    assert!(largest_request(|| assert!(decode::<Vec<[u64; 32]>>(&LONG, 9).is_err())) <= RESERVE);
    assert!(largest_request(|| assert!(decode::<Vec<Vec<u64>>>(&LONG, 9).is_err())) <= RESERVE);
    assert!(largest_request(|| assert!(decode::<String>(&LONG, 9).is_err())) <= 1024);
    assert!(largest_request(|| assert!(decode::<Bitmap>(&LONG, 9).is_err())) <= RESERVE);
    assert!(largest_request(|| assert!(decode::<Bounded<u64, 1024>>(&LONG, 9).is_err())) <= 1024);
    let committee = [&[0; 8][..], &LONG].concat();
    assert!(largest_request(|| assert!(decode::<Committee>(&committee, 99).is_err())) <= 1024);
    // Epoch, round, author, timestamp, and how many parents.
    let header = [&[0; 22][..], &LONG].concat();
    assert!(largest_request(|| assert!(decode::<BlockHeader>(&header, 99).is_err())) <= 1024);
    // Index, previous, leader, timestamp, no beacon, and how many blocks.
    let commit = [&[0; 87][..], &LONG].concat();
    assert!(largest_request(|| assert!(decode::<Commit>(&commit, 99).is_err())) <= RESERVE);
}
