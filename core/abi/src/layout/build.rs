//! Schema type -> layout.

use alloc::{borrow::ToOwned, boxed::Box, format, string::String, vec::Vec};

use super::{Composite, FieldLayout, Kind, Layout, Node, Shared, Step, VariantLayout, What};
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
        Layouts::of(schema).of_type(ty)
    }

    /// The layout of a struct with these fields: a row, a key, arguments. It
    /// may have none.
    ///
    /// # Errors
    ///
    /// As [`Layout::of_type`].
    pub fn of_fields(schema: &ModuleSchema, fields: &[Field]) -> Result<Self, SchemaError> {
        Layouts::of(schema).of_fields(fields)
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

/// Makes layouts of types of one schema. A named type that several of them have
/// is there once.
#[derive(Debug)]
pub struct Layouts<'a> {
    schema: &'a ModuleSchema,
    /// The named types that were met.
    known: Vec<Known<'a>>,
    /// How many more types may be resolved for the layout that is being made.
    /// A checked schema stays below.
    budget: usize,
    /// The depth that was reached.
    deepest: usize,
}

#[derive(Debug)]
struct Known<'a> {
    name: &'a str,
    layout: Layout,
    /// The types in it, itself included, and how deep they are nested: what it
    /// counts for wherever it is used again.
    types: usize,
    height: usize,
}

impl<'a> Layouts<'a> {
    /// Layouts of types of `schema`.
    pub fn of(schema: &'a ModuleSchema) -> Self {
        Self { schema, known: Vec::new(), budget: 0, deepest: 0 }
    }

    /// As [`Layout::of_type`].
    ///
    /// # Errors
    ///
    /// See there.
    pub fn of_type(&mut self, ty: &Type) -> Result<Layout, SchemaError> {
        self.budget = limits::SECTION_LEN;
        self.node(ty, 0)
    }

    /// As [`Layout::of_fields`].
    ///
    /// # Errors
    ///
    /// See there.
    pub fn of_fields(&mut self, fields: &[Field]) -> Result<Layout, SchemaError> {
        self.budget = limits::SECTION_LEN;
        self.fields("", fields, 0)
    }

    fn count(&mut self, ty: &Type, types: usize, deepest: usize) -> Result<(), SchemaError> {
        if deepest >= limits::TYPE_DEPTH || self.budget < types {
            return Err(invalid(&format!("type {ty}"), "its types are nested too deep"));
        }
        self.budget -= types;
        self.deepest = self.deepest.max(deepest);
        Ok(())
    }

    fn node(&mut self, ty: &Type, depth: usize) -> Result<Layout, SchemaError> {
        if !matches!(ty, Type::Named(_)) {
            self.count(ty, 1, depth)?;
        }
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
                let inner = self.node(inner, depth + 1)?;
                let size = check_size(&format!("type {ty}"), inner.size() + 1)?;
                let fixed = inner.is_fixed();
                Layout { size, fixed, ..Layout::of_kind(Kind::Option(inner.into())) }
            }
            Type::List(inner) => {
                let inner = self.node(inner, depth + 1)?;
                Layout::of_kind(Kind::List(inner.into()))
            }
            Type::Named(name) => self.named(ty, name, depth)?,
        })
    }

    fn named(&mut self, ty: &Type, name: &str, depth: usize) -> Result<Layout, SchemaError> {
        if let Some(known) = self.known.iter().find(|known| known.name == name) {
            let layout = known.layout.clone();
            self.count(ty, known.types, depth + known.height)?;
            return Ok(layout);
        }
        let (budget, deepest) = (self.budget, core::mem::replace(&mut self.deepest, depth));
        self.count(ty, 1, depth)?;
        let at = format!("type {name}");
        let schema = self.schema;
        let def = schema.type_def(name).ok_or_else(|| invalid(&at, "the type is not defined"))?;
        let layout = match &def.kind {
            TypeKind::Struct(fields) if fields.is_empty() => {
                return Err(invalid(&at, "a struct needs at least one field"));
            }
            TypeKind::Struct(fields) => self.fields(name, fields, depth + 1)?,
            TypeKind::Enum(variants) => self.variants(name, variants, depth + 1)?,
        };
        let (types, height) = (budget - self.budget, self.deepest - depth);
        self.known.push(Known { name: &def.name, layout: layout.clone(), types, height });
        self.deepest = self.deepest.max(deepest);
        Ok(layout)
    }

    fn variants(
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
            let fields = self.fields("", &variant.fields, depth)?;
            layouts.push(VariantLayout { name: variant.name.clone(), fields });
        }
        let fixed = layouts.iter().all(|variant| variant.fields.size == 0);
        let size = if fixed { 1 } else { 1 + 4 };
        let composite = Some(Shared::new(Composite { name: name.into(), ..Composite::default() }));
        Ok(Layout { composite, size, fixed, ..Layout::of_kind(Kind::Enum(layouts.into())) })
    }

    fn fields(
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
            let layout = self.node(&field.ty, depth)?;
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
            composite: Some(Shared::new(Composite { name: name.into(), steps, checks, tails })),
            size,
            packed_min,
            fixed: tails == 0,
            plain: layouts.iter().all(|field| field.layout.plain),
            kind: Kind::Struct(layouts.into()),
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
