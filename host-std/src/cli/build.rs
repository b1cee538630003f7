use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use interstice_core::Limits;
use serde::Serialize;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    output::{self, Format},
    style,
    validate::{Verdict, examine, findings_text},
};
use crate::build::{BuildError, BuiltModule, TARGET, build};

/// Build a module project into a `.wasm` file that runs on every target.
///
/// Runs cargo for wasm32-unknown-unknown (and adds that target through rustup
/// when it is missing), then validates what came out.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The project's folder.
    #[arg(default_value = ".", value_name = "PROJECT")]
    project: PathBuf,
    /// Also write the module to this file; `-` for standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Serialize)]
struct Answer {
    module: String,
    path: String,
    bytes: usize,
    memory_bytes: Option<u64>,
    content_hash: String,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        if self.output.as_deref() == Some(Path::new("-")) {
            output::refuse_terminal("a module file")?;
        }
        let built = build_project(&self.project)?;
        let wasm = fs::read(&built.path).map_err(Failure::io("read", &built.path))?;
        let path = shorten(&built.path);
        let verdict = examine(&wasm, &Limits::default());
        let Verdict { schema: Some(schema), .. } = &verdict else {
            let findings = findings_text(&verdict.findings);
            return Err(Failure::bad(format!("{} cannot be loaded\n{findings}", path.display())));
        };
        let path = match &self.output {
            Some(output) if output == Path::new("-") => {
                std::io::stdout().write_all(&wasm)?;
                return Ok(Exit::Good);
            }
            Some(output) => {
                fs::write(output, &wasm).map_err(Failure::io("write", output))?;
                output.clone()
            }
            None => path,
        };
        let answer = Answer {
            module: schema.module.clone(),
            path: path.display().to_string(),
            bytes: wasm.len(),
            memory_bytes: verdict.memory_bytes,
            content_hash: crate::text::hex(&crate::data_dir::content_hash(&wasm)),
        };
        answer.print(self.format)?;
        Ok(Exit::Good)
    }
}

impl Answer {
    fn print(&self, format: Format) -> Result<(), Failure> {
        output::answer(format, self, |out| Ok(writeln!(out, "{}", self.path)?))?;
        if format == Format::Text {
            let memory = match self.memory_bytes {
                Some(bytes) => format!(", memory {}", style::bytes(bytes)),
                None => String::new(),
            };
            let size = style::bytes(self.bytes as u64);
            style::say(format!("module {}: {size}{memory}, valid", self.module));
            style::next(format!("interstice install {}", style::shell_word(&self.path)));
        }
        Ok(())
    }
}

/// Builds a project, with what it has to say on standard error.
pub(super) fn build_project(project: &Path) -> Result<BuiltModule, Failure> {
    build(project, |text| style::say(text)).map_err(|error| {
        let failure = match &error {
            BuildError::NoProject { .. } | BuildError::Workspace { .. } => Failure::usage(&error),
            BuildError::Compile | BuildError::NoLibrary { .. } => Failure::bad(&error),
            _ => Failure::incomplete(&error),
        };
        match &error {
            BuildError::NoProject { .. } => failure
                .with_help("give the folder of a module, or make one: interstice new my-module"),
            BuildError::Workspace { .. } => failure.with_help("build one of them"),
            BuildError::NoTarget { .. } => failure.with_help(format!(
                "run `rustup target add {TARGET}`; without rustup (https://rustup.rs), install \
                 your system's package of the Rust standard library for {TARGET}"
            )),
            BuildError::Program { .. } => failure.with_help("install Rust from https://rustup.rs"),
            BuildError::NoLibrary { .. } => failure.with_help(
                "move it there, and say so in Cargo.toml: [lib] crate-type = [\"cdylib\", \"lib\"]",
            ),
            BuildError::Compile => failure.with_help("correct the errors above and build again"),
            _ => failure,
        }
    })
}

/// A path below the current folder, as a person would type it.
pub(super) fn shorten(path: &Path) -> PathBuf {
    let relative = std::env::current_dir().ok().and_then(|here| {
        let here = fs::canonicalize(here).ok()?;
        Some(path.strip_prefix(here).ok()?.to_owned())
    });
    relative.unwrap_or_else(|| path.to_owned())
}
