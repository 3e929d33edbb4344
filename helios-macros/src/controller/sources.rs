//! The attributes of arguments. A new attribute is a new row of [`SOURCES`]. Parsing, checks, expansion and messages
//! read the rows, and do not know any attribute by name.
//!
//! # To add one
//!
//! 1. Add a row to [`SOURCES`].
//! 2. Write the function that the row names. It belongs to `helios-core/src/bind.rs`, or to `helios-http/src/routing/resolve.rs` if it
//!    needs the runtime, and is then re-exported by `helios-http/src/rt.rs`. Export it in `src/rt.rs`.
//! 3. A value of the request (`Binding::Value`) has methods of the same name: two in `helios-core/src/bind/check.rs`, by which start-up
//!    refuses types that cannot be read, and one in `helios-http/src/openapi/describe.rs`.
//! 4. Add its line to the table in `helios-macros/src/docs/controller.md`, which a test of this file checks.
//!
//! Only a new kind of setting, call or check touches more: `model/argument.rs`, and the matches that the compiler then lists.

use syn::Type;

use super::model::{
    Argument, Binding, Lent, Metadata, Naming, Parentheses, Passed, Source, SourceKind, TakesBody,
};
use crate::args::Key;
use crate::diagnostics::Errors;
use crate::{names, types};

const REQUEST_IS_OVER: &str =
    "the request is over: keep what you need of it from `#[on_sse_connection]`";
const NOTHING_TO_INJECT: &str =
    "nothing can be injected by then: make it a field of the controller";

pub(super) static SOURCES: [(&str, SourceKind); 9] = [
    (
        "param",
        SourceKind {
            parentheses: Parentheses::Name {
                naming: AS_IT_IS,
                keys: &[OUTER, NO_DEFAULT],
            },
            metadata: Metadata::PathParam,
            ..bound(Binding::Value("param"))
        },
    ),
    (
        "query",
        SourceKind {
            parentheses: Parentheses::Name {
                naming: AS_IT_IS,
                keys: &[DEFAULT],
            },
            ..bound(Binding::Value("query"))
        },
    ),
    (
        "header",
        SourceKind {
            parentheses: Parentheses::Name {
                naming: Naming {
                    given: names::header,
                    own: |name| name.replace('_', "-").to_lowercase(),
                },
                keys: &[DEFAULT],
            },
            ..bound(Binding::Value("header"))
        },
    ),
    (
        "cookie",
        SourceKind {
            parentheses: Parentheses::Name {
                naming: Naming {
                    given: names::cookie,
                    own: str::to_owned,
                },
                keys: &[DEFAULT],
            },
            ..bound(Binding::Value("cookie"))
        },
    ),
    (
        "body",
        SourceKind {
            parentheses: Parentheses::Keys {
                keys: &[JSON, FORM, UNVALIDATED, ALLOW_GET],
                no_value: "`#[body]` takes the whole body: write it without a name",
            },
            takes_body: TakesBody::Always,
            refused_with_request: Some("the route has read the body: a hook cannot take it"),
            ..bound(Binding::Body)
        },
    ),
    (
        "req",
        SourceKind {
            check: lent_to_read,
            ..bound(Binding::Lent(Lent::Request))
        },
    ),
    (
        "res",
        SourceKind {
            check: lent_to_write,
            at_most_once: Some("a response has one head: take it once"),
            refused_with_request: Some(
                "a hook cannot change the response: use `#[res]` on the route",
            ),
            ..bound(Binding::Lent(Lent::ResponseHead))
        },
    ),
    (
        "inject",
        SourceKind {
            check: inside_arc,
            metadata: Metadata::Inject,
            refused_after_request: Some(NOTHING_TO_INJECT),
            ..bound(Binding::Inside("inject"))
        },
    ),
    (
        "inject_sse",
        SourceKind {
            check: without_arc,
            refused_after_request: Some(NOTHING_TO_INJECT),
            ..bound(Binding::Handle("inject_sse"))
        },
    ),
];

/// An argument without an attribute.
pub(super) static UNMARKED: SourceKind = SourceKind {
    takes_body: TakesBody::ByType,
    refused_after_request: None,
    ..bound(Binding::ByType)
};

/// Returns a row for an attribute that takes no values, and works wherever there is a request.
const fn bound(binding: Binding) -> SourceKind {
    SourceKind {
        parentheses: Parentheses::Nothing,
        check: |_, _, _| {},
        binding,
        takes_body: TakesBody::Never,
        metadata: Metadata::Nothing,
        at_most_once: None,
        refused_with_request: None,
        refused_after_request: Some(REQUEST_IS_OVER),
    }
}

const AS_IT_IS: Naming = Naming {
    given: |name, _| Some(name.clone()),
    own: str::to_owned,
};

const OUTER: Key<Source> = ("outer", |source, arg, errors| {
    source.outer = arg.flag(errors);
});

const DEFAULT: Key<Source> = ("default", |source, arg, errors| {
    source.default = arg.expression("default = 20", errors);
});

const NO_DEFAULT: Key<Source> = ("default", |_, arg, errors| {
    errors.at(
        &arg.key,
        "a path parameter is always present: it needs no default",
    );
});

const JSON: Key<Source> = ("json", |source, arg, errors| {
    source.json = arg.flag(errors);
});

const FORM: Key<Source> = ("form", |source, arg, errors| {
    source.form = arg.flag(errors);
});

const UNVALIDATED: Key<Source> = ("unvalidated", |source, arg, errors| {
    source.unvalidated = arg.flag(errors);
});

const ALLOW_GET: Key<Source> = ("allow_get", |source, arg, errors| {
    source.allow_get = arg.flag(errors).then(|| arg.key.span());
});

fn lent_to_read(argument: &Argument, _: &mut Source, errors: &mut Errors) {
    if argument.passed != Passed::Shared {
        errors.at(
            &argument.declared,
            "a method can only read the request: write `&RequestContext`",
        );
    }
}

fn lent_to_write(argument: &Argument, _: &mut Source, errors: &mut Errors) {
    if argument.passed != Passed::Mutable {
        errors.at(
            &argument.declared,
            "a method changes the response's head in place: write `&mut ResponseHead`",
        );
    }
}

fn inside_arc(argument: &Argument, source: &mut Source, errors: &mut Errors) {
    let bound = &argument.bound;
    source.inner = types::inside(bound, "Arc").cloned();
    let message = match &source.inner {
        Some(inner) if types::is_named(inner, "SseService") => {
            "`SseService` is a handle: write `#[inject_sse] sse: SseService`".to_owned()
        }
        Some(_) => return,
        None if types::is_named(bound, "SseService") => {
            "`SseService` is injected by `#[inject_sse]`".to_owned()
        }
        None => format!(
            "`#[inject]` gives an `Arc`: write `Arc<{}>`",
            types::shown(unwrapped(bound))
        ),
    };
    errors.at(&argument.declared, message);
}

/// Returns the type inside the wrappers that other frameworks use for a service. Injected values are always present, so
/// `Option` is one of them.
fn unwrapped(ty: &Type) -> &Type {
    const WRAPPERS: [&str; 7] = [
        "Arc",
        "Option",
        "State",
        "Data",
        "Extension",
        "Inject",
        "Box",
    ];
    let inner = WRAPPERS.iter().find_map(|name| types::inside(ty, name));
    inner.map_or(ty, unwrapped)
}

fn without_arc(argument: &Argument, _: &mut Source, errors: &mut Errors) {
    if types::is_named(&argument.bound, "Arc") {
        errors.at(
            &argument.declared,
            "`#[inject_sse]` gives the `SseService`, which is a handle: write `SseService`",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_is_documented() {
        let page = include_str!("../docs/controller.md");
        for (name, _) in &SOURCES {
            assert!(page.contains(&format!("\n| `#[{name}]`")), "{name}");
        }
    }
}
