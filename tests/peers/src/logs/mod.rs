//! The comparison of logs: everybody's turns.

use std::{path::Path, time::Instant};

use clap::Args;

use crate::{
    Result,
    peers::{self, PATTERNS, Pattern, Peer},
    records::Records,
    scratch,
};

mod report;

use report::{Figures, Turn};

#[derive(Args)]
pub struct Options {
    /// Rounds: in each, everybody has a turn in every pattern. Medians are said.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Bytes of each record; may be repeated.
    #[arg(long, default_values_t = [64, 1024])]
    record: Vec<usize>,
    /// Only patterns with this in their name.
    #[arg(long)]
    pattern: Option<String>,
    /// Only peers with this in their name, and ours.
    #[arg(long)]
    peer: Option<String>,
    /// Bytes at which both logs of segments begin a new one. The peer's default.
    #[arg(long, default_value_t = 1 << 30)]
    segment_bytes: u64,
    /// Syncs of a turn where each record is synced; the other patterns have as
    /// many records as take about as long.
    #[arg(long, default_value_t = 5000)]
    syncs: u64,
}

pub fn run(dir: Option<&Path>, options: &Options) -> Result<()> {
    let peers: Vec<_> = peers::all(options.segment_bytes)
        .into_iter()
        .enumerate()
        .filter(|(at, peer)| *at == 0 || is_wanted(peer.name(), options.peer.as_deref()))
        .map(|(_, peer)| peer)
        .collect();
    let mut summary = Vec::new();
    for &len in &options.record {
        let records = Records::new(len);
        for pattern in PATTERNS {
            if is_wanted(pattern.name, options.pattern.as_deref()) {
                let count = count(options, len, pattern);
                let figures = rounds(dir, options.rounds, &peers, records, pattern, count)?;
                println!("\n{len} B, {}, {count} records a turn\n", pattern.name);
                println!("{}", report::table(&peers, &figures));
                summary.push((len, pattern, figures));
            }
        }
    }
    println!("\nOurs against the fastest peer\n");
    println!("{}", report::summary(&peers, &summary));
    Ok(())
}

fn is_wanted(name: &str, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| name.contains(wanted))
}

/// Records of a turn: enough to take a while, and the same for all.
fn count(options: &Options, record_len: usize, pattern: Pattern) -> u64 {
    let syncs = if pattern.group > 1 { options.syncs / 2 } else { options.syncs };
    match (pattern.synced, record_len > 512) {
        (true, _) => syncs * pattern.group,
        (false, false) => syncs * 20 * pattern.group.min(10),
        (false, true) => syncs * 20 * pattern.group.min(4),
    }
}

/// The medians of each peer's turns, which are interleaved. Who begins changes
/// from round to round.
fn rounds(
    dir: Option<&Path>,
    rounds: usize,
    peers: &[Box<dyn Peer>],
    records: Records,
    pattern: Pattern,
    count: u64,
) -> Result<Vec<Figures>> {
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); peers.len()];
    for round in 0..rounds {
        for turn in 0..peers.len() {
            let at = (turn + round) % peers.len();
            turns[at].push(take_turn(dir, &*peers[at], records, pattern, count)?);
        }
    }
    Ok(turns.iter().map(|turns| report::medians(turns)).collect())
}

fn take_turn(
    dir: Option<&Path>,
    peer: &dyn Peer,
    records: Records,
    pattern: Pattern,
    count: u64,
) -> Result<Turn> {
    let dir = scratch::directory(dir)?;
    let mut writer = peer.create(dir.path(), records, pattern)?;
    scratch::settle(dir.path())?;
    let started = Instant::now();
    for first in (0..count).step_by(pattern.group as usize) {
        writer.append(first, first + pattern.group)?;
    }
    let written = started.elapsed();
    writer.close()?;
    scratch::settle(dir.path())?;
    let bytes = scratch::bytes_on_disk(dir.path())?;
    let started = Instant::now();
    let found = peer.read(dir.path(), records)?;
    let read = started.elapsed();
    if found != count {
        return Err(format!("{} gave {found} records of {count}", peer.name()).into());
    }
    Ok(Turn {
        written_per_second: count as f64 / written.as_secs_f64(),
        read_per_second: count as f64 / read.as_secs_f64(),
        bytes_per_record: bytes as f64 / count as f64,
    })
}
