//! Points in time, spans of time, and the calendar.

use core::{
    fmt,
    num::Wrapping,
    ops::{Add, AddAssign, Sub, SubAssign},
};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;

/// A point in time: microseconds since 1970-01-01T00:00:00 UTC, without leap
/// seconds.
///
/// ```
/// use interstice_sdk::prelude::*;
///
/// let noon = Timestamp::from_date(2010, 12, 24) + Duration::from_hours(12);
/// assert_eq!(noon.date(), Date { year: 2010, month: 12, day: 24 });
/// assert_eq!(noon - Timestamp::from_date(2010, 12, 24), Duration::from_hours(12));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A span of time in microseconds, forwards or backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

/// A day of the calendar that most of the world uses, extended backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// The year; 0 is 1 BCE.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Timestamp {
    /// The earliest point in time that can be stored.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest point in time that can be stored.
    pub const MAX: Self = Self(i64::MAX);

    /// The time this many microseconds after 1970-01-01T00:00:00 UTC.
    #[inline]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00 UTC.
    #[inline]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The time this many seconds after 1970-01-01T00:00:00 UTC.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(saturating_micros(seconds, MICROS_PER_SECOND))
    }

    /// Whole seconds since 1970-01-01T00:00:00 UTC, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// The start of a day, in UTC. A day outside its month counts on: the 32nd
    /// of January is the first of February.
    pub const fn from_date(year: i32, month: u8, day: u8) -> Self {
        Self(saturating_micros(days_before(year, month, day), MICROS_PER_DAY))
    }

    /// The day, in UTC.
    pub fn date(self) -> Date {
        // All days of all timestamps fit.
        date_of_day(self.0.div_euclid(MICROS_PER_DAY) as i32)
    }

    /// The hour of the day, in UTC: 0 to 23.
    pub const fn hour(self) -> u8 {
        (self.0.rem_euclid(MICROS_PER_DAY) / (3600 * MICROS_PER_SECOND)) as u8
    }

    /// The start of the day, in UTC.
    pub const fn start_of_day(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(MICROS_PER_DAY)))
    }
}

/// `count` units, as far as they can be represented. Not `saturating_mul`: that
/// multiplies with 128 bits where, as in WebAssembly, nothing else is at hand.
const fn saturating_micros(count: i64, unit: i64) -> i64 {
    if count > i64::MAX / unit {
        i64::MAX
    } else if count < i64::MIN / unit {
        i64::MIN
    } else {
        count * unit
    }
}

// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
// `days_from_civil` and `civil_from_days`: years start in March, so that the
// leap day is the last one, and 400 years always have 146,097 days.

const DAYS_PER_ERA: u32 = 146_097;
const YEARS_PER_ERA: i64 = 400;
/// Days from the era's first, 0000-03-01, to 1970-01-01.
const DAYS_TO_1970: u32 = 719_468;
/// So many eras earlier, the days of all timestamps are positive.
const ERAS_EARLIER: Wrapping<u32> = Wrapping(800);

/// Days from 1970-01-01 to the given day.
const fn days_before(year: i32, month: u8, day: u8) -> i64 {
    let year = year as i64 - (month <= 2) as i64;
    let (era, year) = (year.div_euclid(YEARS_PER_ERA), year.rem_euclid(YEARS_PER_ERA) as u32);
    let month = (month as u32 + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day as u32;
    let day_of_era = year * 365 + year / 4 - year / 100 + day_of_year;
    era * DAYS_PER_ERA as i64 + day_of_era as i64 - 1 - DAYS_TO_1970 as i64
}

/// The date `days` days after 1970-01-01.
fn date_of_day(days: i32) -> Date {
    // Nothing wraps, for no timestamp: this way the guest does not check it.
    let number = Wrapping::<u32>;
    let days = number(days as u32) + number(DAYS_TO_1970) + ERAS_EARLIER * number(DAYS_PER_ERA);
    let (era, day) = (days / number(DAYS_PER_ERA), days % number(DAYS_PER_ERA));
    let leap_days = day / number(1460) - day / number(36_524) + day / number(146_096);
    let year = (day - leap_days) / number(365);
    let day = day - (number(365) * year + year / number(4) - year / number(100));
    let month = (number(5) * day + number(2)) / number(153);
    let day = day - (number(153) * month + number(2)) / number(5) + number(1);
    let is_next_year = month.0 >= 10;
    let month = if is_next_year { month - number(9) } else { month + number(3) };
    let year = year + (era - ERAS_EARLIER) * number(400) + number(is_next_year.into());
    Date { year: year.0 as i32, month: month.0 as u8, day: day.0 as u8 }
}

impl Date {
    /// The start of this day, in UTC.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_date(self.year, self.month, self.day)
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// This many microseconds.
    #[inline]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// This many milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(saturating_micros(millis, 1000))
    }

    /// This many seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(saturating_micros(seconds, MICROS_PER_SECOND))
    }

    /// This many minutes.
    pub const fn from_minutes(minutes: i64) -> Self {
        Self(saturating_micros(minutes, 60 * MICROS_PER_SECOND))
    }

    /// This many hours.
    pub const fn from_hours(hours: i64) -> Self {
        Self(saturating_micros(hours, 3600 * MICROS_PER_SECOND))
    }

    /// This many days of 24 hours.
    pub const fn from_days(days: i64) -> Self {
        Self(saturating_micros(days, MICROS_PER_DAY))
    }

    /// The span in microseconds.
    #[inline]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The span in whole seconds, rounded towards zero.
    pub const fn seconds(self) -> i64 {
        self.0 / MICROS_PER_SECOND
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Stops at [`Timestamp::MIN`] and [`Timestamp::MAX`].
    #[inline]
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Stops at [`Timestamp::MIN`] and [`Timestamp::MAX`].
    #[inline]
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl AddAssign<Duration> for Timestamp {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl SubAssign<Duration> for Timestamp {
    fn sub_assign(&mut self, span: Duration) {
        *self = *self - span;
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    #[inline]
    fn sub(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Duration {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Duration {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// As in RFC 3339, with fractions of a second where there are any.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Date { year, month, day } = self.date();
        let second = self.seconds().rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match self.0.rem_euclid(MICROS_PER_SECOND) {
            0 => f.write_str("Z"),
            micros => write!(f, ".{micros:06}Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_read_as_in_rfc_3339() {
        assert_eq!(Timestamp::from_micros(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_seconds(951_782_400).to_string(), "2000-02-29T00:00:00Z");
    }

    #[test]
    fn days_outside_the_month_count_on() {
        assert_eq!(Timestamp::from_date(2010, 1, 32), Timestamp::from_date(2010, 2, 1));
        assert_eq!(Timestamp::from_date(2010, 3, 0), Timestamp::from_date(2010, 2, 28));
        assert_eq!(Timestamp::from_date(2012, 3, 0), Timestamp::from_date(2012, 2, 29));
    }

    #[test]
    fn dates_outside_of_time_stop_at_its_ends() {
        assert_eq!(Timestamp::from_date(i32::MAX, 12, 31), Timestamp::MAX);
        assert_eq!(Timestamp::from_date(i32::MIN, 1, 1), Timestamp::MIN);
        assert_eq!(Duration::from_days(i64::MAX), Duration::from_micros(i64::MAX));
    }

    #[test]
    fn sums_stop_at_the_ends_of_time() {
        assert_eq!(Timestamp::MAX + Duration::from_days(1), Timestamp::MAX);
        assert_eq!(Timestamp::MIN - Duration::from_days(1), Timestamp::MIN);
        assert_eq!(Timestamp::MIN - Timestamp::MAX, Duration::from_micros(i64::MIN));
    }

    proptest! {
        #[test]
        fn a_date_is_the_day_its_start_lies_in(micros: i64) {
            let time = Timestamp::from_micros(micros);
            let start = time.date().start();
            // The first, incomplete day cannot be represented as its start.
            prop_assume!(micros > i64::MIN + Duration::from_days(1).micros());
            prop_assert_eq!(start, time.start_of_day());
            prop_assert!(start <= time && time - start < Duration::from_days(1));
        }
    }
}
