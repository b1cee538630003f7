//! Start-up: how long it takes, and the memory it needs at its peak.
//!
//! Each start-up is a process of its own, so that none finds what another has
//! left in memory, and the system can say what its peak was.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use clap::{Args, Subcommand};
use interstice::{database::Database, persistence::Durability};

use crate::{
    Result,
    database::{self, MODULE, REDUCER},
    median::median,
    scratch,
};

/// Seconds that start-up may take by the log, and by a snapshot.
const LOG_SECONDS_MAX: f64 = 0.6;
const SNAPSHOT_SECONDS_MAX: f64 = 0.25;

/// How much more memory start-up may take at its peak than the running node.
const MEMORY_RATIO_MAX: f64 = 1.3;

#[derive(Args)]
pub struct Options {
    /// Commits, of one row of 64 bytes each.
    #[arg(long, default_value_t = 1_000_000)]
    commits: u64,
    /// Start-ups of each kind. Medians are said.
    #[arg(long, default_value_t = 7)]
    runs: usize,
}

/// What runs in a process of its own.
#[derive(Subcommand)]
pub enum Child {
    /// Makes a database and commits.
    Fill { path: PathBuf, commits: u64 },
    /// Starts up.
    Open { path: PathBuf },
    /// Starts up and takes a snapshot.
    Snapshot { path: PathBuf },
}

/// What a child says: seconds, and bytes of memory.
struct Said {
    seconds: f64,
    peak: f64,
    resident: f64,
}

pub fn run(dir: Option<&Path>, options: &Options) -> Result<()> {
    let dir = scratch::directory(dir)?;
    let path = dir.path().join("data").display().to_string();
    let commits = options.commits;
    let node = child(&["fill", &path, &commits.to_string()])?;
    println!("{commits} commits of one row, {:.1} s\n", node.seconds);
    println!("running: {:.0} MiB resident, {:.0} MiB at the peak", node.resident, node.peak);
    let by_log = (0..options.runs).map(|_| child(&["open", &path])).collect::<Result<Vec<_>>>()?;
    say("by the log", &by_log, LOG_SECONDS_MAX, &node);
    child(&["snapshot", &path])?;
    let by_snapshot =
        (0..options.runs).map(|_| child(&["open", &path])).collect::<Result<Vec<_>>>()?;
    say("by a snapshot", &by_snapshot, SNAPSHOT_SECONDS_MAX, &node);
    Ok(())
}

fn say(how: &str, said: &[Said], seconds_max: f64, node: &Said) {
    let of = |what: fn(&Said) -> f64| median(&said.iter().map(what).collect::<Vec<_>>());
    let (seconds, peak) = (of(|said| said.seconds), of(|said| said.peak));
    println!(
        "start-up {how}: {seconds:.3} s (goal {seconds_max}), {peak:.0} MiB at the peak: \
         {:.2} x the running node's peak (goal {MEMORY_RATIO_MAX}), {:.2} x what it had at last",
        peak / node.peak,
        peak / node.resident,
    );
}

/// Runs this program's hidden command, which writes three numbers.
fn child(args: &[&str]) -> Result<Said> {
    let output = Command::new(env::current_exe()?).arg("child").args(args).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    let mut next = || -> Result<f64> { Ok(numbers.next().ok_or("a child said too little")??) };
    Ok(Said { seconds: next()?, peak: next()?, resident: next()? })
}

pub fn run_child(child: &Child) -> Result<()> {
    let started = Instant::now();
    let database = match child {
        Child::Fill { path, commits } => fill(path, *commits)?,
        Child::Open { path } => Database::open(path)?,
        Child::Snapshot { path } => {
            let mut database = Database::open(path)?;
            database.snapshot()?;
            database
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    println!("{seconds} {} {}", memory("VmHWM:")?, memory("VmRSS:")?);
    Ok(database.close()?)
}

fn fill(path: &Path, commits: u64) -> Result<Database> {
    let mut database = database::create(path, Durability::System)?;
    let add = database.reducer(MODULE, REDUCER)?;
    for key in 0..commits {
        database.append(add, &database::args(key))?;
        if key % 100 == 99 {
            database.acknowledge()?;
        }
    }
    Ok(database)
}

/// Mebibytes of memory that the system says this process has, or had.
fn memory(name: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib: f64 = line.ok_or("the system does not say")?.trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}
