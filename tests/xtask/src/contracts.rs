//! What other versions of Interstice must be able to read: formats and the
//! guest interface.
//!
//! `tests/golden/contracts.txt` holds the version and a fingerprint of each.
//! A contract that has changed under its old version is found here.

use std::{fmt::Write, fs};

use crate::{
    run::{Problem, root},
    tidy::read,
};

const LOCK: &str = "tests/golden/contracts.txt";

struct Contract {
    name: &'static str,
    /// The file that is the contract, or has it.
    file: &'static str,
    /// The part of the file that counts: from the first text to the second.
    part: Option<(&'static str, &'static str)>,
    /// Where its version is.
    version: (&'static str, &'static str),
    /// Golden files of a version, with `#` for its number.
    golden: &'static [&'static str],
}

const CONTRACTS: [Contract; 7] = [
    Contract {
        name: "log format",
        file: "core/src/log/FORMAT.md",
        part: None,
        version: ("core/src/log/frame/header.rs", "pub const FORMAT_VERSION: u32 = "),
        golden: &["tests/golden/format-#.log", "tests/golden/format-#.txt"],
    },
    // The order and the defaults are in the log.
    Contract {
        name: "limits",
        file: "core/src/limits.rs",
        part: Some(("\nlimits! {\n", "\n}\n")),
        version: ("core/src/log/frame/header.rs", "pub const FORMAT_VERSION: u32 = "),
        golden: &[],
    },
    Contract {
        name: "snapshot content",
        file: "core/src/state/SNAPSHOT.md",
        part: None,
        version: ("core/src/state/snapshot/mod.rs", "pub const SNAPSHOT_VERSION: u8 = "),
        golden: &["tests/golden/snapshot-#.bin", "tests/golden/snapshot-#.txt"],
    },
    Contract {
        name: "schema section",
        file: "core/abi/src/schema/section.rs",
        part: Some(("//!", "use super")),
        version: ("core/abi/src/schema/section.rs", "pub const FORMAT_VERSION: u8 = "),
        golden: &["tests/golden/schema-#.bin", "tests/golden/schema-#.json"],
    },
    Contract {
        name: "host calls",
        file: "core/abi/src/host_calls.rs",
        part: Some(("$with! {", "macro_rules! value_type")),
        version: ABI,
        golden: &[],
    },
    Contract {
        name: "error numbers",
        file: "core/abi/src/errno.rs",
        part: Some(("errnos! {\n", "impl Errno")),
        version: ABI,
        golden: &[],
    },
    Contract {
        name: "cost of host calls",
        file: "core/src/host_calls/mod.rs",
        part: Some(("pub(crate) mod cost {", "\n}")),
        version: ABI,
        golden: &[],
    },
];

const ABI: (&str, &str) = ("core/abi/src/lib.rs", "pub const ABI_VERSION: u32 = ");

/// Compares the contracts with their fingerprints.
pub(crate) fn check(problems: &mut Vec<String>) {
    let lock = read(LOCK).unwrap_or_default();
    for contract in &CONTRACTS {
        let Some(line) = contract.line() else {
            problems.push(format!("{}: the {} is not where it was", contract.file, contract.name));
            continue;
        };
        let known = lock.lines().find(|line| line.starts_with(contract.name));
        if known != Some(&line) {
            let same_version = known.is_some_and(|known| version_of(known) == version_of(&line));
            let what =
                if same_version { "changed, its version did not" } else { "has a new version" };
            problems.push(format!(
                "{}: `{}` {what}. A changed meaning needs a new version, and golden files of it. \
                 If that is done, or only words changed: cargo xtask tidy --accept",
                contract.file, contract.name
            ));
        }
        for golden in contract.golden {
            let golden = golden.replace('#', contract.version().unwrap_or_default().as_str());
            if !root().join(&golden).is_file() {
                problems.push(format!(
                    "{golden}: missing; it is made by UPDATE_GOLDEN=1 cargo test -p interstice-tests golden"
                ));
            }
        }
    }
}

/// Writes the fingerprints of today's contracts.
pub(crate) fn accept() -> Result<(), Problem> {
    let mut text = String::new();
    for contract in &CONTRACTS {
        let line = contract.line().ok_or_else(|| format!("{}: not found", contract.file))?;
        let _ = writeln!(text, "{line}");
    }
    fs::write(root().join(LOCK), text).map_err(|error| format!("{LOCK}: {error}"))
}

/// The version in a line of the lock.
fn version_of(line: &str) -> Option<&str> {
    line.rsplit(' ').nth(1)
}

impl Contract {
    /// Its line in the lock: name, version, fingerprint.
    fn line(&self) -> Option<String> {
        let text = read(self.file)?;
        let part = match self.part {
            None => text.as_str(),
            Some((from, to)) => {
                let start = text.find(from)?;
                let end = start + text.get(start..)?.find(to)?;
                text.get(start..end)?
            }
        };
        Some(format!("{} {} {:016x}", self.name, self.version()?, fingerprint(part)))
    }

    fn version(&self) -> Option<String> {
        let (file, before) = self.version;
        number_behind(&read(file)?, before)
    }
}

/// The digits behind a text.
pub(crate) fn number_behind(text: &str, before: &str) -> Option<String> {
    let digits = text.split(before).nth(1)?.chars();
    Some(digits.take_while(char::is_ascii_digit).collect())
}

/// FNV-1a over the words of a text: spaces and line breaks do not count.
fn fingerprint(text: &str) -> u64 {
    let words = text.split_whitespace().flat_map(|word| word.bytes().chain([b' ']));
    words.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
