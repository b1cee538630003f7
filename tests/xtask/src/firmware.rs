//! The firmware: built for both boards, run in QEMU, and measured.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf, process::Command, thread};

use crate::{
    run::{Problem, cargo, output, root, run},
    setup,
};

/// The firmware's workspace.
const FIRMWARE: &str = "host-embedded/firmware";
/// The figures of the firmware as they were last taken for right.
const FIGURES: &str = "host-embedded/firmware/figures.txt";
/// By how much a figure may grow, in percent, before it is to be looked at.
const GROWTH_MAX: u64 = 2;

/// A board: its name, which is also its package and cargo's alias, and its target.
struct Board {
    name: &'static str,
    target: &'static str,
}

const BOARDS: [Board; 2] = [
    Board { name: "cortex-m4f", target: "thumbv7em-none-eabihf" },
    Board { name: "riscv32", target: "riscv32imac-unknown-none-elf" },
];

/// Builds both boards, feeds them a year of readings, and kills them on the way:
/// both at once, as an emulator uses one core.
pub(crate) fn check(kills: u64) -> Result<(), Problem> {
    build()?;
    // Built before, so that neither waits for the other.
    run(in_firmware("build --quiet --package firmware-emulator"))?;
    thread::scope(|scope| {
        let fed: Vec<_> =
            BOARDS.iter().map(|board| scope.spawn(move || feed(board, kills))).collect();
        let gone = || Err("the thread of a board has panicked".to_owned());
        fed.into_iter().try_for_each(|fed| fed.join().unwrap_or_else(|_| gone()))
    })?;
    BOARDS.iter().try_for_each(pull_and_check)
}

/// Where what comes out of a board is kept.
fn folder(board: &Board) -> PathBuf {
    root().join("target/firmware").join(board.name)
}

fn feed(board: &Board, kills: u64) -> Result<(), Problem> {
    let folder = folder(board);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut feed = emulator(board);
    feed.args(["feed", "--kills", &kills.to_string(), "--stream"]).arg(folder.join("log.txt"));
    feed.arg("--killed").arg(folder.join("killed.bin"));
    run(feed)
}

/// Makes data directories of a board's log, as it came over the serial line at the
/// end and as it was in flash after a kill, and re-executes them.
fn pull_and_check(board: &Board) -> Result<(), Problem> {
    for (from, to) in [("log.txt", "data"), ("killed.bin", "killed")] {
        let data = folder(board).join(to);
        let mut pull = cargo("run --quiet --package interstice -- log-pull");
        pull.arg(folder(board).join(from)).arg("-o").arg(&data).arg("--module").arg(module());
        run(pull)?;
        let mut check = cargo("run --quiet --package interstice -- replay-check --data");
        check.arg(&data);
        run(check)?;
    }
    Ok(())
}

/// Formatting, clippy and the tests that need no board.
pub(crate) fn lint() -> Result<(), Problem> {
    build_module()?;
    run(in_firmware("fmt --all --check"))?;
    for Board { name, target } in &BOARDS {
        run(in_firmware(&format!(
            "clippy --quiet --release --package {name} --package interstice-firmware --package no-panic --target {target} -- -D warnings"
        )))?;
    }
    run(in_firmware(
        "clippy --quiet --package interstice-firmware --package firmware-emulator --all-targets -- -D warnings",
    ))?;
    run(in_firmware("test --quiet --package interstice-firmware"))
}

/// Measures both boards, and holds the figures against those that were last
/// taken for right. `accept` takes them for right.
pub(crate) fn size(accept: bool) -> Result<(), Problem> {
    build()?;
    let mut text = String::new();
    for board in &BOARDS {
        let mut measure = emulator(board);
        measure.arg("measure");
        for line in output(measure)?.lines() {
            println!("{} {line}", board.name);
            let _ = writeln!(text, "{} {line}", board.name);
        }
    }
    let path = root().join(FIGURES);
    if accept {
        return fs::write(path, text).map_err(|error| format!("{FIGURES}: {error}"));
    }
    let recorded = fs::read_to_string(path).map_err(|error| format!("{FIGURES}: {error}"))?;
    compare(&figures(&recorded), &figures(&text))
}

/// Fails for each figure that has grown.
fn compare(recorded: &Figures<'_>, found: &Figures<'_>) -> Result<(), Problem> {
    let mut problems = Vec::new();
    for (name, value) in found {
        match recorded.get(name) {
            Some(before) if value * 100 <= before * (100 + GROWTH_MAX) => {}
            Some(before) => problems.push(format!("{name} is {value}; it was {before}")),
            None => problems.push(format!("{name} is {value}, and not recorded")),
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nIf it is meant so: cargo xtask size --accept, and say why in the commit",
        problems.join("\n")
    ))
}

type Figures<'a> = BTreeMap<&'a str, u64>;

/// Lines of a name, which may have spaces, and a number.
fn figures(text: &str) -> Figures<'_> {
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    lines.filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect()
}

fn build() -> Result<(), Problem> {
    setup::targets()?;
    setup::qemu()?;
    build_module()?;
    BOARDS.iter().try_for_each(|board| run(in_firmware(board.name)))
}

/// The module that the firmware carries.
fn build_module() -> Result<(), Problem> {
    let mut build = cargo("run --quiet --package interstice -- build sdk/examples/weather");
    build.env_remove("CARGO_TARGET_DIR");
    run(build)
}

/// Where it is built: in one place, whatever the user's target directory is.
fn module() -> PathBuf {
    root().join("target/interstice/wasm32-unknown-unknown/release/weather.wasm")
}

/// A cargo command in the firmware's workspace, with a target directory of its own.
pub(crate) fn in_firmware(args: &str) -> Command {
    let mut command = cargo(args);
    command.current_dir(root().join(FIRMWARE)).env("CARGO_TARGET_DIR", target());
    command
}

/// The target directory of the firmware's workspace.
pub(crate) fn target() -> PathBuf {
    root().join(FIRMWARE).join("target")
}

/// The program that runs a board in QEMU.
fn emulator(board: &Board) -> Command {
    let mut command = in_firmware("run --quiet --package firmware-emulator --");
    let Board { name, target } = board;
    let image = self::target().join(target).join("release").join(name);
    let readings = root().join("sdk/examples/weather/data/seattle-weather-hourly-normals.csv");
    command.args(["--board", name, "--image"]).arg(image);
    command.arg("--readings").arg(readings);
    command.arg("--module").arg(module());
    command
}
