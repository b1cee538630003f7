//! `import!`: a schema file becomes a module of Rust items.

use std::{fs, path::PathBuf};

use interstice_abi::schema::{
    self, FunctionDef, ModuleSchema, TableDef, Type as SchemaType, TypeDef, TypeKind,
};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Error, Ident, LitStr};

use crate::{
    column::{Variant, enum_impls, struct_impls},
    encoding::Field,
    function::args_struct,
    names::{camel_case, module_name},
};

pub(crate) fn expand(file: &LitStr) -> Result<TokenStream, Error> {
    let schema = read(file)?;
    let import = Import { schema: &schema, file };
    import.check()?;
    let types = schema.types.iter().map(|def| import.type_def(def));
    let types = types.collect::<Result<Vec<_>, _>>()?;
    let tables = schema.tables.iter().map(|table| import.table(table));
    let tables = tables.collect::<Result<Vec<_>, _>>()?;
    let functions = schema.reducers.iter().map(|def| import.function(def, true));
    let functions = functions.chain(schema.queries.iter().map(|def| import.function(def, false)));
    let functions = functions.collect::<Result<Vec<_>, _>>()?;
    let module = import.ident(&schema.module)?;
    let doc = format!(
        "The module `{}`, as `{}` describes it: made by `import!`.",
        schema.module,
        file.value()
    );
    let path = format!("/{}", file.value());
    Ok(quote! {
        #[doc = #doc]
        #[allow(dead_code, non_camel_case_types, non_snake_case, clippy::all)]
        pub mod #module {
            // So that a change of the file is a change of this crate.
            const _: &[u8] = ::core::include_bytes!(
                ::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), #path)
            );
            #(#types)*
            #(#tables)*
            #(#functions)*
        }
    })
}

/// Reads and checks the schema file.
fn read(file: &LitStr) -> Result<ModuleSchema, Error> {
    let fail = |why: String| Error::new(file.span(), why);
    let Ok(root) = std::env::var("CARGO_MANIFEST_DIR") else {
        return Err(fail(
            "`import!` finds its file from Cargo.toml's folder: build with cargo".into(),
        ));
    };
    let name = file.value();
    let text = fs::read_to_string(PathBuf::from(root).join(&name)).map_err(|error| {
        fail(format!(
            "cannot read the schema file `{name}`, looked for in Cargo.toml's folder: {error}\n`interstice schema --format json hello.wasm > {name}` writes one"
        ))
    })?;
    let schema: ModuleSchema = serde_json::from_str(&text)
        .map_err(|error| fail(format!("`{name}` is not a schema file: {error}")))?;
    schema
        .validate()
        .map_err(|error| fail(format!("the schema in `{name}` is invalid: {error}")))?;
    Ok(schema)
}

struct Import<'a> {
    schema: &'a ModuleSchema,
    file: &'a LitStr,
}

impl Import<'_> {
    fn fail<T>(&self, why: &str) -> Result<T, Error> {
        Err(Error::new(self.file.span(), format!("`{}`: {why}", self.file.value())))
    }

    fn check(&self) -> Result<(), Error> {
        if self.schema.module == module_name()? {
            let why = format!(
                "this is the schema of `{}` itself: a module uses its own tables and functions directly",
                self.schema.module
            );
            return self.fail(&why);
        }
        Ok(())
    }

    /// A name of the schema as a Rust name; keywords become raw identifiers.
    fn ident(&self, name: &str) -> Result<Ident, Error> {
        if syn::parse_str::<Ident>(name).is_ok() {
            return Ok(Ident::new(name, Span::call_site()));
        }
        if syn::parse_str::<Ident>(&format!("r#{name}")).is_ok() {
            return Ok(Ident::new_raw(name, Span::call_site()));
        }
        self.fail(&format!("`{name}` cannot be a name in Rust"))
    }

    /// The Rust name of a named type. A type of a third module, `other.Thing`,
    /// is `OtherThing` here.
    fn type_ident(&self, name: &str) -> Result<Ident, Error> {
        match name.split_once('.') {
            Some((module, name)) => self.ident(&format!("{}{name}", camel_case(module))),
            None => self.ident(name),
        }
    }

    /// The name that a type of the imported module has in the importing one.
    fn schema_name(&self, name: &str) -> String {
        match name.contains('.') {
            true => name.to_owned(),
            false => format!("{}.{name}", self.schema.module),
        }
    }

    fn ty(&self, ty: &SchemaType) -> Result<syn::Type, Error> {
        let tokens = match ty {
            SchemaType::Timestamp => quote!(::interstice_sdk::Timestamp),
            SchemaType::String => quote!(::interstice_sdk::prelude::String),
            SchemaType::Bytes => quote!(::interstice_sdk::Bytes),
            SchemaType::Option(inner) => {
                let inner = self.ty(inner)?;
                quote!(::core::option::Option<#inner>)
            }
            SchemaType::List(inner) => {
                let inner = self.ty(inner)?;
                quote!(::interstice_sdk::prelude::Vec<#inner>)
            }
            SchemaType::Named(name) => {
                let ident = self.type_ident(name)?;
                quote!(#ident)
            }
            // The others are called in Rust as in the schema.
            plain => {
                let ident = format_ident!("{}", plain.to_string());
                quote!(::core::primitive::#ident)
            }
        };
        syn::parse2(tokens)
    }

    fn fields(&self, fields: &[schema::Field]) -> Result<Vec<Field>, Error> {
        let field = |field: &schema::Field| {
            let ident = self.ident(&field.name)?;
            Ok(Field { ident, name: field.name.clone(), ty: self.ty(&field.ty)? })
        };
        fields.iter().map(field).collect()
    }

    fn type_def(&self, def: &TypeDef) -> Result<TokenStream, Error> {
        let ident = self.type_ident(&def.name)?;
        let name = self.schema_name(&def.name);
        match &def.kind {
            TypeKind::Struct(fields) => {
                let fields = self.fields(fields)?;
                let impls = struct_impls(&ident, &name, &fields);
                let (idents, types) = idents_and_types(&fields);
                let doc = format!("The struct `{name}`.");
                Ok(quote! {
                    #[doc = #doc]
                    #[derive(Clone, Debug, PartialEq)]
                    #[allow(missing_docs)]
                    pub struct #ident { #(pub #idents: #types,)* }
                    #impls
                })
            }
            TypeKind::Enum(variants) => {
                let variant = |variant: &schema::Variant| {
                    let ident = self.ident(&variant.name)?;
                    let fields = self.fields(&variant.fields)?;
                    Ok(Variant { ident, name: variant.name.clone(), fields })
                };
                let variants = variants.iter().map(variant).collect::<Result<Vec<_>, Error>>()?;
                let impls = enum_impls(&ident, &name, &variants);
                let definitions = variants.iter().map(|Variant { ident, fields, .. }| {
                    let (idents, types) = idents_and_types(fields);
                    match fields.is_empty() {
                        true => quote!(#ident),
                        false => quote!(#ident { #(#idents: #types,)* }),
                    }
                });
                let doc = format!("The enum `{name}`.");
                Ok(quote! {
                    #[doc = #doc]
                    #[derive(Clone, Debug, PartialEq)]
                    #[allow(missing_docs)]
                    pub enum #ident { #(#definitions,)* }
                    #impls
                })
            }
        }
    }

    /// What makes a row type stand for its table in `on(insert(..))`.
    fn table(&self, table: &TableDef) -> Result<TokenStream, Error> {
        let same_row = |other: &&TableDef| other.row == table.row && other.name != table.name;
        if let Some(other) = self.schema.tables.iter().find(same_row) {
            let why = format!(
                "the tables `{}` and `{}` have the same row type `{}`; `import!` needs one per table",
                table.name, other.name, table.row
            );
            return self.fail(&why);
        }
        let ident = self.type_ident(&table.row)?;
        let (module, name) = (&self.schema.module, &table.name);
        Ok(quote! {
            #[automatically_derived]
            impl ::interstice_sdk::__private::Subscribable for #ident {
                const TABLE: ::interstice_sdk::__private::section::TableRefDesc =
                    ::interstice_sdk::__private::section::TableRefDesc {
                        module: ::core::option::Option::Some(#module),
                        table: #name,
                    };
            }
        })
    }

    /// A function that calls a reducer or query, and the type that stands for
    /// it in `calls(..)`.
    fn function(&self, def: &FunctionDef, is_reducer: bool) -> Result<TokenStream, Error> {
        if def.trigger.is_some() {
            return Ok(TokenStream::new());
        }
        let (module, name) = (&self.schema.module, &def.name);
        let ident = self.ident(name)?;
        let signature = match self.schema.signature(def) {
            Ok(signature) => signature,
            Err(error) => return self.fail(&error.to_string()),
        };
        let params = self.fields(&def.params)?;
        let (idents, types) = idents_and_types(&params);
        let args = args_struct(&params, true);
        let returns = match &def.returns {
            None => quote!(()),
            Some(ty) => {
                let ty = self.ty(ty)?;
                quote!(#ty)
            }
        };
        let (output, call) = match &def.error {
            None => (returns.clone(), quote!(call::<#ident, __Args, #returns>)),
            Some(error) => {
                let error = self.ty(error)?;
                (
                    quote!(::core::result::Result<#returns, #error>),
                    quote!(call_fallible::<#ident, __Args, #returns, #error>),
                )
            }
        };
        // A parameter may have this name, too.
        let (ctx, context) = (Ident::new("ctx", Span::mixed_site()), quote!(__Context));
        let bound = is_reducer.then(|| quote!(+ ::interstice_sdk::ReducerContext));
        let noun = if is_reducer { "reducer" } else { "query" };
        let doc = format!("Calls the {noun} `{name}` of the module `{module}`.");
        let doc_type = format!("The {noun} `{name}`, for `calls({module}::{name})`.");
        Ok(quote! {
            #[doc = #doc_type]
            pub enum #ident {}

            #[automatically_derived]
            impl ::interstice_sdk::__private::External for #ident {
                const CALL: ::interstice_sdk::__private::section::CallDesc =
                    ::interstice_sdk::__private::section::CallDesc {
                        module: #module,
                        function: #name,
                        signature: #signature,
                    };
            }

            #[doc = #doc]
            pub fn #ident<#context>(#ctx: &#context, #(#idents: #types),*) -> #output
            where
                #context: ::interstice_sdk::__private::MayCall<#ident> #bound,
            {
                #args
                let _ = #ctx;
                // SAFETY: the types are those of the schema that the signature is of.
                unsafe { ::interstice_sdk::__private::#call(&__Args { #(#idents),* }) }
            }
        })
    }
}

fn idents_and_types(fields: &[Field]) -> (Vec<&Ident>, Vec<&syn::Type>) {
    fields.iter().map(|field| (&field.ident, &field.ty)).unzip()
}
