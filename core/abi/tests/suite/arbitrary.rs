//! Arbitrary types, and values of them.

use interstice_abi::{
    layout::Layout,
    schema::{Field, ModuleSchema, TableDef, Type, TypeDef, TypeKind, Variant},
    value::Value,
};
use proptest::{collection::vec, prelude::*};

/// A type that is spelled out, before its structs and enums have names.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Plain(Type),
    Option(Box<Shape>),
    List(Box<Shape>),
    Struct(Vec<Shape>),
    Enum(Vec<Vec<Shape>>),
}

pub(crate) const PLAIN: [Type; 16] = [
    Type::Bool,
    Type::U8,
    Type::U16,
    Type::U32,
    Type::U64,
    Type::U128,
    Type::I8,
    Type::I16,
    Type::I32,
    Type::I64,
    Type::I128,
    Type::F32,
    Type::F64,
    Type::Timestamp,
    Type::String,
    Type::Bytes,
];

pub(crate) fn plain() -> impl Strategy<Value = Type> {
    proptest::sample::select(PLAIN.to_vec())
}

pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    plain().prop_map(Shape::Plain).prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|shape| Shape::Option(Box::new(shape))),
            inner.clone().prop_map(|shape| Shape::List(Box::new(shape))),
            vec(inner.clone(), 1..4).prop_map(Shape::Struct),
            vec(vec(inner, 0..3), 1..4).prop_map(Shape::Enum),
            (1..4usize).prop_map(|variants| Shape::Enum(vec![vec![]; variants])),
        ]
    })
}

pub(crate) fn empty_schema() -> ModuleSchema {
    ModuleSchema {
        module: "m".into(),
        types: vec![],
        tables: vec![],
        reducers: vec![],
        queries: vec![],
    }
}

/// Fields `f0`, `f1` of these shapes; their named types go to `schema`.
pub(crate) fn fields(schema: &mut ModuleSchema, shapes: &[Shape]) -> Vec<Field> {
    let field = |(index, shape)| Field { name: format!("f{index}"), ty: ty(schema, shape) };
    shapes.iter().enumerate().map(field).collect()
}

fn ty(schema: &mut ModuleSchema, shape: &Shape) -> Type {
    let kind = match shape {
        Shape::Plain(ty) => return ty.clone(),
        Shape::Option(inner) => return Type::Option(Box::new(ty(schema, inner))),
        Shape::List(inner) => return Type::List(Box::new(ty(schema, inner))),
        Shape::Struct(shapes) => TypeKind::Struct(fields(schema, shapes)),
        Shape::Enum(variants) => {
            let variant = |(index, shapes): (usize, &Vec<Shape>)| Variant {
                name: format!("V{index}"),
                fields: fields(schema, shapes),
            };
            TypeKind::Enum(variants.iter().enumerate().map(variant).collect())
        }
    };
    let name = format!("T{}", schema.types.len());
    schema.types.push(TypeDef { name: name.clone(), kind });
    Type::Named(name)
}

/// A schema with a table `t` of rows `R` of these shapes.
pub(crate) fn table(shapes: &[Shape], primary_key: &[u16]) -> (ModuleSchema, Layout) {
    let mut schema = empty_schema();
    let fields = fields(&mut schema, shapes);
    let layout = Layout::of_fields(&schema, &fields).unwrap();
    schema.types.push(TypeDef { name: "R".into(), kind: TypeKind::Struct(fields) });
    schema.types.sort_by(|a, b| a.name.cmp(&b.name));
    schema.tables.push(TableDef {
        name: "t".into(),
        version: 1,
        row: "R".into(),
        primary_key: primary_key.to_vec(),
        auto_increment: None,
    });
    (schema, layout)
}

pub(crate) fn layout_of(shapes: &[Shape]) -> Layout {
    table(shapes, &[]).1
}

/// A number of any size, small ones more often.
fn number() -> impl Strategy<Value = u128> {
    prop_oneof![
        0..4u128,
        Just(u128::MAX),
        (any::<u128>(), 0..128u32).prop_map(|(value, shift)| value >> shift),
    ]
}

fn signed(value: u128, bits: u32) -> Value {
    Value::Signed((value as i128) << (128 - bits) >> (128 - bits))
}

pub(crate) fn plain_value(ty: &Type) -> BoxedStrategy<Value> {
    let unsigned = |bits: u32| {
        number().prop_map(move |value| Value::Unsigned(value & u128::MAX >> (128 - bits))).boxed()
    };
    let integer = |bits: u32| number().prop_map(move |value| signed(value, bits)).boxed();
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::U8 => unsigned(8),
        Type::U16 => unsigned(16),
        Type::U32 => unsigned(32),
        Type::U64 => unsigned(64),
        Type::U128 => unsigned(128),
        Type::I8 => integer(8),
        Type::I16 => integer(16),
        Type::I32 => integer(32),
        Type::I64 => integer(64),
        Type::I128 => integer(128),
        Type::F32 => {
            let special = [0.0, -0.0, 1.5, f32::NAN, -f32::NAN, f32::INFINITY];
            let special = proptest::sample::select(special.to_vec());
            prop_oneof![any::<u32>().prop_map(f32::from_bits), special].prop_map(Value::F32).boxed()
        }
        Type::F64 => {
            let special = [0.0, -0.0, 1.5, f64::NAN, -f64::NAN, f64::NEG_INFINITY];
            let special = proptest::sample::select(special.to_vec());
            prop_oneof![any::<u64>().prop_map(f64::from_bits), special].prop_map(Value::F64).boxed()
        }
        Type::Timestamp => number().prop_map(|value| Value::Timestamp(value as i64)).boxed(),
        Type::String => "[\0\u{1}ab\u{ff}]{0,4}|.{0,12}".prop_map(Value::String).boxed(),
        Type::Bytes => prop_oneof![
            vec(proptest::sample::select(vec![0u8, 1, 0xfe, 0xff]), 0..4),
            vec(any::<u8>(), 0..12),
        ]
        .prop_map(Value::Bytes)
        .boxed(),
        Type::Option(_) | Type::List(_) | Type::Named(_) => unreachable!("no plain type"),
    }
}

pub(crate) fn value(shape: &Shape) -> BoxedStrategy<Value> {
    match shape {
        Shape::Plain(ty) => plain_value(ty),
        Shape::Option(inner) => proptest::option::of(value(inner))
            .prop_map(|value| Value::Option(value.map(Box::new)))
            .boxed(),
        Shape::List(inner) => vec(value(inner), 0..4).prop_map(Value::List).boxed(),
        Shape::Struct(shapes) => values(shapes).prop_map(Value::Struct).boxed(),
        Shape::Enum(variants) => {
            let variant = |(index, shapes): (usize, &Vec<Shape>)| {
                values(shapes)
                    .prop_map(move |fields| Value::Enum { variant: index as u16, fields })
                    .boxed()
            };
            let variants: Vec<_> = variants.iter().enumerate().map(variant).collect();
            proptest::strategy::Union::new(variants).boxed()
        }
    }
}

pub(crate) fn values(shapes: &[Shape]) -> BoxedStrategy<Vec<Value>> {
    shapes.iter().map(value).collect::<Vec<_>>().boxed()
}

/// A row: its layout and its value.
pub(crate) fn row() -> impl Strategy<Value = (Layout, Value)> {
    vec(shape(), 0..6).prop_flat_map(|shapes| {
        let row = values(&shapes).prop_map(Value::Struct);
        (Just(layout_of(&shapes)), row)
    })
}

/// Two rows of one layout. Some columns are equal.
pub(crate) fn two_rows() -> impl Strategy<Value = (Layout, Value, Value)> {
    vec(shape(), 1..6).prop_flat_map(|shapes| {
        let keep = vec(any::<bool>(), shapes.len());
        let rows = (values(&shapes), values(&shapes), keep).prop_map(|(old, new, keep)| {
            let column =
                |((old, new), keep): ((&Value, _), _)| if keep { old.clone() } else { new };
            let new = old.iter().zip(new).zip(keep).map(column).collect();
            (Value::Struct(old), Value::Struct(new))
        });
        (Just(layout_of(&shapes)), rows).prop_map(|(layout, (old, new))| (layout, old, new))
    })
}

pub(crate) fn encode(layout: &Layout, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    layout.encode(value, &mut bytes).unwrap();
    bytes
}
