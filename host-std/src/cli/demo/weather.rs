//! The weather module's answers, drawn.

use std::io::Write;

use serde_json::Value as Json;

use crate::cli::{
    failure::Failure,
    style::{self, BOLD, DIM, GOOD, HELP, NOTE},
};

/// Columns of a temperature bar.
const BAR_WIDTH: usize = 27;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A number of a row, by the path of its name. What is not there is 0: the
/// picture is not worth a panic.
fn number(row: &Json, path: &[&str]) -> f64 {
    path.iter().fold(row, |value, name| &value[*name]).as_f64().unwrap_or_default()
}

fn rows(answer: &Json) -> &[Json] {
    answer.as_array().map_or(&[], Vec::as_slice)
}

/// What the module warns of: the kind's name, a column's, and words for it.
struct Kind {
    name: &'static str,
    column: &'static str,
    what: &'static str,
    unit: &'static str,
    /// Whether the worst value is the least.
    least: bool,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "Frost",
        column: "frost",
        what: "ground frost possible, down to",
        unit: "°C",
        least: true,
    },
    Kind { name: "Wind", column: "windy", what: "strong wind, up to", unit: "m/s", least: false },
    Kind {
        name: "PressureDrop",
        column: "drop",
        what: "fast drop of the pressure, by",
        unit: "hPa in 3 h",
        least: false,
    },
];

/// The alarms of a kind.
fn of_kind<'a>(alarms: &'a Json, kind: &Kind) -> impl Iterator<Item = &'a Json> + Clone {
    let name = kind.name;
    rows(alarms).iter().filter(move |alarm| alarm["kind"] == name)
}

/// One line per month: a bar from the lowest to the highest temperature with
/// the mean marked, the strongest wind, and the alarms that began in it.
pub(super) fn print_year(
    out: &mut impl Write,
    months: &Json,
    alarms: &Json,
) -> Result<(), Failure> {
    let months = rows(months);
    let fold = |name, pick: fn(f64, f64) -> f64| {
        months.iter().map(|month| number(month, &["temperature", name])).reduce(pick)
    };
    let low = fold("min", f64::min).unwrap_or_default().floor();
    let high = fold("max", f64::max).unwrap_or_default().ceil();
    let (low_text, high_text) = (format!("{low:.0} °C"), format!("{high:.0} °C"));
    let width = BAR_WIDTH - low_text.chars().count();
    let kinds = KINDS.map(|kind| format!("{:>6}", kind.column)).concat();
    writeln!(
        out,
        "   {DIM}     {low_text}{high_text:>width$}   min  mean   max    wind{kinds}{DIM:#}"
    )?;
    for month in months {
        let values = ["min", "mean", "max"].map(|name| number(month, &["temperature", name]));
        let [min, mean, max] = values;
        let colour = match mean {
            ..8.0 => HELP,
            8.0..15.0 => GOOD,
            _ => NOTE,
        };
        let index = number(month, &["month"]);
        let name = MONTHS.get((index - 1.0) as usize).unwrap_or(&"?");
        let bar = bar(values.map(|celsius| (celsius - low) / (high - low).max(1.0)));
        let begins = format!("{:04}-{index:02}-", number(month, &["year"]));
        let counts = KINDS.map(|kind| {
            let began = |alarm: &&Json| {
                alarm["since"].as_str().is_some_and(|since| since.starts_with(&begins))
            };
            match of_kind(alarms, &kind).filter(began).count() {
                0 => format!("{:>6}", "-"),
                count => format!("{count:6}"),
            }
        });
        let wind = number(month, &["wind_max"]);
        writeln!(
            out,
            "   {name}  {colour}{bar}{colour:#} {min:5.1} {mean:5.1} {max:5.1} {wind:3.1} m/s{}",
            counts.concat()
        )?;
    }
    Ok(())
}

/// A bar from the first to the last of these shares of its width, with the
/// middle one marked.
fn bar(shares: [f64; 3]) -> String {
    let [from, mark, to] = shares.map(|share| (share * (BAR_WIDTH - 1) as f64).round() as usize);
    let character = |at| match at {
        _ if at == mark => '●',
        _ if (from..=to).contains(&at) => '━',
        _ => ' ',
    };
    (0..BAR_WIDTH).map(character).collect()
}

/// One line per kind of alarm: how many, and the worst.
pub(super) fn print_alarms(out: &mut impl Write, alarms: &Json) -> Result<(), Failure> {
    let count = style::count(rows(alarms).len() as u64, "alarm");
    writeln!(out, "\n   {BOLD}{count}{BOLD:#}, raised by subscriptions")?;
    for kind in &KINDS {
        let worst = of_kind(alarms, kind).reduce(|worst, alarm| {
            let (value, other) = (number(alarm, &["worst"]), number(worst, &["worst"]));
            let is_worse = if kind.least { value < other } else { value > other };
            if is_worse { alarm } else { worst }
        });
        let Some(worst) = worst else { continue };
        let count = of_kind(alarms, kind).count();
        let Kind { what, unit, .. } = kind;
        let value = number(worst, &["worst"]);
        let since = worst["since"].as_str().unwrap_or_default().replace('T', " ");
        let since = since.get(..16).unwrap_or_default();
        writeln!(out, "   {count:3} × {what} {value:.1} {unit} ({since})")?;
    }
    Ok(())
}
