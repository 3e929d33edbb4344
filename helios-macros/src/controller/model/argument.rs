//! An argument of a method, and the ways in which one can be bound.

use proc_macro2::{Ident, Span};
use syn::{Expr, LitStr, Path, Type};

use crate::args::Key;
use crate::diagnostics::Errors;
use crate::types;

/// One argument of a route or hook.
pub(crate) struct Argument {
    /// The argument's own name, if its pattern is a name.
    pub(crate) name: Option<Ident>,
    /// The attribute that names its source.
    pub(crate) attribute: Option<Path>,
    /// Whether another attribute was refused, so that no conclusions are drawn from a missing one.
    pub(crate) is_refused: bool,
    /// The type as it is written.
    pub(crate) declared: Type,
    /// The type that is bound. For a reference, that is its target.
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

/// The source of an argument: its kind, and the details in its attribute.
pub(crate) struct Source {
    pub(crate) kind: &'static SourceKind,
    /// For a kind with [`Parentheses::Name`].
    pub(crate) name: Option<Name>,
    /// The type inside the argument's own, for a kind with [`Binding::Inside`].
    pub(crate) inner: Option<Type>,
    /// Fills in an absent value.
    pub(crate) default: Option<Expr>,
    /// Whether the parameter belongs to an enclosing prefix.
    pub(crate) outer: bool,
    pub(crate) unvalidated: bool,
    /// The formats that the body may have. JSON if none is given.
    pub(crate) json: bool,
    pub(crate) form: bool,
    /// The span of `allow_get`, if given.
    pub(crate) allow_get: Option<Span>,
}

/// The name of a value of the request, and the span that names it.
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// How one kind of argument is written, checked and bound.
pub(crate) struct SourceKind {
    pub(crate) parentheses: Parentheses,
    /// Refuses types that this kind cannot have.
    pub(crate) check: fn(&Argument, &mut Source, &mut Errors),
    pub(crate) binding: Binding,
    pub(crate) takes_body: TakesBody,
    pub(crate) metadata: Metadata,
    /// The message for a second one, if a method can have only one.
    pub(crate) at_most_once: Option<&'static str>,
    /// The message for a hook with a request, if such a hook cannot have it.
    pub(crate) refused_with_request: Option<&'static str>,
    /// The message for a hook after the request, if such a hook cannot have it.
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
    /// Checks a given name.
    pub(crate) given: fn(&LitStr, &mut Errors) -> Option<LitStr>,
    /// Derives the name from that of the argument.
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
    /// Reads, decodes and validates the body.
    Body,
    /// Lets the type bind itself, as extractors do.
    ByType,
    /// Binds nothing. The method borrows an existing value.
    Lent(Lent),
}

/// The values that a method can borrow for its call.
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
    /// Returns the type that the binding function binds.
    pub(crate) fn asked(&self) -> &Type {
        self.source.inner.as_ref().unwrap_or(&self.bound)
    }

    /// Returns the name for messages: its own, or that of its type.
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
    /// Creates a source with nothing but a kind.
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
