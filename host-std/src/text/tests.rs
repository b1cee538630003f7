use interstice_core::abi::{
    layout::Layout,
    schema::{Field, ModuleSchema, TypeDef, TypeKind, Variant},
    value::Value,
};
use serde_json::json;

use super::*;

/// The parameters `names_and_types`, as `name: type`, with a struct `Place`
/// and an enum `Sky` to choose from, and an enum `Level` without payload.
fn params(names_and_types: &[(&str, &str)]) -> Layout {
    let field = |(name, ty): &(&str, &str)| Field { name: (*name).into(), ty: ty.parse().unwrap() };
    let variant = |name: &str, fields: &[(&str, &str)]| Variant {
        name: name.into(),
        fields: fields.iter().map(field).collect(),
    };
    let types = vec![
        TypeDef {
            name: "Level".into(),
            kind: TypeKind::Enum(vec![variant("Low", &[]), variant("High", &[])]),
        },
        TypeDef {
            name: "Place".into(),
            kind: TypeKind::Struct([("x", "i32"), ("y", "option<i32>")].map(|f| field(&f)).into()),
        },
        TypeDef {
            name: "Sky".into(),
            kind: TypeKind::Enum(vec![
                variant("Clear", &[]),
                variant("Clouds", &[("tenths", "u8")]),
            ]),
        },
    ];
    let schema = ModuleSchema {
        module: "test".into(),
        types,
        tables: vec![],
        reducers: vec![],
        queries: vec![],
    };
    let fields: Vec<Field> = names_and_types.iter().map(field).collect();
    Layout::of_fields(&schema, &fields).unwrap()
}

/// One parameter `value` of this type.
fn one(ty: &str) -> Layout {
    params(&[("value", ty)]).fields()[0].layout.clone()
}

fn json_roundtrip(ty: &str, json: serde_json::Value) {
    let layout = one(ty);
    let value = value_from_json(&layout, &json).unwrap();
    let mut bytes = Vec::new();
    layout.encode(&value, &mut bytes).unwrap();
    assert_eq!(layout.decode(&bytes).unwrap(), value, "{ty}");
    let written = serde_json::to_value(Typed { layout: &layout, value: &value }).unwrap();
    assert_eq!(written, json, "{ty}");
}

#[test]
fn values_survive_the_way_through_json() {
    json_roundtrip("bool", json!(true));
    json_roundtrip("u8", json!(255));
    json_roundtrip("i64", json!(-9007199254740992i64));
    json_roundtrip("u64", json!("18446744073709551615"));
    json_roundtrip("i64", json!("-9223372036854775808"));
    json_roundtrip("u128", json!("340282366920938463463374607431768211455"));
    json_roundtrip("i128", json!("-170141183460469231731687303715884105728"));
    json_roundtrip("f32", json!(0.5));
    json_roundtrip("f64", json!(1013.25));
    json_roundtrip("f64", json!("-inf"));
    json_roundtrip("timestamp", json!("2010-01-01T01:00:00Z"));
    json_roundtrip("string", json!("a \"quoted\" text"));
    json_roundtrip("bytes", json!("00ff10"));
    json_roundtrip("option<u8>", json!(null));
    json_roundtrip("option<u8>", json!(7));
    json_roundtrip("option<option<u8>>", json!(null));
    json_roundtrip("option<option<u8>>", json!([null]));
    json_roundtrip("option<option<u8>>", json!([7]));
    json_roundtrip("list<list<string>>", json!([["a"], [], ["b", "c"]]));
    json_roundtrip("Place", json!({"x": -1, "y": null}));
    json_roundtrip("Level", json!("High"));
    json_roundtrip("list<Sky>", json!(["Clear", {"Clouds": {"tenths": 7}}]));
}

#[test]
fn not_a_number_is_written_as_text() {
    let layout = one("f64");
    let value = value_from_json(&layout, &json!("NaN")).unwrap();
    assert!(matches!(value, Value::F64(nan) if nan.is_nan()));
    let typed = Typed { layout: &layout, value: &value };
    assert_eq!(serde_json::to_string(&typed).unwrap(), "\"NaN\"");
}

#[test]
fn yaml_is_written_from_the_same_values() {
    let layout = params(&[("at", "timestamp"), ("sky", "Sky"), ("tags", "list<string>")]);
    let json = json!({"at": 0, "sky": {"Clouds": {"tenths": 3}}, "tags": ["a: b", "yes", ""]});
    let value = value_from_json(&layout, &json).unwrap();
    let yaml = serde_saphyr::to_string(&Typed { layout: &layout, value: &value }).unwrap();
    let expected = concat!(
        "at: \"1970-01-01T00:00:00Z\"\n",
        "sky:\n",
        "  Clouds:\n",
        "    tenths: 3\n",
        "tags:\n",
        "- \"a: b\"\n",
        "- \"yes\"\n",
        "- \"\"\n",
    );
    assert_eq!(yaml, expected);
}

#[track_caller]
fn json_error(ty: &str, json: serde_json::Value) -> String {
    arguments_from_json(&params(&[("value", ty)]), &json).unwrap_err().to_string()
}

#[test]
fn wrong_json_is_refused_with_its_place() {
    assert_eq!(json_error("u8", json!({"value": 256})), "`value`: expected u8, found \"256\"");
    assert_eq!(json_error("u8", json!({"value": -1})), "`value`: expected u8, found \"-1\"");
    assert_eq!(json_error("u8", json!({"value": 1.5})), "`value`: expected u8, found 1.5");
    assert_eq!(json_error("u8", json!({})), "`value`: expected u8, found nothing");
    assert_eq!(json_error("u8", json!([])), "expected one argument (value), found an array of 0");
    assert_eq!(
        json_error("u8", json!(7)),
        "expected the arguments as an object by name or an array by position, found 7"
    );
    assert_eq!(
        json_error("u8", json!({"value": 1, "valeu": 2})),
        "expected no other fields than value, found \"valeu\""
    );
    assert_eq!(
        json_error("bool", json!(["yes"])),
        "`value`: expected bool (true or false), found \"yes\""
    );
    assert_eq!(
        json_error("list<Place>", json!([[{"x": 1}, {"x": "a"}]])),
        "`value[1].x`: expected i32, found \"a\""
    );
    assert_eq!(
        json_error("Sky", json!([{"Clouds": {"tenths": "many"}}])),
        "`value.Clouds.tenths`: expected u8, found \"many\""
    );
    assert_eq!(
        json_error("Sky", json!(["Fog"])),
        "`value`: expected Sky (one of Clear, Clouds), found \"Fog\""
    );
    assert_eq!(json_error("f32", json!([1e39])), "`value`: expected f32, found \"1e+39\"");
    assert_eq!(
        json_error("timestamp", json!(["noon"])),
        "`value`: expected timestamp (such as 2010-01-01T01:00:00Z), found \"noon\""
    );
    assert_eq!(
        json_error("bytes", json!(["abc"])),
        "`value`: expected bytes (pairs of hexadecimal digits), found \"abc\""
    );
}

#[track_caller]
fn words(params: &Layout, words: &[&str]) -> Result<String, String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    match arguments_from_words(params, &words) {
        Ok(value) => Ok(params.display_value(&value).to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn words_are_arguments_by_name_or_by_position() {
    let two = params(&[("name", "string"), ("age", "option<u8>")]);
    let ada = Ok("(name: \"Ada\", age: Some(36))".to_owned());
    assert_eq!(words(&two, &["Ada", "36"]), ada);
    assert_eq!(words(&two, &["age=36", "name=Ada"]), ada);
    assert_eq!(words(&two, &["name=a=b"]), Ok("(name: \"a=b\", age: None)".into()));
    assert_eq!(words(&two, &["a=b", ""]), Ok("(name: \"a=b\", age: None)".into()));
    assert_eq!(words(&two, &["Ada"]), Err("expected 2 arguments (name, age), found 1".into()));
    assert_eq!(words(&two, &["age=1"]), Err("`name`: expected string, found nothing".into()));
    assert_eq!(
        words(&two, &["name=a", "name=b"]),
        Err("`name`: expected one value, found several".into())
    );
    for wrong in [&["foo=1"][..], &["name=a", "foo=1"], &["a", "36", "foo=1"]] {
        let error = "expected no other names than name, age, found \"foo\"";
        assert_eq!(words(&two, wrong), Err(error.into()), "{wrong:?}");
    }
    assert_eq!(
        words(&two, &["name=a", "36"]),
        Err("expected every argument as NAME=VALUE, as one of them is, found \"36\"".into())
    );
    assert_eq!(words(&params(&[]), &[]), Ok("()".into()));
    assert_eq!(words(&params(&[]), &["x"]), Err("expected no arguments, found 1".into()));
}

/// The arguments that a file makes of `text`, or the errors, by row.
fn read_rows(params: &Layout, format: RowsFormat, text: &str) -> Vec<String> {
    let mut rows = match Rows::new(text.as_bytes(), format, params) {
        Ok(rows) => rows,
        Err(error) => return vec![error.to_string()],
    };
    let (mut args, mut read) = (Vec::new(), Vec::new());
    loop {
        match rows.next(&mut args) {
            Ok(None) => return read,
            Ok(Some(_)) => {
                params.check(&mut args).unwrap();
                read.push(params.display(&args).to_string());
            }
            Err(error) => read.push(error.to_string()),
        }
    }
}

const ALL: [(&str, &str); 9] = [
    ("at", "timestamp"),
    ("name", "string"),
    ("level", "Level"),
    ("pressure", "f32"),
    ("count", "i128"),
    ("raw", "bytes"),
    ("note", "option<string>"),
    ("ok", "option<bool>"),
    ("small", "option<u16>"),
];

#[test]
fn cells_are_written_straight_into_arguments() {
    let text = "small,extra,at,name,level,pressure,count,raw,note,ok\n\
        7,x,2010-01-01T01:00:00,Ada,High,1016.6,-5,00ff,\"a, b\",true\n\
        ,x,0,,Low,NaN,12,,,\n";
    let expected = [
        "(at: 2010-01-01T01:00:00Z, name: \"Ada\", level: High, pressure: 1016.6, count: -5, \
         raw: 0x00ff, note: Some(\"a, b\"), ok: Some(true), small: Some(7))",
        "(at: 1970-01-01T00:00:00Z, name: \"\", level: Low, pressure: NaN, count: 12, raw: 0x, \
         note: None, ok: None, small: None)",
    ];
    let direct = params(&ALL);
    assert_eq!(read_rows(&direct, RowsFormat::Csv, text), expected);

    // The same by way of values, which one nested parameter enforces.
    let mut nested = ALL.to_vec();
    nested.push(("list", "option<list<u8>>"));
    let nested = read_rows(&params(&nested), RowsFormat::Csv, text);
    assert_eq!(nested[0], expected[0].replace("Some(7))", "Some(7), list: None)"));
}

#[test]
fn cells_with_parts_are_json() {
    let layout = params(&[("places", "list<Place>"), ("sky", "Sky")]);
    let text =
        "sky,places\nClear,\"[{\"\"x\"\": 1}]\"\n\"{\"\"Clouds\"\":{\"\"tenths\"\":3}}\",[]\n";
    assert_eq!(
        read_rows(&layout, RowsFormat::Csv, text),
        [
            "(places: [Place { x: 1, y: None }], sky: Clear)",
            "(places: [], sky: Clouds { tenths: 3 })"
        ]
    );
}

/// What is written as CSV is read back as it was, on both ways through a row.
#[test]
fn optional_values_are_written_as_cells_that_say_the_same() {
    let fields = [("note", "option<string>"), ("raw", "option<bytes>"), ("deep", "option<u8>")];
    let direct = params(&fields);
    let slow = params(&[fields[0], fields[1], fields[2], ("list", "option<list<u8>>")]);
    let some = |value| Value::Option(Some(Box::new(value)));
    let text = |text: &str| some(Value::String(text.to_owned()));
    let none = Value::Option(None);
    let notes = ["", " ", "\u{a0}", "\"", "\"\"", "\"a\"", "\"a", "null", "a, \"b\"\n", " a "];
    let mut values = vec![(none.clone(), none.clone())];
    values.extend(notes.map(|note| (text(note), some(Value::Bytes(Vec::new())))));
    values.push((none.clone(), some(Value::Bytes(vec![1]))));
    for layout in [&direct, &slow] {
        for (note, raw) in &values {
            let mut row = vec![note.clone(), raw.clone(), none.clone()];
            row.resize(layout.fields().len(), none.clone());
            let fields = layout.fields().iter();
            let cells = fields.zip(&row).map(|(field, value)| cell_text(&field.layout, value));
            let cells: Vec<String> = cells.collect();
            let mut csv = csv::Writer::from_writer(Vec::new());
            csv.write_record(layout.fields().iter().map(|field| &field.name)).unwrap();
            csv.write_record(&cells).unwrap();
            let file = csv.into_inner().unwrap();
            let mut args = Vec::new();
            Rows::new(&*file, RowsFormat::Csv, layout).unwrap().next(&mut args).unwrap().unwrap();
            assert_eq!(layout.decode(&args).unwrap(), Value::Struct(row), "{cells:?}");
        }
    }
    assert_eq!(cell_text(&direct.fields()[0].layout, &text("")), "\"\"");
    assert_eq!(cell_text(&direct.fields()[0].layout, &text("as it is")), "as it is");
}

#[test]
fn a_bad_row_is_named_and_the_rows_behind_it_are_read() {
    let layout = params(&[("at", "timestamp"), ("kind", "Level"), ("celsius", "f64")]);
    let text = "at,kind,celsius\n1,Low,4.0\n2,Low,n/a\n3,Low\n4,Middle,4\n5,High,\n6,High,7\n";
    assert_eq!(
        read_rows(&layout, RowsFormat::Csv, text),
        [
            "(at: 1970-01-01T00:00:00.000001Z, kind: Low, celsius: 4.0)",
            "line 3: column `celsius`: expected f64, found \"n/a\"",
            "line 4: the header names 3 columns, the row has 2",
            "line 5: column `kind`: expected Level (one of Low, High), found \"Middle\"",
            "line 6: column `celsius`: expected f64, found nothing",
            "(at: 1970-01-01T00:00:00.000006Z, kind: High, celsius: 7.0)",
        ]
    );
}

#[test]
fn a_time_that_cannot_be_kept_as_it_is_written_is_refused_with_the_reason() {
    let layout = params(&[("at", "timestamp")]);
    let times =
        ["2016-12-31T23:59:60Z", "2010-01-01T01:00:00+25:00", "2010-01-01T01:00:00.1234567"];
    let wrong = [
        "expected timestamp (from 00:00:00 to 23:59:59), found \"2016-12-31T23:59:60Z\"",
        "expected timestamp (with an offset up to 23:59), found \"2010-01-01T01:00:00+25:00\"",
        "expected timestamp (with no more than six digits of a second), found \
         \"2010-01-01T01:00:00.1234567\"",
    ];
    for (time, wrong) in times.iter().zip(wrong) {
        let csv = read_rows(&layout, RowsFormat::Csv, &format!("at\n{time}\n"));
        assert_eq!(csv, [format!("line 2: column `at`: {wrong}")]);
        assert_eq!(json_error("timestamp", json!([time])), format!("`value`: {wrong}"));
        assert_eq!(words(&layout, &[time]).unwrap_err(), format!("`at`: {wrong}"));
    }
}

#[test]
fn columns_that_do_not_fit_are_refused_before_the_first_row() {
    let layout = params(&[("at", "timestamp"), ("celsius", "f64"), ("note", "option<string>")]);
    let read = |text| read_rows(&layout, RowsFormat::Csv, text);
    assert_eq!(
        read("date,celsius\n"),
        ["no column is named `at` (timestamp (such as 2010-01-01T01:00:00Z)); \
          the columns are `date`, `celsius`"]
    );
    assert_eq!(read("at,celsius,at\n"), ["two columns are named `at`; rename one of them"]);
    assert_eq!(read(""), ["is empty; its first line has to name the columns"]);
    assert_eq!(read("at,celsius\n"), Vec::<String>::new());
    let rows = Rows::new(&b"\xef\xbb\xbfat,a,celsius,b\n"[..], RowsFormat::Csv, &layout).unwrap();
    assert_eq!(rows.unused_columns(), ["a", "b"]);
}

#[test]
fn lines_of_json_are_rows() {
    let layout = params(&[("name", "string"), ("age", "option<u8>")]);
    let text =
        "{\"name\": \"Ada\", \"age\": 36}\n\n[\"Bob\", null]\n{\"name\": 1\n{\"age\": 1}\n7\n";
    assert_eq!(
        read_rows(&layout, RowsFormat::Jsonl, text),
        [
            "(name: \"Ada\", age: Some(36))",
            "(name: \"Bob\", age: None)",
            "line 4: column 10: not JSON: EOF while parsing an object",
            "line 5: `name`: expected string, found nothing",
            "line 6: expected the arguments as an object by name or an array by position, found 7",
        ]
    );
}

#[test]
fn cells_that_are_not_utf8_are_refused() {
    let layout = params(&[("name", "string")]);
    let mut rows = Rows::new(&b"name\n\xff\xfe\n"[..], RowsFormat::Csv, &layout).unwrap();
    let error = rows.next(&mut Vec::new()).unwrap_err().to_string();
    assert_eq!(
        error,
        "line 2: column `name`: expected string, found \"\u{fffd}\u{fffd}\" (not UTF-8)"
    );
}

#[test]
fn a_row_is_found_on_the_line_it_begins_on() {
    let layout = params(&[("k", "u8"), ("v", "string")]);
    let lines = |text: &str| {
        let mut rows = Rows::new(text.as_bytes(), RowsFormat::Csv, &layout).unwrap();
        let (mut args, mut lines) = (Vec::new(), Vec::new());
        loop {
            match rows.next(&mut args) {
                Ok(None) => return lines,
                Ok(Some(place)) | Err(RowsError::Row { place, .. }) => lines.push(place.line),
                Err(error) => panic!("{error}"),
            }
        }
    };
    let text = "k,v\n1,a\nx,b\n\n\n2,\"c\nd\n\"\n3,e\n1,2,3\n\n4,f";
    let expected = [2, 3, 6, 9, 10, 12];
    assert_eq!(lines(text), expected);
    assert_eq!(lines(&text.replace('\n', "\r\n")), expected);
    assert_eq!(lines(&format!("\u{feff}{text}")), expected);
    assert_eq!(lines(&format!("\r\n\n{text}")), expected.map(|line| line + 2));
    // A byte order mark counts as bytes: quotes right behind the header are not its own.
    assert_eq!(lines("\u{feff}k,v\n1,\"b\"\n"), [2]);
    assert_eq!(lines("\u{feff}k,v\n\"1\",b\n\"2\",b\n"), [2, 3]);
    // Across the pieces in which a file is read.
    let long = format!("k,v\r\n{}", "1,a\r\n".repeat(40_000));
    assert_eq!(lines(&long), (2..=40_001).collect::<Vec<u64>>());
}
