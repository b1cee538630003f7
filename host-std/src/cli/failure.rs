//! What a person reads when a command fails.

use std::{fmt::Display, io, path::Path};

use interstice_core::abi::{layout::Layout, value::Value};

use super::exit::Exit;

/// Why a command ended without what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to say.
    Said(Report),
    /// Whoever read our output has stopped reading. Nothing to say, and nobody
    /// to say it to.
    BrokenPipe,
}

/// A message, what to do next, and how the process ends.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    /// The next step, as a sentence or a command.
    pub(crate) help: Option<String>,
    /// The call or query that has no effect.
    pub(crate) call: Option<Box<FailedCall>>,
    /// Whether a file was removed while it was read.
    of_removed_file: bool,
}

/// What programs want to know of a call or query that has no effect.
#[derive(Debug)]
pub(crate) struct FailedCall {
    /// What has failed, as `MODULE.FUNCTION`.
    pub(crate) function: String,
    pub(crate) kind: &'static str,
    /// The typed error, when it returned one.
    pub(crate) value: Option<(Layout, Value)>,
}

impl Report {
    fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: message.to_string(), help: None, call: None, of_removed_file: false }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::new(Exit::Usage, message)
    }
}

pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// The answer is bad.
    pub(crate) fn bad(message: impl Display) -> Self {
        Self::Said(Report::new(Exit::Bad, message))
    }

    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Said(Report::usage(message))
    }

    /// The command could not be completed.
    pub(crate) fn incomplete(message: impl Display) -> Self {
        Self::Said(Report::new(Exit::Incomplete, message))
    }

    /// The system refused `action` on `path`.
    pub(crate) fn io(action: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("could not {action} {}", path.display());
        move |error| Self::incomplete(format!("{what}: {error}")).with_io_help(error.kind())
    }

    /// Says what to do next, unless it was said already.
    pub(crate) fn with_help(mut self, next: impl Display) -> Self {
        if let Self::Said(report) = &mut self {
            report.help.get_or_insert_with(|| next.to_string());
        }
        self
    }

    /// Says what to do where the system refuses something for this reason.
    pub(crate) fn with_io_help(self, kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::NotFound => self.with_help("check the path"),
            io::ErrorKind::PermissionDenied => self.with_help("check its permissions"),
            io::ErrorKind::StorageFull => self.with_help("make room on the disk"),
            io::ErrorKind::IsADirectory => self.with_help("give a file"),
            io::ErrorKind::NotADirectory => self.with_help("give a directory"),
            io::ErrorKind::ReadOnlyFilesystem => {
                self.with_help("queries, `status` and the log's commands read it without writing")
            }
            _ => self,
        }
    }

    /// Says that it is because a file was removed while it was read.
    pub(crate) fn of_removed_file(mut self) -> Self {
        if let Self::Said(report) = &mut self {
            report.of_removed_file = true;
        }
        self
    }

    /// Whether it is because a file was removed while it was read.
    pub(crate) fn is_of_removed_file(&self) -> bool {
        matches!(self, Self::Said(report) if report.of_removed_file)
    }

    /// The answer could not be written, but what was asked for is done.
    pub(crate) fn but_done(mut self, done: impl Display) -> Self {
        if let Self::Said(report) = &mut self {
            report.help = Some(format!("{done}; only the answer could not be written"));
        }
        self
    }

    /// Says which call or query has no effect.
    pub(crate) fn with_call(mut self, call: FailedCall) -> Self {
        if let Self::Said(report) = &mut self {
            report.call = Some(Box::new(call));
        }
        self
    }
}

/// Only for writing to standard output, or to a file whose errors name it.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            kind => {
                Self::incomplete(format!("could not write the output: {error}")).with_io_help(kind)
            }
        }
    }
}

/// Writing JSON or CSV to standard output.
impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::from(io::Error::from(error))
    }
}

impl From<csv::Error> for Failure {
    fn from(error: csv::Error) -> Self {
        Self::from(io::Error::from(error))
    }
}
