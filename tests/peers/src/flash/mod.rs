//! The comparison of logs in flash, on the same simulated one: what they cost,
//! and what becomes of a wrong bit.

use std::time::Instant;

use clap::Args;

use crate::{Result, median::median, records::Records};

mod ekv;
mod flips;
mod interstice;
#[cfg(feature = "littlefs")]
mod littlefs;
mod map;
mod peers;
mod queue;
mod report;
mod simulated;

use peers::Peer;
use report::{Costs, Figures};
use simulated::Simulated;

/// Bytes of the two lengths of record.
const SMALL: usize = 32;
const LARGE: usize = 128;

#[derive(Args)]
pub struct Options {
    /// Records that are appended for the costs, in groups of 100.
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// Records of 32 bytes in the region that is opened and damaged.
    #[arg(long, default_value_t = 10_000)]
    fill: u64,
    /// Bits that are flipped, each in a region of its own.
    #[arg(long, default_value_t = 2_000)]
    flips: u64,
    /// Rounds of the rate. Medians are said.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only peers with this in their name, and ours.
    #[arg(long)]
    peer: Option<String>,
}

pub fn run(options: &Options) -> Result<()> {
    let wanted = options.peer.as_deref();
    let mut peers = peers::all();
    peers.retain(|peer| {
        peer.name() == "interstice" || wanted.is_none_or(|wanted| peer.name().contains(wanted))
    });
    let rates = rates(&peers, options)?;
    let mut figures = Vec::new();
    for (peer, rate) in peers.iter().zip(rates) {
        let peer = &**peer;
        let flash = filled(peer, options.fill)?;
        figures.push(Figures {
            name: peer.name(),
            small: costs(peer, Records::new(SMALL), options.records)?,
            large: costs(peer, Records::new(LARGE), options.records)?,
            memory: peer.memory(),
            records_per_second: rate,
            read: read_before_ready(peer, flash.clone(), options.fill)?,
            flips: flips::flip(peer, &flash, Records::new(SMALL), options.fill, options.flips)?,
        });
    }
    let (records, fill, flips) = (options.records, options.fill, options.flips);
    println!("{records} records of 32 B and of 128 B: what they cost\n");
    println!("{}\n", report::costs(&figures));
    println!("{fill} records of 32 B: opening, and {flips} bits, each flipped in a copy\n");
    println!("{}", report::opening(&figures));
    Ok(())
}

/// Appends so many records, and says what that took.
fn costs(peer: &dyn Peer, records: Records, count: u64) -> Result<Costs> {
    let mut flash = Simulated::new();
    peer.format(&mut flash)?;
    let (before, erases) = (flash.flash.counters.clone(), flash.erases());
    peer.append(&mut flash, records, 0..count)?;
    let counters = &flash.flash.counters;
    Ok(Costs {
        bytes_per_byte: (counters.bytes_programmed - before.bytes_programmed) as f64
            / (count * records.len as u64) as f64,
        programs_per_record: (counters.programs - before.programs) as f64 / count as f64,
        erases_per_1000: (flash.erases() - erases) as f64 * 1000.0 / count as f64,
        words_twice: counters.words_programmed_twice - before.words_programmed_twice,
    })
}

/// Records of 32 bytes per second, the simulator included. Turns are interleaved.
fn rates(peers: &[Box<dyn Peer>], options: &Options) -> Result<Vec<f64>> {
    let records = Records::new(SMALL);
    let mut rates = vec![Vec::new(); peers.len()];
    for _ in 0..options.rounds {
        for (peer, rates) in peers.iter().zip(&mut rates) {
            let mut flash = Simulated::new();
            peer.format(&mut flash)?;
            let started = Instant::now();
            peer.append(&mut flash, records, 0..options.records)?;
            rates.push(options.records as f64 / started.elapsed().as_secs_f64());
        }
    }
    Ok(rates.iter().map(|rates| median(rates)).collect())
}

/// A flash with a log that was closed in good order.
fn filled(peer: &dyn Peer, count: u64) -> Result<Simulated> {
    let mut flash = Simulated::new();
    peer.format(&mut flash)?;
    peer.append(&mut flash, Records::new(SMALL), 0..count)?;
    Ok(flash)
}

/// Bytes that are read from opening to the first thing that an append writes.
fn read_before_ready(peer: &dyn Peer, mut flash: Simulated, count: u64) -> Result<u64> {
    flash.await_writing();
    peer.append(&mut flash, Records::new(SMALL), count..count + peer.group())?;
    Ok(flash.read_before_writing())
}
