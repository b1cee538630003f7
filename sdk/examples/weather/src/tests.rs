use interstice_sdk::testing::TestHost;

use super::{queries::*, *};

fn hour(day: u8, hour: i64) -> Timestamp {
    Timestamp::from_date(2010, 1, day) + Duration::from_hours(hour)
}

/// A reading that nobody needs to be warned of.
fn calm(host: &mut TestHost, at: Timestamp) {
    host.call(|ctx| record(ctx, at, 1015.0, 10.0, 3.0)).unwrap();
}

#[test]
fn a_day_keeps_least_greatest_and_mean() {
    let mut host = TestHost::new();
    for (at, temperature) in [(1, 6.0), (2, 4.0), (3, 11.0)] {
        host.call(|ctx| record(ctx, hour(1, at), 1015.0, temperature, 3.0)).unwrap();
    }
    let first = host.query(|ctx| day(ctx, 2010, 1, 1)).unwrap();
    assert_eq!(first.readings, 3);
    assert_eq!(first.temperature, Summary { min: 4.0, max: 11.0, mean: 7.0 });
    assert_eq!(host.query(|ctx| day(ctx, 2009, 12, 31)), None);
}

#[test]
fn warnings_in_a_row_are_one_alarm() {
    let mut host = TestHost::new();
    for (at, temperature) in [(0, 3.4), (1, 3.1), (2, 5.0), (3, 3.3), (8, 3.2)] {
        host.call(|ctx| record(ctx, hour(1, at), 1015.0, temperature, 3.0)).unwrap();
    }
    let alarms = host.query(alarms);
    let seen: Vec<_> = alarms.iter().map(|a| (a.since, a.until, a.warnings, a.worst)).collect();
    assert_eq!(
        seen,
        [(hour(1, 0), hour(1, 3), 3, 3.1), (hour(1, 8), hour(1, 8), 1, 3.2)],
        "less than QUIET between warnings goes on, more is a new alarm"
    );
    assert!(alarms.iter().all(|alarm| alarm.kind == Kind::Frost));
}

#[test]
fn a_fast_drop_of_pressure_raises_an_alarm() {
    let mut host = TestHost::new();
    for (at, pressure) in [(0, 1016.0), (1, 1015.6), (2, 1015.2), (3, 1014.9)] {
        host.call(|ctx| record(ctx, hour(1, at), pressure, 10.0, 3.0)).unwrap();
    }
    let alarms = host.query(|ctx| alarms_of(ctx, Kind::PressureDrop));
    assert_eq!(alarms.len(), 1);
    assert!((alarms[0].worst - 1.1).abs() < 1e-9);
    assert!(host.query(|ctx| alarms_of(ctx, Kind::Wind)).is_empty());
}

#[test]
fn an_ordinary_reading_warns_of_nothing() {
    let mut host = TestHost::new();
    calm(&mut host, hour(1, 0));
    assert!(host.rows::<Warning>().is_empty());
    assert!(host.failures().is_empty());
}

#[test]
fn implausible_and_repeated_readings_are_refused() {
    let mut host = TestHost::new();
    calm(&mut host, hour(1, 0));
    let again = host.call(|ctx| record(ctx, hour(1, 0), 1000.0, 1.0, 1.0));
    assert_eq!(again, Err(RecordError::AlreadyRecorded));
    for (pressure, temperature, wind) in
        [(0.0, 1.0, 1.0), (1000.0, 99.0, 1.0), (1000.0, 1.0, f64::NAN)]
    {
        let refused = host.call(|ctx| record(ctx, hour(1, 1), pressure, temperature, wind));
        assert!(matches!(refused, Err(RecordError::Implausible { .. })), "{refused:?}");
    }
    assert_eq!(host.rows::<Reading>().len(), 1);
    assert_eq!(host.rows::<Day>()[0].readings, 1);
}

#[test]
fn the_windiest_hours_are_found_in_any_number() {
    let mut host = TestHost::new();
    let winds = [1.0, 4.0, 2.0, 4.0, 3.0];
    for (day, wind) in (1..).zip(winds) {
        for (at, wind) in [(0, wind), (1, wind / 2.0)] {
            host.call(|ctx| record(ctx, hour(day, at), 1015.0, 10.0, wind)).unwrap();
        }
    }
    let mut expected: Vec<f64> = winds.iter().flat_map(|wind| [*wind, wind / 2.0]).collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    for hours in 0..12 {
        let found = host.query(|ctx| windiest(ctx, hours));
        let found: Vec<f64> = found.iter().map(|reading| reading.wind).collect();
        assert_eq!(found, expected[..expected.len().min(hours as usize)]);
    }
}

#[test]
fn months_add_their_days_up() {
    let mut host = TestHost::new();
    calm(&mut host, hour(1, 0));
    host.call(|ctx| record(ctx, hour(2, 0), 1015.0, 1.0, 3.0)).unwrap();
    host.call(|ctx| record(ctx, hour(2, 1), 1015.0, 1.0, 3.0)).unwrap();
    calm(&mut host, Timestamp::from_date(2010, 2, 1));
    let months = host.query(months);
    assert_eq!(months.len(), 2);
    assert_eq!((months[0].readings, months[0].alarms), (3, 1));
    assert_eq!(months[0].temperature, Summary { min: 1.0, max: 10.0, mean: 4.0 });
    assert_eq!((months[1].month, months[1].readings, months[1].alarms), (2, 1, 0));
}

/// The committed year: what the thresholds were chosen for.
#[test]
fn the_year_of_normals_has_some_alarms() {
    let mut host = TestHost::new();
    let csv = include_str!("../data/seattle-weather-hourly-normals.csv");
    for line in csv.lines().skip(1) {
        let mut cells = line.split(',');
        let at = timestamp(cells.next().unwrap());
        let mut number = || cells.next().unwrap().parse::<f64>().unwrap();
        let (pressure, temperature, wind) = (number(), number(), number());
        host.call(|ctx| record(ctx, at, pressure, temperature, wind)).unwrap();
    }
    assert_eq!(host.rows::<Reading>().len(), 8759);
    assert_eq!(host.rows::<Day>().len(), 365);
    assert!(host.failures().is_empty());
    let count = |kind| host.query(|ctx| alarms_of(ctx, kind)).len();
    assert_eq!([Kind::PressureDrop, Kind::Frost, Kind::Wind].map(count), [33, 15, 32]);
    let coldest = host.query(coldest_day).unwrap();
    assert_eq!((coldest.month, coldest.day, coldest.temperature.min), (12, 22, 3.1));
    assert_eq!(host.query(|ctx| days(ctx, 2010, 2)).len(), 28);
    let three_hours = host.query(|ctx| between(ctx, hour(1, 1), hour(1, 4)));
    assert_eq!(three_hours.len(), 3);
    assert_eq!(host.query(|ctx| windiest(ctx, 1))[0].wind, 4.7);
    assert_eq!(host.query(warmest_day).unwrap().temperature.max, 24.4);
    assert_eq!(host.query(latest).unwrap().at.hour(), 23);
}

/// `2010-01-01T01:00:00`
fn timestamp(text: &str) -> Timestamp {
    let number = |range: core::ops::Range<usize>| text[range].parse::<u8>().unwrap();
    let start = Timestamp::from_date(text[..4].parse().unwrap(), number(5..7), number(8..10));
    start + Duration::from_hours(number(11..13).into())
}
