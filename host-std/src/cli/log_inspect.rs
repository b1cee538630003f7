use std::io::Write;

use interstice_core::{CommittedState, Record};

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    open::DataArgs,
    output,
};

pub(super) mod filter;
pub(super) mod listing;
pub(super) mod record;
mod text;

use filter::Filter;
use listing::{Listing, Punctuation};
use record::RecordAnswer;

/// Show the commits of a log, with their types.
///
/// Needs neither the modules' files nor a log that is whole: shows what there
/// is, and says where it ends.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    filter: Filter,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: InspectFormat,
}

/// Formats of commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum InspectFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON array.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// One YAML document per commit.
    Yaml,
}

impl InspectFormat {
    fn punctuation(self) -> Punctuation {
        match self {
            Self::Text => Punctuation::APART,
            Self::Json => Punctuation::JSON,
            Self::Jsonl => Punctuation::NONE,
            Self::Yaml => Punctuation::YAML,
        }
    }

    fn write(
        self,
        mut out: &mut dyn Write,
        state: &CommittedState,
        record: &Record,
    ) -> Result<(), Failure> {
        match self {
            Self::Text => text::write(&mut out, state, record),
            Self::Json => Ok(serde_json::to_writer(out, &RecordAnswer::of(state, record))?),
            Self::Jsonl => output::write_json_line(&mut out, &RecordAnswer::of(state, record)),
            Self::Yaml => output::write_yaml(&mut out, &RecordAnswer::of(state, record)),
        }
    }
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let dir = self.data.open_dir()?;
        let mut out = output::stdout();
        let mut listing = Listing::new(&mut out, self.format.punctuation());
        let shown = self
            .filter
            .visit(&dir, &mut listing, &|out, state, record| self.format.write(out, state, record));
        match shown {
            // What a program reads is the error then, and not an empty list.
            Err(failure) if listing.is_empty() => Err(failure),
            shown => {
                listing.end()?;
                out.flush()?;
                shown.map(|()| Exit::Good)
            }
        }
    }
}
