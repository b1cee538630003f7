//! Bars that show how far something long has come. indicatif shows them on a
//! terminal only.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar up to `len` bytes: how much of it, what is done, and for how long. What is
/// done is `verb`, or the bar's message where that is `{msg}`.
pub(super) fn bar(len: u64, verb: &str) -> ProgressBar {
    let template = format!("{{bar:40.cyan}} {{percent:>3}}%  {verb}  {{elapsed}}");
    ProgressBar::new(len).with_style(style(&template))
}

/// A sign of life, where nobody knows the end.
pub(super) fn spinner() -> ProgressBar {
    ProgressBar::new_spinner().with_style(style("{spinner} {msg}"))
}

/// Bytes that come from somewhere: `len` of them, where that is known.
pub(super) fn transfer(len: Option<u64>) -> ProgressBar {
    match len {
        Some(len) => {
            ProgressBar::new(len).with_style(style("{bar:40.cyan} {bytes} of {total_bytes}"))
        }
        None => ProgressBar::new_spinner().with_style(style("{spinner} {bytes}")),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
