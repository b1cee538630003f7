//! The commands of the guide for devices run as they stand there, one after the other.

use std::{fs, path::Path, process::Command};

use interstice_core::{Inputs, Limits, Timestamp, log::frame::LogHeader};
use interstice_embedded::{Device, FlashLog, mock_flash::MockFlash};

mod fixture;

/// The flash of a device that has greeted somebody, with limits as in the guide.
fn flash(module: &[u8]) -> Vec<u8> {
    let limits = Limits {
        modules: 1,
        module_bytes: 64 << 10,
        guest_memory_bytes: 64 << 10,
        guest_table_elements: 256,
        guest_recursion: 32,
        guest_stack_bytes: 4 << 10,
        table_bytes: 16 << 10,
        value_bytes: 1 << 10,
        transaction_bytes: 8 << 10,
        transaction_rows: 64,
        queue_len: 32,
        schedule_len: 32,
        waiting_bytes: 4 << 10,
        ..Limits::default()
    };
    let mut flash = MockFlash::<4, 4096>::new(8);
    let header = LogHeader { log_id: [7; 16], seed: 1 };
    FlashLog::<_>::format(&mut flash, header).unwrap();
    let (mut device, _) = Device::<_>::open(&mut flash, &limits, &[]).unwrap();
    device.runtime().install(module, Inputs::at(Timestamp(0))).unwrap();
    let greet = device.runtime().reducer("counter", "greet").unwrap();
    let name = fixture::text_argument("Ada");
    device.runtime().call(greet, &name, Inputs::at(Timestamp(1))).unwrap();
    device.close().unwrap();
    drop(device);
    flash.image().to_vec()
}

#[test]
fn every_command_of_the_guide_runs() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host-embedded/GUIDE.md");
    let folder = tempfile::tempdir().unwrap();
    let mut current = folder.path().to_owned();
    let (mut said, mut commands) = (String::new(), 0);
    for line in fs::read_to_string(guide).unwrap().lines() {
        let Some(line) = line.strip_prefix("$ ") else { continue };
        for command in line.split(" #").next().unwrap().split("&&") {
            let words = shlex::split(command).unwrap();
            if words[0] == "cd" {
                current.push(&words[1]);
                continue;
            }
            assert_eq!(words[0], "interstice", "{line}");
            if words[1] == "log-pull" {
                let module = fs::read(current.join("counter.wasm")).unwrap();
                fs::write(current.join("flash.bin"), flash(&module)).unwrap();
            }
            let output = Command::new(env!("CARGO_BIN_EXE_interstice"))
                .args(&words[1..])
                .current_dir(&current)
                // Kept between runs, so that the SDK is compiled once.
                .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide"))
                .output()
                .unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command}\n{error}");
            said = String::from_utf8(output.stdout).unwrap();
            commands += 1;
        }
    }
    assert_eq!(commands, 9);
    assert_eq!(said, "id  name\n 2  Grace\n 1  Ada\n");
}
