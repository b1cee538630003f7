//! Running commands.

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead, BufReader, IsTerminal, Write},
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

/// Where tools are installed that this machine does not have: here, not in the
/// user's home.
pub(crate) fn tools() -> PathBuf {
    root().join("target/xtask-tools")
}

/// A cargo command in the project's root.
pub(crate) fn cargo(args: &str) -> Command {
    let mut command = Command::new(cargo_path());
    command.args(args.split_whitespace()).current_dir(root());
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::split_paths(&path).chain([tools().join("bin")]);
    if let Ok(path) = env::join_paths(path) {
        command.env("PATH", path);
    }
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

/// Runs a command and shows its lines to `see`, while they are also shown to
/// the user. Its errors are among them.
pub(crate) fn watch(mut command: Command, mut see: impl FnMut(&str)) -> Result<(), Problem> {
    let text = text(&command);
    if io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let (reader, writer) = io::pipe().map_err(|error| format!("no pipe: {error}"))?;
    let errors = writer.try_clone().map_err(|error| format!("no pipe: {error}"))?;
    let child = command.stdin(Stdio::null()).stdout(writer).stderr(errors).spawn();
    // The command holds the writing ends; without it gone they never close.
    drop(command);
    let mut child = child.map_err(|error| format!("`{text}` does not start: {error}"))?;
    let mut lines = BufReader::new(reader);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let _ = io::stderr().write_all(&line);
        see(&plain(&String::from_utf8_lossy(&line)));
        line.clear();
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("this failed: {text}")),
        Err(error) => Err(format!("`{text}`: {error}")),
    }
}

/// A line without its colours.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut parts = line.split('\x1b');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let text = part.split_once(|end: char| end.is_ascii_alphabetic());
        plain.push_str(text.map_or("", |(_, text)| text));
    }
    plain
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
