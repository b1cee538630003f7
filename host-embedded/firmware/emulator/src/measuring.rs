//! Memory and instructions: with a thousand rows, and for mounting a thousand
//! commits.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::{
    board::Board,
    desktop::{After, Desktop, Step},
    emulator::{Clock, Emulator},
    image::ImageSize,
};

/// Rows that a device keeps, in all tables.
const ROWS: usize = 1000;
/// Commits whose replay is counted.
const COMMITS: u64 = 1000;

/// Measures, and prints lines of a name and a value.
pub(crate) fn measure(board: Board, image: &Path, desktop: &Desktop) -> Result<()> {
    let folder = tempfile::tempdir()?;
    board.make_flash(folder.path())?;
    let start = || {
        let mut emulator = Emulator::start(board, image, folder.path(), Clock::Instructions)?;
        emulator.ready(board)?;
        anyhow::Ok(emulator)
    };
    // A new log is begun and the module installed; mounting it is something else.
    drop(start()?);
    let mut emulator = start()?;
    let empty = Figures::ask(&mut emulator)?;
    let mut steps = desktop.steps.iter();
    feed(&mut emulator, &mut steps, |after| after.next_offset >= COMMITS)?;
    drop(emulator);
    let mut emulator = start()?;
    let mounted = Figures::ask(&mut emulator)?;
    feed(&mut emulator, &mut steps, |after| after.rows >= ROWS)?;
    let full = Figures::ask(&mut emulator)?;
    let ImageSize { code, constants, statics } = ImageSize::of(image)?;
    println!("code_bytes {code}");
    println!("constants_bytes {constants}");
    println!("flash_bytes {}", code + constants);
    println!("statics_bytes {statics}");
    println!("instructions_mount_empty {}", empty.instructions);
    println!("instructions_mount_{COMMITS}_commits {}", mounted.instructions);
    println!("heap_bytes_mounted_empty {}", empty.heap);
    println!("heap_bytes_{ROWS}_rows {}", full.heap);
    println!("heap_bytes_peak {}", full.heap_peak);
    println!("stack_bytes_peak {}", full.stack_peak);
    println!("ram_bytes_peak {}", statics + full.heap_peak + full.stack_peak);
    Ok(())
}

/// Gives the board readings until there is enough.
fn feed<'a>(
    emulator: &mut Emulator,
    steps: &mut impl Iterator<Item = &'a Step>,
    enough: impl Fn(&After) -> bool,
) -> Result<()> {
    for step in steps {
        let mut answer = emulator.ask(&step.command)?;
        if answer.starts_with("led ") {
            answer = emulator.line()?;
        }
        ensure!(answer.starts_with("ok "), "{answer}");
        if enough(&step.after) {
            break;
        }
    }
    Ok(())
}

/// What a board says of itself.
struct Figures {
    heap: u64,
    heap_peak: u64,
    stack_peak: u64,
    instructions: u64,
}

impl Figures {
    fn ask(emulator: &mut Emulator) -> Result<Self> {
        // status NEXT HASH heap USED PEAK SIZE stack PEAK SIZE led on|off
        let status = emulator.ask("status")?;
        // cycles INSTRUCTIONS COMMITS
        let cycles = emulator.ask("cycles")?;
        let number = |line: &str, place: usize| {
            let word = line.split(' ').nth(place).and_then(|word| word.parse().ok());
            word.with_context(|| format!("`{line}`"))
        };
        Ok(Self {
            heap: number(&status, 4)?,
            heap_peak: number(&status, 5)?,
            stack_peak: number(&status, 8)?,
            instructions: number(&cycles, 1)?,
        })
    }
}
