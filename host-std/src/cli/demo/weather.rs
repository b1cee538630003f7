//! The weather module's answers, drawn.

use std::io::Write;

use serde_json::Value as Json;

use crate::cli::{
    failure::Failure,
    style::{self, BOLD, DIM, GOOD, HELP, NOTE},
};

/// Columns of a temperature bar.
const BAR_WIDTH: usize = 45;

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

/// One line per month: from the lowest to the highest temperature, the mean
/// marked, the strongest wind, and how many alarms.
pub(super) fn print_year(out: &mut impl Write, months: &Json) -> Result<(), Failure> {
    let months = rows(months);
    let fold = |name, pick: fn(f64, f64) -> f64| {
        months.iter().map(|month| number(month, &["temperature", name])).reduce(pick)
    };
    let low = fold("min", f64::min).unwrap_or_default().floor();
    let high = fold("max", f64::max).unwrap_or_default().ceil();
    let column = |celsius: f64| {
        let share = (celsius - low) / (high - low).max(1.0);
        (share * (BAR_WIDTH - 1) as f64).round() as usize
    };
    let scale = format!("{low:.0} °C");
    let width = BAR_WIDTH - scale.chars().count();
    writeln!(
        out,
        "   {DIM}       {scale}{:>width$}    min   mean    max   wind to   alarms{DIM:#}",
        format!("{high:.0} °C")
    )?;
    for month in months {
        let [min, mean, max] =
            ["min", "mean", "max"].map(|name| number(month, &["temperature", name]));
        let name = MONTHS.get((number(month, &["month"]) - 1.0) as usize).unwrap_or(&"?");
        let bar: String = (0..BAR_WIDTH)
            .map(|at| match at {
                _ if at == column(mean) => '●',
                _ if at >= column(min) && at <= column(max) => '━',
                _ => ' ',
            })
            .collect();
        let colour = if mean < 8.0 {
            HELP
        } else if mean < 15.0 {
            GOOD
        } else {
            NOTE
        };
        writeln!(
            out,
            "   {name}    {colour}{bar}{colour:#}  {min:5.1}  {mean:5.1}  {max:5.1}  {:3.1} m/s  {:7}",
            number(month, &["wind_max"]),
            number(month, &["alarms"]),
        )?;
    }
    Ok(())
}

/// One line per kind of alarm: how many, and the worst.
pub(super) fn print_alarms(out: &mut impl Write, alarms: &Json) -> Result<(), Failure> {
    let alarms = rows(alarms);
    let count = style::count(alarms.len() as u64, "alarm");
    writeln!(out, "\n   {BOLD}{count}{BOLD:#}, by subscriptions:")?;
    let kinds = [
        ("Frost", "ground frost possible, down to", "°C", true),
        ("Wind", "strong wind, up to", "m/s", false),
        ("PressureDrop", "fast pressure drop, by", "hPa in 3 h", false),
    ];
    for (kind, what, unit, least) in kinds {
        let of_kind = alarms.iter().filter(|alarm| alarm["kind"] == kind);
        let number_of = of_kind.clone().count();
        let worst = of_kind.reduce(|worst, alarm| {
            let (value, other) = (number(alarm, &["worst"]), number(worst, &["worst"]));
            let is_worse = if least { value < other } else { value > other };
            if is_worse { alarm } else { worst }
        });
        if let Some(worst) = worst {
            let value = number(worst, &["worst"]);
            let since = worst["since"].as_str().unwrap_or_default().replace('T', " ");
            let since = since.get(..16).unwrap_or_default();
            writeln!(out, "   {number_of:3} × {what} {value:.1} {unit} ({since})")?;
        }
    }
    Ok(())
}
