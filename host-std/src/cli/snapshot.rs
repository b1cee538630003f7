use std::{fs, io::Write};

use serde::Serialize;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    open::{DataArgs, close},
    output::{self, Format},
    persistence::PersistenceArgs,
    style,
};
use crate::snapshots;

/// Take a snapshot of the state, so that start-up need not replay the log.
///
/// The log goes on in a new segment. Snapshots and segments that
/// `interstice.toml` in the data directory does not keep are removed: its keys
/// are `snapshots_kept` (without it 2), and `retain_segments`, `retain_bytes`
/// and `retain_hours` (without them every segment is kept). They have no flags.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    persistence: PersistenceArgs,
}

#[derive(Serialize)]
struct Answer {
    /// The state before this commit.
    position: u64,
    file: String,
    bytes: u64,
    state_hash: String,
    /// Whether there was one of this state already.
    already: bool,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let mut database = self.data.open(&self.persistence)?;
        let state = database.state();
        let position = state.next_offset();
        let state_hash = format!("{:016x}", state.state_hash());
        let used = database.opening().snapshot == Some(position);
        let path = match used {
            true => snapshots::snapshot_path(&database.data_dir().snapshots_dir(), position),
            false => database.snapshot().map_err(Failure::incomplete)?,
        };
        let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let file = path.display().to_string();
        let answer = Answer { position: position.0, file, bytes, state_hash, already: used };
        output::answer(self.format, &answer, |out| {
            Ok(writeln!(
                out,
                "{}: the state before commit {}, {}\nstate hash {}",
                answer.file,
                answer.position,
                style::bytes(answer.bytes),
                answer.state_hash
            )?)
        })
        .map_err(|failure| failure.but_done("the snapshot is taken"))?;
        if used {
            style::note("nothing was committed since this snapshot was taken");
        }
        close(database)?;
        Ok(Exit::Good)
    }
}
