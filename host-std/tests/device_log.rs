//! The log of a device, pulled: inspected, re-executed and continued on a desk.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use interstice::device_log::{PullError, pull};
use interstice_core::{Inputs, Limits, Timestamp, log::frame::LogHeader};
use interstice_embedded::{Device, FlashLog, mock_flash::MockFlash};

mod fixture;

const HEADER: LogHeader = LogHeader { log_id: *b"a device's log..", seed: 9 };

/// A device with the module `notes` and so many calls: its flash, and the state
/// hash.
fn device<const W: usize, const E: usize>(pages: usize, calls: u32) -> (Vec<u8>, u64) {
    let mut flash = MockFlash::<W, E>::new(pages);
    FlashLog::<_>::format(&mut flash, HEADER).unwrap();
    let wasm = fixture::wasm();
    let (mut device, _) = Device::<_>::open(&mut flash, &Limits::default(), &[]).unwrap();
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
