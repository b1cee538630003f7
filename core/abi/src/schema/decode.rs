//! Section bytes -> schema. The bytes are untrusted.

use alloc::{borrow::ToOwned, boxed::Box, format, string::String, vec::Vec};

use super::{
    Access, AccessSet, CallDef, Field, FunctionDef, ModuleSchema, SchemaError, TableDef, TableRef,
    Trigger, Type, TypeDef, TypeKind, Variant, limits, section::FORMAT_VERSION, type_name::PLAIN,
};
use crate::bytes::{DecodeError, DecodeFault, Reader};

pub(super) const TAG_OPTION: u8 = 16;
pub(super) const TAG_LIST: u8 = 17;
pub(super) const TAG_STRUCT: u8 = 18;
pub(super) const TAG_ENUM: u8 = 19;

impl ModuleSchema {
    /// Reads and checks the custom section `interstice.schema`.
    ///
    /// # Errors
    ///
    /// When the bytes do not decode, or the schema breaks a rule; the error
    /// says where. Nothing is allocated by a length that the bytes claim.
    pub fn decode(section: &[u8]) -> Result<Self, SchemaError> {
        let mut schema = Self {
            module: String::new(),
            types: Vec::new(),
            tables: Vec::new(),
            reducers: Vec::new(),
            queries: Vec::new(),
        };
        if section.len() > limits::SECTION_LEN {
            let at = limits::SECTION_LEN;
            return Err(DecodeError { at, fault: DecodeFault::TooLarge }.into());
        }
        let mut reader = Reader::new(section);
        while reader.remaining() > 0 {
            let length = u32::from_le_bytes(reader.array()?);
            let start = reader.position();
            let fragment = reader.take(length as usize)?;
            Decoder { reader: Reader::new(fragment), schema: &mut schema }.fragment().map_err(
                |error| match error {
                    SchemaError::Decode(error) => {
                        DecodeError { at: start + error.at, ..error }.into()
                    }
                    other => other,
                },
            )?;
        }
        schema.types.shrink_to_fit();
        schema.tables.shrink_to_fit();
        schema.reducers.shrink_to_fit();
        schema.queries.shrink_to_fit();
        schema.validate()?;
        Ok(schema)
    }
}

/// Adds a definition to a list that is sorted by name.
fn insert<T>(list: &mut Vec<T>, item: T, name: fn(&T) -> &str) {
    let at = list.partition_point(|other| name(other) <= name(&item));
    list.insert(at, item);
}

struct Decoder<'a, 'b> {
    reader: Reader<'a>,
    schema: &'b mut ModuleSchema,
}

impl Decoder<'_, '_> {
    fn fragment(&mut self) -> Result<(), SchemaError> {
        let found = self.reader.byte()?;
        if found != FORMAT_VERSION {
            return Err(SchemaError::FormatVersion { found });
        }
        let module = self.name()?;
        let is_first = self.schema.module.is_empty() && !module.is_empty();
        if is_first {
            self.schema.module = module;
        } else if self.schema.module != module || module.is_empty() {
            return Err(SchemaError::Invalid {
                at: format!("module {}", self.schema.module),
                why: format!(
                    "the module `{module}` is linked into it; tables and reducers of two modules cannot share a file"
                ),
            });
        }
        match self.reader.byte()? {
            0 => {
                let table = self.table()?;
                insert(&mut self.schema.tables, table, |table| &table.name);
            }
            1 => {
                let reducer = self.function()?;
                insert(&mut self.schema.reducers, reducer, |reducer| &reducer.name);
            }
            2 => {
                let query = self.function()?;
                insert(&mut self.schema.queries, query, |query| &query.name);
            }
            _ => return Err(self.reader.fault(DecodeFault::Tag).into()),
        }
        self.schema.check_counts()?;
        Ok(self.reader.finish()?)
    }

    fn name(&mut self) -> Result<String, SchemaError> {
        Ok(self.reader.str()?.to_owned())
    }

    fn list<T>(
        &mut self,
        limit: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, SchemaError>,
    ) -> Result<Vec<T>, SchemaError> {
        let len = self.reader.varint_u32()? as usize;
        if len > limit {
            return Err(self.reader.fault(DecodeFault::TooLarge).into());
        }
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(item(self)?);
        }
        items.shrink_to_fit();
        Ok(items)
    }

    fn option<T>(
        &mut self,
        item: impl FnOnce(&mut Self) -> Result<T, SchemaError>,
    ) -> Result<Option<T>, SchemaError> {
        Ok(if self.reader.bool()? { Some(item(self)?) } else { None })
    }

    fn column(&mut self) -> Result<u16, SchemaError> {
        let fault = self.reader.fault(DecodeFault::TooLarge);
        Ok(u16::try_from(self.reader.varint_u32()?).map_err(|_| fault)?)
    }

    fn table(&mut self) -> Result<TableDef, SchemaError> {
        let name = self.name()?;
        let version = self.reader.varint_u32()?;
        let row = self.name()?;
        let fields = self.fields(0)?;
        self.define(TypeDef { name: row.clone(), kind: TypeKind::Struct(fields) })?;
        let primary_key = self.list(limits::FIELDS, Self::column)?;
        let auto_increment = self.option(Self::column)?;
        Ok(TableDef { name, version, row, primary_key, auto_increment })
    }

    fn function(&mut self) -> Result<FunctionDef, SchemaError> {
        Ok(FunctionDef {
            name: self.name()?,
            params: self.fields(0)?,
            returns: self.option(|decoder| decoder.ty(0))?,
            error: self.option(|decoder| decoder.ty(0))?,
            trigger: self.option(Self::trigger)?,
            access: self.list(limits::ITEMS, |decoder| {
                Ok(Access { table: decoder.name()?, allowed: AccessSet(decoder.reader.byte()?) })
            })?,
            calls: self.list(limits::ITEMS, |decoder| {
                Ok(CallDef {
                    module: decoder.name()?,
                    function: decoder.name()?,
                    signature: decoder.reader.varint_u64()?,
                })
            })?,
        })
    }

    fn trigger(&mut self) -> Result<Trigger, SchemaError> {
        let tag = self.reader.byte()?;
        Ok(match tag {
            0 => Trigger::Init,
            1 => Trigger::Load,
            2 => Trigger::Insert(self.table_ref()?),
            3 => Trigger::Update(self.table_ref()?),
            4 => Trigger::Delete(self.table_ref()?),
            _ => return Err(self.reader.fault(DecodeFault::Tag).into()),
        })
    }

    fn table_ref(&mut self) -> Result<TableRef, SchemaError> {
        Ok(TableRef { module: self.option(Self::name)?, table: self.name()? })
    }

    fn fields(&mut self, depth: usize) -> Result<Vec<Field>, SchemaError> {
        self.list(limits::FIELDS, |decoder| {
            Ok(Field { name: decoder.name()?, ty: decoder.ty(depth)? })
        })
    }

    fn ty(&mut self, depth: usize) -> Result<Type, SchemaError> {
        if depth >= limits::TYPE_DEPTH {
            return Err(self.reader.fault(DecodeFault::TooDeep).into());
        }
        let tag = self.reader.byte()?;
        Ok(match tag {
            TAG_OPTION => Type::Option(Box::new(self.ty(depth + 1)?)),
            TAG_LIST => Type::List(Box::new(self.ty(depth + 1)?)),
            TAG_STRUCT => {
                let name = self.name()?;
                let kind = TypeKind::Struct(self.fields(depth + 1)?);
                self.define(TypeDef { name: name.clone(), kind })?;
                Type::Named(name)
            }
            TAG_ENUM => {
                let name = self.name()?;
                let variants = self.list(limits::VARIANTS, |decoder| {
                    Ok(Variant { name: decoder.name()?, fields: decoder.fields(depth + 1)? })
                })?;
                self.define(TypeDef { name: name.clone(), kind: TypeKind::Enum(variants) })?;
                Type::Named(name)
            }
            tag => match PLAIN.get(usize::from(tag)) {
                Some((ty, _)) => ty.clone(),
                None => return Err(self.reader.fault(DecodeFault::Tag).into()),
            },
        })
    }

    /// Takes a named type up. Each use of it in a section spells it out, so
    /// that it comes by here more than once.
    fn define(&mut self, def: TypeDef) -> Result<(), SchemaError> {
        let types = &mut self.schema.types;
        match types.binary_search_by(|known| known.name.cmp(&def.name)) {
            Ok(known) if types.get(known) == Some(&def) => Ok(()),
            Ok(_) => Err(SchemaError::Invalid {
                at: format!("type {}", def.name),
                why: "two different types have this name; rename one of them".to_owned(),
            }),
            Err(at) => {
                types.insert(at, def);
                self.schema.check_counts()
            }
        }
    }
}
