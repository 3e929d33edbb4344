//! `#[derive(Injectable)]` fills every field from the container, or with its default.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Field, Index, Member, Meta, Path, Type, parse_quote};

use crate::args::{Args, Key, helpers};
use crate::diagnostics::Errors;
use crate::lints::renamed;
use crate::runtime::{Runtime, option};
use crate::types;

const NOT_INJECTED: &str = "this field is not `Arc<T>`: inject `Arc<..>`, or fill it with its `Default` through `#[inject(default)]`";

const BARE: &str = "an `Arc<T>` is injected without an attribute: remove it, or write `#[inject(default)]` to fill the field with its `Default`";

/// The source of a field's value.
enum Source<'a> {
    /// The type inside an `Arc`.
    Container(&'a Type),
    SseService,
    Default,
}

/// The keys of `#[inject(..)]` on the struct.
#[derive(Default)]
struct Settings {
    runtime: Runtime,
    on_start: Option<Path>,
    on_stop: Option<Path>,
}

const KEYS: [Key<Settings>; 3] = [
    ("on_start", |settings, arg, errors| {
        settings.on_start = arg.path("on_start = connect", errors);
    }),
    ("on_stop", |settings, arg, errors| {
        settings.on_stop = arg.path("on_stop = flush", errors);
    }),
    ("crate", |settings, arg, errors| {
        settings.runtime = Runtime::given(arg, errors);
    }),
];

/// The keys of a field. They clear the flag if one is written wrongly.
const FIELD_KEYS: [Key<bool>; 1] = [("default", |right, arg, errors| *right &= arg.flag(errors))];

/// Expands the derive.
pub(crate) fn injectable(item: TokenStream) -> TokenStream {
    let item: DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    let mut settings = Settings::parse(&item.attrs, &mut errors);
    if !settings.runtime.locate("inject", &mut errors) {
        return errors.compile_errors();
    }
    let runtime = &settings.runtime;
    let fields = fields(&item, &mut errors);
    let (body, lifecycle) = match errors.is_empty() {
        true => (build(runtime, &fields), settings.lifecycle()),
        false => {
            let rt = runtime.path();
            (quote!(#rt::None), None)
        }
    };
    let mut output = errors.compile_errors();
    if item.generics.lifetimes().next().is_none() {
        output.extend(implementation(runtime, &item, &body, lifecycle));
    }
    output
}

impl Settings {
    fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut settings = Self::default();
        let args = Args::of_helpers("inject", attributes, "on_start = connect", errors);
        args.set(&mut settings, "inject", &KEYS, errors);
        settings
    }

    fn lifecycle(&self) -> Option<TokenStream> {
        let rt = self.runtime.path();
        let hook = |path: &Option<Path>| path.as_ref().map(|path| hook(&self.runtime, path));
        let (on_start, on_stop) = (hook(&self.on_start), hook(&self.on_stop));
        if on_start.is_none() && on_stop.is_none() {
            return None;
        }
        let (on_start, on_stop) = (option(&rt, on_start), option(&rt, on_stop));
        Some(quote! {
            const LIFECYCLE: #rt::Lifecycle<Self> = #rt::Lifecycle {
                on_start: #on_start,
                on_stop: #on_stop,
            };
        })
    }
}

/// Calls a hook. A bare name is a method, and errors point to it.
fn hook(runtime: &Runtime, path: &Path) -> TokenStream {
    let span = path.span();
    let (rt, this) = (runtime.at(span), Ident::new("this", Span::mixed_site()));
    let path: Path = match path.get_ident() {
        Some(method) => parse_quote!(Self::#method),
        None => path.clone(),
    };
    quote_spanned!(span=> |#this| #rt::lifecycle_hook!(#path(#this)))
}

/// Returns the fields of a struct, each with its source.
fn fields<'a>(item: &'a DeriveInput, errors: &mut Errors) -> Vec<(&'a Field, Source<'a>)> {
    for lifetime in item.generics.lifetimes() {
        errors.at(
            lifetime,
            "a service lives as long as the app: it cannot borrow",
        );
    }
    let Data::Struct(data) = &item.data else {
        errors.at(
            &item.ident,
            "`Injectable` is derived on a struct; provide another type with `.provide(..)`",
        );
        return Vec::new();
    };
    data.fields
        .iter()
        .filter_map(|field| Some((field, source(field, errors)?)))
        .collect()
}

fn source<'a>(field: &'a Field, errors: &mut Errors) -> Option<Source<'a>> {
    let mut metas = helpers("inject", &field.attrs).map(|attribute| &attribute.meta);
    if let Some(bare) = metas.find(|meta| is_bare(meta)) {
        errors.at(bare, BARE);
        return None;
    }
    if helpers("inject", &field.attrs).next().is_some() {
        let mut right = true;
        let args = Args::of_helpers("inject", &field.attrs, "default", errors);
        args.set(&mut right, "inject", &FIELD_KEYS, errors);
        return right.then_some(Source::Default);
    }
    if types::is_named(&field.ty, "SseService") {
        return Some(Source::SseService);
    }
    let inner = types::inside(&field.ty, "Arc");
    if inner.is_some_and(|inner| types::is_named(inner, "SseService")) {
        errors.at(
            &field.ty,
            "`SseService` is a handle: write it without `Arc`",
        );
        return None;
    }
    if inner.is_none() {
        errors.at(&field.ty, NOT_INJECTED);
    }
    inner.map(Source::Container)
}

/// Whether an attribute is `#[inject]` or `#[inject()]`.
fn is_bare(meta: &Meta) -> bool {
    match meta {
        Meta::Path(_) => true,
        Meta::List(list) => list.tokens.is_empty(),
        Meta::NameValue(_) => false,
    }
}

/// Requests every dependency before the first `?`, so that start-up lists all missing ones.
fn build(runtime: &Runtime, fields: &[(&Field, Source<'_>)]) -> TokenStream {
    let rt = runtime.path();
    let requests = fields
        .iter()
        .enumerate()
        .map(|(index, (field, source))| request(runtime, index, field, source));
    let values = fields.iter().enumerate().map(|(index, (field, source))| {
        let (member, local) = (member(index, field), local(index));
        match source {
            Source::Default => default(runtime, &member, field),
            Source::Container(_) | Source::SseService => quote!(#member: #local?),
        }
    });
    quote! {
        #(#requests)*
        #rt::Some(Self { #(#values),* })
    }
}

fn default(runtime: &Runtime, member: &Member, field: &Field) -> TokenStream {
    let span = field.ty.span();
    let rt = runtime.at(span);
    quote_spanned!(span=> #member: #rt::Default::default())
}

fn request(runtime: &Runtime, index: usize, field: &Field, source: &Source<'_>) -> TokenStream {
    let (local, span, ty) = (local(index), field.ty.span(), &field.ty);
    let rt = runtime.at(span);
    let resolver = Ident::new("resolver", Span::mixed_site());
    let value = match source {
        Source::Container(inner) => {
            quote_spanned!(span=> #rt::Dependency::<#inner>::NEW.resolve(#resolver))
        }
        Source::SseService => quote_spanned!(span=> #rt::field_sse(#resolver)),
        Source::Default => return TokenStream::new(),
    };
    quote_spanned!(span=> let #local: #rt::Option<#ty> = #value;)
}

fn implementation(
    runtime: &Runtime,
    item: &DeriveInput,
    body: &TokenStream,
    lifecycle: Option<TokenStream>,
) -> TokenStream {
    let (rt, name) = (runtime.path(), renamed(&item.ident));
    let generics = types::shared(&rt, &item.generics);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let resolver = Ident::new("resolver", Span::mixed_site());
    quote! {
        #[automatically_derived]
        impl #impl_generics #rt::Injectable for #name #type_generics #where_clause {
            fn build(#resolver: &mut #rt::Resolver<'_>) -> #rt::Option<Self> {
                #body
            }

            #lifecycle
        }
    }
}

fn local(index: usize) -> Ident {
    format_ident!("f{}", index, span = Span::mixed_site())
}

fn member(index: usize, field: &Field) -> Member {
    match &field.ident {
        Some(name) => Member::Named(renamed(name)),
        None => Member::Unnamed(Index::from(index)),
    }
}
