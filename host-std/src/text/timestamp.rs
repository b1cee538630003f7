//! Points in time: RFC 3339 in, RFC 3339 in UTC out.
//!
//! Read are `2010-01-01T01:00:00Z`, offsets up to 23:59 (`+02:00`), up to six
//! digits of a second's fraction, a space instead of the `T`, no seconds, a date
//! alone (midnight), a sign and six digits of a year; and a bare whole number:
//! microseconds since 1970. A time without `Z` or an offset is UTC: what a text
//! means must not depend on where it is read. What cannot be kept as it is
//! written (leap seconds, a seventh digit) is refused.

use interstice_core::abi::value::Rfc3339;
use jiff::civil::{Date, Time};

/// What dates and times of day there are, for messages that ask for one.
const DATE: &str = "of a day that there is, from -9999 to 9999";
const CLOCK: &str = "from 00:00:00 to 23:59:59";

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// The first and the last day that there is, in days since 1970-01-01.
const FIRST_DAY: i64 = days_from_civil(-9999, 1, 1);
const LAST_DAY: i64 = days_from_civil(9999, 12, 31);

/// A time, for messages that ask for one.
pub(crate) const EXAMPLE: &str = "such as 2010-01-01T01:00:00Z";

/// Microseconds since 1970-01-01T00:00:00Z.
///
/// # Errors
///
/// What a time has to be like, in a few words.
pub fn parse(text: &str) -> Result<i64, &'static str> {
    if let Ok(micros) = text.parse::<i64>() {
        return Ok(micros);
    }
    match parse_plain(text.as_bytes()) {
        Some(micros) => Ok(micros),
        None => parse_any(text),
    }
}

/// The form that files of readings are full of, `2010-01-01T01:00:00` with or
/// without a `Z`: worth a path of its own when there are a million of them.
fn parse_plain(text: &[u8]) -> Option<i64> {
    let text = text.strip_suffix(b"Z").unwrap_or(text);
    let &[
        y0,
        y1,
        y2,
        y3,
        b'-',
        m0,
        m1,
        b'-',
        d0,
        d1,
        b'T' | b' ',
        h0,
        h1,
        b':',
        n0,
        n1,
        b':',
        s0,
        s1,
    ] = text
    else {
        return None;
    };
    let year = digits(&[y0, y1, y2, y3])?;
    let month = digits(&[m0, m1])?;
    let day = digits(&[d0, d1])?;
    let (hour, minute, second) = (digits(&[h0, h1])?, digits(&[n0, n1])?, digits(&[s0, s1])?);
    // Days up to 28 exist in every month; the rest is for the calendar.
    if !(1..=12).contains(&month) || !(1..=28).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * MICROS_PER_SECOND)
}

/// Every form that is read, and why others are not. The calendar is jiff's,
/// which takes more than can be kept (leap seconds, offsets of days), and ends
/// its points in time a day early.
fn parse_any(text: &str) -> Result<i64, &'static str> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let is_dated =
        date.len() >= 10 && date.bytes().all(|b| b.is_ascii_digit() || b"+-".contains(&b));
    if !is_dated {
        return Err(EXAMPLE);
    }
    let date: Date = date.parse().map_err(|_| DATE)?;
    let day = days_from_civil(date.year().into(), date.month().into(), date.day().into());
    Ok(day * MICROS_PER_DAY + time.map_or(Ok(0), parse_time)?)
}

/// Microseconds from midnight UTC to the time of a day in its zone.
fn parse_time(text: &str) -> Result<i64, &'static str> {
    let zone_at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(zone_at);
    let is_clock = clock.bytes().all(|byte| byte.is_ascii_digit() || b":.".contains(&byte));
    if !is_clock || clock.as_bytes().get(2) != Some(&b':') {
        return Err(EXAMPLE);
    }
    let time: Time = clock.parse().map_err(|_| CLOCK)?;
    if clock.get(6..8) == Some("60") {
        return Err(CLOCK);
    }
    if time.subsec_nanosecond() % 1000 != 0 {
        return Err("with no more than six digits of a second");
    }
    let seconds = [time.hour(), time.minute(), time.second()];
    let seconds = seconds.into_iter().fold(0, |sum, part| sum * 60 + i64::from(part));
    let fraction = i64::from(time.subsec_nanosecond()) / 1000;
    Ok(seconds * MICROS_PER_SECOND + fraction - parse_zone(zone)?)
}

/// Microseconds that a zone is ahead of UTC.
fn parse_zone(text: &str) -> Result<i64, &'static str> {
    let &[sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] = text.as_bytes() else {
        return if matches!(text, "" | "Z" | "z") { Ok(0) } else { Err(EXAMPLE) };
    };
    let hours = digits(&[h0, h1]).ok_or(EXAMPLE)?;
    let minutes = digits(&[m0, m1]).ok_or(EXAMPLE)?;
    match (hours, minutes) {
        (0..24, 0..60) => {
            let ahead = (hours * 60 + minutes) * 60 * MICROS_PER_SECOND;
            Ok(if sign == b'-' { -ahead } else { ahead })
        }
        _ => Err("with an offset up to 23:59"),
    }
}

/// The number that a few digits write.
fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `days_from_civil`.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// RFC 3339 in UTC, with microseconds only where there are any; the bare
/// number outside of the years that can be read.
pub fn format(micros: i64) -> String {
    match micros.div_euclid(MICROS_PER_DAY) {
        FIRST_DAY..=LAST_DAY => Rfc3339(micros).to_string(),
        _ => micros.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_written_form_of_a_time_is_read() {
        let hour = 1_262_307_600_000_000;
        for text in [
            "2010-01-01T01:00:00",
            "2010-01-01T01:00:00Z",
            "2010-01-01 01:00:00",
            "2010-01-01T01:00:00.000Z",
            "2010-01-01T03:00:00+02:00",
            "2009-12-31T17:00-08:00",
            "1262307600000000",
        ] {
            assert_eq!(parse(text), Ok(hour), "{text}");
        }
        assert_eq!(parse("2010-01-01"), Ok(hour - 3_600_000_000));
        assert_eq!(parse("2010-01-01T01:00:00.123456Z"), Ok(hour + 123_456));
        assert_eq!(parse("2010-01-01t01:00:00.5z"), Ok(hour + 500_000));
        assert_eq!(parse("2010-01-01T00:59:59+23:59"), Ok(hour - 24 * 3_600_000_000 + 59_000_000));
        assert_eq!(parse("-1"), Ok(-1));
        assert_eq!(parse("2010"), Ok(2010), "a bare number is microseconds");
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for (text, why) in [
            ("", EXAMPLE),
            ("yesterday", EXAMPLE),
            ("2010/01/01", EXAMPLE),
            ("2010-01-01T", EXAMPLE),
            ("2010-01-01T01", EXAMPLE),
            ("2010-01-01T01:00:00.", CLOCK),
            ("2010-01-01T01:00.5", CLOCK),
            ("2010-01-01T01:00:00:00", CLOCK),
            ("2010-01-01T01:00:00ZZ", EXAMPLE),
            ("2010-01-01T01:00:00+0200", EXAMPLE),
            ("2010-01-01T01:00:00[Europe/Berlin]", EXAMPLE),
            ("20100101T010000Z", EXAMPLE),
            ("\u{e9}010-01-01", EXAMPLE),
            ("+2010-01-01", DATE),
            ("2010-13-01T00:00:00", DATE),
            ("2010-00-10T00:00:00", DATE),
            ("2010-02-29T00:00:00", DATE),
            ("1900-02-29", DATE),
            ("2010-01-00", DATE),
            ("+010000-01-01", DATE),
            ("2010-01-01T24:00:00", CLOCK),
            ("2010-01-01T00:60:00", CLOCK),
            ("2016-12-31T23:59:60Z", CLOCK),
            ("2010-01-01T01:00:00.1234567Z", "with no more than six digits of a second"),
            ("2010-01-01T01:00:00+24:00", "with an offset up to 23:59"),
            ("2010-01-01T01:00:00-25:30", "with an offset up to 23:59"),
            ("2010-01-01T01:00:00+01:60", "with an offset up to 23:59"),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn both_paths_agree_with_what_is_written() {
        for year in [0i64, 4, 1600, 1900, 1969, 1970, 2000, 2024, 2100, 9999] {
            for month in 1..=12 {
                for day in [1, 15, 28] {
                    let text = format!("{year:04}-{month:02}-{day:02}T12:34:56");
                    let micros = parse_plain(text.as_bytes()).unwrap();
                    assert_eq!(parse_any(&text), Ok(micros), "{text}");
                    assert_eq!(format(micros), format!("{text}Z"));
                }
            }
        }
    }

    #[test]
    fn every_day_of_the_years_that_are_written_is_read_back() {
        for day in (FIRST_DAY..LAST_DAY).step_by(97).chain([LAST_DAY]) {
            for micros in [day * MICROS_PER_DAY, (day + 1) * MICROS_PER_DAY - 1] {
                assert_eq!(parse_any(&format(micros)), Ok(micros));
            }
        }
    }

    #[test]
    fn times_are_written_in_utc_with_the_digits_they_need() {
        assert_eq!(format(0), "1970-01-01T00:00:00Z");
        assert_eq!(format(1_262_307_600_000_000), "2010-01-01T01:00:00Z");
        assert_eq!(format(1_500_000), "1970-01-01T00:00:01.500000Z");
        assert_eq!(format(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(format(i64::MAX), "9223372036854775807");
        let end = (LAST_DAY + 1) * MICROS_PER_DAY;
        assert_eq!(format(end - 1), "9999-12-31T23:59:59.999999Z");
        assert_eq!(format(end), end.to_string());
        assert_eq!(parse("9999-12-31T23:59:59.999999-01:00"), Ok(end - 1 + 3_600_000_000));
        let start = FIRST_DAY * MICROS_PER_DAY;
        for micros in [0, 1, -1, 1_262_307_600_000_000, i64::MIN, i64::MAX, start, start - 1] {
            assert_eq!(parse(&format(micros)), Ok(micros));
        }
    }
}
