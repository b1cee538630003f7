use std::{
    io::Write,
    time::{Duration, Instant},
};

use interstice_core::{
    CommittedState, Difference, Differing, Reexecution, ReplayError, Step, TxOffset,
    abi::schema::ModuleSchema,
    log::commit::{Body, Commit},
};
use serde::Serialize;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    open::{DataArgs, Visited, history, open_failure, reading, torn_tail_text},
    output::{self, Format},
    progress, style,
};
use crate::{
    data_dir::{DataDir, DataDirError},
    database::{Go, OpenError},
};

/// Commits between two steps of the progress bar.
const BAR_STEP: u64 = 1024;

/// Run every recorded call again and compare everything with the log.
///
/// Compares outcome, changed rows, result, scheduled calls, fuel and state
/// hash, and names the first difference. Changes nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// What re-executing a log has shown.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) identical: bool,
    /// The first commit compared.
    first: u64,
    /// Commits compared, the different one included.
    pub(super) commits: u64,
    pub(super) calls: u64,
    pub(super) seconds: f64,
    /// The hash of the state behind the last commit.
    pub(super) state_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) difference: Option<DifferenceAnswer>,
}

/// The first difference, in words.
#[derive(Debug, Serialize)]
pub(super) struct DifferenceAnswer {
    commit: u64,
    reducer: String,
    /// What differs: `outcome`, `change`, `result`, ...
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    recorded: String,
    reexecuted: String,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let dir = self.data.open_dir()?;
        let check = check(&dir)?;
        output::answer(self.format, &check, |out| check.print_text(out))?;
        if let (Some(DifferenceAnswer { commit, .. }), Format::Text) =
            (&check.difference, self.format)
        {
            let data = self.data.as_words();
            style::next(format!("interstice log-inspect{data} --from {commit} --to {commit}"));
        }
        Ok(if check.identical { Exit::Good } else { Exit::Bad })
    }
}

/// Re-executes the log of a data directory, up to the first difference.
pub(super) fn check(dir: &DataDir) -> Result<Check, Failure> {
    reading(|| check_once(dir))
}

fn check_once(dir: &DataDir) -> Result<Check, Failure> {
    let mut history = history(dir, TxOffset(0))?;
    let bar = progress::bar(history.progress().0, "re-executing");
    let mut run = Run {
        dir,
        first: history.first(),
        reexecution: Reexecution::behind(history.state().clone()),
        commits: 0,
        calls: 0,
        started: Instant::now(),
    };
    run.attach_all(history.state())?;
    let mut difference = None;
    let visited = history.visit(|_, offset, commit| {
        difference = run.step(offset, commit)?;
        if run.commits.is_multiple_of(BAR_STEP) {
            bar.inc(commit.len() as u64 * BAR_STEP);
        }
        Ok(if difference.is_some() { Go::Stop } else { Go::On })
    });
    bar.finish_and_clear();
    let whole = visited.map_err(|error: Visited| error.into_failure(dir.path()))? == Go::On;
    if whole && let Some(torn) = history.end().torn_tail {
        style::note(torn_tail_text(&torn, true));
    }
    Ok(run.answer(difference.as_ref()))
}

struct Run<'a> {
    dir: &'a DataDir,
    first: TxOffset,
    reexecution: Reexecution,
    commits: u64,
    calls: u64,
    started: Instant,
}

impl Run<'_> {
    /// Re-executes one commit. Returns its difference, if it has one.
    fn step(&mut self, offset: TxOffset, commit: &[u8]) -> Result<Option<Difference>, Failure> {
        self.attach_installed(commit)?;
        let step = self.reexecution.step(offset, commit);
        let step = step.map_err(|source| self.replay_failure(source))?;
        self.commits += 1;
        match step {
            Step::Installed | Step::Repaired => return Ok(None),
            Step::Identical => {}
            Step::Different(difference) => return Ok(Some(difference)),
            Step::CodeMissing { module } => {
                return Err(Failure::incomplete(format!(
                    "commit {offset} calls module `{module}`, whose file is missing"
                )));
            }
            Step::NotRun { reason } => {
                return Err(Failure::incomplete(format!(
                    "commit {offset} could not be run again: {reason}"
                )));
            }
            _ => return Err(Failure::incomplete(format!("commit {offset} cannot be compared"))),
        }
        self.calls += 1;
        Ok(None)
    }

    /// Loads the file of a module just before its installation.
    fn attach_installed(&mut self, commit: &[u8]) -> Result<(), Failure> {
        let Ok(Commit { body: Body::Install { content_hash, schema, .. }, .. }) =
            Commit::decode(commit)
        else {
            return Ok(());
        };
        // A schema that does not decode is for the step to refuse.
        let Ok(schema) = ModuleSchema::decode(schema) else { return Ok(()) };
        self.attach(&schema.module, content_hash)
    }

    /// Loads the files of the modules that a snapshot has installed.
    fn attach_all(&mut self, state: &CommittedState) -> Result<(), Failure> {
        let mut modules = state.modules().iter();
        modules.try_for_each(|module| self.attach(module.name(), module.content_hash()))
    }

    fn attach(&mut self, module: &str, content_hash: &[u8; 32]) -> Result<(), Failure> {
        let failed = |error: DataDirError| open_failure(self.dir.path(), &error.into());
        let wasm = self.dir.load_module(module, content_hash).map_err(failed)?;
        self.reexecution.attach(&wasm);
        Ok(())
    }

    fn replay_failure(&self, source: ReplayError) -> Failure {
        let path = self.dir.log_dir();
        open_failure(self.dir.path(), &OpenError::Replay { path, source })
    }

    fn answer(&self, difference: Option<&Difference>) -> Check {
        Check {
            identical: difference.is_none(),
            first: self.first.0,
            commits: self.commits,
            calls: self.calls,
            seconds: self.started.elapsed().as_secs_f64(),
            state_hash: format!("{:016x}", self.reexecution.state().state_hash()),
            difference: difference.map(DifferenceAnswer::of),
        }
    }
}

impl DifferenceAnswer {
    fn of(difference: &Difference) -> Self {
        let (mut table_name, mut row, mut column_name) = (None, None, None);
        let what = match &difference.what {
            Differing::Outcome => "outcome",
            Differing::ChangeCount => "number of changes",
            Differing::Change { table, key, column, .. } => {
                table_name = Some(table.clone());
                row = Some(key.clone());
                column_name = column.clone();
                "changed row"
            }
            Differing::Result => "result",
            Differing::Schedules => "scheduled calls",
            Differing::Fuel => "fuel",
            Differing::StateHash => "state hash",
            _ => "encoding",
        };
        Self {
            commit: difference.offset.0,
            reducer: difference.function.clone(),
            what,
            table: table_name,
            row,
            column: column_name,
            recorded: difference.recorded.clone(),
            reexecuted: difference.replayed.clone(),
        }
    }
}

impl Check {
    fn print_text(&self, out: &mut impl Write) -> Result<(), Failure> {
        let calls = style::count(self.calls, "call");
        let time = style::duration(Duration::from_secs_f64(self.seconds));
        let Some(difference) = &self.difference else {
            let commits = style::count(self.commits, "commit");
            let from = match self.first {
                0 => String::new(),
                first => format!(", from commit {first} on,"),
            };
            writeln!(out, "identical: {calls} of {commits} re-executed{from} in {time}")?;
            return Ok(writeln!(out, "state hash {}", self.state_hash)?);
        };
        let commit = difference.commit;
        writeln!(out, "different at commit {commit}, behind {calls} that are identical\n")?;
        let lines = [
            ("reducer", Some(&difference.reducer)),
            ("what", Some(&difference.what.to_owned())),
            ("table", difference.table.as_ref()),
            ("row", difference.row.as_ref()),
            ("column", difference.column.as_ref()),
            ("recorded", Some(&difference.recorded)),
            ("re-executed", Some(&difference.reexecuted)),
        ];
        for (name, value) in lines {
            if let Some(value) = value {
                writeln!(out, "  {name:12} {}", style::printable(value))?;
            }
        }
        Ok(())
    }
}
