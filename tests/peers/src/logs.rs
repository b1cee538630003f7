//! The comparison of logs: rounds, medians, tables.

use std::{collections::BTreeMap, path::Path, time::Instant};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};

use crate::{
    Result,
    median::median,
    peers::{self, PATTERNS, Pattern, Peer},
    records::Records,
    scratch,
};

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
    /// Syncs of a turn in the synced patterns; those that only hand over do it
    /// a hundred times as often.
    #[arg(long, default_value_t = 5000)]
    syncs: u64,
}

/// What one turn took.
#[derive(Clone, Copy)]
struct Turn {
    written_per_second: f64,
    read_per_second: f64,
    bytes_per_record: f64,
}

/// Medians of all turns of a peer.
type Turns = Vec<Turn>;

pub fn run(dir: Option<&Path>, options: &Options) -> Result<()> {
    let peers: Vec<_> = peers::all(options.segment_bytes)
        .into_iter()
        .enumerate()
        .filter(|(at, peer)| *at == 0 || is_wanted(peer.name(), options.peer.as_deref()))
        .map(|(_, peer)| peer)
        .collect();
    for &len in &options.record {
        let records = Records::new(len);
        for pattern in PATTERNS {
            if is_wanted(pattern.name, options.pattern.as_deref()) {
                let count = count(options, len, pattern);
                let turns = rounds(dir, options.rounds, &peers, records, pattern, count)?;
                print(len, pattern, count, &peers, &turns);
            }
        }
    }
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

/// The turns of each peer, interleaved. Who begins changes from round to round.
fn rounds(
    dir: Option<&Path>,
    rounds: usize,
    peers: &[Box<dyn Peer>],
    records: Records,
    pattern: Pattern,
    count: u64,
) -> Result<BTreeMap<usize, Turns>> {
    let mut turns: BTreeMap<usize, Turns> = BTreeMap::new();
    for round in 0..rounds {
        for turn in 0..peers.len() {
            let at = (turn + round) % peers.len();
            let taken = take_turn(dir, &*peers[at], records, pattern, count)?;
            turns.entry(at).or_default().push(taken);
        }
    }
    Ok(turns)
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

fn print(
    len: usize,
    pattern: Pattern,
    count: u64,
    peers: &[Box<dyn Peer>],
    turns: &BTreeMap<usize, Turns>,
) {
    println!("\n{} B, {}: {count} records a turn\n", len, pattern.name);
    let of = |at: usize, what: fn(&Turn) -> f64| {
        let values: Vec<f64> = turns.get(&at).into_iter().flatten().map(what).collect();
        median(&values)
    };
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "log",
        "records/s",
        "ours is",
        "bytes on disk/record",
        "read records/s",
        "ours is",
    ]);
    let (ours_written, ours_read) = (of(0, |t| t.written_per_second), of(0, |t| t.read_per_second));
    for (at, peer) in peers.iter().enumerate() {
        let (written, read) = (of(at, |t| t.written_per_second), of(at, |t| t.read_per_second));
        let times = |ratio: f64| if at == 0 { String::new() } else { format!("{ratio:.2} x") };
        table.add_row([
            peer.name().to_owned(),
            format!("{written:.0}"),
            times(ours_written / written),
            format!("{:.1}", of(at, |t| t.bytes_per_record)),
            format!("{read:.0}"),
            times(ours_read / read),
        ]);
    }
    for column in 1..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
}
