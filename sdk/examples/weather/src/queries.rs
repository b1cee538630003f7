//! What a person would ask.

use interstice_sdk::{Rows, prelude::*};

use crate::{Alarm, Day, Kind, Reading, Summary};

/// What the weather was in one month.
#[derive(Clone, Column, Debug, PartialEq)]
pub struct Month {
    /// The year.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// How many readings there are of it.
    pub readings: u32,
    /// Temperature in degrees Celsius.
    pub temperature: Summary,
    /// The strongest wind in m/s.
    pub wind_max: f64,
    /// How many alarms began in it.
    pub alarms: u32,
}

/// The latest reading.
#[query(reads(Reading))]
pub fn latest(ctx: &LatestContext) -> Option<Reading> {
    ctx.reading.scan().rev().first()
}

/// The readings from `from` on, and before `to`.
#[query(reads(Reading))]
pub fn between(ctx: &BetweenContext, from: Timestamp, to: Timestamp) -> Vec<Reading> {
    ctx.reading.scan().range(from..to).to_vec()
}

/// The hours with the strongest wind, the strongest first.
#[query(reads(Reading, Day))]
pub fn windiest(ctx: &WindiestContext, hours: u32) -> Vec<Reading> {
    let mut windiest: Vec<Reading> = Vec::new();
    for day in ctx.day.scan() {
        // The least of those found so far, once there are as many as asked for.
        let least = match windiest.last() {
            Some(last) if windiest.len() >= hours as usize => last.wind,
            _ => f64::MIN,
        };
        if day.wind.max <= least {
            continue;
        }
        let hours_of_day = day.start()..day.start() + Duration::from_days(1);
        for reading in ctx.reading.scan().range(hours_of_day).filter(Reading::wind.gt(least)) {
            insert_by_wind(&mut windiest, reading);
        }
        windiest.truncate(hours as usize);
    }
    windiest
}

/// Inserts a reading behind those with as much wind or more.
fn insert_by_wind(readings: &mut Vec<Reading>, reading: Reading) {
    readings.push(reading);
    let mut unsorted = readings.as_mut_slice();
    while let [others @ .., last] = unsorted
        && let Some(weaker) = others.last_mut()
        && weaker.wind < last.wind
    {
        core::mem::swap(weaker, last);
        unsorted = others;
    }
}

/// A day's summary.
#[query(reads(Day))]
pub fn day(ctx: &DayContext, year: i32, month: u8, day: u8) -> Option<Day> {
    ctx.day.get((year, month, day))
}

/// The days of a month.
#[query(reads(Day))]
pub fn days(ctx: &DaysContext, year: i32, month: u8) -> Vec<Day> {
    ctx.day.scan().prefix((year, month)).to_vec()
}

/// The day with the lowest temperature.
#[query(reads(Day))]
pub fn coldest_day(ctx: &ColdestDayContext) -> Option<Day> {
    first_with_greatest(ctx.day.scan().iter(), |day| -day.temperature.min)
}

/// The day with the highest temperature.
#[query(reads(Day))]
pub fn warmest_day(ctx: &WarmestDayContext) -> Option<Day> {
    first_with_greatest(ctx.day.scan().iter(), |day| day.temperature.max)
}

fn first_with_greatest(days: Rows<Day>, value: fn(&Day) -> f64) -> Option<Day> {
    days.reduce(|best, day| if value(&day) > value(&best) { day } else { best })
}

/// The months, in order.
#[query(reads(Day, Alarm))]
pub fn months(ctx: &MonthsContext) -> Vec<Month> {
    let mut months: Vec<Month> = Vec::new();
    for day in ctx.day.scan() {
        match months.last_mut() {
            Some(month) if (month.year, month.month) == (day.year, day.month) => month.add(&day),
            _ => months.push(Month::of(&day)),
        }
    }
    for alarm in ctx.alarm.scan() {
        let began = alarm.since.date();
        for month in &mut months {
            if (month.year, month.month) == (began.year, began.month) {
                month.alarms += 1;
            }
        }
    }
    months
}

/// All alarms, in order of time.
#[query(reads(Alarm))]
pub fn alarms(ctx: &AlarmsContext) -> Vec<Alarm> {
    ctx.alarm.scan().to_vec()
}

/// The alarms of one kind, in order of time.
#[query(reads(Alarm))]
pub fn alarms_of(ctx: &AlarmsOfContext, kind: Kind) -> Vec<Alarm> {
    ctx.alarm.scan().filter(Alarm::kind.eq(kind)).to_vec()
}

impl Month {
    /// The month of its first day.
    fn of(day: &Day) -> Self {
        Self {
            year: day.year,
            month: day.month,
            readings: day.readings,
            temperature: day.temperature,
            wind_max: day.wind.max,
            alarms: 0,
        }
    }

    /// Takes in another day.
    fn add(&mut self, day: &Day) {
        self.temperature.join(self.readings, day.temperature, day.readings);
        self.wind_max = self.wind_max.max(day.wind.max);
        self.readings += day.readings;
    }
}
