//! The command line, by its real output: every file in `tests/cli` is a
//! transcript that is played again and compared.
//!
//! ```text
//! # A comment.
//! $ interstice status --data ready      a command; `< FILE` gives it an input
//! what it wrote to standard output
//! ! what it wrote to standard error
//! ? 3                                   its exit code, when it is not 0
//! ```
//!
//! `SNAPSHOTS=overwrite cargo test -p interstice --test cli` writes the files
//! anew. Times and rates are replaced by placeholders first.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use regex::Regex;
use snapbox::{Assert, Data, Redactions};

mod fixture;
mod prepared;

macro_rules! transcripts {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            play(stringify!($name));
        })*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

transcripts! {
    arguments,
    build,
    call,
    completions,
    damage,
    feed,
    flash,
    help,
    install,
    log_check,
    log_dump,
    log_inspect,
    log_repair,
    new,
    query,
    replay_check,
    run_due,
    schema,
    snapshot,
    state,
    status,
    triggered,
    validate,
}

#[test]
fn every_transcript_is_played() {
    let mut files: Vec<String> =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli"))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
    files.sort();
    assert_eq!(files, NAMES);
}

#[track_caller]
fn play(name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cli/{name}.txt"));
    let expected = Data::read_from(&file, None);
    let script = fs::read_to_string(&file).unwrap();
    let dir = tempfile::tempdir().unwrap();
    prepared::files(dir.path());
    let mut played = String::new();
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            if !played.is_empty() {
                played.push('\n');
            }
            played += &format!("$ {command}\n{}", run(dir.path(), command));
        } else if line.starts_with('#') {
            if !played.is_empty() && !played.trim_end().lines().last().unwrap().starts_with('#') {
                played.push('\n');
            }
            played += &format!("{line}\n");
        }
    }
    Assert::new()
        .action_env("SNAPSHOTS")
        .normalize_paths(false)
        .redact_with(redactions())
        .eq(played, expected);
}

/// RECOVERY.md shows what the commands write, as a terminal shows it: standard
/// output, then standard error.
#[test]
fn the_commands_of_the_recovery_guide_write_what_it_shows() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("RECOVERY.md");
    let dir = tempfile::tempdir().unwrap();
    prepared::files(dir.path());
    let mut played = String::new();
    let (mut commands, mut in_output) = (0, false);
    for line in fs::read_to_string(&file).unwrap().lines() {
        if line == "```" {
            in_output = false;
        }
        if let Some(command) = line.strip_prefix("$ ") {
            commands += 1;
            in_output = true;
            played += &format!("{line}\n{}", shown(&run(dir.path(), command)));
        } else if !in_output {
            played += line;
            played += "\n";
        }
    }
    assert!(commands >= 7, "{commands}");
    Assert::new()
        .action_env("SNAPSHOTS")
        .normalize_paths(false)
        .redact_with(redactions())
        .eq(played, Data::read_from(&file, Some(snapbox::data::DataFormat::Text)));
}

/// What a terminal shows of what a command wrote.
fn shown(written: &str) -> String {
    let lines = written.lines().filter(|line| !line.starts_with("? "));
    lines.map(|line| line.strip_prefix("! ").unwrap_or(line).to_owned() + "\n").collect()
}

/// What a command wrote, and its exit code.
fn run(dir: &Path, command: &str) -> String {
    let mut words = shlex::split(command).unwrap();
    let mut stdin = Stdio::null();
    if let Some(at) = words.iter().position(|word| word == "<") {
        stdin = fs::File::open(dir.join(&words[at + 1])).unwrap().into();
        words.truncate(at);
    }
    assert_eq!(words[0], "interstice");
    let output = Command::new(env!("CARGO_BIN_EXE_interstice"))
        .args(&words[1..])
        .current_dir(dir)
        .stdin(stdin)
        .env_remove("INTERSTICE_DATA")
        .env_remove("COLUMNS")
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        text += format!("! {line}").trim_end();
        text += "\n";
    }
    match output.status.code() {
        Some(0) => {}
        code => text += &format!("? {}\n", code.map_or("signal".into(), |code| code.to_string())),
    }
    text
}

/// What differs from run to run.
fn redactions() -> Redactions {
    let mut redactions = Redactions::new();
    for (name, pattern) in [
        ("[TIME]", r"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
        ("[DURATION]", r"\b\d[\d.]* (us|ms|s)\b"),
        ("[RATE]", r"\b[\d,]+ calls/s"),
        ("[SECONDS]", r#"seconds"?: (?<redacted>[\d.e-]+)"#),
        ("[NUMBER]", r#"calls_per_second"?: (?<redacted>\d+)"#),
        ("[BYTES]", r#"log_bytes"?: (?<redacted>\d+)"#),
        ("[BYTES]", r"(?<redacted>\d+ B) of log"),
        ("[SEED]", r#""?seed"?: ?"?(?<redacted>[0-9a-f]{16})"#),
        ("[ID]", r#"log_id"?: "?(?<redacted>[0-9a-f]{32})"#),
        ("[VERSION]", r"interstice (?<redacted>\d+\.\d+\.\d+)"),
    ] {
        redactions.insert(name, Regex::new(pattern).unwrap()).unwrap();
    }
    redactions
}
