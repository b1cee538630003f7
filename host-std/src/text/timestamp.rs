//! Points in time: RFC 3339 in, RFC 3339 in UTC out.
//!
//! Read are `2010-01-01T01:00:00Z`, offsets (`+02:00`), fractions of a second
//! (cut to microseconds), a space instead of the `T`, a date alone (midnight),
//! and whole microseconds since 1970. A time without `Z` or an offset is
//! UTC: what a text means must not depend on where it is read.

use interstice_core::abi::value::Rfc3339;
use jiff::{Timestamp, civil::DateTime, tz::Offset};

/// Microseconds since 1970-01-01T00:00:00Z.
pub fn parse(text: &str) -> Option<i64> {
    if let Ok(micros) = text.parse::<i64>() {
        return Some(micros);
    }
    if let Some(micros) = parse_plain(text.as_bytes()) {
        return Some(micros);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_microsecond());
    }
    let time = text.parse::<DateTime>().ok()?;
    Some(Offset::UTC.to_timestamp(time).ok()?.as_microsecond())
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
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `days_from_civil`.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// RFC 3339 in UTC, with microseconds only where there are any; the bare
/// number where the calendar of RFC 3339 ends, so that what is written can be
/// read.
pub fn format(micros: i64) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(_) => Rfc3339(micros).to_string(),
        Err(_) => micros.to_string(),
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
            assert_eq!(parse(text), Some(hour), "{text}");
        }
        assert_eq!(parse("2010-01-01"), Some(hour - 3_600_000_000));
        assert_eq!(parse("2010-01-01T01:00:00.1234567Z"), Some(hour + 123_456));
        assert_eq!(parse("-1"), Some(-1));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in ["", "yesterday", "2010-13-01T00:00:00", "2010-02-29T00:00:00", "2010/01/01"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in ["2010-01-01T24:00:00", "2010-01-01T00:60:00", "2010-00-10T00:00:00"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_short_path_agrees_with_the_calendar() {
        for year in [0i64, 4, 1600, 1900, 1969, 1970, 2000, 2024, 2100, 9999] {
            for month in 1..=12 {
                for day in [1, 15, 28] {
                    let text = format!("{year:04}-{month:02}-{day:02}T12:34:56");
                    let calendar: DateTime = text.parse().unwrap();
                    let calendar = Offset::UTC.to_timestamp(calendar).unwrap().as_microsecond();
                    assert_eq!(parse_plain(text.as_bytes()), Some(calendar), "{text}");
                }
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
        for micros in [0, 1, -1, 1_262_307_600_000_000, i64::MIN, i64::MAX] {
            assert_eq!(parse(&format(micros)), Some(micros));
        }
    }
}
