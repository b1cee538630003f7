use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    str::FromStr,
};

use interstice_core::TxOffset;
use serde::Serialize;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    open::{DataArgs, open_failure, unfinished_failure},
    output::{self, Format},
    style,
};
use crate::{
    database::OpenError,
    recovery::{self, Commits, Damage, Dependent, Mode, RecoveryError, Report},
};

/// Dependent commits that are listed for a person.
const DEPENDENT_SHOWN: usize = 20;

/// Save what can be saved of a damaged data directory.
///
/// The original is never written to. The repaired directory is a new one: with
/// --into DIR it is there, and the original stays where it is; without --into
/// it takes the original's place, and the original is kept beside it, with
/// `.before-repair-1` (or -2, -3, ...) behind its name. First look with
/// --dry-run, which writes nothing. What each mode keeps and loses, with
/// examples, is in host-std/RECOVERY.md of the source.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// What to do: `truncate` keeps what is before the first damage; `skip`
    /// leaves out what is damaged and keeps what still holds behind it;
    /// `snapshot` or `snapshot=N` begins with the newest snapshot, or with the
    /// one at commit N.
    #[arg(long, value_name = "MODE")]
    mode: ModeArg,
    /// Write the repaired directory here, where nothing is yet.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Only say what would be kept and lost, and write nothing. Ends with exit
    /// code 1 if something is damaged.
    #[arg(long)]
    dry_run: bool,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug)]
struct ModeArg(Mode);

impl FromStr for ModeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match (text, text.strip_prefix("snapshot=")) {
            ("truncate", _) => Mode::Truncate,
            ("skip", _) => Mode::Skip,
            ("snapshot", _) => Mode::Snapshot(None),
            (_, Some(position)) => {
                let position = position.parse().map_err(|_| "N is a commit's number")?;
                Mode::Snapshot(Some(TxOffset(position)))
            }
            _ => return Err("it is truncate, skip, snapshot, or snapshot=N".into()),
        }))
    }
}

/// What `--mode` calls it.
pub(super) fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Truncate => "truncate",
        Mode::Skip => "skip",
        Mode::Snapshot(_) => "snapshot",
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<&'a Path>,
    #[serde(flatten)]
    report: &'a Report,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let (path, Self { mode: ModeArg(mode), .. }) = (&self.data.path, &self);
        let failed = |error: RecoveryError| failure(path, error);
        if self.dry_run {
            let report = recovery::examine(path, *mode).map_err(failed)?;
            self.answer(&report, None, None)?;
            note_better(path, &report);
            return Ok(if report.good { Exit::Good } else { Exit::Bad });
        }
        let done = match &self.into {
            Some(into) => recovery::repair_into(path, *mode, into),
            None => recovery::repair_in_place(path, *mode),
        };
        let done = done.map_err(failed)?;
        self.answer(&done.report, done.repaired.as_deref(), Some(&done.original))?;
        note_better(&done.original, &done.report);
        let is_in_original = |here: PathBuf| here.starts_with(&done.original);
        if done.repaired.is_some() && env::current_dir().is_ok_and(is_in_original) {
            style::note(
                "the directory that this shell is in is the original now, under another name",
            );
        }
        Ok(Exit::Good)
    }

    fn answer(
        &self,
        report: &Report,
        repaired: Option<&Path>,
        original: Option<&Path>,
    ) -> Result<(), Failure> {
        let answer = Answer { dry_run: self.dry_run, repaired, original, report };
        output::answer(self.format, &answer, |out| {
            write_report(out, report)?;
            match (repaired, original) {
                (Some(repaired), Some(original)) => {
                    writeln!(out, "\nrepaired  {}", repaired.display())?;
                    writeln!(out, "original  {}, as it was", original.display())?;
                }
                _ => writeln!(out, "\nnothing was changed")?,
            }
            Ok(())
        })
    }
}

/// Says which other mode loses less of the damaged directory at `path`.
fn note_better(path: &Path, report: &Report) {
    if report.lost_commits() == 0 && !report.lost_end {
        return;
    }
    if let Ok(Some((best, other))) = recovery::best_mode(path)
        && (other.lost_commits(), other.lost_end) < (report.lost_commits(), report.lost_end)
    {
        let lost = match other.lost_commits() {
            0 if !other.lost_end => "nothing of the state".to_owned(),
            lost => style::count(lost, "commit"),
        };
        style::note(format!(
            "--mode {} loses less: {lost}, of the original at {}",
            mode_word(best),
            style::shell_path(path)
        ));
    }
}

fn failure(path: &Path, error: RecoveryError) -> Failure {
    let error = match error {
        RecoveryError::DataDir(error) => return open_failure(path, &OpenError::from(error)),
        RecoveryError::Unfinished(error) => return unfinished_failure(&error),
        RecoveryError::Log(error) => return open_failure(path, &OpenError::from(error)),
        error => error,
    };
    let help = match &error {
        RecoveryError::NoBeginning { .. } => "put a copy of what is missing in its place",
        RecoveryError::NoSnapshot { .. } => {
            "keep what is before the damage: --mode truncate; or more: --mode skip"
        }
        RecoveryError::Between { .. } => {
            "the repaired directory is whole: rename it yourself, and keep the original"
        }
        RecoveryError::Io { action: "rename", .. } => {
            "nothing was changed; if it cannot be renamed, write the repaired directory elsewhere: \
             --into DIR"
        }
        RecoveryError::Io { source, .. } => {
            let kind = source.kind();
            return Failure::incomplete(error).with_io_help(kind);
        }
        RecoveryError::Inside { .. } => "give a directory beside it; nothing was changed",
        RecoveryError::Exists { .. } => {
            "give another directory with --into, or move that one away; nothing was changed"
        }
        _ => return Failure::incomplete(error),
    };
    Failure::incomplete(error).with_help(help)
}

fn write_report(out: &mut impl Write, report: &Report) -> Result<(), Failure> {
    if report.good {
        writeln!(out, "not damaged: {}", style::count(report.kept, "commit"))?;
        writeln!(out, "state hash {}", report.state_hash)?;
        if report.torn_bytes > 0 {
            let bytes = style::count(report.torn_bytes, "byte");
            writeln!(
                out,
                "torn      {bytes} behind the last commit; the next command that writes cuts them"
            )?;
        }
        return Ok(());
    }
    for Damage { file, from, to, commit, what } in &report.damage {
        let file = file.display();
        writeln!(out, "damaged   {file}, bytes {from}-{to}, at commit {commit}: {what}")?;
    }
    if report.torn_bytes > 0 {
        let bytes = style::count(report.torn_bytes, "byte");
        writeln!(out, "cut       {bytes} at the end of the log, no whole commit")?;
    }
    if let Some(snapshot) = report.snapshot {
        writeln!(out, "begins    with the snapshot of {snapshot}")?;
    }
    writeln!(out, "kept      {}", style::count(report.kept, "commit"))?;
    for Commits { first, last } in &report.lost {
        let count = style::count(last - first + 1, "commit");
        writeln!(out, "lost      {count}: {first} to {last}")?;
    }
    if report.lost_commits() == 0 && !report.lost_end {
        writeln!(out, "lost      nothing of the state")?;
    }
    if report.lost_end {
        writeln!(out, "lost      the end of the log: nothing says how many commits")?;
    }
    for dependent in report.dependent.iter().take(DEPENDENT_SHOWN) {
        write_dependent(out, dependent)?;
    }
    if let Some(more @ 1..) = report.dependent.len().checked_sub(DEPENDENT_SHOWN) {
        writeln!(out, "          and {more} more, which --format json lists")?;
    }
    if report.unreadable > 0 {
        let commits = style::count(report.unreadable, "commit");
        writeln!(
            out,
            "unreadable {commits}: the installation of their module is lost, and with it all that \
             the module has done"
        )?;
    }
    if report.dropped_subscriptions > 0 {
        let dropped = style::count(report.dropped_subscriptions, "subscription");
        writeln!(out, "dropped   {dropped} that waited there; whether they ran is not known")?;
    }
    writeln!(out, "next      commit {}", report.next_commit)?;
    writeln!(out, "state hash {}", report.state_hash)?;
    Ok(())
}

fn write_dependent(out: &mut impl Write, dependent: &Dependent) -> Result<(), Failure> {
    let Dependent { commit, why, tables, taken, left } = dependent;
    let what = match (taken + left, tables.is_empty()) {
        (0, _) => "nothing of it was used".to_owned(),
        (all, true) => format!("{taken} of its {all} changes taken over"),
        (all, false) => format!("{taken} of its {all} changes of {} taken over", tables.join(", ")),
    };
    writeln!(out, "dependent commit {commit}: {why}; {what}")?;
    Ok(())
}
