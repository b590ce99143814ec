//! A committee on this machine.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use crypto::{BlsScheme, Digest, Ed25519SecretKey, Scheme, keytext};
use env::Entropy;
use runtime::OsEntropy;
use types::{ChainId, VotingPower};
use zeroize::Zeroizing;

use super::Measure;
use super::config::{self, Durability, EpochSection, File, Keys, MemberSection, PaceSection};
use super::member::{self, Startup};

/// A committee on this machine.
#[derive(Args)]
pub struct Arguments {
    /// How many members; what an existing folder has counts more
    #[arg(long, default_value_t = 4)]
    nodes: u16,
    /// The folder of their files; made if it is missing
    #[arg(long)]
    dir: PathBuf,
    /// The first of the ports, one for each member
    #[arg(long, default_value_t = 7_600)]
    port: u16,
    /// Nothing waits for the disk
    #[arg(long)]
    relaxed: bool,
    /// Writes the files and says how to start the members one by one
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    measure: Measure,
}

/// What a committee looks like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    nodes: u16,
    port: u16,
    durability: Durability,
    start_ms: u64,
}

impl Shape {
    /// So many members on ports from `port` on.
    pub const fn new(nodes: u16, port: u16) -> Self {
        Self {
            nodes,
            port,
            durability: Durability::Durable,
            start_ms: 0,
        }
    }
}

/// Writes or reads the files of the committee, and runs it.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments {
        nodes,
        dir,
        port,
        relaxed,
        print,
        measure,
    } = arguments;
    let is_new = !dir.join(name(0)).exists();
    let files = if is_new {
        let durability = match relaxed {
            true => Durability::Relaxed,
            false => Durability::Durable,
        };
        let shape = Shape {
            durability,
            start_ms: now_ms()?,
            ..Shape::new(nodes, port)
        };
        write(&dir, &shape)?
    } else {
        let files = (0..).map(|index| dir.join(name(index)));
        files.take_while(|file| file.exists()).collect()
    };
    if print {
        let first = if is_new { " --first-start" } else { "" };
        for file in &files {
            println!("soma consensus --config {}{first}", file.display());
        }
        return Ok(());
    }
    let startup = |file: &PathBuf| {
        config::load(file).map(|config| Startup {
            config,
            is_first: is_new,
            notes: None,
        })
    };
    let startups: Result<Vec<_>, _> = files.iter().map(startup).collect();
    member::run_all(startups?, &measure).await
}

#[expect(
    clippy::disallowed_types,
    reason = "there is no environment yet, and the file is written once"
)]
fn now_ms() -> anyhow::Result<u64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.context("this machine's clock is before 1970")?;
    u64::try_from(now.as_millis()).context("this machine's clock is far ahead")
}

fn name(index: u16) -> PathBuf {
    PathBuf::from(format!("n{index}")).join("node.toml")
}

/// Writes the files of a new committee and returns those of its nodes.
pub fn write(folder: &Path, shape: &Shape) -> anyhow::Result<Vec<PathBuf>> {
    let &Shape { nodes, port, .. } = shape;
    ensure!(
        (1..=1_000).contains(&nodes),
        "a committee has 1 to 1000 members, not {nodes}"
    );
    ensure!(
        port.checked_add(nodes - 1).is_some(),
        "there are not so many ports from {port} on"
    );
    let chain = ChainId::new(Digest::new(OsEntropy.seed("localnet.chain")));
    let share = VotingPower::TOTAL.get() / nodes;
    let rest = VotingPower::TOTAL.get() % nodes;
    let mut secrets = Vec::new();
    let mut members = Vec::new();
    for index in 0..nodes {
        let seeds: [Zeroizing<[u8; 32]>; 3] =
            std::array::from_fn(|_| Zeroizing::new(OsEntropy.seed("localnet.keys")));
        let [network, block, _] = seeds
            .each_ref()
            .map(|seed| Ed25519SecretKey::from_seed(seed).public());
        members.push(MemberSection {
            power: share + u16::from(index < rest),
            network_key: network.to_string(),
            block_key: block.to_string(),
            beacon_key: BlsScheme::public(&BlsScheme::secret(&seeds[2])).to_string(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port + index)).to_string(),
        });
        secrets.push(seeds);
    }
    let mut files = Vec::new();
    for (index, secrets) in (0..nodes).zip(secrets) {
        let path = folder.join(name(index));
        let own = path.parent().context("a node has a folder")?;
        fs::create_dir_all(own).with_context(|| format!("{} cannot be made", own.display()))?;
        for (kind, seed) in ["network", "block", "beacon"].into_iter().zip(&secrets) {
            let path = own.join(format!("{kind}.key"));
            write_secret(&path, &keytext::encode(&Ed25519SecretKey::from_seed(seed)))
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        let key = |kind: &str| PathBuf::from(format!("{kind}.key"));
        let file = File {
            chain: chain.to_string(),
            index,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port + index)),
            data: "data".into(),
            durability: shape.durability,
            keys: Keys {
                network: key("network"),
                block: key("block"),
                beacon: key("beacon"),
            },
            epoch: EpochSection {
                number: 0,
                start_ms: shape.start_ms,
                end_ms: None,
            },
            pace: PaceSection::default(),
            members: members.clone(),
        };
        let text = toml::to_string(&file).context("a node's file is TOML")?;
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        files.push(path);
    }
    Ok(files)
}

/// Writes a file that its owner alone can read.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")
}
