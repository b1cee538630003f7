//! The example modules as they are built for users, and a year of real data.

use std::{collections::BTreeMap, fs, path::PathBuf};

use interstice_core::{
    Limits, LoadedModule,
    abi::{layout::Layout, value::Value},
};
use interstice_tests::{Fixture, fixture::at, properties::assert_same};

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../sdk/examples").join(name)
}

/// The module file of an example. Cargo builds it once.
fn module(name: &str) -> Vec<u8> {
    let built = interstice::build::build(&example(name), |step| eprintln!("{step}"));
    fs::read(built.expect("it builds").path).expect("it was built")
}

fn encode(layout: &Layout, values: Vec<Value>) -> Vec<u8> {
    let mut bytes = Vec::new();
    layout.encode(&Value::Struct(values), &mut bytes).expect("values of its types");
    bytes
}

fn call(fixture: &mut Fixture, reducer: &str, values: Vec<Value>) -> Result<Value, String> {
    let (module, name) = reducer.split_once('.').expect("MODULE.REDUCER");
    let target = fixture.runtime.reducer(module, name).expect("it is there");
    let function = fixture.state().function(target).expect("it is there").clone();
    let called = fixture.call(reducer, &encode(function.args(), values));
    match (called, function.returns()) {
        (Ok(called), Some(layout)) => Ok(layout.decode(&called.result).expect("its type")),
        (Ok(_), None) => Ok(Value::Struct(Vec::new())),
        (Err(error), _) => Err(error.to_string()),
    }
}

fn ask(fixture: &mut Fixture, query: &str, values: Vec<Value>) -> Value {
    let (module, name) = query.split_once('.').expect("MODULE.QUERY");
    let target = fixture.runtime.query_ref(module, name).expect("it is there");
    let function = fixture.state().function(target).expect("it is there").clone();
    let answer = fixture.query(query, &encode(function.args(), values)).expect("it answers");
    function.returns().expect("queries return").decode(&answer.result).expect("its type")
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

#[test]
fn caller_calls_hello_and_counts_its_greetings() {
    let mut fixture = Fixture::new();
    fixture.install_file(module("hello")).unwrap();
    fixture.install_file(module("caller")).unwrap();
    let names = |names: &[&str]| vec![Value::List(names.iter().map(|name| text(name)).collect())];

    let all = call(&mut fixture, "caller.greet_all", names(&["Ada", "Grace"])).unwrap();
    assert_eq!(all, Value::List(vec![Value::Unsigned(1), Value::Unsigned(2)]));
    // One of them cannot be greeted: nobody is.
    call(&mut fixture, "caller.greet_all", names(&["Alan", ""])).unwrap_err();
    assert_eq!(ask(&mut fixture, "hello.count", vec![]), Value::Unsigned(2));
    // Or all the others are.
    let each = call(&mut fixture, "caller.greet_each", names(&["Ada", "", "Alan"])).unwrap();
    assert_eq!(each, Value::Unsigned(2));
    assert_eq!(ask(&mut fixture, "caller.greetings", vec![]), Value::Unsigned(4));
    assert_eq!(fixture.rows("caller.apology").len(), 1);
    assert_eq!(
        fixture.rows("caller.popularity"),
        [
            r#"(name: "Ada", greetings: 2)"#,
            r#"(name: "Alan", greetings: 1)"#,
            r#"(name: "Grace", greetings: 1)"#,
        ]
    );
    fixture.assert_replays();
}

/// One row of the data.
struct Hour {
    /// Microseconds since 1970.
    at: i64,
    /// Year, month and day.
    date: (i32, u8, u8),
    pressure: f64,
    temperature: f64,
    wind: f64,
}

const HOUR: i64 = 3_600_000_000;

fn hours() -> Vec<Hour> {
    let path = example("weather").join("data/seattle-weather-hourly-normals.csv");
    let csv = fs::read_to_string(path).expect("it is committed");
    let rows = csv.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        let part = |range: std::ops::Range<usize>| fields[0][range].parse::<u32>().expect("digits");
        let (year, month, day) = (part(0..4) as i32, part(5..7) as u8, part(8..10) as u8);
        assert_eq!(year, 2010);
        // Days from 1970 to 2010, and those of the months before.
        const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let days = 14_610 + DAYS[..usize::from(month) - 1].iter().sum::<i64>() + i64::from(day) - 1;
        let number = |index: usize| fields[index].parse().expect("a number");
        Hour {
            at: (days * 24 + i64::from(part(11..13))) * HOUR,
            date: (year, month, day),
            pressure: number(1),
            temperature: number(2),
            wind: number(3),
        }
    });
    rows.collect()
}

fn record(fixture: &mut Fixture, hour: &Hour) {
    let target = fixture.runtime.reducer("weather", "record").expect("it is there");
    let mut args = hour.at.to_le_bytes().to_vec();
    for value in [hour.pressure, hour.temperature, hour.wind] {
        args.extend_from_slice(&value.to_le_bytes());
    }
    let called = fixture.runtime.call(target, &args, at(hour.at)).expect("it is recorded");
    assert!(called.failures.is_empty(), "{:?}", called.failures);
}

fn rows(fixture: &Fixture, table: &str) -> Vec<Vec<Value>> {
    let table = fixture.state().table("weather", table).expect("it is there");
    let rows = table.rows().map(|row| match table.layout().decode(row) {
        Ok(Value::Struct(values)) => values,
        other => panic!("{other:?}"),
    });
    rows.collect()
}

fn float(value: &Value) -> f64 {
    match value {
        Value::F64(value) => *value,
        other => panic!("{other:?}"),
    }
}

/// Rows and hash of every table. They come of the data and of what the module
/// means, whatever compiler has built it.
const GOLDEN: [(&str, usize, u64); 4] = [
    ("reading", 8_759, 0xebfc_0ed1_274f_e7ef),
    ("day", 365, 0x1e91_a26d_2a1d_2439),
    ("warning", 214, 0x7e97_5e0c_6131_bacd),
    ("alarm", 80, 0x4a5c_731f_1c55_2228),
];

#[test]
fn a_year_of_weather_adds_up() {
    let mut fixture = Fixture::new();
    fixture.install_file(module("weather")).unwrap();
    let hours = hours();
    assert_eq!(hours.len(), 8_759);
    for hour in &hours {
        record(&mut fixture, hour);
    }

    let mut days: BTreeMap<(i32, u8, u8), Vec<&Hour>> = BTreeMap::new();
    for hour in &hours {
        days.entry(hour.date).or_default().push(hour);
    }
    let found = rows(&fixture, "day");
    assert_eq!(found.len(), days.len());
    for (row, (date, hours)) in found.iter().zip(&days) {
        let key = [
            Value::Signed(date.0.into()),
            Value::Unsigned(date.1.into()),
            Value::Unsigned(date.2.into()),
        ];
        assert_eq!(row[..3], key);
        assert_eq!(row[3], Value::Unsigned(hours.len() as u128), "readings of {date:?}");
        let columns: [fn(&Hour) -> f64; 3] = [|h| h.pressure, |h| h.temperature, |h| h.wind];
        for (summary, of) in row[4..].iter().zip(columns) {
            let Value::Struct(summary) = summary else { panic!("{summary:?}") };
            let values = hours.iter().map(|hour| of(hour));
            assert_eq!(float(&summary[0]), values.clone().fold(f64::INFINITY, f64::min));
            assert_eq!(float(&summary[1]), values.clone().fold(f64::NEG_INFINITY, f64::max));
            let mean = values.sum::<f64>() / hours.len() as f64;
            assert!((float(&summary[2]) - mean).abs() < 1e-9, "the mean of {date:?}");
        }
    }
    assert_eq!(rows(&fixture, "alarm"), alarms(&hours));

    fixture.assert_replays();
    let found = GOLDEN.map(|(name, ..)| {
        let table = fixture.state().table("weather", name).expect("it is there");
        (name, table.len(), table.hash())
    });
    assert_eq!(found, GOLDEN, "{found:x?}");
}

/// The alarms, from the data alone: since, kind, until, warnings, worst.
fn alarms(hours: &[Hour]) -> Vec<Vec<Value>> {
    let by_time: BTreeMap<i64, &Hour> = hours.iter().map(|hour| (hour.at, hour)).collect();
    let mut alarms: BTreeMap<(i64, u16), (i64, u32, f64)> = BTreeMap::new();
    let mut latest: [Option<i64>; 3] = [None; 3];
    for hour in hours {
        let drop = by_time.get(&(hour.at - 3 * HOUR)).map(|then| then.pressure - hour.pressure);
        let warnings = [
            drop.filter(|drop| *drop >= 1.05),
            Some(hour.temperature).filter(|temperature| *temperature <= 3.5),
            Some(hour.wind).filter(|wind| *wind >= 4.6),
        ];
        for (kind, value) in warnings.iter().enumerate() {
            let Some(value) = *value else { continue };
            let since =
                latest[kind].filter(|since| hour.at - alarms[&(*since, kind as u16)].0 <= 3 * HOUR);
            let since = *latest[kind].insert(since.unwrap_or(hour.at));
            let alarm = alarms.entry((since, kind as u16)).or_insert((hour.at, 0, value));
            let worst = if kind == 1 { alarm.2.min(value) } else { alarm.2.max(value) };
            *alarm = (hour.at, alarm.1 + 1, worst);
        }
    }
    let rows = alarms.into_iter().map(|((since, kind), (until, warnings, worst))| {
        vec![
            Value::Timestamp(since),
            Value::Enum { variant: kind, fields: vec![] },
            Value::Timestamp(until),
            Value::Unsigned(warnings.into()),
            Value::F64(worst),
        ]
    });
    rows.collect()
}

#[test]
fn weather_goes_on_after_a_crash_in_the_middle_of_a_chain() {
    let hours = hours();
    // The first days have frost: some chains are three commits long.
    let hours = &hours[..200];
    let mut uncut = Fixture::new();
    uncut.install_file(module("weather")).unwrap();
    let mut ends = vec![1];
    for hour in hours {
        record(&mut uncut, hour);
        ends.push(uncut.state().next_offset().0 as usize);
    }
    let commits = uncut.state().next_offset().0 as usize;
    assert!(commits > 400, "{commits} commits of 200 readings");
    for cut in (1..commits).step_by(23).chain([commits - 1]) {
        let mut fixture = uncut.cut(cut);
        let next = ends.iter().position(|end| cut <= *end).expect("a commit of the run");
        if next > 0 {
            fixture.runtime.drain(at(hours[next - 1].at)).unwrap();
        }
        for hour in &hours[next..] {
            record(&mut fixture, hour);
        }
        assert_same(uncut.state(), fixture.state());
        assert_eq!(uncut.bytes(), fixture.bytes());
    }
}

#[test]
fn weather_refuses_what_cannot_be() {
    let mut fixture = Fixture::new();
    fixture.install_file(module("weather")).unwrap();
    let reading = |at: i64, temperature: f64| {
        vec![Value::Timestamp(at), Value::F64(1000.0), Value::F64(temperature), Value::F64(1.0)]
    };
    call(&mut fixture, "weather.record", reading(0, 10.0)).unwrap();
    let error = call(&mut fixture, "weather.record", reading(0, 11.0)).unwrap_err();
    assert_eq!(error, "`weather.record`: it returned an error");
    for temperature in [f64::NAN, f64::INFINITY, -91.0] {
        call(&mut fixture, "weather.record", reading(1, temperature)).unwrap_err();
    }
    assert_eq!(rows(&fixture, "reading").len(), 1);
}

#[test]
fn weather_is_small() {
    let wasm = module("weather");
    let loaded = LoadedModule::new(&wasm, &Limits::default()).unwrap();
    assert!(wasm.len() <= 16 << 10, "{} bytes of file", wasm.len());
    assert!(loaded.memory_bytes() <= 16 << 10, "{} bytes of memory", loaded.memory_bytes());
}
