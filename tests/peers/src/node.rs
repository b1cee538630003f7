//! Many callers of one node: those that share a sync, against a sync for each.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use interstice::{
    node::{Handle, Node},
    persistence::Durability,
};

use crate::{
    Result,
    database::{self, MODULE, REDUCER},
    median::median,
    scratch,
};

/// How many times as fast callers that share syncs are to be.
const RATIO_MIN: f64 = 20.0;

#[derive(Args)]
pub struct Options {
    /// Threads that call, each waiting for its answer.
    #[arg(long, default_value_t = 64)]
    callers: u64,
    /// Rounds: in each, everybody has a turn. Medians are said.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Milliseconds of a turn.
    #[arg(long, default_value_t = 2000)]
    turn_ms: u64,
}

pub fn run(dir: Option<&Path>, options: &Options) -> Result<()> {
    let turn = Duration::from_millis(options.turn_ms);
    let (mut group, mut each, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        group.push(node(dir, Durability::Group, options.callers, turn)?);
        each.push(node(dir, Durability::EveryCommit, options.callers, turn)?);
        alone.push(without_node(dir, turn)?);
    }
    let (group, each, alone) = (median(&group), median(&each), median(&alone));
    let callers = options.callers;
    println!("{callers} callers, group commit:         {group:.0} calls/s");
    println!(
        "{callers} callers, a sync for each call: {each:.0} calls/s; group commit is {:.1} x (goal {RATIO_MIN})",
        group / each
    );
    println!(
        "no node, a sync for each call:    {alone:.0} calls/s; group commit is {:.1} x",
        group / alone
    );
    Ok(())
}

/// Calls per second that are answered, which is when they are on the disk.
fn node(dir: Option<&Path>, durability: Durability, callers: u64, turn: Duration) -> Result<f64> {
    let dir = scratch::directory(dir)?;
    let node = Node::start(database::create(&dir.path().join("data"), durability)?);
    scratch::settle(dir.path())?;
    let is_over = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let threads: Vec<_> = (0..callers)
        .map(|caller| {
            let (handle, is_over) = (node.handle(), is_over.clone());
            thread::spawn(move || call_until(&handle, caller, &is_over))
        })
        .collect();
    thread::sleep(turn);
    is_over.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for thread in threads {
        calls += thread.join().map_err(|_| "a caller has panicked")??;
    }
    let seconds = started.elapsed().as_secs_f64();
    node.stop()?.close()?;
    Ok(calls as f64 / seconds)
}

/// Calls with keys that no other caller has. Returns how many were answered.
fn call_until(
    handle: &Handle,
    caller: u64,
    is_over: &AtomicBool,
) -> std::result::Result<u64, interstice::node::NodeError> {
    let mut calls = 0;
    while !is_over.load(Ordering::Relaxed) {
        let key = caller << 32 | calls;
        handle.call(MODULE, REDUCER, database::args(key).to_vec())?;
        calls += 1;
    }
    Ok(calls)
}

/// As fast as one thread can call a database and sync each time.
fn without_node(dir: Option<&Path>, turn: Duration) -> Result<f64> {
    let dir = scratch::directory(dir)?;
    let mut database = database::create(&dir.path().join("data"), Durability::EveryCommit)?;
    let add = database.reducer(MODULE, REDUCER)?;
    scratch::settle(dir.path())?;
    let started = Instant::now();
    let mut calls = 0;
    while started.elapsed() < turn {
        database.call(add, &database::args(calls))?;
        calls += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    database.close()?;
    Ok(calls as f64 / seconds)
}
