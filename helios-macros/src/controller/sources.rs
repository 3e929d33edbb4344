//! Where an argument comes from: the attribute that says it, with what may stand in its parentheses.

use quote::ToTokens;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, LitStr};

use super::attributes;
use super::model::{Argument, Name, Passed, Source};
use crate::args::{Arg, Args, Value, literal, string_literal};
use crate::diagnostics::{Errors, similar};
use crate::types;

/// Reads the attribute of one argument.
pub(super) fn read(argument: &Argument, attribute: &Attribute, errors: &mut Errors) -> Source {
    Reader {
        argument,
        attribute,
    }
    .source(errors)
}

struct Reader<'a> {
    argument: &'a Argument,
    attribute: &'a Attribute,
}

/// What may stand in the parentheses of `#[param]`, `#[query]`, `#[header]` and `#[cookie]`.
struct Named {
    name: Name,
    default: Option<Expr>,
    outer: bool,
}

impl Reader<'_> {
    fn source(&self, errors: &mut Errors) -> Source {
        let name = attributes::short_name(self.attribute);
        if !matches!(
            name.as_str(),
            "param" | "query" | "header" | "cookie" | "body"
        ) {
            self.refuse_args(&name, errors);
        }
        match name.as_str() {
            "param" => self.param(errors),
            "query" => self.query(errors),
            "header" => self.header(errors),
            "cookie" => self.cookie(errors),
            "body" => self.body(errors),
            "req" => self.request(errors),
            "res" => self.response(errors),
            "inject" => self.inject(errors),
            _ => self.inject_sse(errors),
        }
    }

    fn refuse_args(&self, name: &str, errors: &mut Errors) {
        if !matches!(self.attribute.meta, syn::Meta::Path(_)) {
            errors.at(
                &self.attribute.meta,
                format_args!("`#[{name}]` takes nothing: write `#[{name}]`"),
            );
        }
    }

    fn param(&self, errors: &mut Errors) -> Source {
        let Named { name, outer, .. } = self.named("param", &["outer", "default"], errors);
        Source::Param { name, outer }
    }

    fn query(&self, errors: &mut Errors) -> Source {
        let Named { name, default, .. } = self.named("query", &["default"], errors);
        Source::Query { name, default }
    }

    fn header(&self, errors: &mut Errors) -> Source {
        let Named {
            mut name, default, ..
        } = self.named("header", &["default"], errors);
        name.text = name.text.to_lowercase();
        if name.text != "last-event-id" {
            return Source::Header { name, default };
        }
        let inner = match &default {
            Some(_) => Some(&self.argument.bound),
            None => types::inside(&self.argument.bound, "Option"),
        };
        match inner.cloned() {
            Some(inner) => Source::LastEventId { inner, default },
            None => Source::Header { name, default },
        }
    }

    fn cookie(&self, errors: &mut Errors) -> Source {
        let Named { name, default, .. } = self.named("cookie", &["default"], errors);
        Source::Cookie { name, default }
    }

    fn body(&self, errors: &mut Errors) -> Source {
        let (mut unvalidated, mut allow_get) = (false, None);
        let args = attributes::args_of(self.attribute, errors);
        for value in &args.positional {
            errors.at(value, "the whole body is taken: write `#[body]`");
        }
        for arg in args.known("body", &["unvalidated", "allow_get"], errors) {
            match arg.name().as_str() {
                "unvalidated" => unvalidated = arg.flag(errors),
                _ => allow_get = arg.flag(errors).then(|| arg.key.span()),
            }
        }
        Source::Body {
            unvalidated,
            allow_get,
        }
    }

    fn named(&self, attribute: &str, keys: &[&str], errors: &mut Errors) -> Named {
        let mut args = attributes::args_of(self.attribute, errors);
        let name = self.name(attribute, &args, errors);
        suggest_string(attribute, &mut args, keys, errors);
        let mut named = Named {
            name,
            default: None,
            outer: false,
        };
        for arg in args.known(attribute, keys, errors) {
            match arg.name().as_str() {
                "outer" => named.outer = arg.flag(errors),
                _ => named.default = self.default(attribute, &arg, errors),
            }
        }
        named
    }

    /// The literal given, or the argument's own name.
    fn name(&self, attribute: &str, args: &Args, errors: &mut Errors) -> Name {
        for second in args.positional.iter().skip(1) {
            errors.at(
                second,
                format_args!("on an argument `#[{attribute}(\"..\")]` takes one name"),
            );
        }
        match args.positional.first() {
            Some(given) => self.given_name(attribute, given, errors),
            None => self.own_name(attribute, errors),
        }
    }

    fn given_name(&self, attribute: &str, given: &Expr, errors: &mut Errors) -> Name {
        let text = literal(given).and_then(string_literal);
        if text.is_none() {
            errors.at(
                given,
                format_args!("a name is a string literal: `#[{attribute}(\"..\")]`"),
            );
        }
        let checked: Option<LitStr> = match attribute {
            "header" => text.and_then(|text| attributes::header_name(&text, errors)),
            "cookie" => text.and_then(|text| attributes::cookie_name(text, errors)),
            _ => text,
        };
        Name {
            text: checked.map_or_else(String::new, |text| text.value()),
            span: given.span(),
        }
    }

    fn own_name(&self, attribute: &str, errors: &mut Errors) -> Name {
        let Some(ident) = &self.argument.name else {
            errors.at(
                self.attribute.path(),
                format_args!("give the name: `#[{attribute}(\"id\")]`"),
            );
            return Name {
                text: String::new(),
                span: self.attribute.span(),
            };
        };
        let text = ident.unraw().to_string();
        let text = if attribute == "header" {
            text.replace('_', "-")
        } else {
            text
        };
        Name {
            text,
            span: ident.span(),
        }
    }

    fn default(&self, attribute: &str, arg: &Arg, errors: &mut Errors) -> Option<Expr> {
        if attribute == "param" {
            errors.at(
                &arg.key,
                "a path parameter is always there: it needs no default",
            );
            return None;
        }
        if types::is_named(&self.argument.bound, "Option") {
            errors.at(
                &self.argument.declared,
                "`default` fills in what is absent: write the type without `Option`",
            );
        }
        arg.expression("default = 20", errors)
    }

    fn request(&self, errors: &mut Errors) -> Source {
        if self.argument.passed != Passed::Shared {
            errors.at(
                &self.argument.declared,
                "the request is lent to read: write `&RequestContext`",
            );
        }
        Source::Request
    }

    fn response(&self, errors: &mut Errors) -> Source {
        if self.argument.passed != Passed::Mutable {
            errors.at(
                &self.argument.declared,
                "the response's head is lent to write: write `&mut ResponseHead`",
            );
        }
        Source::Response
    }

    fn inject(&self, errors: &mut Errors) -> Source {
        let bound = &self.argument.bound;
        let Some(inner) = types::inside(bound, "Arc") else {
            let message = match types::is_named(bound, "SseService") {
                true => "`SseService` is given by `#[inject_sse]`".to_owned(),
                false => format!(
                    "`#[inject]` gives an `Arc`: write `Arc<{}>`",
                    bound.to_token_stream()
                ),
            };
            errors.at(&self.argument.declared, message);
            return Source::Inject(bound.clone());
        };
        if types::is_named(inner, "SseService") {
            errors.at(
                &self.argument.declared,
                "`SseService` is a handle: write `#[inject_sse] sse: SseService`",
            );
        }
        Source::Inject(inner.clone())
    }

    fn inject_sse(&self, errors: &mut Errors) -> Source {
        if types::is_named(&self.argument.bound, "Arc") {
            let message =
                "`#[inject_sse]` gives the `SseService`, which is a handle: write `SseService`";
            errors.at(&self.argument.declared, message);
        }
        Source::InjectSse
    }
}

/// `#[param(id)]` where `#[param("id")]` is meant.
fn suggest_string(attribute: &str, args: &mut Args, keys: &[&str], errors: &mut Errors) {
    args.named.retain(|arg| {
        let name = arg.name();
        let bare = matches!(arg.value, Value::Nothing);
        let meant = bare && !keys.contains(&name.as_str()) && similar(&name, keys).is_none();
        if meant {
            errors.at(
                &arg.key,
                format_args!("a name is a string literal: `#[{attribute}(\"{name}\")]`"),
            );
        }
        !meant
    });
}
