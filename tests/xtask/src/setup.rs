//! What the other steps need: targets, components, tools.

use crate::run::{Problem, cargo, output, program, run, succeeds, tools};

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
        // Without optimizations: they are built faster, and have little to do.
        let root = tools();
        let install = format!("install --locked --debug {tool} --root");
        println!("installing {tool} below target/: cargo {install} {}", root.display());
        let mut install = cargo(&install);
        install.arg(root).env_remove("CARGO_TARGET_DIR");
        run(install).map_err(|problem| {
            format!(
                "{problem}\nInstall it by hand, then run this again: cargo install --locked {tool}"
            )
        })?;
    }
    Ok(())
}

/// Installs the targets that are missing.
pub(crate) fn targets() -> Result<(), Problem> {
    add("target", &TARGETS)
}

/// Emulators of the boards, and the packages of Debian and Ubuntu that have them.
const QEMU: [(&str, &str); 2] =
    [("qemu-system-arm", "qemu-system-arm"), ("qemu-system-riscv32", "qemu-system-misc")];

/// Installs the emulators that are missing, where the system lets us.
pub(crate) fn qemu() -> Result<(), Problem> {
    for (emulator, package) in QEMU {
        if succeeds(program(emulator, "--version")) {
            continue;
        }
        let install = format!("install --yes --no-install-recommends {package}");
        println!("installing {emulator} with the system's packages: apt-get {install}");
        let installed = run(program("apt-get", "update")).and_then(|()| {
            let mut install = program("apt-get", &install);
            install.env("DEBIAN_FRONTEND", "noninteractive");
            run(install)
        });
        installed.map_err(|problem| {
            format!("{problem}\nInstall QEMU by hand, so that `{emulator}` runs")
        })?;
    }
    Ok(())
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
