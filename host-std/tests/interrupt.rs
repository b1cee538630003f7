//! Ctrl-C while a file is fed: what was called is kept, and the command says
//! where to go on.
#![cfg(unix)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use interstice::database::{Database, ReadOnlyState};

mod fixture;

/// Rows that are known to be called with before the signal is sent.
const ROWS_BEFORE: usize = 25;

fn row(number: u64) -> String {
    format!("note number {number}\n")
}

fn make(path: &Path) {
    Database::create(path).unwrap().install(&fixture::wasm()).unwrap();
}

fn feed(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interstice"));
    command.args(["feed", "notes.add"]).args(args).current_dir(folder);
    command.env_remove("INTERSTICE_DATA");
    command
}

/// The rows of `notes.note`, and the state hash.
fn rows_and_hash(path: &Path) -> (u64, u64) {
    let state = ReadOnlyState::open(path).unwrap();
    let table = state.state().tables().iter().find(|table| table.name() == "note").unwrap();
    (table.len() as u64, state.state().state_hash())
}

#[test]
fn a_feed_that_is_interrupted_says_where_to_go_on_and_going_on_leads_to_the_same_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("interrupted");
    make(&path);

    // Rows without end, so that only the signal can end it. Every row makes the
    // module log a line, which tells how far it is.
    let mut feeding = feed(folder.path(), &["-", "--data", "interrupted", "--guest-log", "debug"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut rows = feeding.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        let mut written = rows.write_all(b"text\n");
        for number in 0.. {
            if written.is_err() {
                break;
            }
            written = rows.write_all(row(number).as_bytes());
        }
    });
    let mut said = BufReader::new(feeding.stderr.take().unwrap());
    let mut line = String::new();
    let mut tallied = 0;
    while tallied < ROWS_BEFORE {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it goes on until it is told to end");
        tallied += usize::from(line.contains("tallied"));
    }
    let pid = feeding.id().to_string();
    let sent = Command::new("sh").args(["-c", "kill -INT \"$0\"", &pid]).status().unwrap();
    assert!(sent.success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    let output = feeding.wait_with_output().unwrap();
    writer.join().unwrap();

    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty(), "no answer");
    assert!(rest.contains("error: interrupted\n"), "{rest}");
    let next = rest.lines().last().unwrap();
    let (kept, skip) =
        (number_between(next, "next: ", " calls"), number_between(next, "--skip ", "`"));
    assert_eq!(kept, skip, "{next}");
    assert!(kept >= ROWS_BEFORE as u64, "{next}");
    assert_eq!(rows_and_hash(&path).0, kept, "what it names is what the log has");

    // Going on with the same rows leads where one feed leads.
    let all: String = (0..kept + 40).map(row).collect();
    fs::write(folder.path().join("all.csv"), format!("text\n{all}")).unwrap();
    let skip = skip.to_string();
    let args = ["all.csv", "--data", "interrupted", "--skip", &skip];
    assert!(feed(folder.path(), &args).output().unwrap().status.success());
    let uncut = folder.path().join("uncut");
    make(&uncut);
    let args = ["all.csv", "--data", "uncut"];
    assert!(feed(folder.path(), &args).output().unwrap().status.success());
    assert_eq!(rows_and_hash(&path), rows_and_hash(&uncut));
    assert_eq!(rows_and_hash(&path).0, kept + 40);
}

/// The number behind `before` and in front of `after`.
#[track_caller]
fn number_between(text: &str, before: &str, after: &str) -> u64 {
    let (_, behind) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?}: {text}"));
    let (number, _) = behind.split_once(after).unwrap_or_else(|| panic!("no {after:?}: {text}"));
    number.replace(',', "").parse().unwrap_or_else(|_| panic!("no number: {text}"))
}
