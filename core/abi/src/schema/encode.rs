//! Schema -> section bytes: the same format as [`super::section`], at run time.

use alloc::{string::String, vec::Vec};

use super::{
    Field, FunctionDef, ModuleSchema, SchemaError, TableDef, TableRef, Trigger, Type, TypeKind,
    decode::{TAG_ENUM, TAG_LIST, TAG_OPTION, TAG_STRUCT},
    section::FORMAT_VERSION,
    type_name::PLAIN,
};
use crate::bytes::{write_bytes, write_varint_u64};

impl ModuleSchema {
    /// The bytes of the custom section `interstice.schema`: the inverse of
    /// [`ModuleSchema::decode`].
    ///
    /// # Errors
    ///
    /// When the schema breaks a rule; the error says where.
    pub fn encode(&self) -> Result<Vec<u8>, SchemaError> {
        // Checked first: only then is every named type known and finite.
        self.validate()?;
        let mut section = Vec::new();
        for table in &self.tables {
            self.fragment(&mut section, 0, |encoder| encoder.table(table));
        }
        for reducer in &self.reducers {
            self.fragment(&mut section, 1, |encoder| encoder.function(reducer));
        }
        for query in &self.queries {
            self.fragment(&mut section, 2, |encoder| encoder.function(query));
        }
        Ok(section)
    }

    /// A fingerprint of how `function` is called: the 64-bit FNV-1a hash of its
    /// parameters, result and error as they stand in a section.
    ///
    /// # Errors
    ///
    /// When the schema breaks a rule.
    pub fn signature(&self, function: &FunctionDef) -> Result<u64, SchemaError> {
        self.validate()?;
        let mut encoder = Encoder { schema: self, out: Vec::new() };
        encoder.fields(&function.params);
        encoder.option(function.returns.as_ref(), Encoder::ty);
        encoder.option(function.error.as_ref(), Encoder::ty);
        Ok(encoder.out.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    fn fragment(&self, section: &mut Vec<u8>, kind: u8, item: impl FnOnce(&mut Encoder<'_>)) {
        let mut encoder = Encoder { schema: self, out: Vec::new() };
        encoder.out.push(FORMAT_VERSION);
        encoder.text(&self.module);
        encoder.out.push(kind);
        item(&mut encoder);
        section.extend_from_slice(&(encoder.out.len() as u32).to_le_bytes());
        section.extend_from_slice(&encoder.out);
    }
}

struct Encoder<'a> {
    schema: &'a ModuleSchema,
    out: Vec<u8>,
}

impl Encoder<'_> {
    fn text(&mut self, text: &str) {
        write_bytes(&mut self.out, text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        write_varint_u64(&mut self.out, number as u64);
    }

    fn table(&mut self, table: &TableDef) {
        self.text(&table.name);
        self.number(table.version as usize);
        self.text(&table.row);
        self.fields(self.schema.columns(table));
        self.number(table.primary_key.len());
        for &column in &table.primary_key {
            self.number(usize::from(column));
        }
        self.option(table.auto_increment.as_ref(), |encoder, &column| {
            encoder.number(usize::from(column));
        });
    }

    fn function(&mut self, function: &FunctionDef) {
        self.text(&function.name);
        self.fields(&function.params);
        self.option(function.returns.as_ref(), Self::ty);
        self.option(function.error.as_ref(), Self::ty);
        self.option(function.trigger.as_ref(), Self::trigger);
        self.number(function.access.len());
        for access in &function.access {
            self.text(&access.table);
            self.out.push(access.allowed.0);
        }
        self.number(function.calls.len());
        for call in &function.calls {
            self.text(&call.module);
            self.text(&call.function);
            write_varint_u64(&mut self.out, call.signature);
        }
    }

    fn trigger(&mut self, trigger: &Trigger) {
        match trigger {
            Trigger::Init => self.out.push(0),
            Trigger::Load => self.out.push(1),
            Trigger::Insert(table) => self.table_ref(2, table),
            Trigger::Update(table) => self.table_ref(3, table),
            Trigger::Delete(table) => self.table_ref(4, table),
        }
    }

    fn table_ref(&mut self, tag: u8, table: &TableRef) {
        self.out.push(tag);
        self.option(table.module.as_ref(), |encoder, module: &String| encoder.text(module));
        self.text(&table.table);
    }

    fn option<T>(&mut self, item: Option<&T>, encode: impl FnOnce(&mut Self, &T)) {
        self.out.push(item.is_some().into());
        if let Some(item) = item {
            encode(self, item);
        }
    }

    fn fields(&mut self, fields: &[Field]) {
        self.number(fields.len());
        for field in fields {
            self.text(&field.name);
            self.ty(&field.ty);
        }
    }

    fn ty(&mut self, ty: &Type) {
        match ty {
            Type::Option(inner) => {
                self.out.push(TAG_OPTION);
                self.ty(inner);
            }
            Type::List(inner) => {
                self.out.push(TAG_LIST);
                self.ty(inner);
            }
            Type::Named(name) => {
                let def = self.schema.type_def(name);
                match def.map(|def| &def.kind) {
                    Some(TypeKind::Struct(fields)) => {
                        self.out.push(TAG_STRUCT);
                        self.text(name);
                        self.fields(fields);
                    }
                    Some(TypeKind::Enum(variants)) => {
                        self.out.push(TAG_ENUM);
                        self.text(name);
                        self.number(variants.len());
                        for variant in variants {
                            self.text(&variant.name);
                            self.fields(&variant.fields);
                        }
                    }
                    // `validate` has resolved every name.
                    None => {}
                }
            }
            plain => {
                let tag = PLAIN.iter().position(|(known, _)| known == plain).unwrap_or_default();
                self.out.push(tag as u8);
            }
        }
    }
}
