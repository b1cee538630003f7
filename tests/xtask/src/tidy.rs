//! Rules of this project that no other tool knows.

use std::{fs, path::Path};

use crate::{
    contracts,
    run::{Problem, output, program, root},
};

/// Lines of a file that one person can hold.
const FILE_LINES_MAX: usize = 800;

/// What must not be left in code.
const LEFT_OPEN: [&str; 5] = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore", "FIXME"];

/// Where a message that cannot be written must not end the process.
const WRITES_CARE: &str = "host-std/src/";

/// Endings of files that are made, not written.
const MADE: [&str; 5] = [".wasm", ".elf", ".o", ".a", ".rlib"];

/// Checks every file that git knows.
pub(crate) fn check() -> Result<(), Problem> {
    let files = output(program("git", "ls-files --cached --others --exclude-standard"))?;
    let mut problems = Vec::new();
    for name in files.lines() {
        if MADE.iter().any(|ending| name.ends_with(ending)) {
            problems.push(format!("{name}: made files do not belong into the repository"));
        }
        if name.ends_with(".rs") && !name.starts_with("tests/xtask/") {
            check_code(name, &mut problems);
        }
    }
    contracts::check(&mut problems);
    check_versions(&mut problems);
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn check_code(name: &str, problems: &mut Vec<String>) {
    let Some(text) = read(name) else { return };
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        problems
            .push(format!("{name}: {lines} lines; more than {FILE_LINES_MAX} are two subjects"));
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(left) = LEFT_OPEN.iter().find(|left| line.contains(**left)) {
            problems.push(format!("{name}:{}: `{left}` is left open", number + 1));
        }
        if name.starts_with(WRITES_CARE) && (line.contains("print!(") || line.contains("println!("))
        {
            problems.push(format!(
                "{name}:{}: what prints panics when it cannot; `cli/style.rs` writes messages, \
                 `cli/output.rs` answers",
                number + 1
            ));
        }
    }
}

/// Documents name the version that the code has.
fn check_versions(problems: &mut Vec<String>) {
    let number = |file: &str, before: &str| contracts::number_behind(&read(file)?, before);
    let log = number("core/src/log/frame/header.rs", "pub const FORMAT_VERSION: u32 = ");
    let named = number("core/src/log/FORMAT.md", "# Format, version ");
    if log.is_none() || log != named {
        problems
            .push("core/src/log: frame/header.rs and FORMAT.md name different versions".to_owned());
    }
    let snapshot = number("core/src/state/snapshot/mod.rs", "pub const SNAPSHOT_VERSION: u8 = ");
    let named = number("core/src/state/SNAPSHOT.md", "# Snapshot content, version ");
    if snapshot.is_none() || snapshot != named {
        problems.push(
            "core/src/state: snapshot/mod.rs and SNAPSHOT.md name different versions".to_owned(),
        );
    }
    let abi = number("core/abi/src/lib.rs", "pub const ABI_VERSION: u32 = ");
    let module = number("core/abi/src/host_calls.rs", "pub const MODULE: &str = \"interstice_");
    if abi.is_none() || abi != module {
        problems.push("core/abi/src: lib.rs and host_calls.rs name different versions".to_owned());
    }
}

pub(crate) fn read(name: &str) -> Option<String> {
    fs::read_to_string(root().join(Path::new(name))).ok()
}
