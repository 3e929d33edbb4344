//! `#[derive(HttpError)]` gives each variant of an error type a status.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Fields, Generics, Index, LitInt, LitStr, Member,
    parse_quote_spanned,
};

use crate::args::{Arg, Args, Key, refuse_helpers};
use crate::diagnostics::Errors;
use crate::lints::renamed;
use crate::runtime::{Runtime, cfgs, option};

const EXAMPLE: &str = "status = 404";

/// The keys of `#[http(..)]`.
#[derive(Default)]
struct Settings {
    runtime: Runtime,
    status: Option<Arg>,
    title: Option<Arg>,
    transparent: Option<Arg>,
}

/// The keys of a variant.
const VARIANT_KEYS: [Key<Settings>; 3] = [
    ("status", |settings, arg, _| {
        settings.status = Some(arg.clone());
    }),
    ("title", |settings, arg, _| {
        settings.title = Some(arg.clone());
    }),
    ("transparent", |settings, arg, _| {
        settings.transparent = Some(arg.clone());
    }),
];

/// The keys of the type.
const KEYS: [Key<Settings>; 4] = {
    let [status, title, transparent] = VARIANT_KEYS;
    let facade: Key<Settings> = ("crate", |settings, arg, errors| {
        settings.runtime = Runtime::given(arg, errors);
    });
    [status, title, transparent, facade]
};

/// The response to one variant, or to the struct.
enum Answer {
    Problem {
        status: u16,
        title: Option<LitStr>,
    },
    /// The response to the only field.
    Transparent {
        member: Member,
        span: Span,
    },
}

/// Expands the derive.
pub(crate) fn http_error(item: TokenStream) -> TokenStream {
    let item: DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    for lifetime in item.generics.lifetimes() {
        let message = "the log and the filters get this error after the request: it cannot borrow";
        errors.at(lifetime, message);
    }
    let mut settings = Settings::parse(&item.attrs, &KEYS, &mut errors);
    if !settings.runtime.locate("http", &mut errors) {
        return errors.compile_errors();
    }
    let runtime = &settings.runtime;
    let (arms, statuses): (Vec<_>, Vec<_>) =
        arms(&item, &settings, &mut errors).into_iter().unzip();
    if errors.is_empty() {
        let mut output = implementation(runtime, &item, &quote!(match error { #(#arms)* }));
        output.extend(described(runtime, &item, &statuses));
        return output;
    }
    let mut output = errors.compile_errors();
    if item.generics.lifetimes().next().is_none() {
        let body = quote!(::core::unreachable!());
        output.extend(implementation(runtime, &item, &body));
    }
    output
}

impl Settings {
    fn parse(attributes: &[Attribute], keys: &[Key<Self>], errors: &mut Errors) -> Self {
        let mut settings = Self::default();
        let args = Args::of_helpers("http", attributes, EXAMPLE, errors);
        args.set(&mut settings, "http", keys, errors);
        settings
    }

    /// Returns the settings that describe the response.
    fn given(&self) -> impl Iterator<Item = &Arg> {
        [&self.status, &self.title, &self.transparent]
            .into_iter()
            .flatten()
    }

    fn answer(&self, name: &Ident, fields: &Fields, errors: &mut Errors) -> Option<Answer> {
        for field in fields {
            let instead = format!("put it above `{name}`");
            refuse_helpers("http", &field.attrs, &instead, errors);
        }
        if let Some(transparent) = &self.transparent {
            return self.transparent(transparent, fields, errors);
        }
        let title = self.title.as_ref();
        let title = title.and_then(|title| title.string("title = \"No such order\"", errors));
        let Some(status) = &self.status else {
            errors.at(
                name,
                format_args!("`{name}` has no status: write `#[http(status = 404)]` above it"),
            );
            return None;
        };
        let status = status_of(&status.integer(EXAMPLE, errors)?, errors)?;
        Some(Answer::Problem { status, title })
    }

    fn transparent(&self, key: &Arg, fields: &Fields, errors: &mut Errors) -> Option<Answer> {
        key.flag(errors);
        for other in [&self.status, &self.title].into_iter().flatten() {
            let message = "`transparent` answers as the field does: leave this out";
            errors.at(&other.key, message);
        }
        let mut inside = fields.iter();
        let (Some(field), None) = (inside.next(), inside.next()) else {
            let message = format!(
                "`transparent` answers as the only field does, but there are {}: give a `status`",
                fields.len()
            );
            errors.at(&key.key, message);
            return None;
        };
        let index = Member::Unnamed(Index::from(0));
        Some(Answer::Transparent {
            member: field
                .ident
                .as_ref()
                .map_or(index, |name| Member::Named(renamed(name))),
            span: field.ty.span(),
        })
    }
}

fn status_of(code: &LitInt, errors: &mut Errors) -> Option<u16> {
    let parsed = code.base10_parse().ok();
    let status = parsed.filter(|status| (400..=599).contains(status));
    if status.is_none() {
        let message = "an error has a status from 400 to 599: `status = 404`";
        errors.at(code, message);
    }
    status
}

/// Returns an arm for each response, and the code that lists its status.
fn arms(
    item: &DeriveInput,
    settings: &Settings,
    errors: &mut Errors,
) -> Vec<(TokenStream, TokenStream)> {
    let (name, runtime) = (&item.ident, &settings.runtime);
    match &item.data {
        Data::Struct(data) => {
            let answer = settings.answer(name, &data.fields, errors);
            let arm = answer.map(|answer| {
                let arm = arm(runtime, renamed(name).to_token_stream(), &answer);
                (arm, status(runtime, &data.fields, &answer))
            });
            arm.into_iter().collect()
        }
        Data::Enum(data) => {
            for arg in settings.given() {
                let message = format!("on an enum `{}` belongs on each variant", arg.key);
                errors.at(&arg.key, message);
            }
            let arms = data.variants.iter().filter_map(|variant| {
                let settings = Settings::parse(&variant.attrs, &VARIANT_KEYS, errors);
                let answer = settings.answer(&variant.ident, &variant.fields, errors)?;
                let (cfgs, ident) = (cfgs(&variant.attrs), renamed(&variant.ident));
                let name = renamed(name);
                let arm = arm(runtime, quote!(#name::#ident), &answer);
                let status = status(runtime, &variant.fields, &answer);
                Some((quote!(#(#cfgs)* #arm), quote!(#(#cfgs)* #status)))
            });
            arms.collect()
        }
        Data::Union(_) => {
            errors.at(name, "an error is a struct or an enum");
            Vec::new()
        }
    }
}

fn arm(runtime: &Runtime, path: TokenStream, answer: &Answer) -> TokenStream {
    match answer {
        Answer::Problem { status, title } => {
            let rt = runtime.path();
            let title = option(&rt, title.as_ref());
            quote!(error @ #path { .. } => #rt::problem(#status, #title, error),)
        }
        Answer::Transparent { member, span } => {
            let rt = runtime.at(*span);
            let inner = Ident::new("inner", *span);
            let given = quote_spanned!(*span=> #rt::transparent(#inner));
            quote!(#path { #member: #inner } => #given,)
        }
    }
}

fn status(runtime: &Runtime, fields: &Fields, answer: &Answer) -> TokenStream {
    let (rt, errors) = (runtime.path(), listed());
    match answer {
        Answer::Problem { status, .. } => quote!(#errors.status(#status);),
        Answer::Transparent { .. } => {
            let inner = fields.iter().map(|field| &field.ty);
            quote!({ #(#rt::error_statuses!(#errors, #inner);)* })
        }
    }
}

/// Returns the variable of the list of statuses.
fn listed() -> Ident {
    Ident::new("errors", Span::mixed_site())
}

/// Lists the statuses for the OpenAPI document, in a macro that drops the code without the feature.
fn described(runtime: &Runtime, item: &DeriveInput, statuses: &[TokenStream]) -> TokenStream {
    let (rt, name, errors) = (runtime.path(), renamed(&item.ident), listed());
    let generics = bounded(item);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    quote! {
        #rt::described! {
            #[automatically_derived]
            impl #impl_generics #rt::ErrorStatuses for #name #type_generics #where_clause {
                fn list(#errors: &mut #rt::Errors) {
                    #(#statuses)*
                }
            }
        }
    }
}

fn implementation(runtime: &Runtime, item: &DeriveInput, body: &TokenStream) -> TokenStream {
    let (rt, name) = (runtime.path(), renamed(&item.ident));
    let generics = bounded(item);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #rt::From<#name #type_generics> for #rt::HttpError #where_clause {
            fn from(error: #name #type_generics) -> Self {
                #body
            }
        }
    }
}

/// Adds the bound for keeping the error as the source. It is written out so that its error points to the type's name.
fn bounded(item: &DeriveInput) -> Generics {
    let mut generics = item.generics.clone();
    let (name, span) = (renamed(&item.ident), item.ident.span());
    let (_, type_generics, _) = item.generics.split_for_impl();
    let bound = parse_quote_spanned! {span=>
        #name #type_generics: ::core::error::Error + ::core::marker::Send + ::core::marker::Sync + 'static
    };
    generics.make_where_clause().predicates.push(bound);
    generics
}
