use std::process::ExitCode;

/// Exit codes: one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done, and the answer is good.
    Good = 0,
    /// Done, and the answer is bad: a module is not valid, a reducer returned
    /// its error, a log does not re-execute to itself.
    Bad = 1,
    /// The command line asks for something that makes no sense. clap's own
    /// errors have this code too.
    Usage = 2,
    /// The command could not be completed: a file is missing, a disk is full,
    /// a directory is in use.
    Incomplete = 3,
}

/// The list, for the end of `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  good
  1  the answer is bad (an invalid module, a failed call, a difference)
  2  the command line makes no sense
  3  could not complete (a file is missing, the directory is in use)";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
