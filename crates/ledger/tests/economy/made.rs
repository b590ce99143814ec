//! What is said, revealed and submitted: all of it follows from ids, so that whoever bought a ticket can open it later.

use crypto::{Digest, Ed25519Scheme};
use types::block::block_message;
use types::{
    AuthorityIndex, BlockHeader, Direction, Distance, Embedding, Epoch, Equivocation, Line, Loss, Manifest,
    ModelKey, ObjectId, Reveal, Score, SignedHeader, Target, UnixMillis, distance,
};

use crate::kit::{FOUNDERS, OTHERS, USERS, account, consensus_key};

pub const SALT: [u8; 32] = [7; 32];

pub fn byte(id: ObjectId, at: usize) -> u8 {
    id.as_bytes()[at]
}

/// The account with this address.
pub fn number(accounts: &[u8], address: types::Address) -> Option<u8> {
    accounts
        .iter()
        .copied()
        .find(|number| account(*number) == address)
}

pub fn everybody() -> Vec<u8> {
    USERS.into_iter().chain(FOUNDERS).chain(OTHERS).collect()
}

/// What a model shows that commits in this epoch. Its identity decides.
pub fn shown(model: ObjectId, epoch: u64) -> Reveal {
    let seed = byte(model, 0) ^ u8::try_from(epoch % 251).unwrap();
    Reveal {
        key: ModelKey::new([seed; 32]),
        weights: Digest::of(&[seed]),
        embedding: Direction::new(vec![1 + i32::from(seed), 300, -20, 5]).unwrap(),
    }
}

/// What fits a target best; of some targets something is wrong with it.
pub fn score(id: ObjectId, target: &Target) -> Score {
    let at = usize::from(byte(id, 1)) % target.contenders.len();
    let mut score = Score {
        winner: target.contenders[at].model,
        loss: Loss::new(1 << 24, 10_000).unwrap(),
        embedding: Embedding::new(target.embedding.coordinates().to_vec()).unwrap(),
        distance: Distance::ZERO,
    };
    match byte(id, 10) % 24 {
        0 | 1 => {
            let away = target.embedding.coordinates().iter().map(|at| -at).collect();
            score.embedding = Embedding::new(away).unwrap();
            score.distance = distance(&score.embedding, &target.embedding).unwrap();
        }
        2 => score.distance = Distance::new(1).unwrap(),
        3 => score.winner = id,
        4 => score.embedding = Embedding::new(vec![1; 3]).unwrap(),
        _ => {}
    }
    score
}

/// The data for a target. Some targets have the same, and of some it is too long.
pub fn data(id: ObjectId) -> Manifest {
    Manifest {
        url: Line::try_from("https://a.example/data".to_owned()).unwrap(),
        checksum: Digest::of(&[byte(id, 2) % 64]),
        bytes: if byte(id, 11).is_multiple_of(16) {
            1 << 20
        } else {
            1 + 60 * u64::from(byte(id, 3))
        },
    }
}

/// Two blocks of one slot by the key of this number.
pub fn evidence(chain: types::ChainId, keyed: u8, epoch: u64) -> Box<Equivocation<Ed25519Scheme>> {
    let [one, other] = [1, 2].map(|at| {
        let author = AuthorityIndex::new(0).unwrap();
        let header = BlockHeader::genesis(Epoch::new(epoch), author, UnixMillis::new(at));
        let signature = consensus_key(keyed).sign(&block_message(chain, header.digest()));
        SignedHeader { signature, header }
    });
    Box::new(Equivocation::new(one, other).unwrap())
}
