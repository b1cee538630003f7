//! Rows that come when they like, and Ctrl-C while rows are fed: what was called
//! is kept, and the command says where to go on.
#![cfg(unix)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
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

fn interrupt(process: &Child) {
    let pid = process.id().to_string();
    let sent = Command::new("sh").args(["-c", "kill -INT \"$0\"", &pid]).status().unwrap();
    assert!(sent.success());
}

/// Looks until it is so. What never comes is told, and does not hang.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let hung = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < hung, "{what} does not come");
        thread::yield_now();
    }
}

#[test]
fn rows_of_a_pipe_that_stays_open_are_kept_as_they_come_and_ctrl_c_ends_it() {
    for (file, format, begin, row, end) in [
        ("-", "csv", "text\r\n", "note\r\n", "half a no"),
        ("/dev/stdin", "csv", "text\n", "note\n", "\"half\n"),
        ("-", "jsonl", "\n", "{\"text\": \"note\"}\n", "{\"text\": "),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        make(&path);
        let mut feeding = feed(folder.path(), &[file, "--data", "data", "--input", format])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = feeding.stdin.take().unwrap();
        pipe.write_all(begin.as_bytes()).unwrap();
        for notes in 1..=3 {
            pipe.write_all(row.as_bytes()).unwrap();
            until("a row in the log", || rows_and_hash(&path).0 == notes);
        }
        pipe.write_all(end.as_bytes()).unwrap();
        interrupt(&feeding);
        until("the end", || feeding.try_wait().unwrap().is_some());
        let output = feeding.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        let next = "next: 3 calls kept, on the disk; go on with `--skip 3`\n";
        assert!(said.ends_with(&format!("error: interrupted\n{next}")), "{said}");
        assert_eq!(rows_and_hash(&path).0, 3);
    }
}

#[test]
fn ctrl_c_ends_a_feed_that_no_row_has_reached() {
    let folder = tempfile::tempdir().unwrap();
    make(&folder.path().join("data"));
    let mut feeding = feed(folder.path(), &["-", "--data", "data", "--skip", "7"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = feeding.stdin.take().unwrap();
    let mut said = BufReader::new(feeding.stderr.take().unwrap());
    pipe.write_all(b"text,more\n").unwrap();
    let mut line = String::new();
    while !line.contains("no parameter") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it says that it has the header");
    }
    interrupt(&feeding);
    until("the end", || feeding.try_wait().unwrap().is_some());
    assert_eq!(feeding.wait().unwrap().code(), Some(3));
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    let next = "next: 0 calls kept, on the disk; go on with `--skip 7`\n";
    assert_eq!(rest, format!("error: interrupted\n{next}"));
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
    interrupt(&feeding);
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
