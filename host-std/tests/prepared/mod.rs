//! Files that transcripts find in their folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use interstice::{
    data_dir::{DataDir, content_hash},
    database::Database,
    persistence::PersistenceConfig,
};
use interstice_core::{
    CommittedState, Inputs, Limits, Timestamp,
    log::{
        commit::{Body, Commit},
        frame::{Chain, Frames, SegmentHeader, crc32c},
    },
};

use crate::fixture;

pub(crate) fn files(dir: &Path) {
    let write = |name: &str, content: &[u8]| fs::write(dir.join(name), content).unwrap();
    write("notes.wasm", &fixture::wasm());
    write("alarms.wasm", &fixture::alarms_wasm(1));
    write("alarms-2.wasm", &fixture::alarms_wasm(2));
    write("bells.wasm", &fixture::bells_wasm());
    write("text.wasm", b"this is not WebAssembly\n");
    write("empty.wasm", b"\0asm\x01\0\0\0");
    write("good.csv", b"text,number\nfirst,1\n\"second, quoted\",2\nthird,3\n");
    write("good.jsonl", b"{\"text\": \"first\"}\n[\"second\"]\n");
    let many = format!("text\nfirst\n{}last\n", "\"\"\n".repeat(23));
    write("many-bad.csv", many.as_bytes());
    write("bad.csv", b"text\nfirst\n\"\"\nthird\n\"\"\n");
    write("short.csv", b"text,number\nfirst,1\nsecond\nthird,3\n");
    write("open-quote.csv", b"text\n\"a \"\"b\"\"\"\n\"not closed\nx\ny\n");
    write("open-quote-header.csv", b"\"text\nx\ny\n");
    write("lone-quote.csv", b"text\n5\" nail\nx\n");
    write("other.csv", b"name\nfirst\n");
    write("bad.jsonl", b"{\"text\": \"first\"}\n{\"text\": 2\n{\"txt\": \"third\"}\n");
    write("empty-rows.jsonl", b"[]\n[]\n{}\n[]\n");
    write("twice.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"a\", \"text\": \"b\"}\n");
    write("args.json", b"{\"text\": \"from a file\"}\n");
    fs::create_dir(dir.join("folder")).unwrap();
    write("folder/something", b"of somebody\n");
    database(&dir.join("ready"));
    segments(dir);
    damaged(dir);
    tampered(dir);
}

/// A data directory with the module `notes` and three notes, one per second
/// from the beginning of 2001 on: how long a commit is depends on its time.
fn database(path: &Path) {
    let mut database = Database::create(path).unwrap();
    let wasm = fixture::wasm();
    database.data_dir().store_module(&wasm).unwrap();
    let mut time = 978_307_200_000_000;
    let runtime = database.runtime_mut();
    runtime.install(&wasm, Inputs::at(Timestamp(time))).unwrap();
    let add = runtime.reducer("notes", "add").unwrap();
    for text in ["one", "two", "three"] {
        time += 1_000_000;
        runtime.call(add, &fixture::text_argument(text), Inputs::at(Timestamp(time))).unwrap();
        runtime.sync().unwrap();
    }
}

/// `kept` has small segments and two snapshots, `kept-damaged` a bit flipped in
/// its second segment, `kept-early` another one in the first, `kept-missing`
/// lacks a segment, `kept-snapshot` has its newest snapshot damaged,
/// `kept-version` the version in its first segment. `kept-first` lacks the first
/// segment, `kept-end` those behind its newest snapshot, `kept-log` all of them.
/// The first segment of `kept-foreign` is another log's; `kept-copy` has its
/// first one twice, and `kept-guest` a snapshot of another log. The newest
/// snapshot of `kept-ahead` is damaged, and what is behind it missing.
/// `kept-newer` is of a newer version. The newest segment is empty in
/// `kept-emptied`, zeros in `kept-zeroed`, half a header in `kept-short`, and
/// missing in `kept-sealed`. `kept-config` has a configuration that means
/// nothing.
fn segments(dir: &Path) {
    let make = |name: &str| {
        let path = dir.join(name);
        let config =
            PersistenceConfig { segment_bytes: 250.try_into().unwrap(), ..Default::default() };
        let data = DataDir::create(&path).unwrap();
        let mut database = Database::start_with(data, config).unwrap();
        let wasm = fixture::wasm();
        database.data_dir().store_module(&wasm).unwrap();
        let mut time = 978_307_200_000_000;
        database.runtime_mut().install(&wasm, Inputs::at(Timestamp(time))).unwrap();
        for round in ["one", "two", "three"] {
            for number in 1..=5 {
                time += 1_000_000;
                let note = fixture::text_argument(&format!("{round} {number}"));
                let runtime = database.runtime_mut();
                let add = runtime.reducer("notes", "add").unwrap();
                runtime.call(add, &note, Inputs::at(Timestamp(time))).unwrap();
                runtime.sync().unwrap();
            }
            if round != "three" {
                database.snapshot().unwrap();
            }
        }
        path
    };
    let flip = |path: &Path, folder: &str, nth: usize| {
        let mut names: Vec<_> =
            fs::read_dir(path.join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        let mut bytes = fs::read(&names[nth]).unwrap();
        let at = bytes.len() - 30;
        bytes[at] ^= 4;
        fs::write(&names[nth], bytes).unwrap();
    };
    make("kept");
    flip(&make("kept-damaged"), "log", 2);
    flip(&make("kept-early"), "log", 0);
    flip(&make("kept-snapshot"), "snapshots", 1);
    let path = make("kept-missing");
    fs::remove_file(path.join("log/00000000000000000011.log")).unwrap();
    fs::remove_file(log_of(&make("kept-first"))).unwrap();
    let path = make("kept-end");
    remove_segments(&path, 21);
    fs::remove_dir_all(make("kept-log").join("log")).unwrap();
    let path = make("kept-version");
    let mut bytes = fs::read(log_of(&path)).unwrap();
    bytes[8] ^= 1;
    fs::write(log_of(&path), bytes).unwrap();
    let (path, other) = (make("kept-foreign"), make("kept-other"));
    fs::copy(log_of(&other), log_of(&path)).unwrap();
    fs::remove_dir_all(other).unwrap();
    let path = make("kept-copy");
    fs::copy(log_of(&path), path.join("log/copy.log")).unwrap();
    let (path, other) = (make("kept-guest"), make("kept-other"));
    for (position, name) in [(11, 77), (21, 78)] {
        let file = |position: u64| format!("snapshots/{position:020}.snapshot");
        fs::copy(other.join(file(position)), path.join(file(name))).unwrap();
    }
    fs::remove_dir_all(other).unwrap();
    let path = make("kept-ahead");
    remove_segments(&path, 21);
    flip(&path, "snapshots", 1);
    for name in ["kept-emptied", "kept-zeroed", "kept-short"] {
        let path = make(name);
        let content: &[u8] = match name {
            "kept-emptied" => b"",
            "kept-zeroed" => &[0; 60],
            _ => &[b'I'; 30],
        };
        // Where it is empty, the newest snapshot says what it was.
        let first = if content.is_empty() { 21 } else { 27 };
        remove_segments(&path, first + 1);
        fs::write(path.join(format!("log/{first:020}.log")), content).unwrap();
    }
    remove_segments(&make("kept-sealed"), 27);
    let path = make("kept-config");
    fs::write(path.join("interstice.toml"), "segmnt_bytes = 5\n").unwrap();
    let path = make("kept-newer");
    let mut header = fs::read(log_of(&path)).unwrap();
    header[8] += 1;
    let checksum = crc32c(0, &header[..56]);
    header[56..60].copy_from_slice(&checksum.to_le_bytes());
    fs::write(log_of(&path), header).unwrap();
}

/// Removes the segments that begin at commit `first` or later.
fn remove_segments(path: &Path, first: u64) {
    for entry in fs::read_dir(path.join("log")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().unwrap() >= format!("{first:020}").as_str() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn log_of(path: &Path) -> std::path::PathBuf {
    path.join("log/00000000000000000000.log")
}

/// `damaged` has a bit flipped in its last commits, `gap` in those before
/// them, `no-install` in the first ones, `old-damage` before a snapshot, `torn` bytes behind
/// its end, `empty-log` no log to speak of, `no-module` no module file,
/// `no-earlier` not that of a version before the last; `halfway` is missing, because a repair in place was cut short at its end.
fn damaged(dir: &Path) {
    let path = dir.join("damaged");
    database(&path);
    let mut log = fs::read(log_of(&path)).unwrap();
    let at = log.len() - 60;
    log[at] ^= 1;
    fs::write(log_of(&path), log).unwrap();

    for (name, from_end) in [("gap", 100), ("no-install", 120)] {
        let path = dir.join(name);
        database(&path);
        let mut log = fs::read(log_of(&path)).unwrap();
        let at = log.len() - from_end;
        log[at] ^= 1;
        fs::write(log_of(&path), log).unwrap();
    }

    let path = dir.join("old-damage");
    database(&path);
    let mut open = Database::open(&path).unwrap();
    open.snapshot().unwrap();
    let add = open.reducer("notes", "add").unwrap();
    let later = Inputs::at(Timestamp(978_307_204_000_000));
    open.runtime_mut().call(add, &fixture::text_argument("four"), later).unwrap();
    open.close().unwrap();
    let mut log = fs::read(log_of(&path)).unwrap();
    log[400] ^= 1;
    fs::write(log_of(&path), log).unwrap();

    let path = dir.join("torn");
    database(&path);
    let mut log = fs::read(log_of(&path)).unwrap();
    log.extend([30, 0, 7, 7, 7]);
    fs::write(log_of(&path), log).unwrap();

    database(&dir.join("halfway.before-repair-1"));
    database(&dir.join("halfway.repairing"));

    let path = dir.join("empty-log");
    database(&path);
    fs::write(log_of(&path), b"INTERSTICE?").unwrap();

    let path = dir.join("no-module");
    database(&path);
    for entry in fs::read_dir(path.join("modules")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }

    let path = dir.join("no-earlier");
    let mut database = Database::create(&path).unwrap();
    let versions = [1, 2].map(fixture::alarms_wasm);
    for version in &versions {
        database.install(version).unwrap();
    }
    database.close().unwrap();
    fs::remove_file(module_path(&path, &versions[0])).unwrap();
}

fn module_path(data: &Path, wasm: &[u8]) -> PathBuf {
    DataDir::open_read_only(data).unwrap().module_path(&content_hash(wasm))
}

/// `other-fuel` records another fuel for commit 3 than it used, `other-row`
/// another text in the row of commit 5; both verify and replay.
fn tampered(dir: &Path) {
    let path = dir.join("other-fuel");
    database(&path);
    rewrite(&log_of(&path), |offset, commit| {
        if let (3, Body::Run { fuel, .. }) = (offset, &mut commit.body) {
            *fuel += 1;
        }
    });
    let path = dir.join("other-row");
    database(&path);
    rewrite(&log_of(&path), |offset, commit| {
        if let (5, Body::Run { changes, .. }) = (offset, &mut commit.body) {
            let mut bytes = changes.to_vec();
            *bytes.last_mut().unwrap() = b'E';
            // Leaked: the commit borrows from the log that is being rewritten.
            *changes = bytes.leak();
        }
    });
}

/// Writes a log again with `change` applied to every commit, and everything
/// that guards it made anew: state hashes, checksums, chain.
fn rewrite(path: &Path, change: impl Fn(u64, &mut Commit<'_>)) {
    let bytes = fs::read(path).unwrap();
    let header = SegmentHeader::decode(&bytes).unwrap();
    let mut written = header.encode().to_vec();
    let mut chain: Chain = header.chain();
    let mut state = CommittedState::new(header.log.seed, Limits::default());
    for (offset, commit) in Frames::new(&bytes).unwrap() {
        let mut commit = Commit::decode(commit).unwrap();
        change(offset.0, &mut commit);
        // Replayed without its hash first: what the hash should be.
        let mut encoded = Vec::new();
        commit.encode(&mut encoded);
        let mut trial = state.clone();
        if let Err(error) = trial.replay(offset, &encoded) {
            let interstice_core::ReplayFault::StateHash { replayed, .. } = error.fault else {
                panic!("{error}");
            };
            commit.state_hash = replayed;
            encoded.clear();
            commit.encode(&mut encoded);
        }
        state.replay(offset, &encoded).unwrap();
        chain.append(&encoded, true, &mut written);
    }
    fs::write(path, written).unwrap();
}
