//! Colours, and messages to a person on standard error.

use std::{
    borrow::Cow,
    fmt::{self, Display},
    io::Write as _,
    path::Path,
};

use anstyle::{AnsiColor, Style};

use super::failure::Report;

pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(crate) const HELP: Style = AnsiColor::Cyan.on_default().bold();
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();

/// Writes a line to standard error. anstream takes the colours out where they
/// are not wanted. What cannot be written is lost, and changes nothing else:
/// the macros that print would end the process.
fn line(text: fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Prints how a command failed.
pub(crate) fn print_report(report: &Report) {
    line(format_args!("{ERROR}error:{ERROR:#} {}", printable_lines(&report.message)));
    if let Some(help) = &report.help {
        next(help);
    }
}

/// Prints what to do next.
pub(crate) fn next(command: impl Display) {
    line(format_args!("{HELP}next:{HELP:#} {}", printable_lines(&command.to_string())));
}

/// Prints something worth knowing that is not the command's answer.
pub(crate) fn note(text: impl Display) {
    line(format_args!("{NOTE}note:{NOTE:#} {}", printable_lines(&text.to_string())));
}

/// Prints what is going on.
pub(crate) fn say(text: impl Display) {
    line(format_args!("{}", printable_lines(&text.to_string())));
}

/// As [`printable`], for a text of several lines.
fn printable_lines(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

/// Prints a line that a guest has logged at `place`.
pub(crate) fn guest_line(level: u8, place: impl Display, text: &str) {
    let (name, colour) = match level {
        0 => ("error", ERROR),
        1 => ("warn", NOTE),
        2 => ("info", GOOD),
        3 => ("debug", HELP),
        _ => ("trace", DIM),
    };
    let text = printable(text);
    line(format_args!("{colour}{name:5}{colour:#} {DIM}{place}{DIM:#} {text}"));
}

/// Text from a guest or a row, for a terminal: control characters, which could
/// move the cursor or change colours, are shown as escapes, and so are those that
/// nobody sees and that change how others are shown.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match is_unseen(character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Controls; Unicode's format characters, such as those that turn the direction
/// of text, without the two joiners that scripts and emoji are written with; and
/// its separators of lines and paragraphs.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
                | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A word as a shell reads it back: in quotes where it needs them.
pub(crate) fn shell_word(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@,+%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => Cow::Borrowed(word),
        false => Cow::Owned(format!("'{}'", word.replace('\'', "'\\''"))),
    }
}

/// A path as a shell reads it back.
pub(crate) fn shell_path(path: &Path) -> String {
    shell_word(&path.to_string_lossy()).into_owned()
}

/// A number with its thousands apart: `8,759`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`, `8,759 rows`.
pub(crate) fn count(number: u64, one: &str) -> String {
    format!("{} {one}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// A number of bytes in a unit that fits it.
pub(crate) fn bytes(number: u64) -> String {
    match number {
        0..10_000 => format!("{} B", thousands(number)),
        10_000..10_000_000 => format!("{:.1} KiB", number as f64 / 1024.0),
        _ => format!("{:.1} MiB", number as f64 / (1024.0 * 1024.0)),
    }
}

/// A duration in a unit that fits it.
pub(crate) fn duration(duration: std::time::Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        ..1_000.0 => format!("{micros:.0} us"),
        ..1_000_000.0 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn words_for_a_shell_are_quoted_where_they_need_it() {
        assert_eq!(shell_word("./data-1/x.wasm"), "./data-1/x.wasm");
        assert_eq!(shell_word("my data"), "'my data'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printable("Ada \u{e9}"), "Ada \u{e9}");
        assert_eq!(printable("a\u{1b}[2Jb\n"), r"a\u{1b}[2Jb\n");
        for character in ['\u{202e}', '\u{2066}', '\u{200f}', '\u{200b}', '\u{feff}', '\u{2028}'] {
            let shown = format!("evil{}gpj", character.escape_default());
            assert_eq!(printable(&format!("evil{character}gpj")), shown);
        }
        let joined = "\u{1f469}\u{200d}\u{1f52c} \u{646}\u{645}\u{6cc}\u{200c}\u{62e}";
        assert_eq!(printable(joined), joined);
    }

    #[test]
    fn numbers_are_shown_in_groups_and_fitting_units() {
        assert_eq!(
            [0, 12, 999, 1000, 8759, 1_234_567].map(thousands),
            ["0", "12", "999", "1,000", "8,759", "1,234,567"]
        );
        assert_eq!([0, 1, 2].map(|n| count(n, "row")), ["0 rows", "1 row", "2 rows"]);
        assert_eq!([9_999, 10_240, 20 << 20].map(bytes), ["9,999 B", "10.0 KiB", "20.0 MiB"]);
        assert_eq!(duration(Duration::from_micros(12)), "12 us");
        assert_eq!(duration(Duration::from_micros(12_340)), "12.3 ms");
        assert_eq!(duration(Duration::from_millis(2_340)), "2.34 s");
    }
}
