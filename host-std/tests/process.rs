//! The binary as a process among others: pipes, locks, environment.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use interstice::database::Database;

mod fixture;

fn interstice(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interstice"));
    command.args(args).current_dir(dir).env_remove("INTERSTICE_DATA").stdin(Stdio::null());
    command
}

#[test]
fn nobody_hears_of_a_broken_pipe() {
    let dir = tempfile::tempdir().unwrap();
    Database::create(&dir.path().join("interstice-data"))
        .unwrap()
        .install(&fixture::wasm())
        .unwrap();
    for args in [
        &["log-inspect"][..],
        &["schema", "notes", "--format", "json"],
        &["status", "--format", "yaml"],
        &["query", "notes.count"],
        &["completions", "bash"],
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output =
            interstice(dir.path(), args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {stderr}");
        assert!(!stderr.contains("error"), "{args:?}: {stderr}");
    }
}

/// A file that takes nothing.
#[cfg(target_os = "linux")]
fn full() -> fs::File {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_message_that_cannot_be_written_changes_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.wasm"), fixture::wasm()).unwrap();
    fs::write(dir.path().join("rows.csv"), "text,more\nfirst,1\n\"\",2\n").unwrap();
    for (code, args) in [
        (0, &["install", "notes.wasm"][..]),
        (0, &["call", "notes.add", "hello", "--guest-log", "trace"]),
        (1, &["call", "notes.add", ""]),
        (1, &["feed", "notes.add", "rows.csv", "--keep-going"]),
        (0, &["new", "my-module"]),
        (2, &["build", "nowhere/at-all"]),
        (2, &["status", "--nonsense"]),
        (3, &["status", "--data", "nowhere"]),
    ] {
        let status = interstice(dir.path(), args).stderr(full()).stdout(Stdio::null()).status();
        assert_eq!(status.unwrap().code(), Some(code), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    drop(Database::create(&dir.path().join("interstice-data")).unwrap());
    for args in [&["status"][..], &["completions", "bash"], &["status", "--format", "yaml"]] {
        for stderr in [full().into(), Stdio::null()] {
            let status = interstice(dir.path(), args).stdout(full()).stderr(stderr).status();
            assert_eq!(status.unwrap().code(), Some(3), "{args:?}");
        }
    }
}

#[test]
fn a_directory_in_use_is_refused_to_writers_and_open_to_readers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("interstice-data");
    let mut database = Database::create(&path).unwrap();
    database.install(&fixture::wasm()).unwrap();

    let refused = interstice(dir.path(), &["call", "notes.add", "hello"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert_eq!(
        String::from_utf8(refused.stderr).unwrap(),
        "error: interstice-data is open in another process; wait until it has ended, or use \
         another directory\n"
    );
    let read = interstice(dir.path(), &["query", "notes.count"]).output().unwrap();
    assert_eq!(read.stdout, b"0\n");

    drop(database);
    let called = interstice(dir.path(), &["call", "notes.add", "hello"]).output().unwrap();
    assert_eq!(called.stdout, b"1\n");
}

#[test]
fn a_feed_takes_snapshots_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("interstice-data");
    Database::create(&data).unwrap().install(&fixture::wasm()).unwrap();
    let config = "durability = \"every-commit\"\nsnapshot_log_bytes = 400\nsnapshots_kept = 100";
    fs::write(data.join("interstice.toml"), config).unwrap();
    let rows: String = (0..40).map(|row| format!("row {row}\n")).collect();
    fs::write(dir.path().join("rows.csv"), format!("text\n{rows}")).unwrap();
    let fed = interstice(dir.path(), &["feed", "notes.add", "rows.csv"]).output().unwrap();
    assert!(fed.status.success(), "{fed:?}");
    let snapshots = fs::read_dir(data.join("snapshots")).unwrap().count();
    assert!(snapshots > 3, "{snapshots} snapshots");
}

#[test]
fn the_environment_can_name_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    drop(Database::create(&dir.path().join("elsewhere")).unwrap());
    let output =
        interstice(dir.path(), &["status"]).env("INTERSTICE_DATA", "elsewhere").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("elsewhere: 0 commits"));
}

#[test]
fn completions_are_there_for_every_shell() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = interstice(dir.path(), &["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("replay-check"), "{shell}");
    }
}

#[test]
fn colours_are_for_terminals_only() {
    let dir = tempfile::tempdir().unwrap();
    let output = interstice(dir.path(), &["status"]).output().unwrap();
    assert!(!output.stderr.contains(&0x1b));
}

/// Makes a program of this name that prints `output` and ends with `code`.
#[cfg(unix)]
fn fake_program(dir: &Path, name: &str, output: &str, code: u8) {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\necho '{output}'\nexit {code}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_missing_target_is_added_or_the_fix_is_told() {
    let dir = tempfile::tempdir().unwrap();
    assert!(interstice(dir.path(), &["new", "my-module"]).output().unwrap().status.success());
    let build = || {
        let output = interstice(dir.path(), &["build", "my-module"])
            .env("PATH", dir.path())
            .env_remove("RUSTC")
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let fix = "next: run `rustup target add wasm32-unknown-unknown`; without rustup \
               (https://rustup.rs), install your system's package of the Rust standard library \
               for wasm32-unknown-unknown\n";
    let adding = "the Rust target wasm32-unknown-unknown is not installed; adding it: rustup \
                  target add wasm32-unknown-unknown\n";
    let failed = "error: the Rust target wasm32-unknown-unknown is not installed, and it could \
                  not be added: ";

    fake_program(dir.path(), "rustc", "/nowhere", 0);
    let (code, stderr) = build();
    assert_eq!(code, Some(3));
    let why = "`rustup` cannot be run (No such file or directory (os error 2))\n";
    assert_eq!(stderr, format!("{adding}{failed}{why}{fix}"));

    fake_program(dir.path(), "rustup", "no network", 1);
    let (code, stderr) = build();
    assert_eq!(code, Some(3));
    assert_eq!(stderr, format!("{adding}no network\n{failed}`rustup target add` failed\n{fix}"));
}
