//! Types from bytes, so that a fuzzer chooses the type as well as the value.

use interstice_abi::{
    key::KeyLayout,
    layout::Layout,
    schema::{Field, ModuleSchema, TableDef, Type, TypeDef, TypeKind, Variant},
};

/// How deep the types nest that are made.
const DEPTH: usize = 4;

/// A table whose columns the first bytes of the input choose.
pub struct Table {
    /// The row's layout.
    pub row: Layout,
    /// The key's: its first column.
    pub key: KeyLayout,
}

impl Table {
    /// Takes the columns' types from `input` and leaves the rest there.
    pub fn take(input: &mut &[u8]) -> Option<Self> {
        let mut schema = ModuleSchema { module: "m".into(), ..ModuleSchema::default() };
        let count = 1 + usize::from(byte(input)? % 4);
        let mut fields = fields(&mut schema, input, count, 0)?;
        fields.insert(0, Field { name: "id".into(), ty: key_type(byte(input)?) });
        let row = Layout::of_fields(&schema, &fields).ok()?;
        schema.types.push(TypeDef { name: "Row".into(), kind: TypeKind::Struct(fields) });
        schema.tables.push(TableDef {
            name: "t".into(),
            version: 1,
            row: "Row".into(),
            primary_key: vec![0],
            auto_increment: None,
        });
        let key = KeyLayout::of(&schema, &schema.tables[0]).ok()?;
        Some(Self { row, key })
    }
}

fn byte(input: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = input.split_first()?;
    *input = rest;
    Some(byte)
}

fn key_type(choice: u8) -> Type {
    match choice % 5 {
        0 => Type::U8,
        1 => Type::I32,
        2 => Type::U64,
        3 => Type::String,
        _ => Type::Bytes,
    }
}

fn fields(
    schema: &mut ModuleSchema,
    input: &mut &[u8],
    count: usize,
    depth: usize,
) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    for index in 0..count {
        fields.push(Field { name: format!("f{index}"), ty: ty(schema, input, depth)? });
    }
    Some(fields)
}

fn ty(schema: &mut ModuleSchema, input: &mut &[u8], depth: usize) -> Option<Type> {
    let choice = byte(input)?;
    let plain = [
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
    if let Some(plain) = plain.get(usize::from(choice % 20)) {
        return Some(plain.clone());
    }
    if depth == DEPTH {
        return Some(Type::U8);
    }
    let count = usize::from(choice / 20 % 3);
    let kind = match choice % 20 {
        16 => return Some(Type::Option(Box::new(ty(schema, input, depth + 1)?))),
        17 => return Some(Type::List(Box::new(ty(schema, input, depth + 1)?))),
        18 => TypeKind::Struct(fields(schema, input, count + 1, depth + 1)?),
        _ => {
            let mut variants = Vec::new();
            for index in 0..=count {
                let payload = usize::from(byte(input)? % 3);
                let fields = fields(schema, input, payload, depth + 1)?;
                variants.push(Variant { name: format!("V{index}"), fields });
            }
            TypeKind::Enum(variants)
        }
    };
    let name = format!("T{}", schema.types.len());
    schema.types.push(TypeDef { name: name.clone(), kind });
    Some(Type::Named(name))
}
