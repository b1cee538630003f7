use std::io::{self, Write};

use clap::CommandFactory;

use super::{CommandLine, exit::Exit, failure::Outcome};

/// Print a completion script for a shell.
///
/// For bash: `interstice completions bash > ~/.local/share/bash-completion/completions/interstice`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        // Into memory first: clap_complete panics when its writer fails.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut CommandLine::command(), "interstice", &mut script);
        io::stdout().write_all(&script)?;
        Ok(Exit::Good)
    }
}
