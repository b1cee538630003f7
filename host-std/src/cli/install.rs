use std::{io::Write, path::PathBuf};

use interstice_core::{
    CommittedState, Inputs, InstallError, Limits, Runtime, Timestamp,
    log::{MemoryLog, frame::LogHeader},
};
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
    data_dir::{DataDir, DataDirError, content_hash},
    database::{AddModuleError, Database, OpenError, ReadOnlyState},
    file_system,
    module_files::ModuleFiles,
    recovery,
    text::hex,
};

/// Install a module file into a data directory, or upgrade it.
///
/// Makes the data directory when there is none. Installing the same file again
/// changes nothing. A file that the log knows and that is missing or changed in
/// the data directory is put back. Another file of a module that is installed, by its name,
/// takes its place: the rows stay, tables, reducers and queries may be added, and
/// reducers and queries changed or removed; an upgrade that changes or removes a
/// table is refused, and nothing is changed. A module that is refused leaves
/// nothing behind.
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
        if let Some(module) = self.put_back_earlier(&wasm)? {
            return self.say_put_back(&wasm, module);
        }
        let mut database = self.open_or_create(&wasm)?;
        let installed = database
            .install(&wasm)
            .map_err(|error| install_failure(&self.file.display().to_string(), &error))?;
        let answer = Answer {
            already: installed.offset.is_none(),
            commit: installed.offset.map(|offset| offset.0),
            upgraded: installed.upgraded,
            content_hash: hex(&content_hash(&wasm)),
            state_hash: format!("{:016x}", database.state().state_hash()),
            module: installed.module,
        };
        output::answer(self.format, &answer, |out| Ok(writeln!(out, "{}", answer.text())?))
            .map_err(|failure| failure.but_done("it is installed"))?;
        if self.format == Format::Text {
            let data = self.data.as_words();
            style::next(format!("interstice schema {}{data}", answer.module));
        }
        let failures = &installed.failures;
        note_failures(failures, failures.len() as u64, &database, &self.data);
        close(database)?;
        Ok(Exit::Good)
    }

    /// Puts the file of an installed module back, if it is this one and it is
    /// missing or changed: without it the database does not open.
    fn restore(&self, wasm: &[u8]) -> Result<(), Failure> {
        let path = &self.data.path;
        let failed = |error: OpenError| open_failure(path, &error);
        let dir = DataDir::open(path).map_err(|error| failed(error.into()))?;
        let hash = content_hash(wasm);
        let file = dir.module_path(&hash);
        if file_system::read(&**dir.files(), &file).is_ok_and(|kept| kept == wasm) {
            return Ok(());
        }
        // Only what the log knows is put back before the module is checked.
        let look = DataDir::open_read_only(path).map_err(|error| failed(error.into()))?;
        let opened = ReadOnlyState::of(look).map_err(failed)?;
        let mut installed = opened.state().modules().iter();
        if let Some(module) = installed.find(|module| *module.content_hash() == hash) {
            dir.store_module(wasm).map_err(|error| failed(error.into()))?;
            let file = file.display();
            style::note(format!("put the file of module {} back: {file}", module.name()));
        }
        Ok(())
    }

    /// Puts the file of an earlier version back, if it is this one and missing or
    /// changed: re-execution needs it. Returns the module.
    fn put_back_earlier(&self, wasm: &[u8]) -> Result<Option<String>, Failure> {
        let path = &self.data.path;
        if !DataDir::exists(path) {
            return Ok(None);
        }
        let failed = |error: OpenError| open_failure(path, &error);
        let look = DataDir::open_read_only(path).map_err(|error| failed(error.into()))?;
        let hash = content_hash(wasm);
        if look.load_module("", &hash).is_ok() {
            return Ok(None);
        }
        // A history that cannot be read knows of no version: what is wrong with it
        // is for other commands to say.
        let Ok((files, state)) = ModuleFiles::of(&look) else { return Ok(None) };
        let is_in_force = state.modules().iter().any(|module| *module.content_hash() == hash);
        let Some(file) = files.version(&hash).filter(|_| !is_in_force) else { return Ok(None) };
        let dir = DataDir::open(path).map_err(|error| failed(error.into()))?;
        dir.store_module(wasm).map_err(|error| failed(error.into()))?;
        Ok(Some(file.module.clone()))
    }

    fn say_put_back(&self, wasm: &[u8], module: String) -> Outcome {
        let state = ReadOnlyState::open(&self.data.path)
            .map_err(|error| open_failure(&self.data.path, &error))?;
        let answer = Answer {
            module,
            commit: None,
            already: true,
            upgraded: false,
            content_hash: hex(&content_hash(wasm)),
            state_hash: format!("{:016x}", state.state().state_hash()),
        };
        output::answer(self.format, &answer, |out| {
            let module = &answer.module;
            writeln!(out, "put the file of an earlier version of module {module} back")?;
            Ok(())
        })?;
        style::note("nothing was installed; the same command again would, in place of what is");
        Ok(Exit::Good)
    }

    /// A module that is refused is refused before a directory is made for it.
    fn try_in_memory(&self, wasm: &[u8]) -> Result<(), Failure> {
        let state = CommittedState::new(0, Limits::default());
        let log = MemoryLog::new(LogHeader { log_id: [0; 16], seed: 0 });
        let error = match Runtime::new(state, log).install(wasm, Inputs::at(Timestamp(0))) {
            Err(InstallError::Load(error)) => InstallError::Load(error),
            Err(InstallError::Refused(refusal)) => InstallError::Refused(refusal),
            _ => return Ok(()),
        };
        Err(install_failure(&self.file.display().to_string(), &error.into()))
    }

    fn open_or_create(&self, wasm: &[u8]) -> Result<Database, Failure> {
        if DataDir::exists(&self.data.path) {
            self.restore(wasm)?;
            return self.data.open(&self.persistence);
        }
        let path = &self.data.path;
        if recovery::unpublished(path).is_some() {
            let missing = DataDirError::Missing { path: path.clone(), exists: false };
            return Err(open_failure(path, &missing.into()));
        }
        self.try_in_memory(wasm)?;
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
