//! `#[derive(Column)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataEnum, DeriveInput, Error, Fields, Ident, spanned::Spanned};

use crate::{
    encoding::{self, Field},
    names::{schema_name, type_name},
};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream, Error> {
    let name = type_name(&input.ident)?;
    check_generics("a column type", &input.generics)?;
    match &input.data {
        Data::Struct(data) => {
            let fields = named_fields("a column type", &input.ident, &data.fields)?;
            Ok(struct_impls(&input.ident, &name, &fields))
        }
        Data::Enum(data) => {
            let variants = variants(&input.ident, data)?;
            Ok(enum_impls(&input.ident, &name, &variants))
        }
        Data::Union(_) => Err(Error::new(
            input.ident.span(),
            "a union does not say which of its fields it holds: use an enum",
        )),
    }
}

pub(crate) fn check_generics(what: &str, generics: &syn::Generics) -> Result<(), Error> {
    if generics.params.is_empty() {
        return Ok(());
    }
    let why = format!("{what} cannot be generic: the schema describes one type");
    Err(Error::new_spanned(generics, why))
}

/// The fields of a struct, which must have names.
pub(crate) fn named_fields(
    what: &str,
    ident: &Ident,
    fields: &Fields,
) -> Result<Vec<Field>, Error> {
    match fields {
        Fields::Named(named) if !named.named.is_empty() => {
            encoding::check_count(&format!("`{ident}`"), named.named.len(), ident.span())?;
            named.named.iter().map(field).collect()
        }
        Fields::Unnamed(unnamed) if !unnamed.unnamed.is_empty() => Err(Error::new_spanned(
            unnamed,
            format!("{what} needs names for its fields, for the schema and the log to show them"),
        )),
        _ => Err(Error::new(ident.span(), format!("`{ident}` has no fields; {what} needs one"))),
    }
}

pub(crate) fn field(field: &syn::Field) -> Result<Field, Error> {
    if let Some(cfg) = field.attrs.iter().find(|attr| attr.path().is_ident("cfg")) {
        let why = "a schema is the same in every build: fields cannot depend on `cfg`";
        return Err(Error::new_spanned(cfg, why));
    }
    encoding::check_type(&field.ty)?;
    match &field.ident {
        Some(ident) => {
            Ok(Field { ident: ident.clone(), name: schema_name(ident)?, ty: field.ty.clone() })
        }
        None => Err(Error::new(field.span(), "the field needs a name")),
    }
}

/// `Column` for a struct.
pub(crate) fn struct_impls(ident: &Ident, name: &str, fields: &[Field]) -> TokenStream {
    let encode = encoding::encode_items(fields);
    let decode = encoding::decode_items(fields);
    let descs = encoding::field_descs(fields);
    quote! {
        #[automatically_derived]
        // SAFETY: `TYPE` and the encoding are made of the same fields, in order.
        unsafe impl ::interstice_sdk::Column for #ident {
            const TYPE: ::interstice_sdk::__private::section::TypeDesc = {
                use ::interstice_sdk::__private::section::{StructDesc, TypeDesc};
                TypeDesc::Struct(&StructDesc { name: #name, fields: &#descs })
            };
            #encode
            #decode
        }
    }
}

/// A variant of an enum.
pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}

fn variants(ident: &Ident, data: &DataEnum) -> Result<Vec<Variant>, Error> {
    let limit = interstice_abi::schema::limits::VARIANTS;
    if data.variants.is_empty() || data.variants.len() > limit {
        let why = format!("`{ident}` needs 1 to {limit} variants");
        return Err(Error::new(ident.span(), why));
    }
    let variant = |variant: &syn::Variant| {
        if let Some((_, value)) = &variant.discriminant {
            let why = "a variant is stored as its position in the enum: remove the number";
            return Err(Error::new_spanned(value, why));
        }
        let fields = match &variant.fields {
            Fields::Unit => Vec::new(),
            fields => named_fields("a variant with payload", &variant.ident, fields)?,
        };
        let name = schema_name(&variant.ident)?;
        Ok(Variant { ident: variant.ident.clone(), name, fields })
    };
    data.variants.iter().map(variant).collect()
}

/// `Column` for an enum, and more if it has no payload.
pub(crate) fn enum_impls(ident: &Ident, name: &str, variants: &[Variant]) -> TokenStream {
    let is_plain = variants.iter().all(|variant| variant.fields.is_empty());
    let encoding = if is_plain { plain_enum(variants) } else { payload_enum(variants) };
    let descs = variants.iter().map(|Variant { name, fields, .. }| {
        let fields = encoding::field_descs(fields);
        quote!(VariantDesc { name: #name, fields: &#fields })
    });
    let markers = is_plain.then(|| {
        quote! {
            #[automatically_derived]
            impl ::interstice_sdk::KeyColumn for #ident {}
            #[automatically_derived]
            impl ::interstice_sdk::Comparable for #ident {}
        }
    });
    quote! {
        #[automatically_derived]
        // SAFETY: `TYPE` and the encoding are made of the same fields, in order.
        unsafe impl ::interstice_sdk::Column for #ident {
            const TYPE: ::interstice_sdk::__private::section::TypeDesc = {
                use ::interstice_sdk::__private::section::{EnumDesc, TypeDesc, VariantDesc};
                TypeDesc::Enum(&EnumDesc { name: #name, variants: &[#(#descs),*] })
            };
            #encoding
        }
        #markers
    }
}

/// The encoding of an enum without payload: its tag.
fn plain_enum(variants: &[Variant]) -> TokenStream {
    let idents: Vec<_> = variants.iter().map(|variant| &variant.ident).collect();
    let tags: Vec<_> = (0..variants.len()).map(|tag| tag as u8).collect();
    quote! {
        type Slot = [u8; 1];
        const IS_FIXED: bool = true;

        #[inline]
        fn encode(&self, _tail: &mut ::interstice_sdk::__private::Tail) -> [u8; 1] {
            match self {
                #(Self::#idents => [#tags],)*
            }
        }

        #[inline]
        fn decode(slot: &[u8; 1], _stored: ::interstice_sdk::__private::Stored<'_>) -> Self {
            match slot[0] {
                #(#tags => Self::#idents,)*
                _ => ::interstice_sdk::__private::malformed(),
            }
        }
    }
}

/// The encoding of an enum with payload: its tag, and the payload in the tail.
fn payload_enum(variants: &[Variant]) -> TokenStream {
    let writes = variants.iter().zip(0u8..).map(|(Variant { ident, fields, .. }, tag)| {
        let variables = encoding::variables(fields);
        let names = fields.iter().map(|field| &field.ident);
        let parts = fields.iter().zip(&variables).map(|(Field { ty, .. }, variable)| {
            let encode = encoding::column(ty, &quote!(encode));
            quote!(#encode(#variable, tail))
        });
        let payload = encoding::pairs(parts);
        quote!(Self::#ident { #(#names: #variables),* } => tail.payload(#tag, |tail| #payload))
    });
    let reads = variants.iter().zip(0u8..).map(|(Variant { ident, fields, .. }, tag)| {
        if fields.is_empty() {
            return quote!(#tag => Self::#ident);
        }
        let variables = encoding::variables(fields);
        let slot = encoding::slot_type(fields);
        let pattern = encoding::pairs(variables.iter().map(|variable| quote!(#variable)));
        let values = encoding::decode_fields(fields);
        quote! {
            #tag => {
                let #pattern = stored.payload::<#slot>(offset);
                Self::#ident { #values }
            }
        }
    });
    quote! {
        type Slot = ::interstice_sdk::__private::Tagged;
        const IS_FIXED: bool = false;

        #[allow(unused_variables)]
        fn encode(
            &self,
            tail: &mut ::interstice_sdk::__private::Tail,
        ) -> ::interstice_sdk::__private::Tagged {
            match self {
                #(#writes,)*
            }
        }

        fn decode(
            ::interstice_sdk::__private::Pair([tag], offset): &::interstice_sdk::__private::Tagged,
            stored: ::interstice_sdk::__private::Stored<'_>,
        ) -> Self {
            match *tag {
                #(#reads,)*
                _ => ::interstice_sdk::__private::malformed(),
            }
        }
    }
}
