use std::io::Write;

use serde::Serialize;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    log_repair::mode_word,
    open::{DataArgs, ENDS_SEALED, TornAnswer, open_failure, torn_tail_text},
    output::{self, Format},
    progress, style,
};
use crate::{
    file_log::LogError,
    log_check::{self, Problem, Report},
    recovery::{self, Damage, Mode, RecoveryError},
};

/// Check every byte of the log and of the snapshots, replay the log, and check
/// the files of modules.
///
/// Finds all that is wrong, not only the first of it, and names file, byte and
/// commit; behind the first damage of a segment as far as commits can be recognised
/// there. Takes no lock and changes nothing. Ends with exit code 1 if
/// something is damaged; a write that was cut short is no damage.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Serialize)]
struct Answer {
    good: bool,
    segments: u64,
    commits: u64,
    snapshots: u64,
    bytes: u64,
    /// The first commit that can be replayed.
    first: u64,
    /// Whether the newest segment is sealed, and none follows.
    ends_sealed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    torn_tail: Option<TornAnswer>,
    problems: Vec<ProblemAnswer>,
    /// Files of modules that are missing or changed.
    modules: Vec<ProblemAnswer>,
    /// Further damage in the segments, behind the first of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    further_damage: Vec<Damage>,
    /// The repair that keeps most of what is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<RepairAnswer>,
}

#[derive(Serialize)]
struct RepairAnswer {
    mode: &'static str,
    kept: u64,
    lost_commits: u64,
    lost_end: bool,
    /// Position of the snapshot that the log would begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<u64>,
}

#[derive(Serialize)]
struct ProblemAnswer {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<u64>,
    what: String,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let dir = self.data.open_dir()?;
        let segments = dir.files().list(&dir.log_dir()).unwrap_or_default();
        let sizes = segments.iter().filter_map(|name| {
            let mut file = dir
                .files()
                .open(&dir.log_dir().join(name), crate::file_system::OpenMode::Read)
                .ok()?;
            file.size().ok()
        });
        let bar = progress::bar(sizes.sum(), "checking");
        let checked = log_check::check(&dir, &mut |read| bar.set_position(read));
        bar.finish_and_clear();
        let report = checked.map_err(|error| open_failure(dir.path(), &error.into()))?;
        let is_damaged = !report.problems.is_empty();
        let best = is_damaged.then(|| recovery::best_mode(&self.data.path));
        let repair = match &best {
            Some(Ok(Some((mode, report)))) => Some(RepairAnswer::of(*mode, report)),
            _ => None,
        };
        let further_damage = match &best {
            Some(Ok(Some((_, whole)))) => further_damage(&report, whole),
            _ => Vec::new(),
        };
        let answer = Answer { repair, further_damage, ..Answer::of(&report) };
        output::answer(self.format, &answer, |out| answer.print_text(out))?;
        if let Some(torn) = &report.torn_tail {
            style::note(torn_tail_text(torn, true));
        }
        if answer.good && report.ends_sealed {
            style::note(ENDS_SEALED);
        }
        if answer.good && report.oldest < report.first {
            let (oldest, first) = (report.oldest, report.first);
            style::note(format!(
                "the log begins with commit {oldest}, but no good snapshot leads there: it can be \
                 replayed from commit {first} on, and what was before is in the snapshot"
            ));
        }
        if answer.good {
            return Ok(Exit::Good);
        }
        style::next(match best {
            None => format!("put each file back: interstice install FILE{}", self.data.as_words()),
            Some(best) => self.advice(best),
        });
        Ok(Exit::Bad)
    }

    /// What to do about damage.
    fn advice(&self, best: Result<Option<(Mode, recovery::Report)>, RecoveryError>) -> String {
        let (mode, report) = match best {
            Ok(Some(best)) => best,
            Ok(None) => return "the log and its snapshots are good: mend what is wrong".to_owned(),
            Err(error @ RecoveryError::Foreign { .. }) => return error.to_string(),
            Err(RecoveryError::Log(LogError::Header { source, .. })) => {
                return format!("{source}: read it with the version of this program that wrote it");
            }
            Err(error) => {
                return format!("{error}: put a copy of what is damaged or missing in its place");
            }
        };
        let end = if report.lost_end { "and the end of the log " } else { "" };
        let loses = match (report.lost_commits(), report.snapshot) {
            (0, _) if report.lost_end => "the end of the log is lost".to_owned(),
            (0, Some(first)) => format!("the state is whole, its history begins with {first}"),
            (0, None) => "no commit is lost".to_owned(),
            (1, _) => format!("1 commit {end}is lost"),
            (lost, _) => format!("{} {end}are lost", style::count(lost, "commit")),
        };
        format!(
            "save what can be saved into a new directory ({loses}): interstice log-repair{} --mode \
             {} --into DIR",
            self.data.as_words(),
            mode_word(mode)
        )
    }
}

/// Of all damage, what stands behind the first of a segment, where a check of it ends.
fn further_damage(report: &Report, whole: &recovery::Report) -> Vec<Damage> {
    let first_of = |damage: &Damage| {
        let mut problems = report.problems.iter();
        problems.find(|problem| problem.path == damage.file)?.at
    };
    let is_further = |damage: &&Damage| first_of(damage).is_some_and(|first| first < damage.from);
    whole.damage.iter().filter(is_further).cloned().collect()
}

impl RepairAnswer {
    fn of(mode: Mode, report: &recovery::Report) -> Self {
        Self {
            mode: mode_word(mode),
            kept: report.kept,
            lost_commits: report.lost_commits(),
            lost_end: report.lost_end,
            snapshot: report.snapshot,
        }
    }
}

impl Answer {
    fn of(report: &Report) -> Self {
        let problem = |problem: &Problem| ProblemAnswer {
            file: problem.path.display().to_string(),
            at: problem.at,
            commit: problem.commit.map(|commit| commit.0),
            what: problem.what.clone(),
        };
        Self {
            good: report.is_good(),
            segments: report.segments,
            commits: report.commits,
            snapshots: report.snapshots,
            bytes: report.bytes,
            first: report.first.0,
            ends_sealed: report.ends_sealed,
            state_hash: report.state_hash.map(|hash| format!("{hash:016x}")),
            torn_tail: report.torn_tail.as_ref().map(TornAnswer::of),
            problems: report.problems.iter().map(problem).collect(),
            modules: report.modules.iter().map(problem).collect(),
            further_damage: Vec::new(),
            repair: None,
        }
    }

    fn replayed(&self) -> String {
        match self.first {
            0 => "all replayed".to_owned(),
            first => format!("replayed behind the snapshot of {first}"),
        }
    }

    fn print_text(&self, out: &mut impl Write) -> Result<(), Failure> {
        let read = format!(
            "{} in {} ({}), {}",
            style::count(self.commits, "commit"),
            style::count(self.segments, "segment"),
            style::bytes(self.bytes),
            style::count(self.snapshots, "snapshot")
        );
        match &self.state_hash {
            Some(hash) if self.good => {
                writeln!(out, "good: {read}; {}", self.replayed())?;
                writeln!(out, "state hash {hash}")?;
            }
            Some(hash) if self.problems.is_empty() => {
                writeln!(out, "files of modules are missing or changed")?;
                writeln!(out, "the log is good: {read}; {}", self.replayed())?;
                writeln!(out, "state hash {hash}")?;
            }
            _ => {
                writeln!(out, "damaged; what verifies up to the first damage of each file: {read}")?
            }
        }
        for problem in self.problems.iter().chain(&self.modules) {
            writeln!(out, "  {}", style::printable(&problem.what))?;
        }
        for Damage { file, from, to, commit, what } in &self.further_damage {
            let file = file.display();
            writeln!(out, "  {file}, bytes {from}-{to}, at commit {commit}: {what}")?;
        }
        Ok(())
    }
}
