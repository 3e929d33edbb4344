//! The attributes of methods: routes, hooks, and what can stand beside them.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Lit, LitStr, Meta, Path, Token};

use super::model::{Extras, HookKind, ResponseHeader, RouteKind, Status, TemplateLiteral, Verb};
use crate::args::{Args, literal, string_literal};
use crate::diagnostics::Errors;
use crate::path::Template;
use crate::pipeline;

/// The attributes of methods that are exported as macros too.
const EXPORTED: [&str; 17] = [
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "head",
    "options",
    "any",
    "sse",
    "on_sse_connection",
    "on_sse_error",
    "on_sse_reset",
    "on_sse_close",
    "http_code",
    "use_guards",
    "use_interceptors",
    "use_filters",
];

/// A response header; not exported, because arguments use the name for request headers.
const HEADER: &str = "header";

/// The attributes of Helios on one method, by what they do.
#[derive(Default)]
pub(super) struct MethodAttributes {
    /// What makes it a route or a hook.
    pub(super) roles: Vec<Role>,
    pub(super) extras: Vec<Attribute>,
}

/// What an attribute makes of a method.
pub(super) struct Role {
    pub(super) attribute: Attribute,
    pub(super) kind: RoleKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RoleKind {
    Route(Verb),
    Sse,
    Hook(HookKind),
}

/// Takes the attributes of Helios off a method.
pub(super) fn take(attributes: &mut Vec<Attribute>, errors: &mut Errors) -> MethodAttributes {
    let mut taken = MethodAttributes::default();
    attributes.retain(|attribute| {
        let Some(name) = name_of(attribute.path()) else {
            refuse_cfg_attr(attribute, |path| name_of(path).is_some(), errors);
            return true;
        };
        match role_of(&name) {
            Some(kind) => taken.roles.push(Role {
                attribute: attribute.clone(),
                kind,
            }),
            None => taken.extras.push(attribute.clone()),
        }
        false
    });
    taken
}

/// The name of an attribute of Helios, whatever path leads to it.
fn name_of(path: &Path) -> Option<String> {
    let name = path.segments.last()?.ident.to_string();
    let is_ours = EXPORTED.contains(&name.as_str()) || name == HEADER && path.get_ident().is_some();
    is_ours.then_some(name)
}

/// Whether an attribute is exported as a macro, so that its import must count as used.
pub(super) fn is_exported(path: &Path) -> bool {
    name_of(path).is_some_and(|name| name != HEADER)
}

fn role_of(name: &str) -> Option<RoleKind> {
    if name == "sse" {
        return Some(RoleKind::Sse);
    }
    let verb = Verb::ALL.into_iter().find(|verb| verb.attribute() == name);
    let hook = HookKind::ALL
        .into_iter()
        .find(|hook| hook.attribute() == name);
    verb.map(RoleKind::Route).or(hook.map(RoleKind::Hook))
}

/// `cfg_attr` is resolved after this macro has run, so it would hide our attributes from it.
pub(super) fn refuse_cfg_attr(
    attribute: &Attribute,
    is_ours: impl Fn(&Path) -> bool,
    errors: &mut Errors,
) {
    if !attribute.path().is_ident("cfg_attr") {
        return;
    }
    let parsed = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    let held = parsed.into_iter().flatten().skip(1);
    for meta in held.filter(|meta| is_ours(meta.path())) {
        let name = meta.path().to_token_stream();
        errors.at(
            meta.path(),
            format_args!("`cfg_attr` cannot hold `#[{name}]`: put `#[cfg(..)]` on the method"),
        );
    }
}

/// The parentheses of an attribute; nothing, if it has none.
fn tokens_of(attribute: &Attribute, errors: &mut Errors) -> TokenStream {
    match &attribute.meta {
        Meta::Path(_) => TokenStream::new(),
        Meta::List(list) => list.tokens.clone(),
        Meta::NameValue(pair) => {
            let name = pair.path.to_token_stream();
            let value = pair.value.to_token_stream();
            errors.at(&pair.value, format_args!("write `#[{name}({value})]`"));
            value
        }
    }
}

pub(super) fn args_of(attribute: &Attribute, errors: &mut Errors) -> Args {
    let tokens = tokens_of(attribute, errors);
    Args::parse(tokens, errors)
}

/// The name of an attribute without the path to it.
pub(super) fn short_name(attribute: &Attribute) -> String {
    attribute
        .path()
        .segments
        .last()
        .map_or_else(String::new, |last| last.ident.to_string())
}

/// `#[get("path")]`
pub(super) fn route(attribute: &Attribute, errors: &mut Errors) -> TemplateLiteral {
    let args = args_of(attribute, errors);
    let name = short_name(attribute);
    for arg in &args.named {
        errors.at(
            &arg.key,
            format_args!("`#[{name}]` takes a path alone: `#[{name}(\"..\")]`"),
        );
    }
    match args.named.is_empty() {
        true => path_of(&args, attribute, errors),
        false => refused_path(attribute.path().span()),
    }
}

/// `#[sse("path", method = "POST", restart)]`
pub(super) fn sse(
    attribute: &Attribute,
    errors: &mut Errors,
) -> (TemplateLiteral, Verb, RouteKind) {
    let args = args_of(attribute, errors);
    let path = path_of(&args, attribute, errors);
    let (mut verb, mut restart) = (Verb::Get, false);
    for arg in args.known("sse", &["method", "restart"], errors) {
        if arg.name() == "restart" {
            restart = arg.flag(errors);
        } else if let Some(method) = arg.string("method = \"POST\"", errors) {
            verb = method_named(&method, errors).unwrap_or(Verb::Any);
        }
    }
    (path, verb, RouteKind::Sse { restart })
}

fn method_named(text: &LitStr, errors: &mut Errors) -> Option<Verb> {
    let found = Verb::ALL
        .into_iter()
        .find(|verb| verb.method() == text.value());
    if found.is_none() {
        let methods = Verb::ALL.map(Verb::method).join("`, `");
        errors.at(
            text,
            format_args!("unknown method: write one of `{methods}`"),
        );
    }
    found
}

fn path_of(args: &Args, attribute: &Attribute, errors: &mut Errors) -> TemplateLiteral {
    let name = short_name(attribute);
    for extra in args.positional.iter().skip(1) {
        errors.at(extra, format_args!("`#[{name}]` takes one path"));
    }
    let Some(path) = args.positional.first() else {
        return TemplateLiteral::absent(attribute.path().span());
    };
    match literal(path).and_then(string_literal) {
        Some(text) => template(&text, errors),
        None => {
            errors.at(
                path,
                format_args!("a path is a string literal: `#[{name}(\"..\")]`"),
            );
            refused_path(path.span())
        }
    }
}

fn refused_path(span: Span) -> TemplateLiteral {
    TemplateLiteral {
        template: None,
        span,
    }
}

/// Reads a path template.
pub(super) fn template(literal: &LitStr, errors: &mut Errors) -> TemplateLiteral {
    let parsed = Template::parse(&literal.value());
    for mistake in parsed.as_ref().err().into_iter().flatten() {
        errors.at(literal, mistake);
    }
    TemplateLiteral {
        template: parsed.ok(),
        span: literal.span(),
    }
}

/// Refuses arguments of `#[on_sse_..]`.
pub(super) fn hook(attribute: &Attribute, errors: &mut Errors) {
    if !matches!(attribute.meta, Meta::Path(_)) {
        let name = short_name(attribute);
        errors.at(
            &attribute.meta,
            format_args!("`#[{name}]` takes nothing: it stands for all `#[sse]` routes"),
        );
    }
}

/// What stands beside a route's own attribute.
pub(super) fn extras(attributes: &[Attribute], errors: &mut Errors) -> Extras {
    let mut extras = Extras::default();
    for attribute in attributes {
        match short_name(attribute).as_str() {
            "http_code" => http_code(attribute, &mut extras, errors),
            name if pipeline::ATTRIBUTES.contains(&name) => {
                extras.pipeline.extend(name, attribute, errors);
            }
            _ => extras.headers.extend(response_header(attribute, errors)),
        }
    }
    extras
}

pub(crate) fn list<T: syn::parse::Parse>(attribute: &Attribute, errors: &mut Errors) -> Vec<T> {
    let tokens = tokens_of(attribute, errors);
    let Some(list) = errors.take(Punctuated::<T, Token![,]>::parse_terminated.parse2(tokens))
    else {
        return Vec::new();
    };
    if list.is_empty() {
        let name = short_name(attribute);
        errors.at(
            attribute.path(),
            format_args!("`#[{name}(..)]` takes a list, which is missing"),
        );
    }
    list.into_iter().collect()
}

fn http_code(attribute: &Attribute, extras: &mut Extras, errors: &mut Errors) {
    if extras.status.is_some() {
        return errors.at(
            attribute.path(),
            "the status is set already: remove this one",
        );
    }
    match status_in(tokens_of(attribute, errors)) {
        Some(code) => {
            extras.status = Some(Status {
                code,
                span: attribute.path().span(),
            });
        }
        None => errors.at(
            argument_or_path(attribute),
            "a status is a number from 200 to 599: `#[http_code(201)]`",
        ),
    }
}

fn status_in(tokens: TokenStream) -> Option<u16> {
    let Lit::Int(code) = syn::parse2(tokens).ok()? else {
        return None;
    };
    code.base10_parse()
        .ok()
        .filter(|code| (200..600).contains(code))
}

fn argument_or_path(attribute: &Attribute) -> TokenStream {
    match &attribute.meta {
        Meta::List(list) if !list.tokens.is_empty() => list.tokens.clone(),
        meta => meta.path().to_token_stream(),
    }
}

/// `#[header("name", "value")]`
fn response_header(attribute: &Attribute, errors: &mut Errors) -> Option<ResponseHeader> {
    let args = args_of(attribute, errors);
    let texts: Vec<_> = args
        .positional
        .iter()
        .filter_map(|value| literal(value).and_then(string_literal))
        .collect();
    let (true, [name, value]) = (
        args.named.is_empty() && args.positional.len() == 2,
        &texts[..],
    ) else {
        let message =
            "on a method it sets a response header: `#[header(\"cache-control\", \"no-store\")]`";
        errors.at(argument_or_path(attribute), message);
        return None;
    };
    let name = header_name(name, errors)?;
    if !value
        .value()
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
    {
        errors.at(value, "the value of a header is visible ASCII");
        return None;
    }
    Some(ResponseHeader {
        name,
        value: value.clone(),
    })
}

/// A header's name in lower case.
pub(super) fn header_name(text: &LitStr, errors: &mut Errors) -> Option<LitStr> {
    let name = text.value().to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_token) {
        errors.at(
            text,
            "the name of a header is made of letters, digits and `-`",
        );
        return None;
    }
    Some(LitStr::new(&name, text.span()))
}

/// A cookie of another name is never sent: it would always be absent.
pub(super) fn cookie_name(text: LitStr, errors: &mut Errors) -> Option<LitStr> {
    let name = text.value();
    if name.is_empty() || !name.bytes().all(is_token) {
        errors.at(
            text,
            "the name of a cookie is made of letters, digits, `-` and `_`",
        );
        return None;
    }
    Some(text)
}

/// [RFC 9110 5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2)
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
