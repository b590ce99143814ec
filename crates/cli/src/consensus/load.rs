//! Payloads made up for a measurement. Each says who made it and when, so that its maker can tell how long it took.

use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use env::{Clock, Entropy, Env};
use node::consensus::{Handle, SubmitError};
use types::Mono;

use super::stats::Stats;

const MARK: &[u8; 8] = b"somaload";
/// Mark, maker, time.
const HEADER: usize = 8 + 8 + 8;
/// How often a batch of payloads is made.
const TICK: Duration = Duration::from_millis(5);

/// So many payloads of so many bytes.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    per_second: u64,
    size: usize,
}

impl Load {
    /// So many payloads per second, of so many bytes each.
    pub fn new(per_second: u64, size: usize) -> anyhow::Result<Self> {
        ensure!(
            size >= HEADER,
            "a payload that is measured has {HEADER} bytes at least: --size {size} is too small"
        );
        Ok(Self { per_second, size })
    }

    /// Submits payloads at the rate until the member ends. What is refused is counted and not tried again.
    pub async fn run<E: Env>(self, env: E, maker: u64, handle: Handle, stats: &Stats) {
        let start = env.clock().now();
        let mut tick = env.clock().interval(TICK);
        let mut made = 0;
        loop {
            tick.tick().await;
            let now = env.clock().now();
            let passed = u64::try_from(now.since(start).as_micros()).unwrap_or(u64::MAX);
            let due = passed.saturating_mul(self.per_second) / 1_000_000;
            while made < due {
                made += 1;
                let payload = self.payload(&env, maker, now);
                match handle.try_submit(payload) {
                    Ok(()) => stats.submitted(),
                    Err(SubmitError::Busy { .. }) => {
                        // The rest of this tick would be refused as well.
                        stats.refused(due - made + 1);
                        made = due;
                    }
                    Err(SubmitError::Refused(_)) => stats.refused(1),
                    Err(SubmitError::Gone) => return,
                }
            }
        }
    }

    fn payload<E: Env>(&self, env: &E, maker: u64, now: Mono) -> Bytes {
        let mut payload = vec![0; self.size];
        payload[..8].copy_from_slice(MARK);
        payload[8..16].copy_from_slice(&maker.to_le_bytes());
        payload[16..24].copy_from_slice(&now.as_nanos().to_le_bytes());
        env.entropy().fill("load.payload", &mut payload[HEADER..]);
        payload.into()
    }
}

/// When `maker` made the payload; `None` for one that it did not make.
pub fn made_at(payload: &[u8], maker: u64) -> Option<Mono> {
    let rest = payload.strip_prefix(MARK)?;
    let (by, rest) = rest.split_first_chunk()?;
    let (at, _) = rest.split_first_chunk()?;
    (u64::from_le_bytes(*by) == maker).then(|| Mono::from_nanos(u64::from_le_bytes(*at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_tells_its_own_maker_when_it_was_made() {
        let mut payload = MARK.to_vec();
        payload.extend(7u64.to_le_bytes());
        payload.extend(9u64.to_le_bytes());
        assert_eq!(made_at(&payload, 7), Some(Mono::from_nanos(9)));
        assert_eq!(made_at(&payload, 8), None);
        assert_eq!(made_at(&payload[..23], 7), None);
        assert_eq!(made_at(b"anything else at all but a load", 7), None);
    }
}
