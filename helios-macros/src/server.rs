//! `#[server]` turns a struct into the root of an app.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Item, ItemStruct, LitInt, LitStr, Type};

use crate::args::{Args, Key};
use crate::diagnostics::Errors;
use crate::duration;
use crate::listed::CONTROLLER;
use crate::path::Template;
use crate::pipeline::Pipeline;
use crate::runtime::{Runtime, cfgs, option};

const KEYS: [Key<Settings>; 11] = [
    ("prefix", |settings, arg, errors| {
        settings.prefix = prefix(arg.string("prefix = \"api\"", errors), errors);
    }),
    ("controllers", |settings, arg, errors| {
        settings.controllers = CONTROLLER.of_key(arg, errors);
    }),
    ("guards", |settings, arg, errors| {
        settings.pipeline.set_guards(arg, errors);
    }),
    ("interceptor", |settings, arg, errors| {
        settings.pipeline.set_interceptor(arg, errors);
    }),
    ("interceptors", |settings, arg, errors| {
        settings.pipeline.set_interceptors(arg, errors);
    }),
    ("filters", |settings, arg, errors| {
        settings.pipeline.set_filters(arg, errors);
    }),
    ("body_limit", |settings, arg, errors| {
        let limit = arg.integer("body_limit = 1_048_576", errors);
        settings.body_limit = limit.and_then(|limit| errors.take(limit.base10_parse()));
    }),
    ("sse", |settings, arg, errors| {
        let group = arg.group("sse(enabled = true)", errors);
        settings.sse = group.map(|group| SseSettings::parse(group, errors));
    }),
    ("host", |settings, arg, errors| {
        settings.host = arg.string("host = \"127.0.0.1\"", errors);
    }),
    ("port", |settings, arg, errors| {
        let port = arg.integer("port = 3000", errors);
        settings.port = port.and_then(|port| port_in(&port, errors));
    }),
    ("crate", |settings, arg, errors| {
        settings.runtime = Runtime::given(arg, errors);
    }),
];

const SSE_KEYS: [Key<SseSettings>; 6] = [
    ("enabled", |settings, arg, errors| {
        let enabled = arg.boolean("enabled = true", errors);
        settings.enabled = enabled.is_none_or(|on| on.value);
    }),
    ("keep_alive", |settings, arg, errors| {
        settings.keep_alive = duration::or_off(arg, errors);
    }),
    ("retry", |settings, arg, errors| {
        settings.retry = duration::parse(arg, "retry = \"3s\"", errors);
    }),
    ("welcome", |settings, arg, errors| {
        let welcome = arg.boolean("welcome = true", errors);
        settings.welcome = welcome.is_some_and(|on| on.value);
    }),
    ("control_prefix", |settings, arg, errors| {
        let text = arg.string("control_prefix = \"app:\"", errors);
        settings.control_prefix = control_prefix(text, errors);
    }),
    ("log", |settings, arg, errors| {
        settings.log = folder(arg.string("log = \"data/sse\"", errors), errors);
    }),
];

/// The settings of `#[server(..)]`.
#[derive(Default)]
struct Settings {
    runtime: Runtime,
    controllers: Vec<Type>,
    prefix: Option<LitStr>,
    pipeline: Pipeline,
    body_limit: Option<usize>,
    sse: Option<SseSettings>,
    host: Option<LitStr>,
    port: Option<u16>,
}

/// The settings of `sse(..)`, with durations in milliseconds.
struct SseSettings {
    enabled: bool,
    keep_alive: Option<u64>,
    retry: Option<u64>,
    welcome: bool,
    control_prefix: Option<LitStr>,
    log: Option<LitStr>,
}

/// Expands the attribute on an item.
pub(crate) fn server(args: TokenStream, item: TokenStream) -> TokenStream {
    match syn::parse2(item) {
        Ok(Item::Struct(item)) => on_struct(args, &item),
        Ok(other) => {
            let message =
                "`#[server]` belongs on a struct: `#[server(controllers = [..])] struct App;`";
            let error = syn::Error::new(other.span(), message).into_compile_error();
            quote!(#other #error)
        }
        Err(error) => error.into_compile_error(),
    }
}

fn on_struct(args: TokenStream, item: &ItemStruct) -> TokenStream {
    let mut errors = Errors::default();
    let mut settings = Settings::parse(args, &mut errors);
    let mut output = item.to_token_stream();
    if !settings.runtime.locate("server", &mut errors) {
        output.extend(errors.compile_errors());
    } else if errors.is_empty() {
        output.extend(settings.expand(item));
    } else {
        output.extend(
            Settings {
                runtime: settings.runtime,
                ..Settings::default()
            }
            .expand(item),
        );
        output.extend(errors.compile_errors());
    }
    output
}

impl Settings {
    fn parse(args: TokenStream, errors: &mut Errors) -> Self {
        let mut settings = Self::default();
        let args = Args::parse(args, errors).only_named("server", "controllers = [User]", errors);
        args.set(&mut settings, "server", &KEYS, errors);
        settings
    }

    fn expand(&self, item: &ItemStruct) -> TokenStream {
        let (rt, name) = (self.runtime.path(), &item.ident);
        let cfgs = cfgs(&item.attrs);
        let (impl_generics, type_generics, where_clause) = item.generics.split_for_impl();
        let controllers = self.runtime.controllers(&self.controllers);
        let pipeline = self.pipeline.expand(&self.runtime);
        let prefix = self.prefix.as_ref().map_or_else(String::new, LitStr::value);
        let body_limit = option(&rt, self.body_limit);
        let (host, port) = (option(&rt, self.host.as_ref()), option(&rt, self.port));
        let sse = option(&rt, self.sse.as_ref().map(|sse| sse.expand(&self.runtime)));
        quote! {
            #(#cfgs)*
            #[automatically_derived]
            impl #impl_generics #rt::Server for #name #type_generics #where_clause {
                const TABLE: #rt::ServerTable = #rt::ServerTable {
                    about: #rt::about!(),
                    prefix: #prefix,
                    controllers: #controllers,
                    pipeline: #pipeline,
                    body_limit: #body_limit,
                    host: #host,
                    port: #port,
                    sse: #sse,
                };
            }
        }
    }
}

impl SseSettings {
    fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut settings = Self {
            enabled: true,
            keep_alive: None,
            retry: None,
            welcome: false,
            control_prefix: None,
            log: None,
        };
        let args =
            Args::parse(tokens, errors).only_named("server(sse(..))", "enabled = true", errors);
        args.set(&mut settings, "server(sse(..))", &SSE_KEYS, errors);
        settings
    }

    fn expand(&self, runtime: &Runtime) -> TokenStream {
        let Self {
            enabled, welcome, ..
        } = self;
        let rt = &runtime.path();
        let (keep_alive, retry) = (option(rt, self.keep_alive), option(rt, self.retry));
        let control_prefix = option(rt, self.control_prefix.as_ref());
        let folder = self.log.as_ref();
        let span = folder.map_or_else(Span::call_site, LitStr::span);
        let at_folder = runtime.at(span);
        // Only the facade knows whether its feature is enabled.
        let log = quote_spanned!(span=> #at_folder::log!(#folder));
        quote! {
            #rt::SseTable {
                enabled: #enabled,
                keep_alive: #keep_alive,
                retry: #retry,
                welcome: #welcome,
                control_prefix: #control_prefix,
                log: #log,
            }
        }
    }
}

fn prefix(text: Option<LitStr>, errors: &mut Errors) -> Option<LitStr> {
    let text = text?;
    for mistake in Template::parse(&text.value()).err().into_iter().flatten() {
        errors.at(&text, mistake);
    }
    Some(text)
}

fn folder(text: Option<LitStr>, errors: &mut Errors) -> Option<LitStr> {
    let text = text?;
    if text.value().is_empty() {
        errors.at(&text, "a log needs a folder: `log = \"data/sse\"`");
        return None;
    }
    Some(text)
}

fn port_in(literal: &LitInt, errors: &mut Errors) -> Option<u16> {
    let port = literal.base10_parse().ok();
    if port.is_none() {
        errors.at(
            literal,
            "a port is a number from 0 to 65535; 0 picks a free one",
        );
    }
    port
}

fn control_prefix(text: Option<LitStr>, errors: &mut Errors) -> Option<LitStr> {
    let text = text?;
    let value = text.value();
    if value.is_empty() || value.contains(['\r', '\n', '\0']) {
        errors.at(
            &text,
            "the names of control events begin with it: it cannot be empty or hold a line break",
        );
        return None;
    }
    Some(text)
}
