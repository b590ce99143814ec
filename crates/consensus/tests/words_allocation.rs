//! What a peer announces is no reason to reserve memory: only what it has sent is.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use consensus::{Answer, Member, Members, Production, Request, Rules, SignedBlock};
use crypto::{BlsSecretKey, Digest, Ed25519SecretKey};
use types::{AuthorityIndex, Bounded, ChainId, CommitIndex, Epoch, UnixMillis, VotingPower};

/// The system's allocator, adding up what is asked for.
struct Watching;

static TOTAL: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TOTAL.fetch_add(layout.size(), Ordering::Relaxed);
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

fn allocated(work: impl FnOnce()) -> usize {
    TOTAL.store(0, Ordering::Relaxed);
    work();
    TOTAL.load(Ordering::Relaxed)
}

/// 2^31 - 1, the longest sequence that BCS knows, and one byte of content.
const LONG: [u8; 6] = [0xff, 0xff, 0xff, 0xff, 0x07, 1];
/// What serde reserves at most for a vector, whatever its length prefix says.
const RESERVE: usize = 1 << 20;

/// A frame of the only member up to this field: form, epoch, round, author, time, digest, signature, no vote, no share of
/// the beacon; then a set without anybody.
fn head(form: u8) -> Vec<u8> {
    let digest = if form == 0 { 32 } else { 0 };
    let mut head = [&[form][..], &[0; 8], &[1, 0, 0, 0], &[0; 2]].concat();
    head.resize(head.len() + 8 + digest + 64 + 2, 0);
    if form == 0 {
        head.push(0);
    }
    head
}

#[test]
fn a_number_that_a_peer_announces_reserves_no_memory() {
    // One test, so that no other thread's requests are seen.
    assert!(
        allocated(|| drop(Vec::<u8>::with_capacity(999))) >= 999,
        "the watch works"
    );

    let key = Ed25519SecretKey::from_seed(&[1; 32]);
    let member = Member {
        power: VotingPower::TOTAL,
        block_key: key.public(),
        beacon_key: BlsSecretKey::from_seed(&[1; 32]).public(),
    };
    let members: Members<Production> = Members::new(Epoch::ZERO, vec![member]).unwrap();
    let rules = Rules::new(ChainId::new(Digest::ZERO), Epoch::ZERO, UnixMillis::new(0));
    let refused = |frame: Vec<u8>| {
        let frame = Bytes::from(frame);
        allocated(|| assert!(SignedBlock::decode(&frame, &rules, &members).is_err()))
    };
    for form in [0, 1] {
        // As many parents as there can be, and one byte of them.
        assert!(refused([&head(form)[..], &1_024u16.to_le_bytes(), &[1]].concat()) < 200);
        assert!(refused([&head(form)[..], &[0xff, 0xff, 1]].concat()) < 200);
        // The own parent, then as many payloads as are admitted, and one of 4 GiB.
        let parent = [&[1, 0][..], &[0; 38]].concat();
        let payloads = [&2_048u32.to_le_bytes()[..], &[0xff; 4], &[1]].concat();
        assert!(refused([&head(form)[..], &parent, &payloads].concat()) < 200);
    }

    assert!(allocated(|| assert!(Request::decode(&[&[0][..], &LONG].concat()).is_err())) < 200);
    let requests = [
        Request::Blocks {
            names: Bounded::new(Vec::new()).unwrap(),
            slots: Bounded::new(Vec::new()).unwrap(),
        },
        Request::Commits {
            first: CommitIndex::new(1),
            most: u16::MAX,
        },
        Request::Latest,
    ];
    let own = AuthorityIndex::default();
    for request in requests {
        // A block, a commit, a header: each announces more inside than was sent.
        let inside = [
            LONG.to_vec(),
            [&[1][..], &LONG].concat(),
            [&[1][..], &[0; 87], &LONG].concat(),
            [&[1][..], &[0; 22], &LONG].concat(),
        ];
        for bytes in inside {
            let total = allocated(|| {
                assert!(Answer::decode(&bytes, &request, own, own, &rules, &members).is_err());
            });
            assert!(total < RESERVE + 1_000, "{request:?} {bytes:?} {total}");
        }
    }
}
