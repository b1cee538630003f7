//! Line coverage, by folder.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::run::{Problem, root};

/// Folders, and the share of their lines that tests must reach, in percent.
///
/// A file counts for the first that it is in.
const REQUIRED: [(&str, f64); 6] = [
    ("core/abi/src", 85.0),
    ("core/src/log", 95.0),
    ("core/src", 85.0),
    ("host-std/src/file_log", 95.0),
    ("host-std/src/snapshots", 95.0),
    ("host-std/src/database", 90.0),
];

/// Prints the coverage of a report by cargo-llvm-cov and holds it against what
/// is required.
pub(crate) fn check(report: &str) -> Result<(), Problem> {
    let report: Value = serde_json::from_str(report)
        .map_err(|error| format!("the coverage report is not JSON: {error}"))?;
    let mut lines: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for file in report["data"][0]["files"].as_array().into_iter().flatten() {
        let name = file["filename"].as_str().unwrap_or_default();
        let name = name.strip_prefix(&format!("{}/", root().display())).unwrap_or(name);
        let Some((folder, _)) = REQUIRED.iter().find(|(folder, _)| name.starts_with(folder)) else {
            continue;
        };
        let summary = &file["summary"]["lines"];
        let total = lines.entry(folder).or_default();
        total.0 += summary["covered"].as_u64().unwrap_or(0);
        total.1 += summary["count"].as_u64().unwrap_or(0);
    }
    let mut missed = Vec::new();
    for (folder, required) in REQUIRED {
        let (covered, count) = lines.get(folder).copied().unwrap_or((0, 1));
        let percent = 100.0 * covered as f64 / count.max(1) as f64;
        println!("line coverage of {folder}: {percent:.1} % ({covered} of {count} lines)");
        if percent < required {
            missed.push(format!("{folder} has {percent:.1} %, {required} % are required"));
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(missed.join("\n")) }
}
