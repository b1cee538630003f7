//! Schema type -> layout.

use alloc::{borrow::ToOwned, boxed::Box, format, string::String, vec::Vec};

use super::{Composite, FieldLayout, Kind, Layout, Node, Step, VariantLayout, What};
use crate::schema::{Field, ModuleSchema, SchemaError, Type, TypeKind, Variant, limits};

impl Layout {
    /// The layout of `ty`, whose named types are those of `schema`.
    ///
    /// # Errors
    ///
    /// When a value's fixed part would be larger than
    /// [`limits::FIXED_SIZE`]; and whenever a schema that was not checked
    /// breaks a rule that layouts rest on.
    pub fn of_type(schema: &ModuleSchema, ty: &Type) -> Result<Self, SchemaError> {
        Builder { schema, budget: limits::SECTION_LEN }.of_type(ty, 0)
    }

    /// The layout of a struct with these fields: a row, a key, arguments. It
    /// may have none.
    ///
    /// # Errors
    ///
    /// As [`Layout::of_type`].
    pub fn of_fields(schema: &ModuleSchema, fields: &[Field]) -> Result<Self, SchemaError> {
        Builder { schema, budget: limits::SECTION_LEN }.of_fields("", fields, 0)
    }

    fn leaf(kind: Kind, size: u16) -> Self {
        let packed_min = match kind {
            Kind::F32 | Kind::F64 => size,
            _ => 1,
        };
        let plain = matches!(kind, Kind::Unsigned(_) | Kind::Signed(_) | Kind::Timestamp);
        let fixed = !matches!(kind, Kind::String | Kind::Bytes);
        Self { packed_min, plain, fixed, size, ..Self::of_kind(kind) }
    }

    /// A layout of which only the kind and what most others share is known.
    fn of_kind(kind: Kind) -> Self {
        Self { kind, composite: None, size: 8, packed_min: 1, fixed: false, plain: false }
    }
}

fn invalid(at: &str, why: impl Into<String>) -> SchemaError {
    SchemaError::Invalid { at: at.to_owned(), why: why.into() }
}

fn check_size(at: &str, size: usize) -> Result<u16, SchemaError> {
    match u16::try_from(size) {
        Ok(size) if u32::from(size) <= limits::FIXED_SIZE => Ok(size),
        _ => {
            let max = limits::FIXED_SIZE;
            let why = format!("its fixed part is larger than {max} bytes; put some into a list");
            Err(invalid(at, why))
        }
    }
}

struct Builder<'a> {
    schema: &'a ModuleSchema,
    /// How many more types may be resolved. A checked schema stays below.
    budget: usize,
}

impl Builder<'_> {
    fn of_type(&mut self, ty: &Type, depth: usize) -> Result<Layout, SchemaError> {
        if depth >= limits::TYPE_DEPTH || self.budget == 0 {
            return Err(invalid(&format!("type {ty}"), "its types are nested too deep"));
        }
        self.budget -= 1;
        Ok(match ty {
            Type::Bool => Layout::leaf(Kind::Bool, 1),
            Type::U8 => Layout::leaf(Kind::Unsigned(1), 1),
            Type::U16 => Layout::leaf(Kind::Unsigned(2), 2),
            Type::U32 => Layout::leaf(Kind::Unsigned(4), 4),
            Type::U64 => Layout::leaf(Kind::Unsigned(8), 8),
            Type::U128 => Layout::leaf(Kind::Unsigned(16), 16),
            Type::I8 => Layout::leaf(Kind::Signed(1), 1),
            Type::I16 => Layout::leaf(Kind::Signed(2), 2),
            Type::I32 => Layout::leaf(Kind::Signed(4), 4),
            Type::I64 => Layout::leaf(Kind::Signed(8), 8),
            Type::I128 => Layout::leaf(Kind::Signed(16), 16),
            Type::F32 => Layout::leaf(Kind::F32, 4),
            Type::F64 => Layout::leaf(Kind::F64, 8),
            Type::Timestamp => Layout::leaf(Kind::Timestamp, 8),
            Type::String => Layout::leaf(Kind::String, 8),
            Type::Bytes => Layout::leaf(Kind::Bytes, 8),
            Type::Option(inner) => {
                let inner = self.of_type(inner, depth + 1)?;
                let size = check_size(&format!("type {ty}"), inner.size() + 1)?;
                let fixed = inner.is_fixed();
                Layout { size, fixed, ..Layout::of_kind(Kind::Option(Box::new(inner))) }
            }
            Type::List(inner) => {
                let inner = self.of_type(inner, depth + 1)?;
                Layout::of_kind(Kind::List(Box::new(inner)))
            }
            Type::Named(name) => self.of_named(name, depth)?,
        })
    }

    fn of_named(&mut self, name: &str, depth: usize) -> Result<Layout, SchemaError> {
        let at = format!("type {name}");
        let schema = self.schema;
        match schema.type_def(name).map(|def| &def.kind) {
            None => Err(invalid(&at, "the type is not defined")),
            Some(TypeKind::Struct(fields)) if fields.is_empty() => {
                Err(invalid(&at, "a struct needs at least one field"))
            }
            Some(TypeKind::Struct(fields)) => self.of_fields(name, fields, depth + 1),
            Some(TypeKind::Enum(variants)) => self.of_variants(name, variants, depth + 1),
        }
    }

    fn of_variants(
        &mut self,
        name: &str,
        variants: &[Variant],
        depth: usize,
    ) -> Result<Layout, SchemaError> {
        if variants.is_empty() || variants.len() > limits::VARIANTS {
            let why = format!("an enum has 1 to {} variants", limits::VARIANTS);
            return Err(invalid(&format!("type {name}"), why));
        }
        let mut layouts = Vec::with_capacity(variants.len());
        for variant in variants {
            let fields = self.of_fields("", &variant.fields, depth)?;
            layouts.push(VariantLayout { name: variant.name.clone(), fields });
        }
        let fixed = layouts.iter().all(|variant| variant.fields.size == 0);
        let size = if fixed { 1 } else { 1 + 4 };
        let composite = Some(Box::new(Composite { name: name.into(), ..Composite::default() }));
        Ok(Layout { composite, size, fixed, ..Layout::of_kind(Kind::Enum(layouts)) })
    }

    fn of_fields(
        &mut self,
        name: &str,
        fields: &[Field],
        depth: usize,
    ) -> Result<Layout, SchemaError> {
        let at = if name.is_empty() { String::from("fields") } else { format!("type {name}") };
        if fields.len() > limits::FIELDS {
            return Err(invalid(&at, format!("more than {} fields", limits::FIELDS)));
        }
        let mut layouts = Vec::with_capacity(fields.len());
        let (mut size, mut packed_min) = (0u16, 0u16);
        for field in fields {
            let layout = self.of_type(&field.ty, depth)?;
            let offset = u32::from(size);
            size = check_size(&at, usize::from(size) + layout.size())?;
            // No type has more packed bytes at least than its slot has.
            packed_min += layout.packed_min;
            layouts.push(FieldLayout { name: field.name.clone(), offset, layout });
        }
        let steps = steps(&layouts);
        let tails = layouts
            .iter()
            .rev()
            .fold(0, |tails, field| tails << 1 | u64::from(!field.layout.fixed));
        let checks = steps.iter().filter(|step| !is_plain(step, &layouts)).copied().collect();
        Ok(Layout {
            composite: Some(Box::new(Composite { name: name.into(), steps, checks, tails })),
            size,
            packed_min,
            fixed: tails == 0,
            plain: layouts.iter().all(|field| field.layout.plain),
            kind: Kind::Struct(layouts),
        })
    }
}

/// The steps of a walk over `fields`: leaves, also those of structs that are
/// made of leaves only.
fn steps(fields: &[FieldLayout]) -> Box<[Step]> {
    let mut steps = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        // Sizes are below 2^16, and there are at most 64 fields.
        let (at, index) = (field.offset as u16, index as u16);
        match field.layout.node() {
            Node::Leaf(leaf) => steps.push(Step { at, field: index, what: What::Leaf(leaf) }),
            Node::Struct(inner, _)
                if inner.iter().all(|step| matches!(step.what, What::Leaf(_))) =>
            {
                let inner = inner.iter().copied();
                steps.extend(inner.map(|step| Step { at: at + step.at, field: index, ..step }));
            }
            _ => steps.push(Step { at, field: index, what: What::Field }),
        }
    }
    steps.into()
}

fn is_plain(step: &Step, fields: &[FieldLayout]) -> bool {
    use super::Leaf::{I8, I16, I32, I64, I128, U8, U16, U32, U64, U128};
    match step.what {
        What::Leaf(leaf) => {
            matches!(leaf, U8 | U16 | U32 | U64 | U128 | I8 | I16 | I32 | I64 | I128)
        }
        What::Field => fields.get(usize::from(step.field)).is_some_and(|field| field.layout.plain),
    }
}

const _: () = assert!(limits::FIXED_SIZE <= u16::MAX as u32 && limits::FIELDS <= 64);
