use interstice_abi::{
    layout::{Kind, Layout, LayoutFault, Layouts},
    schema::{Field, SchemaError, Type, TypeDef, TypeKind, Variant, limits},
    value::Value,
};
use proptest::{collection::vec, prelude::*};

use crate::arbitrary::{Shape, empty_schema, encode, layout_of, plain, row};

proptest! {
    #[test]
    fn what_is_encoded_is_accepted_and_read_back((layout, value) in row()) {
        let bytes = encode(&layout, &value);
        let mut checked = bytes.clone();
        prop_assert_eq!(layout.check(&mut checked), Ok(()));
        prop_assert_eq!(&checked, &bytes, "encoding is canonical at once");
        let decoded = layout.decode(&bytes).unwrap();
        prop_assert_eq!(encode(&layout, &decoded), bytes);
    }

    #[test]
    fn a_value_does_not_depend_on_what_is_in_front((layout, value) in row()) {
        let bytes = encode(&layout, &value);
        let mut out = vec![7; 3];
        layout.encode(&value, &mut out).unwrap();
        prop_assert_eq!(&out[..3], &[7; 3]);
        prop_assert_eq!(&out[3..], &bytes);
    }

    #[test]
    fn a_changed_byte_is_refused_or_makes_another_canonical_value(
        (layout, value) in row(),
        change in 1..=255u8,
    ) {
        let bytes = encode(&layout, &value);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            if layout.check(&mut changed).is_ok() {
                let decoded = layout.decode(&changed).unwrap();
                prop_assert_eq!(encode(&layout, &decoded), changed, "changed at {}", at);
            }
        }
    }

    #[test]
    fn a_longer_or_shorter_value_is_refused((layout, value) in row(), more in any::<u8>()) {
        let mut bytes = encode(&layout, &value);
        for len in 0..bytes.len() {
            prop_assert!(layout.check(&mut bytes[..len].to_vec()).is_err());
            prop_assert!(layout.decode(&bytes[..len]).is_err());
        }
        bytes.push(more);
        prop_assert!(layout.check(&mut bytes).is_err());
    }

    #[test]
    fn random_bytes_do_no_harm((layout, _) in row(), bytes in vec(any::<u8>(), 0..200)) {
        let mut checked = bytes.clone();
        match layout.check(&mut checked) {
            Ok(()) => {
                let decoded = layout.decode(&bytes).unwrap();
                prop_assert_eq!(encode(&layout, &decoded), checked);
            }
            Err(error) => {
                let mut again = bytes.clone();
                prop_assert_eq!(layout.check(&mut again), Err(error.clone()));
                prop_assert!(layout.decode(&bytes).is_err());
                prop_assert!(error.at <= bytes.len());
            }
        }
    }

    #[test]
    fn plain_means_that_every_byte_pattern_of_the_right_length_is_a_value(
        types in vec(plain(), 0..6),
        bytes in vec(any::<u8>(), 96),
    ) {
        let shapes: Vec<Shape> = types.iter().cloned().map(Shape::Plain).collect();
        let layout = layout_of(&shapes);
        let free = [Type::Bool, Type::F32, Type::F64, Type::String, Type::Bytes];
        prop_assert_eq!(layout.is_plain(), !types.iter().any(|ty| free.contains(ty)));
        if layout.is_plain() {
            let mut row = bytes[..layout.size()].to_vec();
            prop_assert_eq!(layout.check(&mut row), Ok(()));
            prop_assert_eq!(&row[..], &bytes[..layout.size()]);
        }
    }
}

fn layout(fields: &[(&str, &str)]) -> Layout {
    let mut schema = empty_schema();
    let field = |name: &str, ty: &str| Field { name: name.into(), ty: ty.parse().unwrap() };
    schema.types = vec![
        TypeDef {
            name: "Level".into(),
            kind: TypeKind::Enum(vec![
                Variant { name: "Low".into(), fields: vec![] },
                Variant { name: "High".into(), fields: vec![] },
            ]),
        },
        TypeDef {
            name: "Point".into(),
            kind: TypeKind::Struct(vec![field("x", "u16"), field("valid", "bool")]),
        },
        TypeDef {
            name: "Shape".into(),
            kind: TypeKind::Enum(vec![
                Variant { name: "Nothing".into(), fields: vec![] },
                Variant {
                    name: "Circle".into(),
                    fields: vec![field("centre", "Point"), field("label", "string")],
                },
            ]),
        },
    ];
    let fields: Vec<Field> = fields.iter().map(|(name, ty)| field(name, ty)).collect();
    Layout::of_fields(&schema, &fields).unwrap()
}

fn check(layout: &Layout, bytes: &[u8], expected: &str) {
    let refused = layout.check(&mut bytes.to_vec());
    assert_eq!(refused.map_err(|error| error.to_string()), Err(expected.to_owned()));
    assert!(layout.decode(bytes).is_err());
}

#[test]
fn the_bytes_are_as_documented() {
    let layout = layout(&[
        ("id", "u32"),
        ("name", "string"),
        ("points", "list<Point>"),
        ("shape", "Shape"),
        ("level", "option<Level>"),
        ("empty", "bytes"),
        ("nothing", "Shape"),
    ]);
    let point = |x, valid| Value::Struct(vec![Value::Unsigned(x), Value::Bool(valid)]);
    let value = Value::Struct(vec![
        Value::Unsigned(0x0102_0304),
        Value::String("Ada".into()),
        Value::List(vec![point(5, true), point(6, false)]),
        Value::Enum { variant: 1, fields: vec![point(7, true), Value::String("o".into())] },
        Value::Option(Some(Box::new(Value::Enum { variant: 1, fields: vec![] }))),
        Value::Bytes(vec![]),
        Value::Enum { variant: 0, fields: vec![] },
    ]);
    let bytes = encode(&layout, &value);
    let slots = [
        &[4, 3, 2, 1][..],
        &[40, 0, 0, 0, 3, 0, 0, 0],
        &[43, 0, 0, 0, 2, 0, 0, 0],
        &[1, 49, 0, 0, 0],
        &[1, 1],
        &[61, 0, 0, 0, 0, 0, 0, 0],
        &[0, 61, 0, 0, 0],
    ];
    let tail = [&b"Ada"[..], &[5, 0, 1], &[6, 0, 0], &[7, 0, 1], &[60, 0, 0, 0, 1, 0, 0, 0], b"o"];
    assert_eq!(bytes, [slots.concat(), tail.concat()].concat());
    assert_eq!(layout.size(), 40);
    assert!(!layout.is_fixed());
    assert_eq!(layout.decode(&bytes).unwrap(), value);
}

#[test]
fn a_refused_value_is_told_by_place_and_reason() {
    let flat = layout(&[("id", "u8"), ("point", "Point"), ("level", "Level")]);
    assert!(flat.is_fixed() && !flat.is_plain());
    check(&flat, &[0; 4], "byte 4: the value is 4 bytes long where 5 are due");
    check(&flat, &[0; 6], "byte 5: the value is 6 bytes long where 5 are due");
    check(&flat, &[0, 0, 0, 2, 0], "point.valid, byte 3: 2 is neither 0 nor 1");
    check(&flat, &[0, 0, 0, 1, 2], "level, byte 4: the tag 2 names none of the 2 variants");

    let text = layout(&[("name", "string"), ("note", "bytes")]);
    let tail = |name: [u8; 8], note: [u8; 8], tail: &[u8]| [&name, &note, tail].concat();
    let [empty, behind] = [[16, 0, 0, 0, 0, 0, 0, 0], [17, 0, 0, 0, 0, 0, 0, 0]];
    check(
        &text,
        &tail(behind, empty, b""),
        "name, byte 0: its content is at offset 17 where 16 is due",
    );
    check(
        &text,
        &tail(empty, [16, 0, 0, 0, 2, 0, 0, 0], b"a"),
        "note, byte 8: its content reaches beyond the end of the value",
    );
    check(
        &text,
        &tail([16, 0, 0, 0, 1, 0, 0, 0], behind, b"\xff"),
        "name, byte 16: the string is not UTF-8",
    );
    check(&text, &tail(empty, empty, b"a"), "byte 16: the value is 17 bytes long where 16 are due");
}

#[test]
fn a_refused_part_is_told_by_its_whole_path() {
    let lists = layout(&[("all", "list<list<Point>>")]);
    let outer = [8, 0, 0, 0, 2, 0, 0, 0];
    let first = [24, 0, 0, 0, 1, 0, 0, 0];
    let second = [27, 0, 0, 0, 1, 0, 0, 0];
    let bytes = [&outer[..], &first, &second, &[1, 0, 1], &[1, 0, 9]].concat();
    check(&lists, &bytes, "all[1][0].valid, byte 29: 9 is neither 0 nor 1");

    let options = layout(&[("level", "option<Level>"), ("shape", "option<Shape>")]);
    check(&options, &[2, 0, 0, 0, 0, 0, 0, 0], "level, byte 0: 2 is neither 0 nor 1");
    check(
        &options,
        &[0, 1, 0, 0, 0, 0, 0, 0],
        "level, byte 0: the bytes of an option without a value are not zero",
    );
    check(
        &options,
        &[1, 2, 0, 0, 0, 0, 0, 0],
        "level, byte 1: the tag 2 names none of the 2 variants",
    );
    check(
        &options,
        &[0, 0, 1, 0, 9, 0, 0, 0],
        "shape, byte 3: its content is at offset 9 where 8 is due",
    );
    let circle = |valid: u8, len: u8| {
        let slots = [0, 0, 1, 1, 8, 0, 0, 0];
        [&slots[..], &[1, 0, valid], &[19, 0, 0, 0, len, 0, 0, 0]].concat()
    };
    assert_eq!(options.check(&mut circle(1, 0)), Ok(()));
    check(&options, &circle(2, 0), "shape.Circle.centre.valid, byte 10: 2 is neither 0 nor 1");
    check(
        &options,
        &circle(1, 1),
        "shape.Circle.label, byte 11: its content reaches beyond the end of the value",
    );
    check(
        &options,
        &circle(1, 0)[..18],
        "shape, byte 3: its content reaches beyond the end of the value",
    );
}

#[test]
fn nans_become_the_canonical_one_in_place() {
    let layout = layout(&[("a", "f32"), ("b", "f64"), ("c", "list<f32>")]);
    let value = Value::Struct(vec![
        Value::F32(f32::from_bits(0xffc0_0001)),
        Value::F64(f64::from_bits(0x7ff0_0000_0000_0001)),
        Value::List(vec![Value::F32(f32::NAN), Value::F32(f32::NEG_INFINITY)]),
    ]);
    let canonical = encode(&layout, &value);
    assert_eq!(canonical[..4], 0x7fc0_0000u32.to_le_bytes());
    assert_eq!(canonical[4..12], 0x7ff8_0000_0000_0000u64.to_le_bytes());

    let mut bytes = canonical.clone();
    bytes[..4].copy_from_slice(&0xffff_ffffu32.to_le_bytes());
    bytes[4..12].copy_from_slice(&0xfff0_0000_0000_0001u64.to_le_bytes());
    bytes[20..24].copy_from_slice(&0x7fa0_0000u32.to_le_bytes());
    assert_eq!(layout.check(&mut bytes), Ok(()));
    assert_eq!(bytes, canonical);
}

#[test]
fn a_claimed_count_is_compared_with_what_is_there() {
    let layout = layout(&[("all", "list<u128>")]);
    let claim = [8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    let error = layout.check(&mut claim.to_vec()).unwrap_err();
    assert_eq!(error.fault, LayoutFault::End);
    assert!(layout.decode(&claim).is_err());
}

#[test]
fn a_type_shows_as_text() {
    let layout = layout(&[
        ("a", "option<list<u8>>"),
        ("b", "Shape"),
        ("c", "Point"),
        ("d", "i128"),
        ("e", "bool"),
        ("f", "f32"),
        ("g", "f64"),
        ("h", "timestamp"),
        ("i", "string"),
        ("j", "bytes"),
    ]);
    assert_eq!(
        layout.to_string(),
        "(a: option<list<u8>>, b: Shape, c: Point, d: i128, e: bool, f: f32, g: f64, \
         h: timestamp, i: string, j: bytes)"
    );
    assert_eq!(layout.name(), None);
    assert_eq!(layout.fields()[2].layout.name(), Some("Point"));
    assert!(matches!(layout.fields()[2].layout.kind(), Kind::Struct(fields) if fields.len() == 2));
    assert!(layout.fields()[3].layout.fields().is_empty());
}

fn refused(schema: &interstice_abi::schema::ModuleSchema, ty: &str) -> String {
    let error = Layout::of_type(schema, &ty.parse().unwrap()).unwrap_err();
    assert!(matches!(error, SchemaError::Invalid { .. }));
    error.to_string()
}

#[test]
fn layouts_of_schemas_that_were_not_checked_are_refused() {
    let mut schema = empty_schema();
    let kinds = [
        ("Empty", TypeKind::Struct(vec![])),
        ("Never", TypeKind::Enum(vec![])),
        (
            "Round",
            TypeKind::Struct(vec![Field {
                name: "again".into(),
                ty: Type::Option(Box::new(Type::Named("Round".into()))),
            }]),
        ),
    ];
    schema.types = kinds.map(|(name, kind)| TypeDef { name: name.into(), kind }).into();
    assert_eq!(refused(&schema, "list<Empty>"), "type Empty: a struct needs at least one field");
    assert_eq!(refused(&schema, "Never"), "type Never: an enum has 1 to 128 variants");
    assert_eq!(refused(&schema, "Lost"), "type Lost: the type is not defined");
    assert!(refused(&schema, "Round").ends_with("its types are nested too deep"));

    let field = |index| Field { name: format!("f{index}"), ty: Type::U8 };
    let fields: Vec<Field> = (0..=limits::FIELDS).map(field).collect();
    let error = Layout::of_fields(&schema, &fields).unwrap_err();
    assert_eq!(error.to_string(), "fields: more than 64 fields");
    assert!(Layout::of_fields(&schema, &fields[1..]).is_ok());
}

/// A struct of two, of two, of two ...: `depth` times.
fn doubled(depth: usize) -> interstice_abi::schema::ModuleSchema {
    let mut schema = empty_schema();
    for level in 0..depth {
        let inner = if level == 0 { Type::U128 } else { Type::Named(format!("T{}", level - 1)) };
        let fields = ["a", "b"].map(|name| Field { name: name.into(), ty: inner.clone() });
        let kind = TypeKind::Struct(fields.into());
        schema.types.push(TypeDef { name: format!("T{level}"), kind });
    }
    schema
}

#[test]
fn a_fixed_part_has_a_largest_size() {
    let schema = doubled(11);
    let layout = Layout::of_type(&schema, &Type::Named("T9".into())).unwrap();
    assert_eq!(layout.size(), limits::FIXED_SIZE as usize);
    assert_eq!(
        refused(&schema, "T10"),
        "type T10: its fixed part is larger than 16384 bytes; put some into a list"
    );
    assert_eq!(
        refused(&schema, "option<T9>"),
        "type option<T9>: its fixed part is larger than 16384 bytes; put some into a list"
    );
}

#[test]
fn types_that_grow_without_end_are_given_up() {
    // Payloads are not part of the slot, so that only the count of types stops it.
    let mut schema = empty_schema();
    for level in 0..14 {
        let inner = if level == 0 { Type::U8 } else { Type::Named(format!("T{}", level - 1)) };
        let field = |index| Field { name: format!("f{index}"), ty: inner.clone() };
        let variant = Variant { name: "V".into(), fields: (0..64).map(field).collect() };
        let kind = TypeKind::Enum(vec![variant]);
        schema.types.push(TypeDef { name: format!("T{level}"), kind });
    }
    assert!(refused(&schema, "T13").ends_with("its types are nested too deep"));
}

/// A struct around a list of a list of ... `inner`.
fn around(name: &str, inner: &str, lists: usize) -> TypeDef {
    let ty = format!("{}{inner}{}", "list<".repeat(lists), ">".repeat(lists));
    let field = Field { name: "f".into(), ty: ty.parse().unwrap() };
    TypeDef { name: name.into(), kind: TypeKind::Struct(vec![field]) }
}

#[test]
fn a_type_that_was_met_before_is_as_deep_as_the_first_time() {
    let mut schema = empty_schema();
    schema.types = vec![around("A", "u8", 8), around("B", "A", 8), around("C", "A", 2)];
    let of = |ty: &str| Layout::of_type(&schema, &ty.parse().unwrap());
    let [a, c] = ["A", "C"].map(|ty| of(ty).unwrap());
    assert!(of("B").is_err());

    let mut layouts = Layouts::of(&schema);
    let mut again = |ty: &str| layouts.of_type(&ty.parse().unwrap());
    assert_eq!(again("A").unwrap(), a);
    let error = again("B").unwrap_err().to_string();
    assert!(error.ends_with("its types are nested too deep"), "{error}");
    // And whatever was refused before.
    assert_eq!(again("C").unwrap(), c);
    assert_eq!(again("A").unwrap(), a);
}
