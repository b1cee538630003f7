//! Running commands.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What went wrong, in words that end with what to do.
pub(crate) type Problem = String;

/// The project's root.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.ancestors().nth(2).unwrap_or(xtask).to_owned()
}

fn cargo_path() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A cargo command in the project's root.
pub(crate) fn cargo(args: &str) -> Command {
    let mut command = Command::new(cargo_path());
    command.args(args.split_whitespace()).current_dir(root());
    // Set for this program by the cargo that runs it; not meant for others.
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Any other command in the project's root.
pub(crate) fn program(name: &str, args: &str) -> Command {
    let mut command = Command::new(name);
    command.args(args.split_whitespace()).current_dir(root());
    command
}

/// Runs a command, with its output to be seen.
pub(crate) fn run(mut command: Command) -> Result<(), Problem> {
    let text = text(&command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("this failed: {text}")),
        Err(error) => Err(format!("`{text}` does not start: {error}")),
    }
}

/// Runs a command and returns what it prints to its standard output.
pub(crate) fn output(mut command: Command) -> Result<String, Problem> {
    let text = text(&command);
    match command.stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(_) => Err(format!("this failed: {text}")),
        Err(error) => Err(format!("`{text}` does not start: {error}")),
    }
}

/// Whether a command runs and succeeds; its output is not shown.
pub(crate) fn succeeds(mut command: Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn text(command: &Command) -> String {
    let words = command.get_args().map(|arg| arg.to_string_lossy());
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default();
    let program = program.to_string_lossy();
    std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
}
