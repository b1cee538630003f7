//! Row layout for structs: their fields' slots one behind the other.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, Ident, Type, spanned::Spanned};

/// A field of a struct, of an enum's variant, or a parameter.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    /// Its name in the schema.
    pub(crate) name: String,
    pub(crate) ty: Type,
}

/// The slot of a struct with these fields.
pub(crate) fn slot_type(fields: &[Field]) -> TokenStream {
    fields.iter().rev().fold(quote!(()), |rest, Field { ty, .. }| {
        let slot = column(ty, &quote!(Slot));
        quote!(::interstice_sdk::__private::Pair<#slot, #rest>)
    })
}

/// An item of `ty` as a column type. What the compiler finds missing, it
/// reports at the type, and for all items alike: once.
pub(crate) fn column(ty: &Type, item: &TokenStream) -> TokenStream {
    let as_column = quote_spanned!(ty.span()=> <#ty as ::interstice_sdk::Column>);
    quote!(#as_column::#item)
}

/// Nested pairs of `parts`, as expression or pattern.
pub(crate) fn pairs(parts: impl DoubleEndedIterator<Item = TokenStream>) -> TokenStream {
    parts
        .rev()
        .fold(quote!(()), |rest, part| quote!(::interstice_sdk::__private::Pair(#part, #rest)))
}

/// Variables for the parts of a field each, which no field can be named like.
pub(crate) fn variables(fields: &[Field]) -> Vec<Ident> {
    (0..fields.len()).map(|index| format_ident!("__{index}")).collect()
}

/// The descriptions of the fields, as an array.
pub(crate) fn field_descs(fields: &[Field]) -> TokenStream {
    let descs = fields.iter().map(|Field { name, ty, .. }| {
        let ty = column(ty, &quote!(TYPE));
        quote!(::interstice_sdk::__private::section::FieldDesc { name: #name, ty: #ty })
    });
    quote!([#(#descs),*])
}

/// What an implementation consists of that writes a struct with these fields.
pub(crate) fn encode_items(fields: &[Field]) -> TokenStream {
    let slot = slot_type(fields);
    let fixed = fields.iter().map(|Field { ty, .. }| column(ty, &quote!(IS_FIXED)));
    let parts = pairs(fields.iter().map(|Field { ident, ty, .. }| {
        let encode = column(ty, &quote!(encode));
        quote!(#encode(&self.#ident, tail))
    }));
    quote! {
        type Slot = #slot;
        const IS_FIXED: bool = true #(&& #fixed)*;

        #[inline]
        #[allow(unused_variables, clippy::unused_unit)]
        fn encode(&self, tail: &mut ::interstice_sdk::__private::Tail) -> #slot {
            #parts
        }
    }
}

/// What an implementation consists of that reads a struct with these fields.
pub(crate) fn decode_items(fields: &[Field]) -> TokenStream {
    let slot = slot_type(fields);
    let variables = variables(fields);
    let pattern = pairs(variables.iter().map(|variable| quote!(#variable)));
    let values = decode_fields(fields);
    quote! {
        #[inline]
        #[allow(unused_variables)]
        fn decode(
            slot: &#slot,
            stored: ::interstice_sdk::__private::Stored<'_>,
        ) -> Self {
            let #pattern = slot;
            Self { #values }
        }
    }
}

/// The fields of a struct expression, read from their [`variables`].
pub(crate) fn decode_fields(fields: &[Field]) -> TokenStream {
    let values = fields.iter().zip(variables(fields)).map(|(Field { ident, ty, .. }, slot)| {
        let decode = column(ty, &quote!(decode));
        quote!(#ident: #decode(#slot, stored))
    });
    quote!(#(#values),*)
}

/// Types whose name is known and that can never be a column: with the fix,
/// instead of what the compiler would say about a trait.
pub(crate) fn check_type(ty: &Type) -> Result<(), Error> {
    match ty {
        Type::Reference(reference) => {
            let owned = match &*reference.elem {
                Type::Path(path) if path.path.is_ident("str") => "`String`",
                Type::Slice(_) => "`Vec<..>`, or `Bytes` for bytes",
                _ => "the type without `&`",
            };
            let why = format!("values are owned here, not borrowed: use {owned}");
            Err(Error::new_spanned(ty, why))
        }
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return Ok(()) };
            if let syn::PathArguments::AngleBracketed(arguments) = &last.arguments {
                for argument in &arguments.args {
                    if let syn::GenericArgument::Type(ty) = argument {
                        check_type(ty)?;
                    }
                }
            }
            let why = match last.ident.to_string().as_str() {
                "usize" => "`usize` has another size on every machine: use `u32` or `u64`",
                "isize" => "`isize` has another size on every machine: use `i32` or `i64`",
                "char" => "`char` is not a column type: use `u32` or `String`",
                "HashMap" | "BTreeMap" | "HashSet" | "BTreeSet" => {
                    "a map or set is a table of its own here: `#[table]` with the map's key as `#[key]`; or use `Vec<..>`"
                }
                _ => return Ok(()),
            };
            Err(Error::new_spanned(ty, why))
        }
        Type::Array(_) => Err(Error::new_spanned(
            ty,
            "arrays are not column types: use `Vec<..>`, `Bytes`, or one field per element",
        )),
        Type::Tuple(tuple) if !tuple.elems.is_empty() => Err(Error::new_spanned(
            ty,
            "tuples are not column types: make a struct with `#[derive(Column)]`, whose fields have names",
        )),
        Type::ImplTrait(_) => {
            Err(Error::new_spanned(ty, "the type has to be named, for the schema to know it"))
        }
        _ => Ok(()),
    }
}

/// Refuses more fields than a schema can have.
pub(crate) fn check_count(what: &str, count: usize, span: Span) -> Result<(), Error> {
    let limit = interstice_abi::schema::limits::FIELDS;
    if count > limit {
        return Err(Error::new(span, format!("{what} has {count} fields, {limit} are possible")));
    }
    Ok(())
}
