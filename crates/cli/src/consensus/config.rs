//! The file of a consensus-only node.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use consensus::{Member, Members, MembersError, Pace, Production, Rules};
use crypto::{BlsPublicKey, Ed25519PublicKey, keytext};
use env::PeerAddress;
use node::consensus::{Mode, Peer, Secrets};
use serde::{Deserialize, Serialize};
use types::{AuthorityIndex, ChainId, Epoch, PeerId, UnixMillis, VotingPower};
use zeroize::Zeroizing;

/// The file as it is written. Paths are relative to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The chain, in base58. Nodes of another one do not connect.
    pub chain: String,
    /// Which of the members this node is, from 0.
    pub index: u16,
    /// Where it listens; others find it at its address among the members.
    pub listen: SocketAddr,
    /// The folder of its stores.
    pub data: PathBuf,
    /// How it writes.
    #[serde(default)]
    pub durability: Durability,
    /// Its secret keys.
    pub keys: Keys,
    /// The epoch.
    pub epoch: EpochSection,
    /// How fast it goes.
    #[serde(default)]
    pub pace: PaceSection,
    /// Everybody, in the order of their indices.
    pub members: Vec<MemberSection>,
}

/// How a node writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// An own block is on the disk before it is sent.
    #[default]
    Durable,
    /// Nothing waits for the disk: for chains on one machine only.
    Relaxed,
}

/// Files of secret keys, as text: one line, `somaprivkey1…`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Of the transport.
    pub network: PathBuf,
    /// Of the key that signs blocks.
    pub block: PathBuf,
    /// Of the key that signs shares of the beacon: 32 bytes of seed in the same text form.
    pub beacon: PathBuf,
}

/// What all members agree on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochSection {
    /// Its number.
    pub number: u64,
    /// When it starts, in milliseconds since 1970.
    pub start_ms: u64,
    /// The first commit at or after it is the last.
    pub end_ms: Option<u64>,
}

/// What a node chooses for itself; what is left out has its usual value.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaceSection {
    /// How long a round waits for its leaders.
    pub leader_timeout_ms: Option<u64>,
    /// The least time between two own blocks under load.
    pub min_round_ms: Option<u64>,
    /// The least time between two own blocks without load.
    pub idle_round_ms: Option<u64>,
}

/// One member.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSection {
    /// Of 10,000.
    pub power: u16,
    /// In base64.
    pub network_key: String,
    /// In base64.
    pub block_key: String,
    /// In base64.
    pub beacon_key: String,
    /// `host:port`.
    pub address: String,
}

/// A node's file that no node can run with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}; check `{field}`", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What names it.
        field: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML, or not of this form.
    #[error("{}: {source}", path.display())]
    Form {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A field has no value that can be used.
    #[error("{}: `{field}` {why}; {remedy}", path.display())]
    Field {
        /// Which file.
        path: PathBuf,
        /// Which field.
        field: String,
        /// What is wrong with it.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// A node's file, understood.
#[derive(Debug)]
pub struct Config {
    /// What the environment is made from.
    pub runtime: runtime::Config,
    /// What all members agree on.
    pub rules: Rules,
    /// What this one chooses.
    pub pace: Pace,
    /// Everybody.
    pub members: Arc<Members<Production>>,
    /// This one.
    pub index: AuthorityIndex,
    /// Its keys.
    pub secrets: Secrets,
    /// Everybody as they are reached.
    pub peers: Vec<Peer>,
    /// How it writes.
    pub mode: Mode,
}

/// Reads a node's file and the key files that it names.
///
/// # Errors
/// [`ConfigError`].
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_path_buf(),
        field: "--config",
        source,
    })?;
    let file: File = toml::from_str(&text).map_err(|source| ConfigError::Form {
        path: path.to_path_buf(),
        source: Box::new(source),
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    understand(path, folder, file)
}

fn understand(path: &Path, folder: &Path, file: File) -> Result<Config, ConfigError> {
    let wrong = |field: String, why: String, remedy| ConfigError::Field {
        path: path.to_path_buf(),
        field,
        why,
        remedy,
    };
    let chain: ChainId = file.chain.parse().map_err(|error: crypto::bytes::InvalidBytes| {
        wrong(
            "chain".into(),
            format!("is no id: {error}"),
            "write the chain's id in base58",
        )
    })?;
    let epoch = Epoch::new(file.epoch.number);
    let mut rules = Rules::new(chain, epoch, UnixMillis::new(file.epoch.start_ms));
    rules.end = file.epoch.end_ms.map(UnixMillis::new);
    let (mut members, mut peers) = (Vec::new(), Vec::new());
    for (position, member) in file.members.iter().enumerate() {
        let bad = |field: &str, error: crypto::bytes::InvalidBytes| {
            let field = format!("members[{position}].{field}");
            wrong(
                field,
                format!("is no key: {error}"),
                "copy the member's public key in base64",
            )
        };
        let block_key: Ed25519PublicKey = member
            .block_key
            .parse()
            .map_err(|error| bad("block_key", error))?;
        let beacon_key: BlsPublicKey = member
            .beacon_key
            .parse()
            .map_err(|error| bad("beacon_key", error))?;
        let network_key: Ed25519PublicKey = member
            .network_key
            .parse()
            .map_err(|error| bad("network_key", error))?;
        members.push(Member {
            power: VotingPower::new(member.power),
            block_key,
            beacon_key,
        });
        let id = crypto::bytes::to_array(network_key.as_ref()).map_err(|error| bad("network_key", error))?;
        let index = u16::try_from(position).ok().and_then(AuthorityIndex::new);
        let index = index.ok_or_else(|| {
            let why = "has more members than there are indices".to_owned();
            wrong("members".into(), why, "leave some out")
        })?;
        peers.push(Peer {
            index,
            address: PeerAddress {
                id: PeerId::new(id),
                address: member.address.clone(),
            },
        });
    }
    let members = Members::new(epoch, members).map_err(|error: MembersError| {
        let remedy = "list every member, with power that adds up to 10000";
        wrong("members".into(), format!("do not fit: {error}"), remedy)
    })?;
    let index = AuthorityIndex::new(file.index).filter(|index| members.get(*index).is_some());
    let index = index.ok_or_else(|| {
        let why = format!("is {} where there are {} members", file.index, members.size());
        wrong("index".into(), why, "count members from 0")
    })?;
    let network = seed(folder, &file.keys.network, "keys.network")?;
    let secrets = Secrets {
        block: *seed(folder, &file.keys.block, "keys.block")?,
        beacon: *seed(folder, &file.keys.beacon, "keys.beacon")?,
    };
    let own = &peers[usize::from(index.get())];
    let key = crypto::Ed25519SecretKey::from_seed(&network).public();
    if key.as_ref() != own.address.id.as_bytes() {
        let why = format!("is not the key of member {index}");
        return Err(wrong(
            "keys.network".into(),
            why,
            "check `index` and the key files",
        ));
    }
    let usual = Pace::default();
    let or = |millis: Option<u64>, usual| millis.map_or(usual, Duration::from_millis);
    let pace = Pace {
        leader_timeout: or(file.pace.leader_timeout_ms, usual.leader_timeout),
        min_round: or(file.pace.min_round_ms, usual.min_round),
        idle_round: or(file.pace.idle_round_ms, usual.idle_round),
        ..usual
    };
    let chain = chain.get().as_bytes().to_vec();
    Ok(Config {
        runtime: runtime::Config::new(*network, file.listen, chain, folder.join(&file.data)),
        rules,
        pace,
        members: Arc::new(members),
        index,
        secrets,
        peers,
        mode: match file.durability {
            Durability::Durable => Mode::Durable,
            Durability::Relaxed => Mode::Relaxed,
        },
    })
}

/// The seed in a key file.
fn seed(folder: &Path, file: &Path, field: &'static str) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).map(Zeroizing::new);
    let text = text.map_err(|source| ConfigError::Unreadable {
        path: path.clone(),
        field,
        source,
    })?;
    keytext::seed(text.trim()).map_err(|error| ConfigError::Field {
        path,
        field: field.to_owned(),
        why: format!("names a file that holds no key: {error}"),
        remedy: "the file holds one line that begins with somaprivkey1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::localnet;

    fn spoiled(change: impl Fn(&mut File)) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let files = localnet::write(folder.path(), &localnet::Shape::new(4, 7_100)).expect("a committee");
        let text = fs::read_to_string(&files[1]).expect("a file");
        let mut file: File = toml::from_str(&text).expect("a node's file");
        change(&mut file);
        let path = Path::new("node.toml");
        let parent = files[1].parent().expect("a folder");
        match understand(path, parent, file) {
            Ok(config) => format!("member {}", config.index),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_localnet_writes_is_a_committee() {
        assert_eq!(spoiled(|_| {}), "member 1");
    }

    #[test]
    fn an_error_names_file_field_and_remedy() {
        type Change = fn(&mut File);
        let table: [(Change, &str); 5] = [
            (
                |file| file.chain = "soma".into(),
                "node.toml: `chain` is no id: 3 bytes instead of 32; write the chain's id in base58",
            ),
            (
                |file| file.index = 4,
                "node.toml: `index` is 4 where there are 4 members; count members from 0",
            ),
            (
                |file| file.index = 2,
                "node.toml: `keys.network` is not the key of member 2; check `index` and the key files",
            ),
            (
                |file| file.members[3].power = 1,
                "node.toml: `members` do not fit: the members' power is 7501 in total; list every member, with power \
                 that adds up to 10000",
            ),
            (
                |file| file.members[2].beacon_key = "AAAA".into(),
                "node.toml: `members[2].beacon_key` is no key: 3 bytes instead of 96; copy the member's public key \
                 in base64",
            ),
        ];
        for (change, expected) in table {
            assert_eq!(spoiled(change), expected);
        }
    }

    #[test]
    fn a_key_file_that_is_missing_is_named() {
        let error = spoiled(|file| file.keys.block = "nowhere.key".into());
        assert!(error.contains("nowhere.key: cannot be read"), "{error}");
        assert!(error.ends_with("check `keys.block`"), "{error}");
    }
}
