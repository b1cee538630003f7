use interstice_abi::schema::{
    Access, AccessSet, CallDef, Field, FunctionDef, ModuleSchema, SchemaError, TableDef, TableRef,
    Trigger, Type, TypeDef, TypeKind, Variant, is_identifier, limits,
};
use proptest::{collection::vec, prelude::*};

use crate::arbitrary::{PLAIN, Shape, fields, shape, table};

fn function(name: &str) -> FunctionDef {
    FunctionDef {
        name: name.into(),
        params: vec![],
        returns: None,
        error: None,
        trigger: None,
        access: vec![],
        calls: vec![],
    }
}

fn field(name: &str, ty: &str) -> Field {
    Field { name: name.into(), ty: ty.parse().unwrap() }
}

/// A table `reading` with a key of (`at`, `id`), a reducer and a query.
fn sample() -> ModuleSchema {
    ModuleSchema {
        module: "weather".into(),
        types: vec![
            TypeDef {
                name: "Level".into(),
                kind: TypeKind::Enum(vec![
                    Variant { name: "Low".into(), fields: vec![] },
                    Variant { name: "High".into(), fields: vec![field("by", "u8")] },
                ]),
            },
            TypeDef {
                name: "Reading".into(),
                kind: TypeKind::Struct(vec![
                    field("at", "timestamp"),
                    field("id", "u32"),
                    field("level", "Level"),
                    field("value", "f64"),
                ]),
            },
        ],
        tables: vec![TableDef {
            name: "reading".into(),
            version: 1,
            row: "Reading".into(),
            primary_key: vec![0, 1],
            auto_increment: Some(1),
        }],
        reducers: vec![FunctionDef {
            params: vec![field("value", "f64"), field("tags", "option<list<string>>")],
            error: Some(Type::String),
            access: vec![Access { table: "reading".into(), allowed: AccessSet::WRITE }],
            ..function("record")
        }],
        queries: vec![FunctionDef { returns: Some(Type::U64), ..function("total") }],
    }
}

proptest! {
    #[test]
    fn a_schema_is_read_back_from_its_section_and_from_json(
        shapes in vec(shape(), 1..6),
        params in vec(shape(), 0..4),
    ) {
        let shapes = [&[Shape::Plain(Type::U64)], &shapes[..]].concat();
        let (mut schema, _) = table(&shapes, &[0]);
        schema.reducers.push(function("f"));
        schema.reducers[0].params = fields(&mut schema, &params);
        schema.types.sort_by(|a, b| a.name.cmp(&b.name));
        prop_assume!(schema.validate().is_ok());

        let section = schema.encode().unwrap();
        prop_assert_eq!(&ModuleSchema::decode(&section).unwrap(), &schema);
        let json = serde_json::to_string(&schema).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ModuleSchema>(&json).unwrap(), &schema);
    }

    #[test]
    fn a_changed_section_is_refused_or_makes_a_valid_schema(
        at in any::<prop::sample::Index>(),
        change in 1..=255u8,
    ) {
        let mut section = sample().encode().unwrap();
        let at = at.index(section.len());
        section[at] ^= change;
        if let Ok(schema) = ModuleSchema::decode(&section) {
            prop_assert_eq!(schema.validate(), Ok(()));
            prop_assert_eq!(ModuleSchema::decode(&schema.encode().unwrap()).unwrap(), schema);
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200), kind in 0..3u8) {
        let _ = ModuleSchema::decode(&bytes);
        // A fragment whose frame is right.
        let body = [&[1, 1, b'm', kind, 1, b't'], &bytes[..]].concat();
        let section = [&(body.len() as u32).to_le_bytes(), &body[..]].concat();
        let _ = ModuleSchema::decode(&section);
    }

    #[test]
    fn a_type_is_read_back_from_its_text(shapes in vec(shape(), 1..3)) {
        let (schema, _) = table(&shapes, &[]);
        let row = schema.type_def("R").unwrap();
        let TypeKind::Struct(fields) = &row.kind else { unreachable!() };
        for field in fields {
            prop_assert_eq!(&field.ty.to_string().parse::<Type>().unwrap(), &field.ty);
        }
    }
}

fn fragment(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes(), body].concat()
}

fn undecodable(section: &[u8], expected: &str) {
    let error = ModuleSchema::decode(section).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_section_that_does_not_decode_is_told_by_position() {
    let prefix = "the schema section does not decode: at byte";
    undecodable(&[], "the schema defines no table, reducer or query");
    undecodable(&[1, 0], &format!("{prefix} 0: the input ends inside a value"));
    undecodable(&[9, 0, 0, 0, 1], &format!("{prefix} 4: the input ends inside a value"));
    undecodable(
        &fragment(&[2]),
        "the schema section has format version 2, this build reads version 1",
    );
    undecodable(&fragment(&[1, 1, 0xff]), &format!("{prefix} 5: a string is not UTF-8"));
    undecodable(&fragment(&[1, 1, b'm', 3]), &format!("{prefix} 8: an enum tag names no variant"));
    let reducer = |rest: &[u8]| fragment(&[&[1, 1, b'm', 1, 1, b'r'], rest].concat());
    assert!(ModuleSchema::decode(&reducer(&[0, 0, 0, 0, 0, 0])).is_ok());
    undecodable(
        &reducer(&[0, 0, 0, 0, 0, 0, 0]),
        &format!("{prefix} 16: bytes are left over behind the last value"),
    );
    undecodable(&reducer(&[65]), &format!("{prefix} 11: a value is larger than its limit"));
    undecodable(&reducer(&[1, 1, b'p', 20]), &format!("{prefix} 14: an enum tag names no variant"));
    undecodable(&reducer(&[0, 0, 0, 1, 5]), &format!("{prefix} 15: an enum tag names no variant"));
    undecodable(
        &reducer(&[0, 2]),
        &format!("{prefix} 11: a boolean or option tag is neither 0 nor 1"),
    );
    let nested = [&[1, 1, b'p'][..], &[17; 40], &[0]].concat();
    undecodable(&reducer(&nested), &format!("{prefix} 29: values are nested too deep"));
    undecodable(
        &vec![0; limits::SECTION_LEN + 1],
        &format!("{prefix} 262144: a value is larger than its limit"),
    );
    let table = [1, 1, b'm', 0, 1, b't', 1, 1, b'R', 1, 1, b'f', 1];
    let with_key = |rest: &[u8]| fragment(&[&table[..], rest].concat());
    assert!(ModuleSchema::decode(&with_key(&[1, 0, 0])).is_ok());
    undecodable(
        &with_key(&[1, 0x80, 0x80, 0x04, 0]),
        &format!("{prefix} 18: a value is larger than its limit"),
    );
}

#[test]
fn two_modules_or_two_types_of_a_name_do_not_share_a_file() {
    let reducer = |module: u8, rest: &[u8]| {
        fragment(&[&[1, 1, module, 1, 1, b'a' + rest.len() as u8], rest].concat())
    };
    let none = [0; 6];
    undecodable(
        &[reducer(b'm', &none), reducer(b'n', &none)].concat(),
        "module m: the module `n` is linked into it; tables and reducers of two modules cannot share a file",
    );
    // A name that comes later would be that of all, and make the section longer.
    let nameless = fragment(&[&[1, 0, 1, 1, b'g'], &none[..]].concat());
    undecodable(
        &[nameless, reducer(b'm', &none)].concat(),
        "module : the module `` is linked into it; tables and reducers of two modules cannot share a file",
    );
    // A struct `T` of a field `f`, once a bool, once an u8.
    let one = [1, 1, b'p', 18, 1, b'T', 1, 1, b'f', 0, 0, 0, 0, 0, 0];
    let other = [1, 1, b'p', 18, 1, b'T', 1, 1, b'f', 1, 0, 0, 0, 0, 0];
    undecodable(
        &[reducer(b'm', &one), reducer(b'm', &other)].concat(),
        "type T: two different types have this name; rename one of them",
    );
}

fn invalid(change: impl FnOnce(&mut ModuleSchema), expected: &str) {
    let mut schema = sample();
    assert_eq!(schema.validate(), Ok(()));
    change(&mut schema);
    let error = schema.validate().unwrap_err();
    assert!(matches!(error, SchemaError::Invalid { .. }));
    assert_eq!(error.to_string(), expected);
    assert_eq!(schema.encode(), Err(error.clone()));
    assert_eq!(schema.signature(&function("f")), Err(error));
}

fn reading(schema: &mut ModuleSchema) -> &mut Vec<Field> {
    match &mut schema.types[1].kind {
        TypeKind::Struct(fields) => fields,
        TypeKind::Enum(_) => unreachable!(),
    }
}

#[test]
fn names_that_are_none_are_refused() {
    assert!(is_identifier("_a1") && !is_identifier("1a") && !is_identifier(""));
    assert!(is_identifier(&"a".repeat(64)) && !is_identifier(&"a".repeat(65)));
    invalid(
        |schema| schema.module = "we-ather".into(),
        "module `we-ather`: a module's name is a letter or underscore, then letters, digits and underscores",
    );
    invalid(
        |schema| schema.types[0].name = "a.b.c".into(),
        "module weather: `a.b.c` cannot name a type",
    );
    invalid(
        |schema| schema.tables[0].name = "a b".into(),
        "module weather: `a b` cannot name a table",
    );
    invalid(
        |schema| schema.queries[0].name = "".into(),
        "module weather: `` cannot name a reducer or query",
    );
    invalid(
        |schema| reading(schema)[0].name = "x".repeat(100),
        &format!("type Reading: `{}` cannot name a field", "x".repeat(64)),
    );
    let call = |module: &str, function: &str| CallDef {
        module: module.into(),
        function: function.into(),
        signature: 0,
    };
    invalid(
        |schema| schema.reducers[0].calls = vec![call("a b", "c")],
        "reducer record: a declared call has no valid name",
    );
    invalid(
        |schema| schema.reducers[0].calls = vec![call("weather", "c")],
        "reducer record: a module calls its own functions as plain Rust functions",
    );
    invalid(
        |schema| schema.reducers[0].calls = vec![call("a", "c"), call("a", "c")],
        "reducer record: the declared call `a.c` is defined twice",
    );
    invalid(
        |schema| schema.reducers[0].calls = vec![call("a", "xoczfa"), call("a", "bfbppa")],
        "reducer record: the names `a.xoczfa` and `a.bfbppa` have the same 32-bit identifier; rename one",
    );
}

/// As text it would be the plain type: the schema in JSON would be another one.
#[test]
fn a_type_that_is_named_like_a_plain_one_is_refused() {
    for plain in PLAIN {
        let why = format!("module weather: `{plain}` is a type already; rename the module's own");
        invalid(|schema| schema.types[0].name = plain.to_string(), &why);
    }
}

#[test]
fn names_that_are_taken_are_refused() {
    invalid(
        |schema| schema.types.push(schema.types[0].clone()),
        "module weather: the type `Level` is defined twice",
    );
    invalid(
        |schema| schema.tables.push(schema.tables[0].clone()),
        "module weather: the table `reading` is defined twice",
    );
    invalid(
        |schema| schema.queries[0].name = "record".into(),
        "module weather: the reducer or query `record` is defined twice",
    );
    invalid(
        |schema| reading(schema)[2].name = "at".into(),
        "type Reading: the field `at` is defined twice",
    );
    // Known collisions of the 32-bit FNV-1a hash.
    invalid(
        |schema| {
            schema.reducers[0].name = "costarring".into();
            schema.queries[0].name = "liquid".into();
        },
        "module weather: the names `costarring` and `liquid` have the same 32-bit identifier; rename one",
    );
}

#[test]
fn too_much_of_anything_is_refused() {
    invalid(
        |schema| {
            let many = (0..257).map(|index| function(&format!("f{index}")));
            schema.reducers.extend(many);
        },
        "module weather: more than 256 reducers and queries",
    );
    invalid(
        |schema| {
            let many = (0..65).map(|index| field(&format!("f{index}"), "u8"));
            schema.reducers[0].params = many.collect();
        },
        "reducer record: more than 64 fields",
    );
    invalid(
        |schema| {
            let ty = format!("{}u8{}", "list<".repeat(16), ">".repeat(16));
            schema.reducers[0].params = vec![field("deep", &ty)];
        },
        "reducer record, field deep: types are nested deeper than 16",
    );
    invalid(
        |schema| {
            for level in 0..4 {
                let ty = if level == 0 { "u8".into() } else { format!("T{}", level - 1) };
                let fields = (0..64).map(|index| field(&format!("f{index}"), &ty)).collect();
                let kind = TypeKind::Struct(fields);
                schema.types.push(TypeDef { name: format!("T{level}"), kind });
            }
        },
        "type T2, field f63: the type is too large",
    );
}

#[test]
fn types_that_are_none_are_refused() {
    invalid(|schema| reading(schema).clear(), "type Reading: a struct needs at least one field");
    invalid(
        |schema| schema.types[0].kind = TypeKind::Enum(vec![]),
        "type Level: an enum has 1 to 128 variants",
    );
    invalid(
        |schema| reading(schema)[3].ty = Type::Named("Lost".into()),
        "type Reading, field value: the type `Lost` is not defined",
    );
    invalid(
        |schema| {
            schema.types[0].kind = TypeKind::Enum(vec![Variant {
                name: "High".into(),
                fields: vec![field("by", "Lost")],
            }])
        },
        "type Level, variant High, field by: the type `Lost` is not defined",
    );
    invalid(
        |schema| schema.queries[0].returns = Some(Type::Named("Lost".into())),
        "query total, result: the type `Lost` is not defined",
    );
}

#[test]
fn tables_that_break_a_rule_are_refused() {
    invalid(
        |schema| schema.tables[0].row = "Level".into(),
        "table reading: its row `Level` is not a struct of the module",
    );
    invalid(|schema| schema.tables[0].version = 0, "table reading: versions count from 1");
    invalid(
        |schema| schema.tables[0].primary_key.clear(),
        "table reading: a table needs a primary key: mark its columns with `#[key]`",
    );
    invalid(
        |schema| schema.tables[0].primary_key.push(4),
        "table reading: its key names column 4, which does not exist",
    );
    invalid(
        |schema| schema.tables[0].primary_key.push(0),
        "table reading, column at: key columns stand in the order of the row's fields, each once",
    );
    let message = "cannot be in a primary key; booleans, integers, timestamps, strings, bytes and enums without payload can";
    invalid(
        |schema| schema.tables[0].primary_key.push(3),
        &format!("table reading, column value: a column of type `f64` {message}"),
    );
    invalid(
        |schema| schema.tables[0].primary_key.push(2),
        &format!("table reading, column level: a column of type `Level` {message}"),
    );
    invalid(
        |schema| schema.tables[0].auto_increment = Some(9),
        "table reading: it numbers column 9, which does not exist",
    );
    invalid(
        |schema| schema.tables[0].auto_increment = Some(0),
        "table reading, column at: a `timestamp` cannot be numbered; u32, u64, i32 and i64 can",
    );
    invalid(
        |schema| schema.tables[0].primary_key = vec![0],
        "table reading, column id: a numbered column must be in the primary key",
    );
}

#[test]
fn functions_that_break_a_rule_are_refused() {
    let access = |table: &str, allowed| Access { table: table.into(), allowed: AccessSet(allowed) };
    invalid(
        |schema| schema.reducers[0].access[0].table = "lost".into(),
        "reducer record: it declares the table `lost`, which does not exist",
    );
    invalid(
        |schema| schema.reducers[0].access = vec![access("reading", 1), access("reading", 3)],
        "reducer record: the declared table `reading` is defined twice",
    );
    for allowed in [2, 17] {
        invalid(
            |schema| schema.reducers[0].access = vec![access("reading", allowed)],
            "reducer record: unknown access to the table `reading`",
        );
    }
    invalid(
        |schema| schema.queries[0].access = vec![access("reading", 3)],
        "query total: a query cannot write; it declares `reading` so",
    );
    invalid(
        |schema| schema.queries[0].trigger = Some(Trigger::Init),
        "query total: a query cannot be triggered",
    );
}

#[test]
fn triggers_that_break_a_rule_are_refused() {
    let own = |table: &str| TableRef { module: None, table: table.into() };
    invalid(
        |schema| schema.reducers[0].trigger = Some(Trigger::Load),
        "reducer record: a reducer that runs at `init` or `load` takes no parameters",
    );
    invalid(
        |schema| schema.reducers[0].trigger = Some(Trigger::Insert(own("reading"))),
        "reducer record: it takes the changed row: one parameter; for an update two, the old and the new row",
    );
    invalid(
        |schema| schema.reducers[0].trigger = Some(Trigger::Update(own("lost"))),
        "reducer record: it waits for the table `lost`, which does not exist",
    );
    invalid(
        |schema| schema.reducers[0].trigger = Some(Trigger::Update(own("reading"))),
        "reducer record: its parameter `value` must be a `Reading`",
    );
    let mut schema = sample();
    let other = TableRef { module: Some("other".into()), table: "anything".into() };
    schema.reducers[0].trigger = Some(Trigger::Update(other));
    assert_eq!(schema.validate(), Ok(()), "another module's rows are not known yet");
    schema.reducers[0].trigger = Some(Trigger::Init);
    schema.reducers[0].params.clear();
    assert_eq!(schema.validate(), Ok(()));
}

#[test]
fn a_signature_is_what_a_caller_depends_on() {
    let schema = sample();
    let record = schema.reducer("record").unwrap();
    let signature = schema.signature(record).unwrap();
    let mut same = record.clone();
    same.name = "other".into();
    same.access.clear();
    assert_eq!(schema.signature(&same).unwrap(), signature);
    let mut other = record.clone();
    other.params[0].ty = Type::F32;
    assert_ne!(schema.signature(&other).unwrap(), signature);
    let mut other = record.clone();
    other.error = None;
    assert_ne!(schema.signature(&other).unwrap(), signature);
}

#[test]
fn texts_that_name_no_type_are_refused() {
    let deep = format!("{}u8{}", "list<".repeat(40), ">".repeat(40));
    for text in ["", "u7 ", "list<u8", "option<>", "a.b.c", &deep] {
        let error = text.parse::<Type>().unwrap_err();
        assert_eq!(error.to_string(), format!("`{text}` is not a type"));
    }
    assert_eq!("hello.Greeting".parse(), Ok(Type::Named("hello.Greeting".into())));
    let error = serde_json::from_str::<Type>("\"u8 \"").unwrap_err();
    assert!(error.to_string().starts_with("`u8 ` is not a type"));
}

#[test]
fn what_is_not_there_is_not_found() {
    let schema = sample();
    assert!(schema.reducer("total").is_none() && schema.query("record").is_none());
    assert!(schema.table("Reading").is_none() && schema.type_def("reading").is_none());
    let table = TableDef { row: "Level".into(), ..schema.tables[0].clone() };
    assert!(schema.columns(&table).is_empty() && schema.key_columns(&table).is_empty());
}
