use std::{io::Write, path::PathBuf};

use interstice_core::InstallError;
use serde::Serialize;

use super::{
    call::note_failures,
    exit::Exit,
    failure::{Failure, Outcome},
    open::{DataArgs, close, open_failure},
    output::{self, Format},
    persistence::PersistenceArgs,
    schema::read_wasm,
    style,
    validate::findings_text,
};
use crate::{
    data_dir::DataDir,
    database::{AddModuleError, Database},
    text::hex,
};

/// Install a module file into a data directory.
///
/// Makes the data directory when there is none. Installing the same file again
/// changes nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The `.wasm` file; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
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
    module: String,
    /// Whether this file was installed already.
    already: bool,
    /// The installation's commit, when there is one.
    commit: Option<u64>,
    upgraded: bool,
    content_hash: String,
    state_hash: String,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let wasm = read_wasm(&self.file)?;
        let mut database = self.open_or_create()?;
        let installed = database
            .install(&wasm)
            .map_err(|error| install_failure(&self.file.display().to_string(), &error))?;
        let answer = Answer {
            already: installed.offset.is_none(),
            commit: installed.offset.map(|offset| offset.0),
            upgraded: installed.upgraded,
            content_hash: hex(&crate::data_dir::content_hash(&wasm)),
            state_hash: format!("{:016x}", database.state().state_hash()),
            module: installed.module,
        };
        output::answer(self.format, &answer, |out| Ok(writeln!(out, "{}", answer.text())?))?;
        if self.format == Format::Text {
            let data = self.data.as_words();
            style::next(format!("interstice schema {}{data}", answer.module));
        }
        note_failures(installed.failures.len() as u64, &self.data);
        close(database)?;
        Ok(Exit::Good)
    }

    fn open_or_create(&self) -> Result<Database, Failure> {
        if DataDir::exists(&self.data.path) {
            return self.data.open(&self.persistence);
        }
        let path = &self.data.path;
        let database = Database::create(path).map_err(|error| open_failure(path, &error))?;
        style::say(format!("made the data directory {}", path.display()));
        Ok(database)
    }
}

impl Answer {
    fn text(&self) -> String {
        let module = &self.module;
        match self.commit {
            None => format!("this file of module {module} is installed already"),
            Some(commit) if self.upgraded => format!("upgraded module {module} (commit {commit})"),
            Some(commit) => format!("installed module {module} (commit {commit})"),
        }
    }
}

/// Why a module was not installed, one finding per line.
pub(super) fn install_failure(file: &str, error: &AddModuleError) -> Failure {
    match error {
        AddModuleError::Install(InstallError::Load(error)) => {
            Failure::bad(format!("{file} cannot be loaded\n{}", findings_text(&error.findings)))
        }
        AddModuleError::Install(InstallError::Refused(_)) => {
            Failure::bad(format!("{file} cannot be installed: {error}; nothing was changed"))
        }
        _ => Failure::incomplete(error),
    }
}
