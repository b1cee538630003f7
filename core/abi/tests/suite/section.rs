//! The section as macros write it, at compile time, against the section as an
//! owned schema is written.

use interstice_abi::schema::{
    AccessSet, CallDef, ModuleSchema, TableRef, Trigger, Type, TypeKind, section::*,
};

const POINT: StructDesc = StructDesc {
    name: "Point",
    fields: &[
        FieldDesc { name: "x", ty: TypeDesc::F32 },
        FieldDesc { name: "y", ty: TypeDesc::F64 },
    ],
};

const LEVEL: EnumDesc = EnumDesc {
    name: "Level",
    variants: &[
        VariantDesc { name: "Low", fields: &[] },
        VariantDesc {
            name: "High",
            fields: &[FieldDesc { name: "at", ty: TypeDesc::Struct(&POINT) }],
        },
    ],
};

const ROW: StructDesc = StructDesc {
    name: "Row",
    fields: &[
        FieldDesc { name: "a", ty: TypeDesc::Bool },
        FieldDesc { name: "b", ty: TypeDesc::U8 },
        FieldDesc { name: "c", ty: TypeDesc::U16 },
        FieldDesc { name: "d", ty: TypeDesc::U32 },
        FieldDesc { name: "e", ty: TypeDesc::U64 },
        FieldDesc { name: "f", ty: TypeDesc::U128 },
        FieldDesc { name: "g", ty: TypeDesc::I8 },
        FieldDesc { name: "h", ty: TypeDesc::I16 },
        FieldDesc { name: "i", ty: TypeDesc::I32 },
        FieldDesc { name: "j", ty: TypeDesc::I64 },
        FieldDesc { name: "k", ty: TypeDesc::I128 },
        FieldDesc { name: "l", ty: TypeDesc::Timestamp },
        FieldDesc { name: "m", ty: TypeDesc::String },
        FieldDesc { name: "n", ty: TypeDesc::Bytes },
        FieldDesc { name: "o", ty: TypeDesc::Option(&TypeDesc::Enum(&LEVEL)) },
        FieldDesc { name: "p", ty: TypeDesc::List(&TypeDesc::Struct(&POINT)) },
    ],
};

const TABLE: TableDesc = TableDesc {
    name: "rows",
    version: 300,
    row: &ROW,
    primary_key: &[4, 12],
    auto_increment: Some(4),
};

const PLAIN_TABLE: TableDesc = TableDesc {
    name: "plain",
    version: 1,
    row: &StructDesc { name: "Plain", fields: &[FieldDesc { name: "id", ty: TypeDesc::Bool }] },
    primary_key: &[0],
    auto_increment: None,
};

const FUNCTION: FunctionDesc = FunctionDesc {
    name: "put",
    params: &[FieldDesc { name: "row", ty: TypeDesc::Struct(&ROW) }],
    returns: Some(TypeDesc::U64),
    error: Some(TypeDesc::String),
    trigger: None,
    access: &[AccessDesc { table: "rows", allowed: AccessSet::WRITE }],
    calls: &[CallDesc { module: "other", function: "greet", signature: u64::MAX }],
};

const fn triggered(
    name: &'static str,
    params: &'static [FieldDesc],
    trigger: TriggerDesc,
) -> FunctionDesc {
    FunctionDesc {
        name,
        params,
        returns: None,
        error: None,
        trigger: Some(trigger),
        access: &[],
        calls: &[],
    }
}

const OWN: TableRefDesc = TableRefDesc { module: None, table: "rows" };
const OTHER: TableRefDesc = TableRefDesc { module: Some("other"), table: "greeting" };
const ONE: &[FieldDesc] = &[FieldDesc { name: "row", ty: TypeDesc::Struct(&ROW) }];
const TWO: &[FieldDesc] = &[
    FieldDesc { name: "old", ty: TypeDesc::Struct(&ROW) },
    FieldDesc { name: "new", ty: TypeDesc::Struct(&ROW) },
];

const ITEMS: [ItemDesc; 9] = [
    ItemDesc::Table(PLAIN_TABLE),
    ItemDesc::Table(TABLE),
    ItemDesc::Reducer(triggered("on_delete", ONE, TriggerDesc::Delete(OTHER))),
    ItemDesc::Reducer(triggered("on_init", &[], TriggerDesc::Init)),
    ItemDesc::Reducer(triggered("on_insert", ONE, TriggerDesc::Insert(OWN))),
    ItemDesc::Reducer(triggered("on_load", &[], TriggerDesc::Load)),
    ItemDesc::Reducer(triggered("on_update", TWO, TriggerDesc::Update(OWN))),
    ItemDesc::Reducer(FUNCTION),
    ItemDesc::Query(FunctionDesc {
        name: "all",
        params: &[],
        returns: Some(TypeDesc::List(&TypeDesc::Struct(&ROW))),
        error: None,
        trigger: None,
        access: &[AccessDesc { table: "rows", allowed: AccessSet::READ }],
        calls: &[],
    }),
];

macro_rules! fragments {
    ($($index:literal)*) => {
        [$({
            static FRAGMENT: [u8; fragment_len("m", &ITEMS[$index])] = fragment("m", &ITEMS[$index]);
            &FRAGMENT[..]
        }),*]
    };
}

/// Sorted by kind and name, as an owned schema is written.
fn section() -> Vec<u8> {
    fragments!(0 1 2 3 4 5 6 7 8).concat()
}

#[test]
fn both_encoders_write_the_same_bytes() {
    let section = section();
    let schema = ModuleSchema::decode(&section).unwrap();
    assert_eq!(schema.encode().unwrap(), section);
}

#[test]
fn a_fragment_is_the_same_at_run_time() {
    macro_rules! written_at_run_time {
        ($($index:literal)*) => {
            [$({
                const LEN: usize = fragment_len("m", &ITEMS[$index]);
                let item = std::hint::black_box(&ITEMS[$index]);
                assert_eq!(fragment_len("m", item), LEN);
                fragment::<LEN>("m", item).to_vec()
            }),*]
        };
    }
    assert_eq!(written_at_run_time!(0 1 2 3 4 5 6 7 8).concat(), section());
}

#[test]
fn fragments_may_come_in_any_order() {
    let mut fragments = fragments!(0 1 2 3 4 5 6 7 8);
    let sorted = ModuleSchema::decode(&fragments.concat()).unwrap();
    fragments.reverse();
    assert_eq!(ModuleSchema::decode(&fragments.concat()).unwrap(), sorted);
}

#[test]
fn what_is_described_is_what_is_read() {
    let schema = ModuleSchema::decode(&section()).unwrap();
    assert_eq!(schema.module, "m");
    let names: Vec<&str> = schema.types.iter().map(|def| def.name.as_str()).collect();
    assert_eq!(names, ["Level", "Plain", "Point", "Row"]);
    let rows = schema.table("rows").unwrap();
    assert_eq!((rows.version, rows.auto_increment), (300, Some(4)));
    let key: Vec<String> = schema.key_columns(rows).into_iter().map(|field| field.name).collect();
    assert_eq!(key, ["e", "m"]);
    let types: Vec<String> =
        schema.columns(rows).iter().map(|field| field.ty.to_string()).collect();
    assert_eq!(
        types.join(" "),
        "bool u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 timestamp string bytes option<Level> list<Point>"
    );
    let put = schema.reducer("put").unwrap();
    assert_eq!((&put.returns, &put.error), (&Some(Type::U64), &Some(Type::String)));
    let call = CallDef { module: "other".into(), function: "greet".into(), signature: u64::MAX };
    assert_eq!(put.calls, [call]);
    assert!(put.access[0].allowed.contains(AccessSet::INSERT.union(AccessSet::DELETE)));
    let own = TableRef { module: None, table: "rows".into() };
    let other = TableRef { module: Some("other".into()), table: "greeting".into() };
    let trigger = |name: &str| schema.reducer(name).unwrap().trigger.clone().unwrap();
    assert_eq!(trigger("on_init"), Trigger::Init);
    assert_eq!(trigger("on_load").table(), None);
    assert_eq!(trigger("on_insert").table(), Some((&own, AccessSet::INSERT)));
    assert_eq!(trigger("on_update").table(), Some((&own, AccessSet::UPDATE)));
    assert_eq!(trigger("on_delete").table(), Some((&other, AccessSet::DELETE)));
    assert_eq!(schema.query("all").unwrap().returns.as_ref().unwrap().to_string(), "list<Row>");
    assert!(
        matches!(schema.type_def("Level").unwrap().kind, TypeKind::Enum(ref v) if v.len() == 2)
    );
}
