use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use interstice_core::TxOffset;
use serde::Serialize;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    open::{DataArgs, open_failure},
    output::{self, Format},
    style,
};
use crate::{
    data_dir::DataDir,
    recovery::{self, RepairError, Repaired},
};

/// Save what can be saved of a damaged log.
///
/// Without --into the saved directory takes the place of the damaged one, which
/// is kept beside it under another name. Nothing is ever deleted or changed.
/// The new log has the identity and the seed of the old one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// What to keep.
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Mode,
    /// With --mode snapshot: which one, by its commit; without it the newest
    /// good one.
    #[arg(long, value_name = "COMMIT")]
    snapshot: Option<u64>,
    /// A new directory for what is saved.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Every commit before the first damage.
    Truncate,
    /// The state of a snapshot, and the commits behind it that are good. What
    /// was before it is given up, except for the state that it led to.
    Snapshot,
}

#[derive(Serialize)]
struct Answer {
    directory: String,
    /// Where the damaged directory is.
    original: String,
    commits_kept: u64,
    /// The snapshot that the new log begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<u64>,
    /// The first commit that is not kept.
    end: u64,
    /// Commits that were lost, at least.
    commits_lost_min: u64,
    state_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let mode = match (self.mode, self.snapshot) {
            (Mode::Truncate, None) => recovery::Mode::Truncate,
            (Mode::Snapshot, position) => recovery::Mode::Snapshot(position.map(TxOffset)),
            (Mode::Truncate, Some(_)) => {
                return Err(Failure::usage("--snapshot goes with --mode snapshot"));
            }
        };
        let path = &self.data.path;
        // Held while the directories change places: nobody else may write.
        let dir = DataDir::open(path).map_err(|error| open_failure(path, &error.into()))?;
        let into = self.into.clone().unwrap_or_else(|| beside(path, "repaired"));
        let repaired = recovery::repair(&dir, mode, &into).map_err(|error| failure(&error))?;
        let (directory, original) = match &self.into {
            Some(into) => (into.clone(), path.clone()),
            None => (path.clone(), swap(path, &into)?),
        };
        let answer = Answer::of(&repaired, &directory, &original);
        output::answer(self.format, &answer, |out| answer.print_text(out))?;
        if self.format == Format::Text {
            let data = style::shell_path(&directory);
            style::next(format!("interstice log-check --data {data}"));
        }
        Ok(Exit::Good)
    }
}

fn failure(error: &RepairError) -> Failure {
    let failure = Failure::incomplete(error);
    match error {
        RepairError::Open(_) => failure.with_help(
            "already the beginning of the log is damaged: if there is a snapshot, try --mode snapshot",
        ),
        RepairError::NoSnapshot { .. } => failure.with_help("try --mode truncate"),
        RepairError::DataDir(_) => failure.with_help("give another directory with --into"),
        _ => failure,
    }
}

/// `path.what-1`, or the first number that is free.
fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = (1u32..).map(|number| path.with_file_name(format!("{name}.{what}-{number}")));
    let mut free = numbered.filter(|path| fs::symlink_metadata(path).is_err());
    free.next().unwrap_or_else(|| path.with_extension(what))
}

/// Puts the directory `new` in the place of `path`. Returns where that went.
fn swap(path: &Path, new: &Path) -> Result<PathBuf, Failure> {
    let original = beside(path, "before-repair");
    fs::rename(path, &original).map_err(Failure::io("rename", path))?;
    fs::rename(new, path).map_err(|error| {
        // Back as it was, if that can be done; what is saved stays where it is.
        let _ = fs::rename(&original, path);
        Failure::io("rename", new)(error)
    })?;
    Ok(original)
}

impl Answer {
    fn of(repaired: &Repaired, directory: &Path, original: &Path) -> Self {
        Self {
            directory: directory.display().to_string(),
            original: original.display().to_string(),
            commits_kept: repaired.commits,
            snapshot: repaired.snapshot.map(|at| at.0),
            end: repaired.end.0,
            commits_lost_min: repaired.known_end.0 - repaired.end.0,
            state_hash: format!("{:016x}", repaired.state_hash),
            damage: repaired.damage.clone(),
        }
    }

    fn print_text(&self, out: &mut impl Write) -> Result<(), Failure> {
        let commits = style::count(self.commits_kept, "commit");
        match self.snapshot {
            Some(at) => writeln!(
                out,
                "saved the state before commit {at} and {commits} behind it in {}",
                self.directory
            )?,
            None => writeln!(out, "saved {commits} in {}", self.directory)?,
        }
        writeln!(out, "state hash {}", self.state_hash)?;
        match &self.damage {
            Some(damage) => {
                writeln!(out, "the log ends before commit {}: {damage}", self.end)?;
                if self.commits_lost_min > 0 {
                    let lost = style::count(self.commits_lost_min, "commit");
                    writeln!(out, "lost: {lost} at least")?;
                }
            }
            None if self.snapshot.is_some() => {
                writeln!(
                    out,
                    "the log behind it is whole; what was before it is only in the state"
                )?;
            }
            None => writeln!(out, "nothing was damaged: all of the log is there")?,
        }
        Ok(writeln!(out, "the original is {}", self.original)?)
    }
}
