//! An argument of a method, and the description of the ways in which one can be bound.

use proc_macro2::{Ident, Span};
use syn::{Expr, LitStr, Path, Type};

use crate::args::Key;
use crate::diagnostics::Errors;
use crate::types;

/// One argument of a route or hook.
pub(crate) struct Argument {
    /// The argument's own name, if its pattern is one.
    pub(crate) name: Option<Ident>,
    /// The attribute that says where it comes from.
    pub(crate) attribute: Option<Path>,
    /// True if another attribute was refused, so that nothing follows from there being none.
    pub(crate) is_refused: bool,
    /// The type as it is written.
    pub(crate) declared: Type,
    /// The type that is bound: what `declared` refers to, if it is a reference.
    pub(crate) bound: Type,
    pub(crate) passed: Passed,
    pub(crate) source: Source,
}

/// How a bound value reaches the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Owned,
    Shared,
    Mutable,
}

/// The source of an argument: its kind, and the details that its attribute gives.
pub(crate) struct Source {
    pub(crate) kind: &'static SourceKind,
    /// Of a kind with [`Parentheses::Name`].
    pub(crate) name: Option<Name>,
    /// The type inside the argument's own, of a kind with [`Binding::Inside`].
    pub(crate) inner: Option<Type>,
    /// Fills in an absent value.
    pub(crate) default: Option<Expr>,
    /// True if the parameter is one of an enclosing prefix.
    pub(crate) outer: bool,
    pub(crate) unvalidated: bool,
    /// The formats of a body that are asked for, of which JSON is taken if none is.
    pub(crate) json: bool,
    pub(crate) form: bool,
    /// The span of `allow_get`, if it is given.
    pub(crate) allow_get: Option<Span>,
}

/// The name of a value of the request, and the token that gives it.
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// How one kind of argument is written, checked and bound.
pub(crate) struct SourceKind {
    pub(crate) parentheses: Parentheses,
    /// Refuses types that it does not give.
    pub(crate) check: fn(&Argument, &mut Source, &mut Errors),
    pub(crate) binding: Binding,
    pub(crate) takes_body: TakesBody,
    pub(crate) metadata: Metadata,
    /// The message for a second one, if a method can take one at most.
    pub(crate) at_most_once: Option<&'static str>,
    /// The message for a hook that is given the request, if such a hook cannot take it.
    pub(crate) refused_with_request: Option<&'static str>,
    /// The message for a hook that runs after the request, if such a hook cannot take it.
    pub(crate) refused_after_request: Option<&'static str>,
}

/// The values that the attribute of an argument takes.
pub(crate) enum Parentheses {
    /// `#[req]`
    Nothing,
    /// `#[body(unvalidated)]`
    Keys {
        keys: &'static [Key<Source>],
        /// The message for a value without a key.
        no_value: &'static str,
    },
    /// `#[query("name", default = 20)]`
    Name {
        naming: Naming,
        keys: &'static [Key<Source>],
    },
}

/// How a value of the request gets its name.
pub(crate) struct Naming {
    /// Checks a name that is given.
    pub(crate) given: fn(&LitStr, &mut Errors) -> Option<LitStr>,
    /// Makes one of the argument's own name.
    pub(crate) own: fn(&str) -> String,
}

/// The runtime's function that binds an argument of type `T`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// `function::<T>(call)`, or `function::<T>(call, "name")` of a kind with [`Parentheses::Name`].
    Value(&'static str),
    /// `function::<U>(call)` where `T` is an `Arc<U>`.
    Inside(&'static str),
    /// `function(call)`
    Handle(&'static str),
    /// The body is read, decoded and validated.
    Body,
    /// The type binds itself, as extractors do.
    ByType,
    /// Nothing is bound. The method borrows what is there.
    Lent(Lent),
}

/// The things that a method can borrow for its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lent {
    Request,
    ResponseHead,
}

/// Whether an argument of a kind takes the request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakesBody {
    Never,
    Always,
    /// `Json<T>` does, a `HeaderMap` does not.
    ByType,
}

/// The part of the route's metadata that lists the argument, for the checks at start-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metadata {
    Nothing,
    /// A parameter that some prefix or path must have.
    PathParam,
    /// A singleton that the container must have.
    Inject,
}

impl Argument {
    /// The type that the binding function is asked for.
    pub(crate) fn asked(&self) -> &Type {
        self.source.inner.as_ref().unwrap_or(&self.bound)
    }

    /// The name by which people know it: its own, or that of its type.
    pub(crate) fn shown(&self) -> String {
        let of_type = || types::name(self.asked());
        self.name.as_ref().map_or_else(of_type, ToString::to_string)
    }

    pub(crate) fn is_unmarked(&self) -> bool {
        self.attribute.is_none()
    }

    pub(crate) fn is_lent(&self) -> bool {
        matches!(self.source.kind.binding, Binding::Lent(_))
    }
}

impl Source {
    /// A source of which nothing but its kind is known.
    pub(crate) fn of(kind: &'static SourceKind) -> Self {
        Self {
            kind,
            name: None,
            inner: None,
            default: None,
            outer: false,
            unvalidated: false,
            json: false,
            form: false,
            allow_get: None,
        }
    }
}
