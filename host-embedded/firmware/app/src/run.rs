//! The path of a device: mount, then one command after another.

use embedded_io::Write;
use interstice_core::Timestamp;
use interstice_embedded::stream;

use crate::{
    board::{Board, Part},
    command::{Command, CommandError, Reading},
    led::Led,
    line::Lines,
    report::{self, MountCost},
    self_test, stack,
    station::Station,
};

/// Runs the application, for ever.
pub fn run<B: Board>(mut board: B) -> ! {
    // SAFETY: the board says where its stack is, and this runs on it.
    unsafe { stack::paint(board.stack()) };
    defmt::info!("boot on {}", B::NAME);
    let mut lines = Lines::default();
    let mut how = Begin::Mount;
    loop {
        let (mut station, cost) = begin(&mut board, &mut lines, how);
        let mut led = Led::of(station.state());
        ready(&mut board, &station);
        // Behind this the old log is closed, before its flash is given away.
        how = loop {
            match lines.next(board.uart(), |line| Command::parse(line?)) {
                Ok(Command::Record(reading)) => {
                    record(&mut board, &mut station, &mut led, &reading);
                    let idled = station.idle();
                    if idled.is_err() || station.has_failed() {
                        break Begin::Mount;
                    }
                }
                Ok(Command::Rest) => {
                    rest(&mut board, &mut station);
                    if station.has_failed() {
                        break Begin::Mount;
                    }
                }
                Ok(Command::Status) => report::status(&mut board, &station, &led),
                Ok(Command::Cycles) => report::cycles(&mut board, cost),
                Ok(Command::Format) => break Begin::Format,
                Ok(other) => without_station(&mut board, other),
                Err(error) => refuse(&mut board, error),
            }
        };
    }
}

fn ready<B: Board>(board: &mut B, station: &Station<B::Flash>) {
    let (next, hash) = (station.state().next_offset(), station.state().state_hash());
    defmt::info!("ready at commit {=u64}, state hash {=u64:016x}", next.0, hash);
    let _ = writeln!(board.uart(), "ready {} {next} {hash:016x}", B::NAME);
}

/// How a station comes to its log.
#[derive(Clone, Copy)]
enum Begin {
    Mount,
    Format,
}

/// Mounts the log, or makes one. When that fails, says so, and waits to be told to
/// begin a new one: what is there may still be worth reading.
fn begin<B: Board>(
    board: &mut B,
    lines: &mut Lines,
    mut how: Begin,
) -> (Station<B::Flash>, MountCost) {
    loop {
        let before = board.instructions();
        let (what, begun) = match how {
            Begin::Mount => ("mount", Station::open(|| board.flash(Part::Log))),
            Begin::Format => ("format", Station::format(board.flash(Part::Log))),
        };
        let error = match begun {
            Ok(station) => {
                let instructions = board.instructions().wrapping_sub(before);
                let commits = station.state().next_offset().0;
                let cost = match how {
                    Begin::Mount => MountCost { instructions, commits },
                    Begin::Format => MountCost::default(),
                };
                return (station, cost);
            }
            Err(error) => error,
        };
        defmt::error!("no log: {}", defmt::Display2Format(&error));
        let _ = writeln!(board.uart(), "err {what}: {error}");
        how = Begin::Format;
        loop {
            match lines.next(board.uart(), |line| Command::parse(line?)) {
                Ok(Command::Format) => break,
                Ok(other) => without_station(board, other),
                Err(error) => refuse(board, error),
            }
        }
    }
}

/// What works without a log.
fn without_station<B: Board>(board: &mut B, command: Command) {
    match command {
        Command::Log => {
            let mut flash = board.flash(Part::Log);
            // Where the flash fails the line says so; where the line fails nothing can be said.
            let _ = stream::write(&mut flash, board.uart());
        }
        Command::SelfTest => {
            let mut flash = board.flash(Part::Scratch);
            let result = self_test::run(&mut flash);
            let _ = match result {
                Ok(runs) => writeln!(board.uart(), "selftest good, {runs} before it"),
                Err(fault) => writeln!(board.uart(), "err selftest: {fault}"),
            };
        }
        _ => {
            let _ = writeln!(board.uart(), "err there is no log; `format` begins one");
        }
    }
}

/// Comes to rest, and says so.
fn rest<B: Board>(board: &mut B, station: &mut Station<B::Flash>) {
    let _ = match station.rest() {
        Ok(()) => writeln!(board.uart(), "resting"),
        Err(error) => writeln!(board.uart(), "err {error}"),
    };
}

fn refuse<B: Board>(board: &mut B, error: CommandError) {
    let _ = writeln!(board.uart(), "err {error}");
}

/// Commits a reading, switches the light, and acknowledges it.
fn record<B: Board>(
    board: &mut B,
    station: &mut Station<B::Flash>,
    led: &mut Led,
    reading: &Reading,
) {
    let time = Timestamp(reading.time);
    if let Err(error) = station.record(&reading.args(), time) {
        let _ = writeln!(board.uart(), "err {error}");
        return;
    }
    for change in station.take_alarms() {
        if let Some(alarm) = change.new {
            led.see(&alarm);
        }
    }
    if let Some(on) = led.switch(time) {
        let word = if on { "on" } else { "off" };
        defmt::info!("led {=str} at {=i64}", word, time.0);
        let _ = writeln!(board.uart(), "led {word} {}", time.0);
    }
    let (next, hash) = (station.state().next_offset(), station.state().state_hash());
    let _ = writeln!(board.uart(), "ok {next} {hash:016x}");
}
