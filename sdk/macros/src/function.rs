//! `#[reducer]` and `#[query]`.

use interstice_abi::schema::is_identifier;
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Error, FnArg, GenericArgument, Ident, ItemFn, Pat, Path, PathArguments, ReturnType, Safety,
    Type, Visibility, ext::IdentExt, spanned::Spanned,
};

use crate::{
    encoding::{self, Field},
    names::{camel_case, is_rust_name, module_name, schema_name},
    options::{Options, Trigger, field_name},
};

/// What kind of function is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Reducer,
    Query,
}

impl Kind {
    fn noun(self) -> &'static str {
        match self {
            Self::Reducer => "reducer",
            Self::Query => "query",
        }
    }
}

/// A reducer or query whose signature was checked.
struct Function<'a> {
    kind: Kind,
    module: String,
    name: String,
    item: &'a ItemFn,
    /// `GreetContext`.
    context: Ident,
    params: Vec<Field>,
    options: &'a Options,
}

pub(crate) fn expand(kind: Kind, options: &Options, item: &ItemFn) -> Result<TokenStream, Error> {
    if kind == Kind::Query {
        options.check_query()?;
    }
    check_signature(kind, item)?;
    let name = schema_name(&item.sig.ident)?;
    let context = context_ident(kind, &name, item)?;
    check_context(kind, item, &context)?;
    let params = params(item)?;
    check_param_names(&params)?;
    encoding::check_count(&format!("`{name}`"), params.len(), item.sig.ident.span())?;
    if let Some(trigger) = &options.trigger {
        check_trigger_params(trigger, item, &params)?;
    }
    if let ReturnType::Type(_, ty) = &item.sig.output {
        check_return_type(ty)?;
    }
    let module = module_name()?;
    let function = Function { kind, module, name, item, context, params, options };
    let context = function.context();
    let marker = function.marker();
    let glue = function.glue();
    Ok(quote! {
        #item
        #context
        #marker
        #glue
    })
}

fn check_signature(kind: Kind, item: &ItemFn) -> Result<(), Error> {
    let noun = kind.noun();
    let sig = &item.sig;
    if let Some(FnArg::Receiver(receiver)) = sig.inputs.first() {
        let why = format!(
            "a {noun} is a free function, not a method: what it may use is in its context, `ctx: &{}Context`",
            camel_case(&sig.ident.unraw().to_string())
        );
        return Err(Error::new_spanned(receiver, why));
    }
    if let Some(asyncness) = &sig.asyncness {
        let why = format!(
            "a {noun} cannot be async: it runs to its end in one transaction, and waits for nothing\nwhat happens later is a reducer of its own: `on(...)`, or `schedule`"
        );
        return Err(Error::new(asyncness.span(), why));
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        let why = format!(
            "a {noun} cannot be generic: the schema describes one function\na helper function that it calls can be"
        );
        return Err(Error::new_spanned(&sig.generics, why));
    }
    let safety = match &sig.safety {
        Safety::Safe(safe) => Some(safe.span()),
        Safety::Unsafe(token) => Some(token.span()),
        Safety::Default => None,
    };
    let odd = [
        safety,
        sig.constness.as_ref().map(Spanned::span),
        sig.abi.as_ref().map(Spanned::span),
        sig.variadic.as_ref().map(Spanned::span),
    ];
    match odd.into_iter().flatten().next() {
        Some(span) => Err(Error::new(span, format!("a {noun} is a plain `fn`"))),
        None => Ok(()),
    }
}

/// `GreetContext` for `greet`.
fn context_ident(kind: Kind, name: &str, item: &ItemFn) -> Result<Ident, Error> {
    let context = format!("{}Context", camel_case(name));
    let span = item.sig.ident.span();
    if is_rust_name(&context) {
        return Ok(Ident::new(&context, span));
    }
    let why = format!(
        "the context of `{name}` would be `{context}`, which cannot be a name in Rust: begin the name of a {} with a letter",
        kind.noun()
    );
    Err(Error::new(span, why))
}

/// The first parameter must be `ctx: &GreetContext`.
fn check_context(kind: Kind, item: &ItemFn, context: &Ident) -> Result<(), Error> {
    let noun = kind.noun();
    let name = &item.sig.ident;
    let Some(FnArg::Typed(first)) = item.sig.inputs.first() else {
        let why = format!("a {noun}'s first parameter is its context: `ctx: &{context}`");
        return Err(Error::new(name.span(), why));
    };
    let Type::Reference(reference) = &*first.ty else {
        let why = format!(
            "a {noun}'s first parameter is its context: `ctx: &{context}`\n`#[{noun}]` makes this type from the function's name"
        );
        return Err(Error::new_spanned(&first.ty, why));
    };
    let found = match &*reference.elem {
        Type::Path(path) => path.path.get_ident(),
        _ => None,
    };
    if found != Some(context) {
        let why = format!(
            "the context of `{name}` is `&{context}`: `#[{noun}]` makes this type from the function's name"
        );
        return Err(Error::new_spanned(&first.ty, why));
    }
    match &reference.mutability {
        Some(_) => {
            let why =
                format!("a context is shared, also to write: take `&{context}` without `mut`");
            Err(Error::new_spanned(&first.ty, why))
        }
        None => Ok(()),
    }
}

/// The parameters behind the context.
fn params(item: &ItemFn) -> Result<Vec<Field>, Error> {
    let param = |param: &FnArg| {
        let FnArg::Typed(param) = param else {
            return Err(Error::new_spanned(param, "a parameter needs a name and a type"));
        };
        let Pat::Ident(pattern) = &*param.pat else {
            let why = "a parameter needs a plain name, for the schema and for callers to use; take it apart in the body";
            return Err(Error::new_spanned(&param.pat, why));
        };
        encoding::check_type(&param.ty)?;
        let ident = pattern.ident.clone();
        // `_limit` is `limit` to callers: that it is unused is nobody's business.
        let name = schema_name(&ident)?;
        let name = match name.trim_start_matches('_') {
            trimmed if is_identifier(trimmed) => trimmed.to_owned(),
            _ => name,
        };
        Ok(Field { name, ident, ty: (*param.ty).clone() })
    };
    item.sig.inputs.iter().skip(1).map(param).collect()
}

/// Refuses parameters that callers could not tell apart.
fn check_param_names(params: &[Field]) -> Result<(), Error> {
    for (index, param) in params.iter().enumerate() {
        let Some(other) = params[..index].iter().find(|other| other.name == param.name) else {
            continue;
        };
        let why = format!(
            "two parameters would both be `{}` to callers, who do not see a `_` in front: rename one",
            param.name
        );
        let mut error = Error::new(param.ident.span(), why);
        error.combine(Error::new(other.ident.span(), "the other one"));
        return Err(error);
    }
    Ok(())
}

fn check_return_type(ty: &Type) -> Result<(), Error> {
    match result_parts(ty) {
        Some((ok, error)) => {
            encoding::check_type(ok)?;
            encoding::check_type(error)
        }
        None => encoding::check_type(ty),
    }
}

/// `T` and `E` of a type that is written `Result<T, E>`.
fn result_parts(ty: &Type) -> Option<(&Type, &Type)> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Result")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    let mut types = arguments.args.iter().map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    match (types.next()??, types.next()??, types.next()) {
        (ok, error, None) => Some((ok, error)),
        _ => None,
    }
}

/// A triggered reducer's parameters are the rows that changed.
fn check_trigger_params(trigger: &Trigger, item: &ItemFn, params: &[Field]) -> Result<(), Error> {
    let row = |table: &Path| table.segments.last().map_or("Row".into(), |s| s.ident.to_string());
    let (expected, how) = match trigger {
        Trigger::Init | Trigger::Load => {
            (0, "a reducer that runs at `init` or `load` takes nothing but its context".into())
        }
        Trigger::Insert(table) => {
            let row = row(table);
            (1, format!("a reducer on `insert` takes the new row: `(ctx, row: {row})`"))
        }
        Trigger::Update(table) => {
            let row = row(table);
            let how = format!(
                "a reducer on `update` takes the old and the new row: `(ctx, old: {row}, new: {row})`"
            );
            (2, how)
        }
        Trigger::Delete(table) => {
            let row = row(table);
            (1, format!("a reducer on `delete` takes the deleted row: `(ctx, row: {row})`"))
        }
    };
    if params.len() == expected {
        return Ok(());
    }
    let span = match params.get(expected) {
        Some(extra) => extra.ident.span(),
        None => item.sig.ident.span(),
    };
    Err(Error::new(span, how))
}

impl Function<'_> {
    fn vis(&self) -> &Visibility {
        &self.item.vis
    }

    /// The context type, with a handle per declared table.
    fn context(&self) -> TokenStream {
        let Self { kind, module, name, context, options, .. } = self;
        let vis = self.vis();
        let noun = kind.noun();
        let doc = format!("What the {noun} `{name}` knows and may do.");
        let fields: Vec<TokenStream> = options.tables.iter().map(table_field).collect();
        let names: Vec<Ident> = options.tables.iter().map(|t| field_ident(&t.path)).collect();
        let kind_trait = match kind {
            Kind::Reducer => quote!(::interstice_sdk::ReducerContext),
            Kind::Query => quote!(::interstice_sdk::QueryContext),
        };
        let calls = options.calls.iter().map(|call| {
            quote_spanned! {call.span()=>
                #[automatically_derived]
                impl ::interstice_sdk::__private::MayCall<#call> for #context {}
            }
        });
        quote! {
            #[doc = #doc]
            #[allow(dead_code)]
            #vis struct #context {
                #(#fields,)*
            }

            #[automatically_derived]
            impl ::interstice_sdk::Context for #context {
                const FUNCTION: ::interstice_sdk::__private::Function =
                    ::interstice_sdk::__private::Function { module: #module, name: #name };

                #[inline]
                fn __new() -> Self {
                    Self { #(#names: ::interstice_sdk::Handle::__new(),)* }
                }
            }

            #[automatically_derived]
            impl #kind_trait for #context {}
            #(#calls)*
        }
    }

    /// A type with the name of the reducer, for `cleanup::schedule(..)`.
    fn marker(&self) -> TokenStream {
        if self.kind == Kind::Query || self.options.trigger.is_some() {
            return TokenStream::new();
        }
        let Self { name, params, .. } = self;
        let (vis, ident) = (self.vis(), &self.item.sig.ident);
        let idents: Vec<&Ident> = params.iter().map(|param| &param.ident).collect();
        let types = params.iter().map(|param| &param.ty);
        let args = args_struct(params, true);
        // Parameters of the reducer may have these names, too.
        let (ctx, at) =
            (Ident::new("ctx", Span::mixed_site()), Ident::new("at", Span::mixed_site()));
        let doc = format!("The reducer `{name}`, to be scheduled.");
        let doc_schedule = format!(
            "Runs `{name}` once the time is `at`, as a transaction of its own. Part of this transaction: rolled back with it."
        );
        // At the name: where a module has it, too, this is shown.
        let span = Span::call_site().located_at(ident.span());
        let marker = quote_spanned! {span=>
            #[doc = #doc]
            #[allow(non_camel_case_types, dead_code)]
            #vis enum #ident {}
        };
        quote! {
            #marker

            #[allow(dead_code)]
            impl #ident {
                #[doc = #doc_schedule]
                #vis fn schedule(
                    #ctx: &impl ::interstice_sdk::ReducerContext,
                    #at: ::interstice_sdk::Timestamp,
                    #(#idents: #types),*
                ) {
                    #args
                    ::interstice_sdk::__private::schedule(
                        #ctx,
                        ::interstice_sdk::__private::NameId::of(#name),
                        #at,
                        &__Args { #(#idents),* },
                    );
                }
            }
        }
    }

    /// Schema entry and export.
    fn glue(&self) -> TokenStream {
        let Self { kind, module, name, context, params, options, .. } = self;
        let ident = &self.item.sig.ident;
        let idents = params.iter().map(|param| &param.ident);
        let args = args_struct(params, false);
        let decode = encoding::decode_items(params);
        let descriptor = self.descriptor();
        let item_kind = match kind {
            Kind::Reducer => quote!(Reducer),
            Kind::Query => quote!(Query),
        };
        let export = match kind {
            Kind::Reducer => format!("{}{name}", interstice_abi::host_calls::REDUCER_PREFIX),
            Kind::Query => format!("{}{name}", interstice_abi::host_calls::QUERY_PREFIX),
        };
        let row_checks = options.trigger.as_ref().map(|trigger| row_checks(trigger, params));
        quote! {
            const _: () = {
                #args
                #[automatically_derived]
                impl ::interstice_sdk::__private::Decode for __Args {
                    #decode
                }
                #row_checks
                ::interstice_sdk::__function!(
                    #module,
                    ::interstice_sdk::__private::section::ItemDesc::#item_kind(#descriptor),
                    #name,
                    #export,
                    __Args,
                    |args: __Args| #ident(
                        &<#context as ::interstice_sdk::Context>::__new(),
                        #(args.#idents),*
                    )
                );
            };
        }
    }

    /// The descriptions of what is returned, and of the error.
    fn outcome(&self) -> (TokenStream, TokenStream) {
        let ReturnType::Type(_, ty) = &self.item.sig.output else {
            return (quote!(::core::option::Option::None), quote!(::core::option::Option::None));
        };
        // Where the parts can be seen, the compiler is shown the parts: it then
        // reports the one that does not fit.
        if let Some((ok, error)) = result_parts(ty) {
            let ok = quote_spanned!(ok.span()=> <#ok as ::interstice_sdk::__private::Returned>);
            let error = encoding::column(error, &quote!(TYPE));
            return (quote!(#ok::TYPE), quote!(::core::option::Option::Some(#error)));
        }
        let outcome = quote_spanned!(ty.span()=> <#ty as ::interstice_sdk::Outcome>);
        (quote!(#outcome::RETURNS), quote!(#outcome::ERROR))
    }

    /// The `FunctionDesc`.
    fn descriptor(&self) -> TokenStream {
        let Self { name, params, options, .. } = self;
        let descs = encoding::field_descs(params);
        let (returns, error) = self.outcome();
        let trigger = match &options.trigger {
            None => quote!(::core::option::Option::None),
            Some(trigger) => {
                let trigger = trigger_desc(trigger);
                quote!(::core::option::Option::Some(#trigger))
            }
        };
        let access = options.tables.iter().map(|table| {
            let path = &table.path;
            let name = quote_spanned!(path.span()=> <#path as ::interstice_sdk::Table>::DESC.name);
            let bits = 1u8
                | if table.insert { 2 } else { 0 }
                | if table.update { 4 } else { 0 }
                | if table.delete { 8 } else { 0 };
            quote!(AccessDesc {
                table: #name,
                allowed: ::interstice_sdk::__private::AccessSet(#bits),
            })
        });
        let calls = options.calls.iter().map(
            |call| quote_spanned!(call.span()=> <#call as ::interstice_sdk::__private::External>::CALL),
        );
        quote! {{
            use ::interstice_sdk::__private::section::{AccessDesc, CallDesc, FunctionDesc};
            const ACCESS: &[AccessDesc] = &[#(#access),*];
            const CALLS: &[CallDesc] = &[#(#calls),*];
            FunctionDesc {
                name: #name,
                params: &#descs,
                returns: #returns,
                error: #error,
                trigger: #trigger,
                access: ACCESS,
                calls: CALLS,
            }
        }}
    }
}

/// The struct of a call's arguments, as it is written.
pub(crate) fn args_struct(params: &[Field], encode_only: bool) -> TokenStream {
    let idents = params.iter().map(|param| &param.ident);
    let types = params.iter().map(|param| &param.ty);
    let encode = encoding::encode_items(params);
    // Without a decoder the compiler sees no reads of these fields but in `encode`.
    let allow = encode_only.then(|| quote!(#[allow(dead_code)]));
    quote! {
        #allow
        struct __Args { #(#idents: #types,)* }
        #[automatically_derived]
        impl ::interstice_sdk::__private::Encode for __Args {
            #encode
        }
    }
}

fn field_ident(path: &Path) -> Ident {
    let span = path.segments.last().map_or_else(|| path.span(), |last| last.ident.span());
    let name = field_name(path);
    syn::parse_str::<Ident>(&name).map_or_else(
        |_| Ident::new_raw(&name, span),
        |mut ident| {
            ident.set_span(span);
            ident
        },
    )
}

fn table_field(table: &crate::options::Table) -> TokenStream {
    let crate::options::Table { path, insert, update, delete } = table;
    let ident = field_ident(path);
    let access = quote!(::interstice_sdk::Access<#insert, #update, #delete>);
    let doc = format!("The table `{ident}`.");
    quote_spanned! {path.span()=>
        #[doc = #doc]
        pub #ident: ::interstice_sdk::Handle<#path, #access>
    }
}

fn trigger_desc(trigger: &Trigger) -> TokenStream {
    let variant = match trigger {
        Trigger::Init => quote!(Init),
        Trigger::Load => quote!(Load),
        Trigger::Insert(_) => quote!(Insert),
        Trigger::Update(_) => quote!(Update),
        Trigger::Delete(_) => quote!(Delete),
    };
    let table = match trigger {
        Trigger::Init | Trigger::Load => None,
        Trigger::Insert(path) | Trigger::Update(path) | Trigger::Delete(path) => Some(
            quote_spanned!(path.span()=> (<#path as ::interstice_sdk::__private::Subscribable>::TABLE)),
        ),
    };
    quote!(::interstice_sdk::__private::section::TriggerDesc::#variant #table)
}

/// Errors about parameters that are not rows, at their types.
fn row_checks(trigger: &Trigger, params: &[Field]) -> TokenStream {
    let (Trigger::Insert(table) | Trigger::Update(table) | Trigger::Delete(table)) = trigger else {
        return TokenStream::new();
    };
    let checks =
        params.iter().map(|Field { ty, .. }| quote_spanned!(ty.span()=> row_of::<#ty, #table>()));
    quote! {
        const _: fn() = || {
            fn row_of<R: ::interstice_sdk::__private::RowOf<T>, T>() {}
            #(#checks;)*
        };
    }
}
