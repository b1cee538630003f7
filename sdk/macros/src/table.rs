//! `#[table]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Error, Fields, Ident, ItemStruct, LitInt, LitStr, Meta, Token, Type,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

use crate::{
    column::{self, check_generics, struct_impls},
    encoding::Field,
    names::{check_name, module_name, snake_case, type_name, unknown_option},
};

/// The most columns of a primary key: keys are tuples in Rust.
const KEY_COLUMNS: usize = 6;

/// What stands in the parentheses of `#[table(...)]`.
#[derive(Default)]
pub(crate) struct Options {
    name: Option<LitStr>,
    version: Option<LitInt>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        let mut options = Self::default();
        while !input.is_empty() {
            let option: Ident = input.parse()?;
            match option.to_string().as_str() {
                "name" => {
                    input.parse::<Token![=]>()?;
                    options.name = Some(input.parse()?);
                }
                "version" => {
                    input.parse::<Token![=]>()?;
                    options.version = Some(input.parse()?);
                }
                _ => return Err(unknown_option(&option, "#[table]", &["name", "version"])),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

pub(crate) fn expand(options: &Options, item: &mut ItemStruct) -> Result<TokenStream, Error> {
    // Taken off first: whatever goes wrong, the compiler does not know them.
    let keys = take_keys(item)?;
    check_generics("a table", &item.generics)?;
    let fields = column::named_fields("a table", &item.ident, &item.fields)?;
    let key: Vec<usize> = (0..fields.len()).filter(|&index| keys[index].is_some()).collect();
    check_key(&item.ident, &key, &fields)?;
    let auto = auto_column(&keys)?;
    let row = type_name(&item.ident)?;
    let impls = struct_impls(&item.ident, &row, &fields);
    let table = table_impls(&item.ident, options, &fields, &key, auto)?;
    let columns = column_refs(item, &fields);
    Ok(quote! {
        #impls
        #table
        #columns
    })
}

/// A `#[key]` attribute.
pub(crate) struct KeyAttribute {
    auto: bool,
    attribute: Attribute,
}

/// Takes the `#[key]` attributes off the fields; one entry per field.
pub(crate) fn take_keys(item: &mut ItemStruct) -> Result<Vec<Option<KeyAttribute>>, Error> {
    let mut keys = Vec::new();
    let mut first_error: Option<Error> = None;
    for field in &mut item.fields {
        let mut key = None;
        field.attrs.retain(|attribute| match key_attribute(attribute) {
            Ok(None) => true,
            Ok(found) => {
                key = found;
                false
            }
            Err(error) => {
                first_error.get_or_insert(error);
                false
            }
        });
        keys.push(key);
    }
    first_error.map_or(Ok(keys), Err)
}

fn key_attribute(attribute: &Attribute) -> Result<Option<KeyAttribute>, Error> {
    let Some(name) = attribute.path().get_ident() else { return Ok(None) };
    match name.to_string().as_str() {
        "key" => {}
        "primary_key" | "auto_inc" | "auto_increment" | "autoinc" => {
            return Err(Error::new_spanned(
                attribute,
                "the primary key is marked with `#[key]`, or `#[key(auto)]` for a column that the host numbers",
            ));
        }
        "unique" | "index" => {
            return Err(Error::new_spanned(
                attribute,
                "tables have a primary key only: `#[key]` on one or several columns; a scan filters by any other column",
            ));
        }
        _ => return Ok(None),
    }
    let mut auto = false;
    match &attribute.meta {
        Meta::Path(_) => {}
        Meta::List(list) => {
            let option: Ident = list.parse_args()?;
            if option != "auto" {
                return Err(unknown_option(&option, "#[key]", &["auto"]));
            }
            auto = true;
        }
        Meta::NameValue(_) => {
            return Err(Error::new_spanned(attribute, "write `#[key]` or `#[key(auto)]`"));
        }
    }
    Ok(Some(KeyAttribute { auto, attribute: attribute.clone() }))
}

fn check_key(ident: &Ident, key: &[usize], fields: &[Field]) -> Result<(), Error> {
    if key.is_empty() {
        let candidate = fields.first().map_or("id", |field| &field.name);
        return Err(Error::new(
            ident.span(),
            format!(
                "the table `{ident}` has no primary key\nmark the columns that tell its rows apart with `#[key]`, for example `{candidate}`; `#[key(auto)] id: u64` is a column that the host numbers"
            ),
        ));
    }
    match key.get(KEY_COLUMNS) {
        None => Ok(()),
        Some(&index) => Err(Error::new(
            fields[index].ident.span(),
            format!("a primary key has at most {KEY_COLUMNS} columns"),
        )),
    }
}

fn auto_column(keys: &[Option<KeyAttribute>]) -> Result<Option<usize>, Error> {
    let mut auto = None;
    for (index, key) in keys.iter().enumerate() {
        let Some(key) = key else { continue };
        if key.auto && auto.is_some() {
            return Err(Error::new_spanned(
                &key.attribute,
                "the host numbers one column of a table: remove one `auto`",
            ));
        }
        if key.auto {
            auto = Some(index);
        }
    }
    Ok(auto)
}

impl Options {
    /// The table's name in the schema.
    fn table_name(&self, ident: &Ident, row: &str) -> Result<String, Error> {
        let (name, span) = match &self.name {
            Some(name) => (name.value(), name.span()),
            // May be longer than the struct's.
            None => (snake_case(row), ident.span()),
        };
        check_name(&name, span).map_err(|error| match &self.name {
            Some(_) => error,
            None => {
                let why =
                    format!("{error}\n`#[table(name = \"..\")]` gives the table another name");
                Error::new(span, why)
            }
        })?;
        Ok(name)
    }

    fn table_version(&self) -> Result<u32, Error> {
        let Some(version) = &self.version else { return Ok(1) };
        match version.base10_parse()? {
            0 => Err(Error::new(version.span(), "versions count from 1")),
            number => Ok(number),
        }
    }
}

fn table_impls(
    ident: &Ident,
    options: &Options,
    fields: &[Field],
    key: &[usize],
    auto: Option<usize>,
) -> Result<TokenStream, Error> {
    let module = module_name()?;
    let row = type_name(ident)?;
    let name = options.table_name(ident, &row)?;
    let version = options.table_version()?;
    let types: Vec<&Type> = key.iter().map(|&index| &fields[index].ty).collect();
    let key_type = match types.as_slice() {
        [ty] => quote!(#ty),
        types => quote!((#(#types),*)),
    };
    let checks = key_checks(&types, auto.map(|index| &fields[index].ty));
    let indexes = key.iter().map(|&index| index as u16);
    let auto_desc = match auto.map(|index| index as u16) {
        None => quote!(::core::option::Option::None),
        Some(index) => quote!(::core::option::Option::Some(#index)),
    };
    let take_number = auto.map(|index| take_number(&fields[index], index));
    let descs = crate::encoding::field_descs(fields);
    Ok(quote! {
        #checks

        #[automatically_derived]
        // SAFETY: `DESC` is of the struct's own fields, and is put into the schema below.
        unsafe impl ::interstice_sdk::Table for #ident {
            type Key = #key_type;
            const DESC: ::interstice_sdk::__private::section::TableDesc = {
                use ::interstice_sdk::__private::section::{StructDesc, TableDesc};
                TableDesc {
                    name: #name,
                    version: #version,
                    row: &StructDesc { name: #row, fields: &#descs },
                    primary_key: &[#(#indexes),*],
                    auto_increment: #auto_desc,
                }
            };
            const MODULE: &'static str = #module;

            #[inline]
            #[allow(unused_variables)]
            fn take_number(&mut self, slot: &Self::Slot) {
                #take_number
            }
        }

        #[automatically_derived]
        impl ::interstice_sdk::__private::Subscribable for #ident {
            const TABLE: ::interstice_sdk::__private::section::TableRefDesc =
                ::interstice_sdk::__private::section::TableRefDesc {
                    module: ::core::option::Option::None,
                    table: #name,
                };
        }

        ::interstice_sdk::__schema!(
            #module,
            ::interstice_sdk::__private::section::ItemDesc::Table(
                <#ident as ::interstice_sdk::Table>::DESC
            )
        );
    })
}

/// Reads the column that the host numbers from a row's slot: from the pair
/// behind those of the columns before it.
fn take_number(column: &Field, index: usize) -> TokenStream {
    let behind = (0..index).map(|_| quote!(.1));
    let ident = &column.ident;
    quote! {
        self.#ident = ::interstice_sdk::Column::decode(
            &slot #(#behind)* .0,
            ::interstice_sdk::__private::Stored::EMPTY,
        );
    }
}

/// Errors about types of the key, at the types.
fn key_checks(types: &[&Type], auto: Option<&Type>) -> TokenStream {
    let checks = types.iter().map(|ty| quote_spanned!(ty.span()=> key_column::<#ty>()));
    let auto_check = auto.map(|ty| quote_spanned!(ty.span()=> auto_column::<#ty>()));
    let auto_check = auto_check.into_iter();
    quote! {
        const _: fn() = || {
            #[allow(dead_code)]
            fn key_column<T: ::interstice_sdk::KeyColumn>() {}
            #[allow(dead_code)]
            fn auto_column<T: ::interstice_sdk::__private::AutoColumn>() {}
            #(#checks;)*
            #(#auto_check;)*
        };
    }
}

/// One constant per column, for filters.
fn column_refs(item: &ItemStruct, fields: &[Field]) -> TokenStream {
    let Fields::Named(named) = &item.fields else { return TokenStream::new() };
    let ident = &item.ident;
    let columns = fields.iter().zip(&named.named).enumerate().map(|(index, (field, syntax))| {
        let Field { ident: column, name, ty } = field;
        let vis = &syntax.vis;
        let index = index as u16;
        let doc = format!("The column `{name}`, for filters.");
        // At the column: where there is a method of that name, too, this is shown.
        let span = Span::call_site().located_at(column.span());
        quote_spanned! {span=>
            #[doc = #doc]
            #vis const #column: ::interstice_sdk::ColumnRef<#ident, #ty> =
                ::interstice_sdk::ColumnRef::at(#index);
        }
    });
    quote! {
        #[allow(non_upper_case_globals, dead_code)]
        impl #ident {
            #(#columns)*
        }
    }
}
