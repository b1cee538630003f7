//! What the other steps need: targets, components, tools.

use crate::run::{Problem, cargo, output, program, run, succeeds};

/// Targets: guests, and the boards that the core must build for.
pub(crate) const TARGETS: [&str; 4] = [
    "wasm32-unknown-unknown",
    "thumbv7em-none-eabihf",
    "riscv32imac-unknown-none-elf",
    "thumbv6m-none-eabi",
];

const COMPONENTS: [&str; 3] = ["rustfmt", "clippy", "llvm-tools"];

/// Tools: the name of the crate, and the arguments that tell whether it is there.
const TOOLS: [(&str, &str); 3] = [
    ("cargo-nextest", "nextest --version"),
    ("cargo-llvm-cov", "llvm-cov --version"),
    ("cargo-deny", "deny --version"),
];

/// Installs everything that is missing, and says so.
pub(crate) fn everything() -> Result<(), Problem> {
    targets()?;
    add("component", &COMPONENTS)?;
    for (tool, version) in TOOLS {
        if succeeds(cargo(version)) {
            continue;
        }
        println!("installing {tool}: cargo install --locked {tool}");
        run(cargo(&format!("install --locked {tool}"))).map_err(|problem| {
            format!("{problem}\nInstall {tool} by hand, then run this again.")
        })?;
    }
    Ok(())
}

/// Installs the targets that are missing.
pub(crate) fn targets() -> Result<(), Problem> {
    add("target", &TARGETS)
}

fn add(kind: &str, wanted: &[&str]) -> Result<(), Problem> {
    let list = program("rustup", &format!("{kind} list --installed"));
    let installed = output(list).map_err(|problem| {
        format!("{problem}\nWithout rustup, install by hand: {}", wanted.join(", "))
    })?;
    for name in wanted {
        // Components are listed with their host behind them.
        if installed.lines().any(|line| line.starts_with(name)) {
            continue;
        }
        println!("adding the {kind} {name}: rustup {kind} add {name}");
        run(program("rustup", &format!("{kind} add {name}")))?;
    }
    Ok(())
}
