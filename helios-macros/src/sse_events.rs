//! `#[derive(SseEvents)]` turns each variant of an enum into a kind of event.

mod case;

use std::collections::HashSet;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DataEnum, DeriveInput, Field, Fields, Generics, Lifetime, LitStr, Member,
    Type, Variant, parse_quote,
};

use crate::args::{Args, Key, refuse_helpers};
use crate::diagnostics::Errors;
use crate::lints::renamed;
use crate::runtime::{Runtime, cfgs, docs};
use crate::types;
use case::Case;

/// The keys of `#[sse(..)]` on the enum.
#[derive(Default)]
struct Settings {
    runtime: Runtime,
    case: Option<Case>,
}

const KEYS: [Key<Settings>; 2] = [
    ("rename_all", |settings, arg, errors| {
        if let Some(case) = arg.string("rename_all = \"snake_case\"", errors) {
            settings.case = Case::parse(&case, errors);
        }
    }),
    ("crate", |settings, arg, errors| {
        settings.runtime = Runtime::given(arg, errors);
    }),
];

/// The keys of a variant set the name of its event.
const VARIANT_KEYS: [Key<String>; 1] = [("rename", |name, arg, errors| {
    if let Some(text) = arg.string("rename = \"tick\"", errors) {
        check_name(&text, errors);
        *name = text.value();
    }
})];

/// Expands the derive.
pub(crate) fn sse_events(item: TokenStream) -> TokenStream {
    let item: DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    let mut settings = Settings::parse(&item.attrs, &mut errors);
    if !settings.runtime.locate("sse", &mut errors) {
        return errors.compile_errors();
    }
    let arms = arms(&item, &settings, &mut errors);
    if errors.is_empty() {
        let mut output =
            implementation(&settings.runtime, &item, &quote!(match self { #(#arms)* }));
        output.extend(decoded(&item, &settings));
        output.extend(described(&item, &settings));
        return output;
    }
    let rt = settings.runtime.path();
    let mut output = implementation(&settings.runtime, &item, &quote!(#rt::Default::default()));
    output.extend(errors.compile_errors());
    output
}

impl Settings {
    fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut settings = Self::default();
        let args = Args::of_helpers("sse", attributes, "rename_all = \"snake_case\"", errors);
        args.set(&mut settings, "sse", &KEYS, errors);
        settings
    }
}

fn arms(item: &DeriveInput, settings: &Settings, errors: &mut Errors) -> Vec<TokenStream> {
    let Data::Enum(data) = &item.data else {
        errors.at(
            &item.ident,
            "`SseEvents` is derived on an enum: each variant is a kind of event",
        );
        return Vec::new();
    };
    let mut names = Vec::new();
    let arms = data.variants.iter().map(|variant| {
        let name = name(variant, settings.case, errors);
        for field in &variant.fields {
            let instead = "it names events, so it belongs above a variant";
            refuse_helpers("sse", &field.attrs, instead, errors);
        }
        if names.contains(&name) {
            errors.at(
                &variant.ident,
                format_args!("another variant is called {name:?} already"),
            );
        }
        let arm = arm(&settings.runtime, variant, &name);
        names.push(name);
        arm
    });
    arms.collect()
}

/// Returns the name of the event, which is that of the variant unless it is renamed.
fn name(variant: &Variant, case: Option<Case>, errors: &mut Errors) -> String {
    let own = variant.ident.unraw().to_string();
    let mut name = case.map_or_else(|| own.clone(), |case| case.apply(&own));
    let args = Args::of_helpers("sse", &variant.attrs, "rename = \"tick\"", errors);
    args.set(&mut name, "sse", &VARIANT_KEYS, errors);
    name
}

fn check_name(text: &LitStr, errors: &mut Errors) {
    let value = text.value();
    if value.is_empty() || value.contains(['\r', '\n']) {
        errors.at(
            text,
            "the name of an event cannot be empty or hold a line break",
        );
    }
}

fn arm(runtime: &Runtime, variant: &Variant, name: &str) -> TokenStream {
    let (rt, ident) = (runtime.path(), renamed(&variant.ident));
    let locals: Vec<Ident> = variant.fields.iter().enumerate().map(local).collect();
    let members = variant.fields.members().map(|member| match member {
        Member::Named(name) => Member::Named(renamed(&name)),
        Member::Unnamed(index) => Member::from(index.index as usize),
    });
    let event = event(runtime, &variant.fields, &locals);
    let cfgs = cfgs(&variant.attrs);
    quote!(#(#cfgs)* Self::#ident { #(#members: #locals),* } => #rt::SseEvent::event(#event, #name),)
}

/// Builds the event. One value is sent as it is, several as an array, and named ones as an object.
fn event(runtime: &Runtime, fields: &Fields, locals: &[Ident]) -> TokenStream {
    let rt = runtime.path();
    match fields {
        Fields::Unit => quote!(#rt::SseEvent::json(())),
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            let span = fields.unnamed.span();
            let rt = runtime.at(span);
            quote_spanned!(span=> #rt::SseEvent::json(#(#locals)*))
        }
        Fields::Unnamed(fields) => {
            let span = fields.unnamed.span();
            let rt = runtime.at(span);
            quote_spanned!(span=> #rt::SseEvent::json((#(#locals),*)))
        }
        Fields::Named(fields) => {
            let pairs = fields.named.iter().zip(locals).map(|(field, local)| {
                let name = field
                    .ident
                    .as_ref()
                    .map_or_else(String::new, |name| name.unraw().to_string());
                let value = value(runtime, field, local);
                quote!((#name, #value))
            });
            quote!(#rt::SseEvent::json(#rt::fields(#rt::vec![#(#pairs),*])))
        }
    }
}

/// If the type is not `Serialize`, the error points to the field.
fn value(runtime: &Runtime, field: &Field, local: &Ident) -> TokenStream {
    let span = field.ty.span();
    let rt = runtime.at(span);
    quote_spanned!(span=> #rt::to_value(&#local))
}

fn implementation(runtime: &Runtime, item: &DeriveInput, body: &TokenStream) -> TokenStream {
    let (rt, name) = (runtime.path(), renamed(&item.ident));
    let generics = types::bounded(&item.generics, &parse_quote!(#rt::Payload));
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #rt::IntoSseEvent for #name #type_generics #where_clause {
            fn into_sse_event(self) -> #rt::SseEvent {
                #body
            }
        }
    }
}

/// Generates the conversion from a received event. Only its use requires that the data can be deserialised.
fn decoded(item: &DeriveInput, settings: &Settings) -> TokenStream {
    let Data::Enum(data) = &item.data else {
        return TokenStream::new();
    };
    let (rt, ident) = (settings.runtime.path(), renamed(&item.ident));
    let event = Ident::new("event", Span::mixed_site());
    let arms = data.variants.iter().map(|variant| {
        let name = name(variant, settings.case, &mut Errors::default());
        let (variant, cfgs) = (read(settings, variant, &event), cfgs(&variant.attrs));
        quote!(#(#cfgs)* #name => #rt::Ok(#variant),)
    });
    let mut generics = item.generics.clone();
    let bound = |rt: &TokenStream| quote!(#rt::DeserializeOwned);
    ask(&mut generics, data, &settings.runtime, bound);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #rt::TryFrom<#rt::DecodedEvent> for #ident #type_generics #where_clause {
            type Error = #rt::TryFromEventError;

            fn try_from(#event: #rt::DecodedEvent) -> #rt::Result<Self, #rt::TryFromEventError> {
                match #event.event.as_str() {
                    #(#arms)*
                    _ => #rt::Err(#rt::TryFromEventError::OtherEvent(#event)),
                }
            }
        }
    }
}

/// Builds a variant from the data of an event.
fn read(settings: &Settings, variant: &Variant, event: &Ident) -> TokenStream {
    let (rt, ident) = (settings.runtime.path(), renamed(&variant.ident));
    let locals: Vec<Ident> = variant.fields.iter().enumerate().map(local).collect();
    match &variant.fields {
        Fields::Unit => quote!({ #event.json::<()>()?; Self::#ident {} }),
        Fields::Unnamed(_) if locals.len() == 1 => quote!(Self::#ident(#event.json()?)),
        Fields::Unnamed(_) => {
            quote!({ let (#(#locals),*) = #event.json()?; Self::#ident(#(#locals),*) })
        }
        Fields::Named(fields) => {
            let taken = Ident::new("fields", Span::mixed_site());
            let fields = fields.named.iter().map(|field| {
                let member = field.ident.as_ref().map(renamed);
                let name = field.ident.as_ref().map(|name| name.unraw().to_string());
                quote!(#member: #taken.take(#name)?)
            });
            quote!({
                let mut #taken = #rt::DecodedFields::of(&#event)?;
                Self::#ident { #(#fields),* }
            })
        }
    }
}

/// Adds a bound on all data, once for each type. The lifetime makes rustc check the bound only where the implementation
/// is used.
fn ask(
    generics: &mut Generics,
    data: &DataEnum,
    runtime: &Runtime,
    bound: impl Fn(&TokenStream) -> TokenStream,
) {
    let asked = Lifetime::new("'asked", Span::mixed_site());
    let clause = generics.make_where_clause();
    let mut types = HashSet::new();
    for field in data.variants.iter().flat_map(|variant| &variant.fields) {
        let (ty, span) = (&field.ty, field.ty.span());
        if !types.insert(ty) {
            continue;
        }
        let bound = bound(&runtime.at(span));
        let predicate = quote_spanned!(span=> for<#asked> #ty: #bound);
        clause.predicates.push(parse_quote!(#predicate));
    }
}

/// Lists the events for the OpenAPI document, in a macro that drops the code without the feature.
fn described(item: &DeriveInput, settings: &Settings) -> TokenStream {
    let Data::Enum(data) = &item.data else {
        return TokenStream::new();
    };
    let (rt, ident) = (settings.runtime.path(), renamed(&item.ident));
    let events = Ident::new("events", Span::mixed_site());
    let list = |schema: &dyn Fn(&Type) -> TokenStream| {
        let variants = data.variants.iter();
        let listed = variants.map(|variant| listed(settings, variant, &events, schema));
        quote!(#(#listed)*)
    };
    let listed = list(&|ty| quote!(#rt::schema!(#ty)));
    let generics = types::bounded(&item.generics, &parse_quote!(#rt::Payload));
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let mut strict = generics.clone();
    let bound = |rt: &TokenStream| quote!(#rt::JsonSchema);
    ask(&mut strict, data, &settings.runtime, bound);
    let strict = &strict.where_clause;
    // Only a bound says that a parameter has a schema.
    let with_schemas = generics.type_params().next().map(|_| {
        let listed = list(&|ty| quote!(<#ty as #rt::JsonSchema>::__schema()));
        quote! {
            fn list_with_schemas(#events: &mut #rt::EventList) {
                #listed
            }
        }
    });
    quote! {
        #rt::described! {
            #[automatically_derived]
            impl #impl_generics #rt::Events for #ident #type_generics #where_clause {
                fn list(#events: &mut #rt::EventList) {
                    #listed
                }
            }

            #[automatically_derived]
            impl #impl_generics #rt::EventsWithSchemas for #ident #type_generics #strict {
                #with_schemas
            }
        }
    }
}

/// Lists the event of a variant. `schema` returns the schema of a type.
fn listed(
    settings: &Settings,
    variant: &Variant,
    events: &Ident,
    schema: &dyn Fn(&Type) -> TokenStream,
) -> TokenStream {
    let (rt, about) = (settings.runtime.path(), docs(&variant.attrs));
    let name = name(variant, settings.case, &mut Errors::default());
    let schemas: Vec<_> = variant.fields.iter().map(|it| schema(&it.ty)).collect();
    match &variant.fields {
        Fields::Unit => quote!(#events.value(#name, #about, #rt::schema!(()));),
        // Without values, `V()` is sent as the unit is.
        Fields::Unnamed(_) if schemas.is_empty() => {
            quote!(#events.value(#name, #about, #rt::schema!(()));)
        }
        Fields::Unnamed(_) if schemas.len() == 1 => {
            quote!(#events.value(#name, #about, #(#schemas)*);)
        }
        Fields::Unnamed(_) => {
            quote!(#events.tuple(#name, #about, #rt::vec![#(#schemas),*]);)
        }
        Fields::Named(fields) => {
            let fields = fields.named.iter().zip(schemas).map(|(field, schema)| {
                let name = field.ident.as_ref().map(|name| name.unraw().to_string());
                let docs = docs(&field.attrs);
                quote!((#name, #docs, #schema))
            });
            quote!(#events.object(#name, #about, #rt::vec![#(#fields),*]);)
        }
    }
}

/// Returns the variable of a field. Errors point to the field's type.
fn local((index, field): (usize, &Field)) -> Ident {
    format_ident!("f{}", index, span = field.ty.span())
}
