//! The steps, and the commands that are made of them.

use std::{
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::{
    contracts, coverage, firmware, no_panic,
    run::{Problem, cargo, output, root, run, succeeds, watch},
    setup, tidy as rules,
};

/// Tests that have passed.
static PASSED: AtomicU64 = AtomicU64::new(0);

/// One step: its name, the command that runs it alone, and what it does.
struct Step {
    name: &'static str,
    alone: &'static str,
    run: fn() -> Result<(), Problem>,
}

const TIDY: Step =
    Step { name: "rules of this project", alone: "cargo xtask tidy", run: rules::check };
const FORMAT: Step = Step {
    name: "formatting",
    alone: "cargo fmt --all --check",
    run: || run(cargo("fmt --all --check")),
};
const CLIPPY: Step = Step {
    name: "clippy",
    alone: "cargo clippy --workspace --all-targets -- -D warnings",
    run: || run(cargo("clippy --quiet --workspace --all-targets -- -D warnings")),
};
const DOCS: Step = Step {
    name: "documentation",
    alone: "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps",
    run: || {
        let mut doc = cargo("doc --quiet --workspace --no-deps");
        doc.env("RUSTDOCFLAGS", "-D warnings");
        run(doc)
    },
};
const DENY: Step = Step {
    name: "licences and sources of dependencies",
    alone: "cargo deny check bans licenses sources",
    run: || run(cargo("deny --log-level error check bans licenses sources")),
};
const ADVISORIES: Step =
    Step { name: "advisories", alone: "cargo deny check advisories", run: advisories };
const TARGETS: Step =
    Step { name: "targets and features", alone: "cargo xtask targets", run: build_targets };
const FIRMWARE_LINT: Step = Step {
    name: "formatting, clippy and tests of the firmware",
    alone: "cargo xtask lint",
    run: firmware::lint,
};
const FIRMWARE: Step = Step {
    name: "firmware on both boards, with kills",
    alone: "cargo xtask firmware",
    run: || firmware::check(60),
};
const SIZE: Step = Step {
    name: "flash, memory and instructions of the firmware",
    alone: "cargo xtask size",
    run: || firmware::size(false),
};
const NO_PANIC: Step = Step {
    name: "no panic in reach of the logs of devices",
    alone: "cargo xtask no-panic",
    run: no_panic::check,
};
const TESTS: Step = Step {
    name: "tests, with coverage of core, abi and the log in files",
    alone: "cargo nextest run --workspace",
    run: tests_with_coverage,
};
const DOCTESTS: Step = Step {
    name: "documentation tests",
    alone: "cargo test --doc --workspace",
    run: documentation_tests,
};
const SETUP: Step =
    Step { name: "targets and tools", alone: "cargo xtask test", run: setup::everything };

pub(crate) fn test() -> Result<(), Problem> {
    all(&[
        SETUP,
        TIDY,
        FORMAT,
        DENY,
        ADVISORIES,
        CLIPPY,
        DOCS,
        TARGETS,
        FIRMWARE_LINT,
        NO_PANIC,
        TESTS,
        DOCTESTS,
        FIRMWARE,
        SIZE,
    ])
}

pub(crate) fn lint() -> Result<(), Problem> {
    all(&[SETUP, TIDY, FORMAT, DENY, CLIPPY, DOCS, FIRMWARE_LINT])
}

pub(crate) fn tidy(accept: bool) -> Result<(), Problem> {
    if accept {
        contracts::accept()?;
    }
    all(&[TIDY])
}

pub(crate) fn targets() -> Result<(), Problem> {
    setup::targets()?;
    all(&[TARGETS])
}

pub(crate) fn no_panic() -> Result<(), Problem> {
    all(&[NO_PANIC])
}

pub(crate) fn coverage() -> Result<(), Problem> {
    all(&[SETUP, TESTS])
}

/// What is short in every run, as long as it is asked for.
pub(crate) fn torture(counts: &[(&str, u64)]) -> Result<(), Problem> {
    let tests = "nothing_acknowledged_is_lost every_burst cuts:: damage::a_burst damage::any_image \
                 figures::many_records";
    let mut tests = cargo(&format!(
        "nextest run --package interstice-tests --package interstice --package interstice-embedded \
         {tests}"
    ));
    for (variable, count) in counts {
        tests.env(variable, count.to_string());
    }
    run(tests)
}

pub(crate) fn bench() -> Result<(), Problem> {
    run(cargo("bench --workspace"))
}

/// Runs steps in order, up to the first that fails.
fn all(steps: &[Step]) -> Result<(), Problem> {
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for step in steps {
        println!("\n== {}", step.name);
        let started = Instant::now();
        (step.run)().map_err(|problem| {
            format!("{problem}\nThe step `{}` failed. Alone: {}", step.name, step.alone)
        })?;
        times.push((step.name, started.elapsed()));
    }
    println!("\n== done");
    for (name, time) in &times {
        println!("{:7.1} s  {name}", time.as_secs_f64());
    }
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    println!("{:7.1} s  in all", total.as_secs_f64());
    match PASSED.load(Ordering::Relaxed) {
        0 => println!("every step passed"),
        passed => println!("every step passed, {passed} tests among them"),
    }
    Ok(())
}

/// The core on boards with atomics, the guest's side on boards without.
fn build_targets() -> Result<(), Problem> {
    for target in ["thumbv7em-none-eabihf", "riscv32imac-unknown-none-elf"] {
        for package in [
            "interstice-core",
            "interstice-core --no-default-features",
            "interstice-embedded",
            "interstice-embedded --features defmt",
        ] {
            run(cargo(&format!("check --quiet --package {package} --target {target}")))?;
        }
    }
    run(cargo("check --quiet --package interstice-abi --target thumbv6m-none-eabi"))?;
    run(cargo("test --quiet --package interstice-core --no-default-features --test trust"))
}

/// Known vulnerabilities, if the database can be had.
fn advisories() -> Result<(), Problem> {
    if succeeds(cargo("deny fetch db")) {
        return run(cargo("deny --log-level error check advisories"));
    }
    println!("skipped: the advisory database cannot be fetched from here");
    Ok(())
}

/// Where instrumented builds go: `cargo test` and `cargo build` do not see them.
const COVERAGE_DIR: &str = "target/llvm-cov-target";

fn tests_with_coverage() -> Result<(), Problem> {
    // What an earlier run has left does not count.
    run(cargo("llvm-cov clean --profraw-only"))?;
    let tests = cargo("llvm-cov nextest --workspace --no-report --no-fail-fast");
    watch(tests, |line| {
        // Summary [  18.880s] 175 tests run: 175 passed, 0 skipped
        if let Some((_, counts)) = line.split_once(" tests run: ") {
            count_passed(counts);
        }
    })?;
    coverage::check(&output(cargo("llvm-cov report --json --summary-only"))?)
}

/// In the directory of the tests before: what they have built is not built again.
fn documentation_tests() -> Result<(), Problem> {
    let mut tests = cargo("test --doc --workspace");
    instrumented(&mut tests)?;
    watch(tests, |line| {
        // test result: ok. 3 passed; 0 failed; ...
        if let Some(counts) = line.strip_prefix("test result: ok. ") {
            count_passed(counts);
        }
    })
}

/// Makes a cargo command use the builds of [`tests_with_coverage`].
fn instrumented(command: &mut Command) -> Result<(), Problem> {
    for line in output(cargo("llvm-cov show-env"))?.lines() {
        if let Some((name, value)) = line.split_once('=')
            && name.contains("RUSTC_WRAPPER")
        {
            command.env(name, value.trim_matches('\''));
        }
    }
    let dir = root().join(COVERAGE_DIR);
    command.env("LLVM_PROFILE_FILE", dir.join("doctests-%p-%m.profraw"));
    command.env("CARGO_TARGET_DIR", dir);
    Ok(())
}

/// Counts the tests of a text that begins with `3 passed`.
fn count_passed(counts: &str) {
    let passed = counts.split_once(" passed").and_then(|(number, _)| number.parse().ok());
    PASSED.fetch_add(passed.unwrap_or(0), Ordering::Relaxed);
}
