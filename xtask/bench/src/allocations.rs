//! The system's allocator, counting how often each thread asks it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    // Of the thread, so that threads that are compared do not wait for each other's cache lines.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Requests of this thread so far. One that makes a block larger is a request.
pub fn count() -> u64 {
    COUNT.get()
}

fn one_more() {
    // A thread that ends has no counter any more.
    let _ended = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        one_more();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        one_more();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        one_more();
        // SAFETY: the pointer came from `System` with this layout, and the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_of_this_thread_is_counted() {
        let before = count();
        let mut bytes: Vec<u8> = Vec::with_capacity(10);
        bytes.reserve_exact(100);
        std::thread::scope(|scope| drop(scope.spawn(|| vec![0_u8; 9]).join()));
        let zeroes = std::hint::black_box(vec![0_u8; 1_000]);
        drop((std::hint::black_box(bytes), zeroes));
        let counted = count() - before;
        // Starting a thread asks for some memory as well.
        assert!((3..20).contains(&counted), "{counted}");
    }
}
