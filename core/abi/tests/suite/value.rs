use interstice_abi::{
    layout::Layout,
    schema::{Field, Type, TypeDef, TypeKind, Variant},
    value::{Rfc3339, Value},
};
use proptest::prelude::*;

use crate::arbitrary::{empty_schema, encode, row};

/// `Greeting { id: u8, level: Level, tags: list<string>, note: option<Level>, at: timestamp }`
fn greeting() -> Layout {
    let field = |name: &str, ty: &str| Field { name: name.into(), ty: ty.parse().unwrap() };
    let mut schema = empty_schema();
    schema.types = vec![
        TypeDef {
            name: "Greeting".into(),
            kind: TypeKind::Struct(vec![
                field("id", "u8"),
                field("level", "Level"),
                field("tags", "list<string>"),
                field("note", "option<Level>"),
                field("at", "timestamp"),
            ]),
        },
        TypeDef {
            name: "Level".into(),
            kind: TypeKind::Enum(vec![
                Variant { name: "Low".into(), fields: vec![] },
                Variant {
                    name: "High".into(),
                    fields: vec![field("by", "i16"), field("raw", "bytes")],
                },
            ]),
        },
    ];
    Layout::of_type(&schema, &Type::Named("Greeting".into())).unwrap()
}

fn high(by: i128) -> Value {
    Value::Enum { variant: 1, fields: vec![Value::Signed(by), Value::Bytes(vec![1, 255])] }
}

fn sample() -> Vec<Value> {
    vec![
        Value::Unsigned(1),
        high(-3),
        Value::List(vec![Value::String("a\"b".into()), Value::String("c".into())]),
        Value::Option(None),
        Value::Timestamp(0),
    ]
}

#[test]
fn a_value_shows_as_rust_shows_it() {
    let layout = greeting();
    let bytes = encode(&layout, &Value::Struct(sample()));
    assert_eq!(
        layout.display(&bytes).to_string(),
        r#"Greeting { id: 1, level: High { by: -3, raw: 0x01ff }, tags: ["a\"b", "c"], note: None, at: 1970-01-01T00:00:00Z }"#
    );
    let mut other = sample();
    other[1] = Value::Enum { variant: 0, fields: vec![] };
    other[2] = Value::List(vec![]);
    other[3] = Value::Option(Some(Box::new(Value::Enum { variant: 0, fields: vec![] })));
    other[4] = Value::Timestamp(-1);
    assert_eq!(
        layout.display_value(&Value::Struct(other)).to_string(),
        "Greeting { id: 1, level: Low, tags: [], note: Some(Low), at: 1969-12-31T23:59:59.999999Z }"
    );
    assert_eq!(
        layout.display(&bytes[1..]).to_string(),
        format!("<not a Greeting: {}>", layout.decode(&bytes[1..]).unwrap_err())
    );
}

#[test]
fn numbers_and_unnamed_structs_show_too() {
    let schema = empty_schema();
    let types = [Type::Bool, Type::F32, Type::F64, Type::I8, Type::U128];
    let field = |(index, ty)| Field { name: format!("f{index}"), ty };
    let fields: Vec<Field> = types.into_iter().enumerate().map(field).collect();
    let layout = Layout::of_fields(&schema, &fields).unwrap();
    let value = Value::Struct(vec![
        Value::Bool(true),
        Value::F32(0.1),
        Value::F64(f64::NAN),
        Value::Signed(-128),
        Value::Unsigned(u128::MAX),
    ]);
    let bytes = encode(&layout, &value);
    assert_eq!(
        layout.display(&bytes).to_string(),
        "(f0: true, f1: 0.1, f2: NaN, f3: -128, f4: 340282366920938463463374607431768211455)"
    );
    assert_eq!(Layout::of_fields(&schema, &[]).unwrap().display(&[]).to_string(), "()");
}

#[test]
fn a_value_of_another_type_shows_nevertheless() {
    let layout = greeting();
    assert_eq!(layout.display_value(&Value::List(vec![])).to_string(), "List([])");
    let mut fields = sample();
    fields[1] = Value::Enum { variant: 7, fields: vec![] };
    fields.truncate(2);
    assert_eq!(
        layout.display_value(&Value::Struct(fields)).to_string(),
        "Greeting { id: 1, level: <variant 7> }"
    );
}

fn refused(index: usize, value: Value) -> String {
    let mut fields = sample();
    fields[index] = value;
    let mut out = vec![9; 5];
    let error = greeting().encode(&Value::Struct(fields), &mut out).unwrap_err();
    assert_eq!(out, [9; 5]);
    error.to_string()
}

#[test]
fn a_value_of_another_type_is_refused_by_place_and_reason() {
    let string = || Value::String(String::new());
    assert_eq!(refused(0, Value::Unsigned(256)), "id: expected u8, found 256");
    assert_eq!(refused(0, Value::Bool(true)), "id: expected u8, found true");
    assert_eq!(refused(0, Value::Signed(1)), "id: expected u8, found the signed number 1");
    assert_eq!(refused(0, Value::F32(1.0)), "id: expected u8, found the f32 1.0");
    assert_eq!(refused(0, Value::F64(1.0)), "id: expected u8, found the f64 1.0");
    assert_eq!(refused(0, Value::Bytes(vec![])), "id: expected u8, found bytes");
    assert_eq!(refused(0, Value::Timestamp(1)), "id: expected u8, found a timestamp");
    assert_eq!(refused(0, Value::List(vec![])), "id: expected u8, found a list");
    assert_eq!(refused(0, Value::Option(None)), "id: expected u8, found an option without a value");
    assert_eq!(
        refused(0, Value::Option(Some(Box::new(string())))),
        "id: expected u8, found an option"
    );
    assert_eq!(
        refused(1, high(40_000)),
        "level.High.by: expected i16, found the signed number 40000"
    );
    assert_eq!(
        refused(1, Value::Enum { variant: 2, fields: vec![] }),
        "level: expected Level, found variant 2 of an enum with 0 fields"
    );
    assert_eq!(
        refused(1, Value::Enum { variant: 1, fields: vec![] }),
        "level.High: expected Level, found variant 1 of an enum with 0 fields"
    );
    assert_eq!(
        refused(2, Value::List(vec![string(), Value::Struct(vec![])])),
        "tags[1]: expected string, found a struct of 0 fields"
    );
    let error = greeting().encode(&string(), &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "expected Greeting, found a string");
}

#[test]
fn times_show_as_dates() {
    let check = |micros: i64, expected: &str| assert_eq!(Rfc3339(micros).to_string(), expected);
    check(0, "1970-01-01T00:00:00Z");
    check(-62_135_596_800_000_000, "0001-01-01T00:00:00Z");
    check(1_709_210_096_000_010, "2024-02-29T12:34:56.000010Z");
    check(1_709_251_200_000_000, "2024-03-01T00:00:00Z");
    check(253_402_300_799_000_000, "9999-12-31T23:59:59Z");
    check(253_402_300_800_000_000, "+010000-01-01T00:00:00Z");
    check(-62_167_219_200_000_000, "0000-01-01T00:00:00Z");
    check(-62_167_219_200_000_001, "-000001-12-31T23:59:59.999999Z");
    check(i64::MAX, "+294247-01-10T04:00:54.775807Z");
    check(i64::MIN, "-290308-12-21T19:59:05.224192Z");
}

proptest! {
    #[test]
    fn days_follow_each_other(day in -100_000_000..100_000_000i64) {
        let date = |day: i64| Rfc3339(day * 86_400_000_000).to_string();
        let (today, tomorrow) = (date(day), date(day + 1));
        let number = |text: &str| -> (i64, u32, u32) {
            let (date, _) = text.split_once('T').unwrap();
            let mut parts = date.rsplitn(3, '-');
            let mut part = || parts.next().unwrap();
            let (day, month, year) = (part(), part(), part());
            (year.parse().unwrap(), month.parse().unwrap(), day.parse().unwrap())
        };
        let ((year, month, day), next) = (number(&today), number(&tomorrow));
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let expected = if day < days {
            (year, month, day + 1)
        } else if month < 12 {
            (year, month + 1, 1)
        } else {
            (year + 1, 1, 1)
        };
        prop_assert_eq!(next, expected);
    }

    #[test]
    fn every_value_shows((layout, value) in row()) {
        let bytes = encode(&layout, &value);
        let text = layout.display(&bytes).to_string();
        prop_assert!(text.starts_with('('));
        prop_assert!(!text.contains("<not"));
        prop_assert_eq!(text, layout.display_value(&layout.decode(&bytes).unwrap()).to_string());
    }
}
