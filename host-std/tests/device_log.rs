//! The log of a device, pulled: inspected, re-executed and continued on a desk.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::AtomicBool,
};

use interstice::device_log::{Pull, PullError, Pulled, image_of};
use interstice_core::{Inputs, Limits, Timestamp, log::frame::LogHeader};
use interstice_embedded::{Device, FlashLog, mock_flash::MockFlash};

mod fixture;

const HEADER: LogHeader = LogHeader { log_id: *b"a device's log..", seed: 9 };

/// A device with the module `notes` and so many calls: its flash, and the state
/// hash.
fn device<const W: usize, const E: usize>(pages: usize, calls: u32) -> (Vec<u8>, u64) {
    device_under::<W, E>(&Limits::default(), pages, calls)
}

fn device_under<const W: usize, const E: usize>(
    limits: &Limits,
    pages: usize,
    calls: u32,
) -> (Vec<u8>, u64) {
    let mut flash = MockFlash::<W, E>::new(pages);
    FlashLog::<_>::format(&mut flash, HEADER).unwrap();
    let wasm = fixture::wasm();
    let (mut device, _) = Device::<_>::open(&mut flash, limits, &[]).unwrap();
    device.runtime().install(&wasm, Inputs::at(Timestamp(1))).unwrap();
    let add = device.runtime().reducer("notes", "add").unwrap();
    for call in 0..calls {
        let args = fixture::text_argument(&format!("reading {call}"));
        let inputs = Inputs::at(Timestamp(1_000_000 * i64::from(call)));
        device.runtime().call(add, &args, inputs).unwrap();
    }
    let hash = device.state().state_hash();
    drop(device);
    (flash.image().to_vec(), hash)
}

fn pull(image: &[u8], into: &Path, modules: &[PathBuf]) -> Result<Pulled, PullError> {
    Pull::into(into, modules)?.run(image)
}

fn interstice(folder: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_interstice"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who does not read all of it says so by an error.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Runs a command that succeeds, and returns what it says.
fn said(folder: &Path, args: &[&str]) -> String {
    let output = interstice(folder, args, &[]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_log_of_any_shape_is_pulled_inspected_reexecuted_and_continued() {
    let few = [device::<4, 4096>(16, 20), device::<1, 2048>(32, 20), device::<32, 4096>(16, 20)];
    // So many that the log begins with a snapshot.
    let many = [device::<4, 4096>(16, 700), device::<16, 2048>(24, 700)];
    for (is_long, (image, hash)) in
        few.into_iter().map(|device| (false, device)).chain(many.into_iter().map(|d| (true, d)))
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("flash.bin"), &image).unwrap();
        fs::write(path.join("notes.wasm"), fixture::wasm()).unwrap();
        let pulled =
            said(path, &["log-pull", "flash.bin", "-o", "pulled", "--module", "notes.wasm"]);
        assert!(pulled.contains(&format!("{hash:016x}")), "{pulled}");
        assert_eq!(pulled.contains("behind a snapshot"), is_long, "{pulled}");
        let status = said(path, &["status", "--data", "pulled"]);
        assert!(status.contains(&format!("{hash:016x}")), "{status}");
        let last = said(path, &["log-inspect", "--data", "pulled", "--last", "1"]);
        assert!(!last.is_empty());
        said(path, &["log-check", "--data", "pulled"]);
        let check = said(path, &["replay-check", "--data", "pulled"]);
        assert!(check.contains("identical") || check.contains("same"), "{check}");
        said(path, &["call", "--data", "pulled", "notes.add", "text=on a desk"]);
        assert_eq!(fs::read(path.join("flash.bin")).unwrap(), image, "the image is as it was");
    }
}

/// Subscriptions of the device meet a limit that a desk does not have.
#[test]
fn a_log_is_run_again_under_the_limits_of_the_device() {
    let limits = Limits { fuel_per_call: 90, guest_recursion: 32, ..Limits::default() };
    for calls in [20, 700] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let (image, _) = device_under::<4, 4096>(&limits, 16, calls);
        fs::write(path.join("flash.bin"), &image).unwrap();
        fs::write(path.join("notes.wasm"), fixture::wasm()).unwrap();
        said(path, &["log-pull", "flash.bin", "-o", "pulled", "--module", "notes.wasm"]);
        let failed = said(path, &["log-inspect", "--data", "pulled", "--failed", "--last", "1"]);
        assert!(failed.contains("fuel"), "{failed}");
        said(path, &["replay-check", "--data", "pulled"]);
        // And goes on under those of the desk, which the log says from there on.
        said(path, &["call", "--data", "pulled", "notes.add", "text=on a desk"]);
        let last = said(path, &["log-inspect", "--data", "pulled", "--last", "2"]);
        assert!(
            last.contains("  limits     fuel_per_call 100,000,000 (90), guest_recursion"),
            "{last}"
        );
        said(path, &["replay-check", "--data", "pulled"]);
    }
}

#[test]
fn a_whole_chip_and_a_stream_are_understood() {
    let (region, hash) = device::<4, 4096>(16, 20);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut chip = vec![0x5a; 256 * 7];
    chip.extend_from_slice(&region);
    chip.extend_from_slice(&[0; 10_000]);
    fs::write(path.join("chip.bin"), chip).unwrap();
    let pulled = said(path, &["log-pull", "chip.bin", "-o", "of_chip", "--format", "json"]);
    assert!(pulled.contains("\"region_at\": 1792"), "{pulled}");
    assert!(pulled.contains(&format!("{hash:016x}")), "{pulled}");
    assert!(pulled.contains("\"has_file\": false"), "{pulled}");

    let output = interstice(path, &["log-pull", "-", "-o", "of_pipe"], &region);
    assert!(output.status.success());
    let again = interstice(path, &["log-pull", "-", "-o", "of_pipe"], &region);
    assert_eq!(again.status.code(), Some(2), "it is there already");
}

#[test]
fn what_a_power_cut_has_left_in_the_flash_is_told() {
    let (image, hash) = device::<4, 4096>(16, 20);
    let mut flash = MockFlash::<4, 4096>::of_image(&image);
    // In the middle of a snapshot.
    let (mut log, _) = FlashLog::<_>::mount(&mut flash).unwrap();
    log.begin_snapshot().unwrap();
    log.write_snapshot(&[7; 100]).unwrap();
    let mut image = flash.image().to_vec();
    // While the last page was being erased.
    image[15 * 4096..][..4].fill(0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("flash.bin"), image).unwrap();
    let pulled = said(path, &["log-pull", "flash.bin", "-o", "pulled"]);
    assert!(pulled.contains(&format!("{hash:016x}")), "{pulled}");
    assert!(pulled.contains("\nunfinished  1 of the pages: being erased or opened"), "{pulled}");
    assert!(pulled.contains("\ndropped     a snapshot"), "{pulled}");
}

#[test]
fn what_cannot_be_pulled_is_told_and_leaves_nothing() {
    let (image, _) = device::<4, 4096>(16, 20);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let into = path.join("data");
    let pull_of = |image: &[u8]| pull(image, &into, &[]).unwrap_err();
    assert!(matches!(pull_of(&[0xff; 65_536]), PullError::Image(_)));
    assert!(matches!(pull_of(&[]), PullError::Image(_)));
    assert!(matches!(pull_of(&image[..image.len() / 2]), PullError::Image(_)));
    // The records are in the second page, which was opened by the first call.
    let mut refused = 0;
    for at in (4096..6144).step_by(64) {
        let mut bad = image.clone();
        bad[at] ^= 8;
        refused += u32::from(pull(&bad, &into, &[]).is_err());
        let _ = fs::remove_dir_all(&into);
    }
    assert!(refused > 10, "{refused}");
    // A module that the device does not run.
    let other = path.join("other.wasm");
    fs::write(&other, b"\0asm\x01\0\0\0").unwrap();
    let error = pull(&image, &into, &[other]).unwrap_err();
    assert!(matches!(error, PullError::Module { .. }), "{error}");
    let left: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["other.wasm"]);
}

#[test]
fn versions_that_ran_before_an_upgrade_are_run_again_too() {
    let mut flash = MockFlash::<4, 4096>::new(16);
    FlashLog::<_>::format(&mut flash, HEADER).unwrap();
    let versions = [fixture::alarms_wasm(1), fixture::alarms_wasm(2)];
    let (mut device, _) = Device::<_>::open(&mut flash, &Limits::default(), &[]).unwrap();
    for (time, wasm) in (1..).zip(&versions) {
        device.runtime().install(wasm, Inputs::at(Timestamp(time))).unwrap();
        let raise = device.runtime().reducer("alarms", "raise").unwrap();
        device.runtime().call(raise, &[], Inputs::at(Timestamp(time))).unwrap();
    }
    drop(device);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("flash.bin"), flash.image()).unwrap();
    for (name, wasm) in ["v1.wasm", "v2.wasm"].iter().zip(&versions) {
        fs::write(path.join(name), wasm).unwrap();
    }
    let both =
        ["log-pull", "flash.bin", "-o", "both", "--module", "v1.wasm", "--module", "v2.wasm"];
    let pulled = interstice(path, &both, &[]);
    let said_of_it = String::from_utf8_lossy(&pulled.stderr).into_owned();
    assert!(pulled.status.success() && said_of_it.is_empty(), "{said_of_it}");
    let text = String::from_utf8_lossy(&pulled.stdout).into_owned();
    assert!(
        text.ends_with("module      alarms, an earlier version\nmodule      alarms\n"),
        "{text}"
    );
    let check = said(path, &["replay-check", "--data", "both"]);
    assert!(check.contains("identical"), "{check}");
    // What is not there is named.
    let newest = ["log-pull", "flash.bin", "-o", "newest", "--module", "v2.wasm"];
    let noted = String::from_utf8(interstice(path, &newest, &[]).stderr).unwrap();
    let hash: String =
        interstice_core::content_hash(&versions[0]).iter().map(|it| format!("{it:02x}")).collect();
    assert!(noted.contains("an earlier version of `alarms`") && noted.contains(&hash), "{noted}");
}

#[test]
fn a_row_that_reads_as_a_line_of_a_stream_does_not_make_an_image_one() {
    let mut flash = MockFlash::<4, 4096>::new(16);
    FlashLog::<_>::format(&mut flash, HEADER).unwrap();
    let (mut device, _) = Device::<_>::open(&mut flash, &Limits::default(), &[]).unwrap();
    device.runtime().install(&fixture::wasm(), Inputs::at(Timestamp(1))).unwrap();
    let add = device.runtime().reducer("notes", "add").unwrap();
    let note = fixture::text_argument("a note\nlog 5 6\n");
    device.runtime().call(add, &note, Inputs::at(Timestamp(2))).unwrap();
    let hash = device.state().state_hash();
    drop(device);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("flash.bin"), flash.image()).unwrap();
    let pulled = said(folder.path(), &["log-pull", "flash.bin", "-o", "pulled"]);
    assert!(pulled.contains(&format!("{hash:016x}")), "{pulled}");
    // Text before such a line is no image.
    assert!(image_of(b"ready\nlog 5 6\ndata").is_err());
}

#[test]
fn of_several_logs_in_a_chip_one_is_pulled_by_its_place() {
    let (first, _) = device::<4, 4096>(16, 3);
    let (second, hash) = device::<4, 4096>(16, 20);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("chip.bin"), [first, second].concat()).unwrap();
    let refused = interstice(path, &["log-pull", "chip.bin", "-o", "pulled"], &[]);
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("from byte 0 on") && error.contains("from byte 65536 on"), "{error}");
    assert!(error.ends_with("next: say where the log begins, with --at BYTE\n"), "{error}");
    let pulled = said(path, &["log-pull", "chip.bin", "-o", "pulled", "--at", "0x10000"]);
    assert!(pulled.contains(&format!("{hash:016x}")), "{pulled}");
}

#[test]
fn what_stands_before_damage_is_taken_when_it_is_asked_for() {
    // Several pages, so that damage in an early one is found by reading, not by the
    // mount.
    let (image, _) = device::<4, 4096>(32, 200);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut bad = image.clone();
    bad[2 * 4096 + 2048] ^= 8;
    fs::write(path.join("flash.bin"), &bad).unwrap();
    let refused = interstice(path, &["log-pull", "flash.bin", "-o", "pulled"], &[]);
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("--keep-before-damage"), "{error}");
    assert!(!path.join("pulled").exists());
    let args =
        ["log-pull", "flash.bin", "-o", "pulled", "--keep-before-damage", "--format", "json"];
    let output = interstice(path, &args, &[]);
    let noted = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && noted.contains("the log is damaged: "), "{noted}");
    let pulled: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let whole = pull(&image, &path.join("whole"), &[]).unwrap();
    let (kept, lost) =
        (pulled["commits"].as_u64().unwrap(), pulled["lost"]["commits"].as_u64().unwrap());
    assert!(kept > 10 && lost > 10, "{kept} {lost}");
    assert_eq!(kept + lost, whole.commits);
    assert_eq!(pulled["lost"]["page"], 2);
    // Every commit that was kept is the device's.
    let of = |data: &str| said(path, &["log-dump", "--data", data, "--format", "jsonl"]);
    let (before, all) = (of("pulled"), of("whole"));
    assert_eq!(before.lines().count() as u64, kept);
    assert!(all.starts_with(&before), "{before}");
    // Where nothing stands before the damage, nothing is made.
    let mut bad = image;
    bad[4096 + 96..4096 + 300].fill(0);
    let nothing =
        Pull::into(&path.join("nothing"), &[]).unwrap().keep_before_damage(true).run(&bad);
    assert!(nothing.is_err() && !path.join("nothing").exists());
}

#[test]
fn a_pull_that_was_killed_or_is_interrupted_is_in_nobodys_way() {
    let (image, hash) = device::<4, 4096>(16, 20);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let into = path.join("data");
    let interrupted = AtomicBool::new(true);
    let stopped = Pull::into(&into, &[]).unwrap().until(&interrupted).run(&image);
    assert!(matches!(stopped, Err(PullError::Interrupted)));
    assert_eq!(fs::read_dir(path).unwrap().count(), 0);
    // As a kill leaves it.
    let left = path.join("data.pulling");
    pull(&image, &left, &[]).unwrap();
    fs::write(left.join("interstice.unfinished"), "").unwrap();
    let pulled = pull(&image, &into, &[]).unwrap();
    assert_eq!(pulled.state_hash, format!("{hash:016x}"));
    assert!(!left.exists());
    // What only has the name is left alone, and told.
    fs::create_dir(path.join("more.pulling")).unwrap();
    fs::write(path.join("more.pulling").join("letter.txt"), "dear").unwrap();
    fs::write(path.join("flash.bin"), &image).unwrap();
    let refused = interstice(path, &["log-pull", "flash.bin", "-o", "more"], &[]);
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("more.pulling is in the way"), "{error}");
    assert!(error.ends_with("next: look at it, and move it away or delete it\n"), "{error}");
    assert!(path.join("more.pulling").join("letter.txt").is_file());
}
