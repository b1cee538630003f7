//! Points in time: RFC 3339 in, RFC 3339 in UTC out.
//!
//! Read are `2010-01-01T01:00:00Z`, offsets up to 23:59 (`+02:00`), up to six
//! digits of a second's fraction, a space instead of the `T`, no seconds, a date
//! alone (midnight), a sign and six digits of a year; and a bare whole number:
//! microseconds since 1970. A time without `Z` or an offset is UTC: what a text
//! means must not depend on where it is read. What cannot be kept as it is
//! written (leap seconds, a seventh digit) is refused.

use interstice_core::abi::value::Rfc3339;

/// A time, for messages that ask for one.
pub(crate) const EXAMPLE: &str = "such as 2010-01-01T01:00:00Z";

/// Years that are written as a date.
const YEARS: std::ops::RangeInclusive<i64> = -9999..=9999;

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
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000)
}

/// Every form that is read, and why others are not.
fn parse_any(text: &str) -> Result<i64, &'static str> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let midnight = parse_date(date)? * 86_400_000_000;
    let Some(time) = time else { return Ok(midnight) };
    let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    Ok(midnight + parse_clock(clock)? - parse_zone(zone)?)
}

/// Days since 1970-01-01.
fn parse_date(text: &str) -> Result<i64, &'static str> {
    let (sign, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    let year_len = if unsigned.len() == text.len() { 4 } else { 6 };
    let mut parts = unsigned.split('-');
    let mut part = |len| number_of(parts.next(), len);
    let (year, month, day) = (sign * part(year_len)?, part(2)?, part(2)?);
    if parts.next().is_some() {
        return Err(EXAMPLE);
    }
    if !YEARS.contains(&year) {
        return Err("of a year from -9999 to 9999");
    }
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return Err("of a month from 01 to 12"),
    };
    match (1..=days).contains(&day) {
        true => Ok(days_from_civil(year, month, day)),
        false => Err("of a day that its month has"),
    }
}

/// Microseconds since midnight.
fn parse_clock(text: &str) -> Result<i64, &'static str> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let mut parts = whole.split(':');
    let (hour, minute) = (number_of(parts.next(), 2)?, number_of(parts.next(), 2)?);
    let second = match (parts.next(), fraction) {
        (None, None) => 0,
        (second, _) => number_of(second, 2)?,
    };
    let micros = match fraction.map(str::as_bytes) {
        None => 0,
        Some(fraction) => {
            let number = digits(fraction).filter(|_| !fraction.is_empty()).ok_or(EXAMPLE)?;
            let missing = 6usize.checked_sub(fraction.len());
            number * 10i64.pow(missing.ok_or("with no more than six digits of a second")? as u32)
        }
    };
    match (parts.next(), hour, minute, second) {
        (None, 0..24, 0..60, 0..60) => {
            Ok(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
        }
        (None, ..) => Err("from 00:00:00 to 23:59:59"),
        (Some(_), ..) => Err(EXAMPLE),
    }
}

/// Microseconds that a zone is ahead of UTC.
fn parse_zone(text: &str) -> Result<i64, &'static str> {
    let sign = match text.as_bytes().first() {
        None => return Ok(0),
        Some(b'Z' | b'z') if text.len() == 1 => return Ok(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return Err(EXAMPLE),
    };
    let (hours, minutes) = text[1..].split_once(':').ok_or(EXAMPLE)?;
    match (number_of(Some(hours), 2)?, number_of(Some(minutes), 2)?) {
        (hours @ 0..24, minutes @ 0..60) => Ok(sign * (hours * 60 + minutes) * 60_000_000),
        _ => Err("with an offset up to 23:59"),
    }
}

/// A number of exactly so many digits.
fn number_of(text: Option<&str>, len: usize) -> Result<i64, &'static str> {
    text.filter(|text| text.len() == len).and_then(|text| digits(text.as_bytes())).ok_or(EXAMPLE)
}

/// The number that digits write. Too many of them are no number.
fn digits(text: &[u8]) -> Option<i64> {
    if text.len() > 18 {
        return None;
    }
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
/// number where the years end that are read.
pub fn format(micros: i64) -> String {
    let first = days_from_civil(*YEARS.start(), 1, 1) * 86_400_000_000;
    let behind = days_from_civil(*YEARS.end() + 1, 1, 1) * 86_400_000_000;
    match (first..behind).contains(&micros) {
        true => Rfc3339(micros).to_string(),
        false => micros.to_string(),
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
            ("2010-01-01T01:00:00.", EXAMPLE),
            ("2010-01-01T01:00.5", EXAMPLE),
            ("2010-01-01T01:00:00:00", EXAMPLE),
            ("2010-01-01T01:00:00ZZ", EXAMPLE),
            ("2010-01-01T01:00:00+0200", EXAMPLE),
            ("2010-01-01T01:00:00[Europe/Berlin]", EXAMPLE),
            ("20100101T010000Z", EXAMPLE),
            ("\u{e9}010-01-01", EXAMPLE),
            ("+2010-01-01", EXAMPLE),
            ("2010-13-01T00:00:00", "of a month from 01 to 12"),
            ("2010-00-10T00:00:00", "of a month from 01 to 12"),
            ("2010-02-29T00:00:00", "of a day that its month has"),
            ("1900-02-29", "of a day that its month has"),
            ("2010-01-00", "of a day that its month has"),
            ("+010000-01-01", "of a year from -9999 to 9999"),
            ("2010-01-01T24:00:00", "from 00:00:00 to 23:59:59"),
            ("2010-01-01T00:60:00", "from 00:00:00 to 23:59:59"),
            ("2016-12-31T23:59:60Z", "from 00:00:00 to 23:59:59"),
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
        for day in (-4_371_587..2_932_897).step_by(97) {
            let micros = day * 86_400_000_000 + 86_399_999_999;
            assert_eq!(parse_any(&format(micros)), Ok(micros));
        }
        assert_eq!(format(-4_371_587 * 86_400_000_000), "-009999-01-01T00:00:00Z");
        assert_eq!(format(2_932_897 * 86_400_000_000 - 1), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn times_are_written_in_utc_with_the_digits_they_need() {
        assert_eq!(format(0), "1970-01-01T00:00:00Z");
        assert_eq!(format(1_262_307_600_000_000), "2010-01-01T01:00:00Z");
        assert_eq!(format(1_500_000), "1970-01-01T00:00:01.500000Z");
        assert_eq!(format(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(format(i64::MAX), "9223372036854775807");
        for micros in [0, 1, -1, 1_262_307_600_000_000, i64::MIN, i64::MAX] {
            assert_eq!(parse(&format(micros)), Ok(micros));
        }
    }
}
