//! The attributes of methods: routes, hooks, and additional ones. A new verb is a new variant of `Verb`, a new hook a
//! new row of [`HOOKS`], and a new additional attribute a new row of [`EXTRAS`].
//!
//! # To add one beside a route
//!
//! 1. Add a row to [`EXTRAS`], and a field for its value to `Extras` (`model.rs`).
//! 2. Write that field into the route's row in `expand.rs`, and add it to the row's type in `helios-http/src/app/table.rs`.
//! 3. Add its name to `helios-macros/src/lib.rs`, with a page of that name in `helios-macros/src/docs`, for those who write it elsewhere.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Lit, LitInt, LitStr, Meta, Path, Token};

use super::hooks::{HOOKS, HookKind};
use super::model::{Described, Extras, ResponseHeader, RouteKind, Status, TemplateLiteral, Verb};
use super::stream_options::{self, SSE};
use crate::args::{Args, literal, string_literal};
use crate::attribute::{self, refuse_cfg_attr, short_name};
use crate::diagnostics::Errors;
use crate::names;
use crate::path::Template;

/// Sets a response header. Not exported, because arguments use the name for request headers.
const HEADER: &str = "header";

/// The additional attributes of a route, each with the function that reads it.
const EXTRAS: [(&str, ReadExtra); 7] = [
    ("accepts", accepts),
    ("answers", answers),
    ("http_code", http_code),
    ("use_guards", |extras, attribute, errors| {
        extras.pipeline.use_guards(attribute, errors);
    }),
    ("use_interceptors", |extras, attribute, errors| {
        extras.pipeline.use_interceptors(attribute, errors);
    }),
    ("use_filters", |extras, attribute, errors| {
        extras.pipeline.use_filters(attribute, errors);
    }),
    (HEADER, response_header),
];

type ReadExtra = fn(&mut Extras, &Attribute, &mut Errors);

/// The attributes of Helios on one method, by what they do.
#[derive(Default)]
pub(super) struct MethodAttributes {
    /// Attributes that make the method a route or a hook.
    pub(super) roles: Vec<Role>,
    pub(super) extras: Vec<Extra>,
}

/// An attribute that makes a method a route or a hook.
pub(super) struct Role {
    pub(super) attribute: Attribute,
    pub(super) kind: RoleKind,
}

/// An additional attribute of a route.
pub(super) struct Extra {
    pub(super) attribute: Attribute,
    read: ReadExtra,
}

#[derive(Clone, Copy)]
pub(super) enum RoleKind {
    Route(Verb),
    Sse,
    Hook(&'static HookKind),
}

enum Meaning {
    Role(RoleKind),
    Extra(ReadExtra),
}

/// Removes the attributes of Helios from a method.
pub(super) fn take(attributes: &mut Vec<Attribute>, errors: &mut Errors) -> MethodAttributes {
    let mut taken = MethodAttributes::default();
    attributes.retain(|attribute| {
        let Some(meaning) = meaning(attribute.path()) else {
            refuse_cfg_attr(attribute, |path| meaning(path).is_some(), errors);
            return true;
        };
        let attribute = attribute.clone();
        match meaning {
            Meaning::Role(kind) => taken.roles.push(Role { attribute, kind }),
            Meaning::Extra(read) => taken.extras.push(Extra { attribute, read }),
        }
        false
    });
    taken
}

/// Finds the meaning of an attribute of Helios, whatever its path.
fn meaning(path: &Path) -> Option<Meaning> {
    let name = path.segments.last()?.ident.to_string();
    if name == HEADER && path.get_ident().is_none() {
        return None;
    }
    let extra = || EXTRAS.iter().find(|(extra, _)| *extra == name);
    role(&name)
        .map(Meaning::Role)
        .or_else(|| extra().map(|(_, read)| Meaning::Extra(*read)))
}

fn role(name: &str) -> Option<RoleKind> {
    let verb = Verb::ALL.into_iter().find(|verb| verb.attribute() == name);
    let hook = HOOKS.iter().find(|hook| hook.attribute == name);
    let sse = (name == SSE).then_some(RoleKind::Sse);
    verb.map(RoleKind::Route)
        .or(sse)
        .or(hook.map(RoleKind::Hook))
}

/// Whether an attribute is exported as a macro, so that its import must count as used.
pub(super) fn is_exported(attribute: &Attribute) -> bool {
    short_name(attribute) != HEADER
}

/// `#[get("path")]`
pub(super) fn route(attribute: &Attribute, errors: &mut Errors) -> TemplateLiteral {
    let args = attribute::args(attribute, errors);
    let name = short_name(attribute);
    for arg in &args.named {
        let beside = format!("use_{}", arg.key);
        match EXTRAS.iter().any(|(extra, _)| *extra == beside) {
            true => errors.at(
                &arg.key,
                format_args!("`#[{name}]` takes a path alone: write `#[{beside}(..)]` below it"),
            ),
            false => errors.at(
                &arg.key,
                format_args!("`#[{name}]` takes a path alone: `#[{name}(\"..\")]`"),
            ),
        }
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
    let args = attribute::args(attribute, errors);
    let path = path_of(&args, attribute, errors);
    let (verb, options) = stream_options::parse(args, errors);
    (path, verb, RouteKind::Sse(options))
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
            format_args!("`#[{name}]` takes nothing: it applies to all `#[sse]` routes"),
        );
    }
}

/// Reads the additional attributes of a route.
pub(super) fn extras(taken: &[Extra], errors: &mut Errors) -> Extras {
    let mut extras = Extras::default();
    for extra in taken {
        (extra.read)(&mut extras, &extra.attribute, errors);
    }
    extras
}

fn http_code(extras: &mut Extras, attribute: &Attribute, errors: &mut Errors) {
    if extras.status.is_some() {
        return errors.at(
            attribute.path(),
            "the status is set already: remove this one",
        );
    }
    match status_in(attribute::tokens(attribute, errors)) {
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

/// `#[answers(201, Note)]`
fn answers(extras: &mut Extras, attribute: &Attribute, errors: &mut Errors) {
    let parsed = syn::parse2::<Described>(attribute::tokens(attribute, errors));
    match parsed {
        Ok(answer) if matches!(answer.status, 101 | 200..600) => extras.answers.push(answer),
        _ => errors.at(
            argument_or_path(attribute),
            "an answer is a status from 200 to 599, and the type of its JSON: `#[answers(201, Note)]`; for other formats, \
             the media type: `#[answers(200, \"image/png\")]`",
        ),
    }
}

/// `#[accepts(Upload)]`
fn accepts(extras: &mut Extras, attribute: &Attribute, errors: &mut Errors) {
    let parsed = syn::parse2::<Described>(attribute::tokens(attribute, errors));
    match parsed {
        Ok(body) if body.status == 0 && body.ty.is_some() && extras.accepts.is_none() => {
            extras.accepts = Some(body);
        }
        _ => errors.at(
            argument_or_path(attribute),
            "`#[accepts]` names the type of the body, and is written once: `#[accepts(Upload)]`, or `#[accepts(\"image/png\", Image)]`",
        ),
    }
}

impl Parse for Described {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let comma = || match input.is_empty() {
            true => Ok(()),
            false => input.parse::<Token![,]>().map(drop),
        };
        let mut described = Self {
            status: 0,
            media: None,
            ty: None,
        };
        if input.peek(LitInt) {
            described.status = input.parse::<LitInt>()?.base10_parse()?;
            comma()?;
        }
        if input.peek(LitStr) {
            described.media = Some(input.parse()?);
            comma()?;
        }
        if !input.is_empty() {
            described.ty = Some(input.parse()?);
            comma()?;
        }
        Ok(described)
    }
}

/// `#[header("name", "value")]`
fn response_header(extras: &mut Extras, attribute: &Attribute, errors: &mut Errors) {
    let args = attribute::args(attribute, errors);
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
        return errors.at(argument_or_path(attribute), message);
    };
    let Some(name) = names::header(name, errors) else {
        return;
    };
    if !value.value().bytes().all(is_visible) {
        return errors.at(value, "the value of a header is visible ASCII");
    }
    let value = value.clone();
    extras.headers.push(ResponseHeader { name, value });
}

fn is_visible(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_and_macros_have_the_same_names() {
        let verbs = Verb::ALL.into_iter().map(Verb::attribute);
        let hooks = HOOKS.iter().map(|hook| hook.attribute.to_owned());
        let extras = EXTRAS.iter().map(|(name, _)| (*name).to_owned());
        let all = verbs.chain([SSE.to_owned()]).chain(hooks).chain(extras);
        let mut attributes: Vec<_> = all.filter(|name| name != HEADER).collect();
        let mut macros = crate::METHOD_ATTRIBUTES.to_vec();
        attributes.sort_unstable();
        macros.sort_unstable();
        assert_eq!(attributes, macros);
    }
}
