use std::io::Write;

use interstice_core::Timestamp;
use serde::Serialize;

use super::{
    call::{function_name, note_failures, run_due},
    exit::Exit,
    failure::{Failure, Outcome},
    guest_log::{GuestLevel, GuestLogArgs},
    open::{DataArgs, close},
    output::{self, Format},
    persistence::PersistenceArgs,
    style,
};
use crate::{clock, database::Database, text::timestamp};

/// Run the scheduled calls whose time has come.
///
/// Says what ran, and when the next call is due. A time in the past counts as the
/// time of the call that schedules it: so what these calls schedule runs with the
/// next `run-due`, and one that repeats runs once for each. `call` and `feed` do
/// the same before their own calls. Ends with exit code 1 if something that ran
/// failed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    guest_log: GuestLogArgs,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    persistence: PersistenceArgs,
}

#[derive(Serialize)]
struct Answer {
    ran: Vec<Ran>,
    /// Of those that ran, and of what ran behind them.
    failed: u64,
    scheduled_calls: usize,
    next_due: Option<String>,
}

#[derive(Serialize)]
struct Ran {
    reducer: String,
    due: String,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let mut database = self.data.open(&self.persistence)?;
        self.guest_log.show(&mut database, GuestLevel::Info);
        let (now, log_time) = (clock::now(), database.state().time());
        let began = now.max(log_time);
        let (mut ran, mut failures) = (Vec::new(), Vec::new());
        while database.state().next_due().is_some_and(|due| due <= began) {
            let (waiting, commits) = (waiting(&database), database.state().next_offset());
            failures.extend(run_due(&mut database)?);
            if database.state().next_offset() == commits {
                break; // The clock was set back.
            }
            let time = database.state().time();
            ran.extend(
                waiting
                    .into_iter()
                    .filter(|(at, _)| *at <= time)
                    .map(|(at, reducer)| Ran { reducer, due: timestamp::format(at.0) }),
            );
            if now < log_time {
                break; // Time stands: what these have scheduled would be due for ever.
            }
        }
        let answer = Answer {
            ran,
            failed: failures.len() as u64,
            scheduled_calls: database.state().scheduled(),
            next_due: database.state().next_due().map(|due| timestamp::format(due.0)),
        };
        note_failures(&failures, answer.failed, &database, &self.data);
        close(database)?;
        output::answer(self.format, &answer, |out| answer.print_text(out))?;
        Ok(if answer.failed == 0 { Exit::Good } else { Exit::Bad })
    }
}

/// The calls that are scheduled, the earliest first.
fn waiting(database: &Database) -> Vec<(Timestamp, String)> {
    let state = database.state();
    state.schedule().map(|(at, target)| (at, function_name(state, target))).collect()
}

impl Answer {
    fn print_text(&self, out: &mut impl Write) -> Result<(), Failure> {
        for Ran { reducer, due } in &self.ran {
            writeln!(out, "ran {reducer}, due {due}")?;
        }
        if self.ran.is_empty() {
            writeln!(out, "nothing is due")?;
        }
        match &self.next_due {
            Some(due) => {
                let waiting = style::count(self.scheduled_calls as u64, "scheduled call");
                writeln!(out, "{waiting}, the next one due {due}")?;
            }
            None => writeln!(out, "no call is scheduled")?,
        }
        Ok(())
    }
}
