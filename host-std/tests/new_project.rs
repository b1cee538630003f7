//! A fresh project builds, tests, installs and runs, as it is.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Target directories of the projects: kept between runs, so that the SDK is
/// compiled once.
fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs a command to its good end, and returns what it wrote to standard output.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn interstice(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interstice"));
    command.current_dir(dir).env("CARGO_TARGET_DIR", target("new-project"));
    command
}

#[test]
fn a_fresh_project_builds_tests_installs_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    run(interstice(folder.path()).args(["new", "my-module"]));
    let project = folder.path().join("my-module");

    run(Command::new(env!("CARGO"))
        .args(["test", "--quiet"])
        .current_dir(&project)
        .env("CARGO_TARGET_DIR", target("new-project-tests")));

    let built = run(interstice(&project).args(["build", "--format", "json", "-o", "my.wasm"]));
    let built: serde_json::Value = serde_json::from_str(&built).unwrap();
    assert_eq!(built["module"], "my_module");
    assert_eq!(built["path"], "my.wasm");

    run(interstice(&project).args(["install", "my.wasm"]));
    assert_eq!(run(interstice(&project).args(["call", "my_module.greet", "Ada"])), "1\n");
    assert_eq!(run(interstice(&project).args(["call", "my_module.greet", "name=Grace"])), "2\n");
    let latest = run(interstice(&project).args(["query", "my_module.latest", "limit=10"]));
    assert_eq!(latest, "id  name\n 2  Grace\n 1  Ada\n");
    let check = run(interstice(&project).args(["replay-check"]));
    assert!(check.starts_with("identical: 2 calls of 3 commits"), "{check}");
}
