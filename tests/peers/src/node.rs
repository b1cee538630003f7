//! Many callers of one node: those that share a sync, against a sync for each.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use futures::{executor::block_on, future::join_all};
use interstice::{
    node::{Handle, Node, NodeError},
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
    /// Callers, each waiting for its answer: threads, or tasks of one thread.
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
    let callers = options.callers;
    let (mut rates, mut alone) = (<[Vec<f64>; 3]>::default(), Vec::new());
    for _ in 0..options.rounds {
        rates[0].push(node(dir, Durability::EveryCommit, callers, turn, threads)?);
        rates[1].push(node(dir, Durability::Group, callers, turn, threads)?);
        rates[2].push(node(dir, Durability::Group, callers, turn, tasks)?);
        alone.push(without_node(dir, turn)?);
    }
    let [each, by_threads, by_tasks] = rates.map(|rates| median(&rates));
    println!("{callers} threads, a sync for each call: {each:.0} calls/s");
    for (who, rate) in [("threads", by_threads), ("tasks", by_tasks)] {
        let times = rate / each;
        println!(
            "{callers} {who}, group commit: {rate:.0} calls/s, {times:.1} x (goal {RATIO_MIN})"
        );
    }
    let alone = median(&alone);
    println!("no node, a sync for each call: {alone:.0} calls/s");
    Ok(())
}

/// Makes calls until the time is over. Returns how many were answered.
type Callers = fn(&Handle, u64, Instant) -> std::result::Result<u64, NodeError>;

/// Calls per second that are answered, which is when they are on the disk.
fn node(
    dir: Option<&Path>,
    durability: Durability,
    callers: u64,
    turn: Duration,
    run: Callers,
) -> Result<f64> {
    let dir = scratch::directory(dir)?;
    let node = Node::start(database::create(&dir.path().join("data"), durability)?);
    scratch::settle(dir.path())?;
    let started = Instant::now();
    let calls = run(&node.handle(), callers, started + turn)?;
    let seconds = started.elapsed().as_secs_f64();
    node.stop()?.close()?;
    Ok(calls as f64 / seconds)
}

/// A key that no other caller has.
fn args(caller: u64, call: u64) -> Vec<u8> {
    database::args(caller << 32 | call).to_vec()
}

fn threads(
    handle: &Handle,
    callers: u64,
    until: Instant,
) -> std::result::Result<u64, NodeError> {
    let call_until = |caller| {
        let mut calls = 0;
        while Instant::now() < until {
            handle.call(MODULE, REDUCER, args(caller, calls))?;
            calls += 1;
        }
        Ok(calls)
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..callers).map(|caller| scope.spawn(move || call_until(caller))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a caller does not panic")).sum()
    })
}

fn tasks(handle: &Handle, callers: u64, until: Instant) -> std::result::Result<u64, NodeError> {
    let call_until = async |caller| {
        let mut calls = 0;
        while Instant::now() < until {
            handle.call_async(MODULE, REDUCER, args(caller, calls)).await?;
            calls += 1;
        }
        Ok(calls)
    };
    block_on(join_all((0..callers).map(call_until))).into_iter().sum()
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
