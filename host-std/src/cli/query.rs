use std::io::Write;

use super::{
    call::{Arguments, VALUES, call_failure},
    exit::Exit,
    failure::{Failure, Outcome},
    guest_log::{GuestLevel, GuestLogArgs},
    open::{DataArgs, find_query},
    output::{self, RowsFormat},
};

/// Run a query.
///
/// Changes nothing; works on read-only media, and beside a process that writes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = VALUES)]
pub(super) struct Args {
    /// The query, as MODULE.QUERY.
    #[arg(value_name = "MODULE.QUERY")]
    query: String,
    #[command(flatten)]
    arguments: Arguments,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    guest_log: GuestLogArgs,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: RowsFormat,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let mut database = self.data.open_read_only()?;
        self.guest_log.show(&mut database, GuestLevel::Info);
        let (query, function) = find_query(&database, &self.query)?;
        let args = self.arguments.encode(&self.query, &function)?;
        let answer =
            database.query(query, &args).map_err(|error| call_failure(&function, &error))?;
        let mut out = output::stdout();
        if let Some(layout) = function.returns() {
            let value = layout.decode(&answer.result).map_err(Failure::incomplete)?;
            output::write_value(&mut out, self.format, layout, &value)?;
        }
        out.flush()?;
        Ok(Exit::Good)
    }
}
