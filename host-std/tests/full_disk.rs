//! A disk that takes no more in the middle of a feed.
#![cfg(unix)]

use std::{fmt::Write as _, fs, path::Path, process::Command};

use interstice::database::{Database, ReadOnlyState};

mod fixture;

const ROWS: u64 = 30_000;

/// Coverage of a process whose files are limited would be cut off, too, and half
/// of it could not be merged with the rest.
const NO_PROFILE: &str = "/dev/null";

/// Rows with a bad one (no text) behind every seventh.
fn file() -> String {
    (0..ROWS).fold("text\n".to_owned(), |mut text, row| {
        let _ = match row % 7 {
            6 => writeln!(text, "\"\""),
            _ => writeln!(text, "row number {row}"),
        };
        text
    })
}

fn good_rows() -> u64 {
    (0..ROWS).filter(|row| row % 7 != 6).count() as u64
}

fn notes(path: &Path) -> u64 {
    let state = ReadOnlyState::open(path).unwrap();
    state.state().table("notes", "note").unwrap().len() as u64
}

#[test]
fn a_feed_that_fills_the_disk_goes_on_where_the_log_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    fs::write(folder.path().join("rows.csv"), file()).unwrap();
    // The buffer of the log, a group, and a commit do not end at the same row.
    for blocks in [200, 400, 1001] {
        let _ = fs::remove_dir_all(&path);
        Database::create(&path).unwrap().install(&fixture::wasm()).unwrap();
        let feed = |before: &str, skip: u64| {
            // The size of files is limited instead of the disk's: what is
            // written beyond it is refused in the same way.
            let script = format!("{before} exec \"$0\" \"$@\"");
            let output = Command::new("sh")
                .args(["-c", &script, env!("CARGO_BIN_EXE_interstice"), "feed", "notes.add"])
                .args(["rows.csv", "--data", "data", "--keep-going", "--sync-bytes", "5000"])
                .args(["--skip", &skip.to_string()])
                .env("LLVM_PROFILE_FILE", NO_PROFILE)
                .current_dir(folder.path())
                .output()
                .unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let (code, said) = feed(&format!("trap '' XFSZ; ulimit -f {blocks};"), 0);
        assert_eq!(code, Some(3), "{said}");
        let (_, behind) = said.rsplit_once("--skip ").unwrap_or_else(|| panic!("{said}"));
        let skip: u64 = behind.split_once('`').unwrap().0.parse().unwrap();
        let kept = notes(&path);
        assert!((100..good_rows()).contains(&kept), "{kept}: {said}");
        let (code, said) = feed("", skip);
        assert_eq!(code, Some(1), "bad rows are left out: {said}");
        assert_eq!(notes(&path), good_rows(), "{kept} before, then --skip {skip}");
    }
}

#[test]
fn a_dump_that_does_not_fit_names_its_file_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    Database::create(&folder.path().join("data")).unwrap().install(&fixture::wasm()).unwrap();
    for format in ["csv", "json", "jsonl", "binary"] {
        let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
        let output = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_interstice"), "log-dump", "--data", "data"])
            .args(["-o", "dump.txt", "--format", format])
            .env("LLVM_PROFILE_FILE", NO_PROFILE)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("could not write the output: dump.txt: "), "{said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the data only");
    }
}
