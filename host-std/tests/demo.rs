//! The demo, as a newcomer runs it, and the commands it says to try next.

use std::{path::Path, process::Command};

/// Runs the program to its good end, and returns what it wrote to standard output.
#[track_caller]
fn interstice(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interstice"));
    let output = command.args(args).current_dir(dir).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_demo_runs_and_the_commands_it_prints_work() {
    let dir = tempfile::tempdir().unwrap();
    let shown = interstice(dir.path(), &["demo"]);
    for expected in [
        "8,759 calls and the subscriptions they ran: 17,732 commits in ",
        "   17,733 commits replayed in ",
        "\n   Jul ",
        " alarms, raised by subscriptions\n",
        " after: the same\n",
        ": identical to the byte\n",
    ] {
        assert!(shown.contains(expected), "{expected:?} is not in\n{shown}");
    }

    let program = env!("CARGO_BIN_EXE_interstice");
    let commands = shown.lines().filter_map(|line| line.trim_start().strip_prefix(program));
    let commands: Vec<Vec<String>> = commands.map(|line| shlex::split(line).unwrap()).collect();
    assert_eq!(commands.len(), 3);
    let run = |command: &[String]| {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        interstice(dir.path(), &words)
    };
    // They do what they are said to do.
    let frost_alarms = |shown: &str| shown.lines().count() - 1;
    let frost = frost_alarms(&run(&commands[0]));
    assert!(frost > 0);
    assert_eq!(run(&commands[1]).matches("insert     weather.alarm ").count(), 3);
    assert!(commands[2].contains(&"-7.5".to_owned()), "a negative number by position");
    run(&commands[2]);
    assert_eq!(frost_alarms(&run(&commands[0])), frost + 1, "the reading was a frosty one");

    // A second demo takes the next free directory.
    interstice(dir.path(), &["demo"]);
    let check = interstice(dir.path(), &["replay-check", "--data", "interstice-demo-2"]);
    assert!(check.starts_with("identical: "), "{check}");
}
