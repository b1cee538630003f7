use interstice_abi::{
    bytes::{DecodeFault, Reader},
    layout::{Kind, Layout},
    packed::{changed_columns, merge_columns, pack, pack_columns, unpack},
    schema::{Field, Type, TypeDef, TypeKind, Variant},
    value::Value,
};
use proptest::{collection::vec, prelude::*};
use serde::{Serialize, Serializer, ser::SerializeSeq, ser::SerializeTuple};

use crate::arbitrary::{Shape, empty_schema, encode, layout_of, row, two_rows};

const LIMIT: usize = 1 << 20;

fn packed(layout: &Layout, value: &[u8]) -> Vec<u8> {
    let mut out = vec![9];
    pack(layout, value, &mut out).unwrap();
    assert_eq!(out.remove(0), 9, "what is there stays");
    out
}

/// What the postcard crate makes of a value, by way of serde.
struct Dynamic<'a>(&'a Layout, &'a Value);

impl Serialize for Dynamic<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0.kind(), self.1) {
            (_, Value::Bool(value)) => serializer.serialize_bool(*value),
            (Kind::Unsigned(1), Value::Unsigned(value)) => serializer.serialize_u8(*value as u8),
            (Kind::Unsigned(2), Value::Unsigned(value)) => serializer.serialize_u16(*value as u16),
            (Kind::Unsigned(4), Value::Unsigned(value)) => serializer.serialize_u32(*value as u32),
            (Kind::Unsigned(8), Value::Unsigned(value)) => serializer.serialize_u64(*value as u64),
            (_, Value::Unsigned(value)) => serializer.serialize_u128(*value),
            (Kind::Signed(1), Value::Signed(value)) => serializer.serialize_i8(*value as i8),
            (Kind::Signed(2), Value::Signed(value)) => serializer.serialize_i16(*value as i16),
            (Kind::Signed(4), Value::Signed(value)) => serializer.serialize_i32(*value as i32),
            (Kind::Signed(8), Value::Signed(value)) => serializer.serialize_i64(*value as i64),
            (_, Value::Signed(value)) => serializer.serialize_i128(*value),
            (_, Value::F32(value)) if value.is_nan() => {
                serializer.serialize_f32(f32::from_bits(0x7fc0_0000))
            }
            (_, Value::F32(value)) => serializer.serialize_f32(*value),
            (_, Value::F64(value)) if value.is_nan() => {
                serializer.serialize_f64(f64::from_bits(0x7ff8_0000_0000_0000))
            }
            (_, Value::F64(value)) => serializer.serialize_f64(*value),
            (_, Value::Timestamp(value)) => serializer.serialize_i64(*value),
            (_, Value::String(value)) => serializer.serialize_str(value),
            (_, Value::Bytes(value)) => serializer.serialize_bytes(value),
            (_, Value::Option(None)) => serializer.serialize_none(),
            (Kind::Option(inner), Value::Option(Some(value))) => {
                serializer.serialize_some(&Dynamic(inner, value))
            }
            (Kind::List(inner), Value::List(values)) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Dynamic(inner, value))?;
                }
                list.end()
            }
            (Kind::Struct(_), Value::Struct(values)) => fields(self.0, values, serializer),
            (Kind::Enum(variants), Value::Enum { variant, fields: values }) => {
                let payload = Fields(&variants[usize::from(*variant)].fields, values);
                serializer.serialize_newtype_variant("", u32::from(*variant), "", &payload)
            }
            (kind, value) => unreachable!("{value:?} is no {kind:?}"),
        }
    }
}

struct Fields<'a>(&'a Layout, &'a [Value]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fields(self.0, self.1, serializer)
    }
}

fn fields<S: Serializer>(
    layout: &Layout,
    values: &[Value],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut tuple = serializer.serialize_tuple(values.len())?;
    for (field, value) in layout.fields().iter().zip(values) {
        tuple.serialize_element(&Dynamic(&field.layout, value))?;
    }
    tuple.end()
}

proptest! {
    #[test]
    fn what_is_packed_is_what_postcard_writes_and_unpacks_to_the_same((layout, value) in row()) {
        let bytes = encode(&layout, &value);
        let packed = packed(&layout, &bytes);
        prop_assert_eq!(&packed, &postcard::to_allocvec(&Dynamic(&layout, &value)).unwrap());

        let mut reader = Reader::new(&packed);
        let mut out = vec![9; 5];
        prop_assert_eq!(unpack(&layout, &mut reader, &mut out, bytes.len()), Ok(()));
        prop_assert_eq!(reader.finish(), Ok(()));
        prop_assert_eq!(&out[..5], &[9; 5]);
        prop_assert_eq!(&out[5..], &bytes);
    }

    #[test]
    fn a_value_above_the_limit_is_refused_and_leaves_nothing((layout, value) in row()) {
        let bytes = encode(&layout, &value);
        let packed = packed(&layout, &bytes);
        for limit in 0..bytes.len() {
            let mut out = vec![9; 5];
            let error = unpack(&layout, &mut Reader::new(&packed), &mut out, limit).unwrap_err();
            prop_assert_eq!(error.fault, DecodeFault::TooLarge);
            prop_assert_eq!(&out, &[9; 5]);
        }
    }

    #[test]
    fn a_packed_value_that_is_cut_is_refused((layout, value) in row()) {
        let packed = packed(&layout, &encode(&layout, &value));
        for len in 0..packed.len() {
            let mut reader = Reader::new(&packed[..len]);
            prop_assert!(unpack(&layout, &mut reader, &mut Vec::new(), LIMIT).is_err());
        }
    }

    #[test]
    fn a_changed_byte_is_refused_or_unpacks_to_a_canonical_value(
        (layout, value) in row(),
        change in 1..=255u8,
    ) {
        let packed = packed(&layout, &encode(&layout, &value));
        for at in 0..packed.len() {
            let mut changed = packed.clone();
            changed[at] ^= change;
            unpacks_canonically(&layout, &changed)?;
        }
    }

    #[test]
    fn random_bytes_are_refused_or_unpack_to_a_canonical_value(
        (layout, _) in row(),
        bytes in vec(any::<u8>(), 0..60),
    ) {
        unpacks_canonically(&layout, &bytes)?;
    }

    #[test]
    fn merging_the_changed_columns_makes_the_new_row((layout, old, new) in two_rows()) {
        let (old, new) = (encode(&layout, &old), encode(&layout, &new));
        let mask = changed_columns(&layout, &old, &new);
        prop_assert_eq!(mask == 0, old == new);
        prop_assert_eq!(changed_columns(&layout, &new, &old), mask);

        let mut packed = Vec::new();
        pack_columns(&layout, &new, mask, &mut packed).unwrap();
        let mut reader = Reader::new(&packed);
        let mut out = vec![9; 5];
        let merged = merge_columns(&layout, &old, mask, &mut reader, &mut out, new.len());
        prop_assert_eq!(merged, Ok(()));
        prop_assert_eq!(reader.finish(), Ok(()));
        prop_assert_eq!(&out[5..], &new);

        for limit in 0..new.len() {
            let mut out = vec![9; 5];
            let mut reader = Reader::new(&packed);
            prop_assert!(merge_columns(&layout, &old, mask, &mut reader, &mut out, limit).is_err());
            prop_assert_eq!(&out, &[9; 5]);
        }
    }

    #[test]
    fn merging_any_columns_is_packing_them_and_merging_all_is_unpacking(
        (layout, old, new) in two_rows(),
        mask in any::<u64>(),
    ) {
        let (Value::Struct(old_columns), Value::Struct(new_columns)) = (&old, &new) else {
            unreachable!()
        };
        let all = u64::MAX >> (64 - layout.fields().len());
        let mask = mask & all;
        let column = |(index, (old, new)): (usize, (&Value, &Value))| {
            if mask >> index & 1 == 1 { new.clone() } else { old.clone() }
        };
        let expected = old_columns.iter().zip(new_columns).enumerate().map(column).collect();
        let expected = encode(&layout, &Value::Struct(expected));

        let (old, new) = (encode(&layout, &old), encode(&layout, &new));
        let mut packed = Vec::new();
        pack_columns(&layout, &new, mask, &mut packed).unwrap();
        let mut out = Vec::new();
        merge_columns(&layout, &old, mask, &mut Reader::new(&packed), &mut out, LIMIT).unwrap();
        prop_assert_eq!(out, expected);

        let mut columns = Vec::new();
        pack_columns(&layout, &new, all, &mut columns).unwrap();
        prop_assert_eq!(columns, self::packed(&layout, &new));
    }

    #[test]
    fn random_columns_do_no_harm(
        (layout, old, _) in two_rows(),
        mask in any::<u64>(),
        bytes in vec(any::<u8>(), 0..60),
    ) {
        let old = encode(&layout, &old);
        let mut out = vec![9; 5];
        let mut reader = Reader::new(&bytes);
        match merge_columns(&layout, &old, mask, &mut reader, &mut out, 1 << 16) {
            Ok(()) => {
                let mut row = out.split_off(5);
                let canonical = row.clone();
                prop_assert_eq!(layout.check(&mut row), Ok(()));
                prop_assert_eq!(row, canonical);
            }
            Err(_) => prop_assert_eq!(&out, &[9; 5]),
        }
        if mask >> layout.fields().len() != 0 {
            let error = merge_columns(&layout, &old, mask, &mut reader, &mut out, LIMIT);
            prop_assert_eq!(error.unwrap_err().fault, DecodeFault::Column);
        }
    }

    #[test]
    fn rows_that_were_not_checked_do_no_harm(
        (layout, value, _) in two_rows(),
        bytes in vec(any::<u8>(), 0..60),
        mask in any::<u64>(),
        change in (any::<prop::sample::Index>(), 1..=255u8),
    ) {
        let good = encode(&layout, &value);
        let mut changed = good.clone();
        changed[change.0.index(good.len())] ^= change.1;
        for row in [bytes, changed, good[..good.len() / 2].to_vec()] {
            let mut out = vec![9; 5];
            if pack(&layout, &row, &mut out).is_err() {
                prop_assert_eq!(&out, &[9; 5]);
            }
            let mut out = vec![9; 5];
            if pack_columns(&layout, &row, mask, &mut out).is_err() {
                prop_assert_eq!(&out, &[9; 5]);
            }
            changed_columns(&layout, &row, &good);
            changed_columns(&layout, &good, &row);
            let mut out = vec![9; 5];
            let mut reader = Reader::new(&good);
            if merge_columns(&layout, &row, mask, &mut reader, &mut out, 1 << 16).is_err() {
                prop_assert_eq!(&out, &[9; 5]);
            }
        }
    }
}

/// What unpacks, unpacks to a canonical value. It packs to the same bytes
/// again, but for NaNs.
fn unpacks_canonically(layout: &Layout, bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut reader = Reader::new(bytes);
    let mut out = vec![9; 5];
    if unpack(layout, &mut reader, &mut out, LIMIT).is_err() {
        prop_assert_eq!(&out, &[9; 5]);
        return Ok(());
    }
    let value = out.split_off(5);
    let mut checked = value.clone();
    prop_assert_eq!(layout.check(&mut checked), Ok(()));
    prop_assert_eq!(&checked, &value);
    let again = packed(layout, &value);
    prop_assert_eq!(again.len(), reader.position());
    let nan = bytes.windows(2).any(|pair| pair[1] & 0x7f == 0x7f && pair[0] & 0x80 != 0);
    if !nan {
        prop_assert_eq!(&again, &bytes[..reader.position()]);
    }
    Ok(())
}

#[derive(Serialize)]
struct Reading {
    id: u64,
    place: String,
    degrees: f64,
    delta: i16,
    kind: Alarm,
    history: Vec<Option<i32>>,
    raw: Vec<u8>,
    at: Point,
}

#[derive(Serialize)]
enum Alarm {
    None,
    Frost { degrees: f32 },
    Wind { speed: u32, gusts: bool },
}

#[derive(Serialize)]
struct Point {
    x: i128,
    y: u128,
}

fn reading_layout() -> Layout {
    let field = |name: &str, ty: &str| Field { name: name.into(), ty: ty.parse().unwrap() };
    let variant = |name: &str, fields| Variant { name: name.into(), fields };
    let mut schema = empty_schema();
    schema.types = vec![
        TypeDef {
            name: "Alarm".into(),
            kind: TypeKind::Enum(vec![
                variant("None", vec![]),
                variant("Frost", vec![field("degrees", "f32")]),
                variant("Wind", vec![field("speed", "u32"), field("gusts", "bool")]),
            ]),
        },
        TypeDef {
            name: "Point".into(),
            kind: TypeKind::Struct(vec![field("x", "i128"), field("y", "u128")]),
        },
    ];
    let fields = [
        field("id", "u64"),
        field("place", "string"),
        field("degrees", "f64"),
        field("delta", "i16"),
        field("kind", "Alarm"),
        field("history", "list<option<i32>>"),
        field("raw", "bytes"),
        field("at", "Point"),
    ];
    Layout::of_fields(&schema, &fields).unwrap()
}

#[test]
fn a_serde_struct_in_postcard_is_a_packed_row() {
    let layout = reading_layout();
    let readings = [
        Reading {
            id: 300,
            place: "Aachen".into(),
            degrees: -1.5,
            delta: -70,
            kind: Alarm::Frost { degrees: -0.5 },
            history: vec![None, Some(i32::MIN), Some(0)],
            raw: vec![0, 255],
            at: Point { x: i128::MIN, y: u128::MAX },
        },
        Reading {
            id: u64::MAX,
            place: String::new(),
            degrees: 0.0,
            delta: i16::MIN,
            kind: Alarm::Wind { speed: 128, gusts: true },
            history: vec![],
            raw: vec![],
            at: Point { x: -1, y: 0 },
        },
        Reading {
            id: 0,
            place: "\0".into(),
            degrees: f64::INFINITY,
            delta: 63,
            kind: Alarm::None,
            history: vec![Some(-1); 200],
            raw: vec![1; 300],
            at: Point { x: 1 << 80, y: 1 << 100 },
        },
    ];
    for reading in readings {
        let bytes = postcard::to_allocvec(&reading).unwrap();
        let mut reader = Reader::new(&bytes);
        let mut row = Vec::new();
        unpack(&layout, &mut reader, &mut row, LIMIT).unwrap();
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!(layout.check(&mut row), Ok(()));
        assert_eq!(packed(&layout, &row), bytes);
    }
}

fn fault(ty: &str, bytes: &[u8]) -> (usize, DecodeFault) {
    let mut schema = empty_schema();
    schema.types = vec![TypeDef {
        name: "Level".into(),
        kind: TypeKind::Enum(
            ["Low", "High"].map(|name| Variant { name: name.into(), fields: vec![] }).into(),
        ),
    }];
    let field = |name: &str, ty| Field { name: name.into(), ty };
    let fields = [field("first", Type::U8), field("second", ty.parse().unwrap())];
    let layout = Layout::of_fields(&schema, &fields).unwrap();
    let bytes = [&[7], bytes].concat();
    let error = unpack(&layout, &mut Reader::new(&bytes), &mut Vec::new(), LIMIT).unwrap_err();
    (error.at, error.fault)
}

#[test]
fn a_refused_packed_value_is_told_by_position_and_reason() {
    assert_eq!(fault("bool", &[2]), (1, DecodeFault::Boolean));
    assert_eq!(fault("option<u8>", &[2]), (1, DecodeFault::Boolean));
    assert_eq!(fault("Level", &[2]), (1, DecodeFault::Tag));
    assert_eq!(fault("string", &[1, 0xff]), (1, DecodeFault::Utf8));
    assert_eq!(fault("u16", &[0x80, 0x80, 0x04]), (1, DecodeFault::Varint));
    assert_eq!(fault("u32", &[0x80, 0x80, 0x80, 0x80, 0x10]), (1, DecodeFault::Varint));
    assert_eq!(fault("i64", &[0x80, 0x00]), (1, DecodeFault::Varint));
    assert_eq!(fault("u128", &[0xff; 19]), (1, DecodeFault::Varint));
    assert_eq!(fault("f64", &[0; 7]), (1, DecodeFault::UnexpectedEnd));
    // A count or a length that the input cannot keep.
    assert_eq!(fault("list<u64>", &[3, 1, 1]), (2, DecodeFault::UnexpectedEnd));
    assert_eq!(fault("list<f64>", &[2, 0, 0, 0, 0, 0, 0, 0, 0]), (2, DecodeFault::UnexpectedEnd));
    assert_eq!(fault("bytes", &[0xff, 0xff, 0xff, 0x7f]), (5, DecodeFault::UnexpectedEnd));
}

#[test]
fn packing_tells_where_a_row_is_broken_that_was_not_checked() {
    let layout = layout_of(&[Shape::Plain(Type::U8), Shape::Plain(Type::String)]);
    let row = [1, 9, 0, 0, 0, 1, 0, 0, 0];
    let error = pack(&layout, &row, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "f1, byte 1: its content reaches beyond the end of the value");
    let error = pack_columns(&layout, &row, 2, &mut Vec::new()).unwrap_err();
    assert_eq!(error.path, "f1");
    assert_eq!(changed_columns(&layout, &row, &row), 2, "what cannot be compared has changed");
}

#[test]
fn bytes_of_sixty_four_columns_are_masked() {
    let layout = layout_of(&vec![Shape::Plain(Type::U8); 64]);
    let (old, mut new) = ([0u8; 64], [0u8; 64]);
    new[0] = 1;
    new[63] = 1;
    assert_eq!(changed_columns(&layout, &old, &new), 1 | 1 << 63);
    let mut out = Vec::new();
    merge_columns(&layout, &old, 1 | 1 << 63, &mut Reader::new(&[1, 1]), &mut out, 64).unwrap();
    assert_eq!(out, new);
}
