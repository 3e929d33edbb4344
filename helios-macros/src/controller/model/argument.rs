//! An argument, and what there is to know about the ways in which one can be bound.

use proc_macro2::{Ident, Span};
use syn::{Expr, LitStr, Path, Type};

use crate::args::Key;
use crate::diagnostics::Errors;

/// One argument of a route or hook.
pub(crate) struct Argument {
    /// The argument's own name, if its pattern is one.
    pub(crate) name: Option<Ident>,
    /// The attribute that says where it comes from.
    pub(crate) attribute: Option<Path>,
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

/// Where an argument comes from: its kind, and what its attribute says.
pub(crate) struct Source {
    pub(crate) kind: &'static SourceKind,
    /// Of a kind with [`Parentheses::Name`].
    pub(crate) name: Option<Name>,
    /// The type inside the argument's own, of a kind with [`Binding::Inside`].
    pub(crate) inner: Option<Type>,
    /// What fills in an absent value.
    pub(crate) default: Option<Expr>,
    /// Whether the parameter is one of an enclosing prefix.
    pub(crate) outer: bool,
    pub(crate) unvalidated: bool,
    /// Where `allow_get` stands, if it does.
    pub(crate) allow_get: Option<Span>,
}

/// The name of a value of the request, and the token that gives it.
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// How one kind of argument is written, checked and bound.
pub(crate) struct SourceKind {
    /// What its attribute takes.
    pub(crate) parentheses: Parentheses,
    /// Refuses types that it does not give.
    pub(crate) check: fn(&Argument, &mut Source, &mut Errors),
    pub(crate) binding: Binding,
    pub(crate) takes_body: TakesBody,
    /// What the runtime is told of it before a request comes.
    pub(crate) metadata: Metadata,
    /// Why a method cannot have two, if it cannot.
    pub(crate) at_most_once: Option<&'static str>,
    /// Why a hook that is given the request cannot take it, if it cannot.
    pub(crate) refused_with_request: Option<&'static str>,
    /// Why a hook that runs after the request cannot take it, if it cannot.
    pub(crate) refused_after_request: Option<&'static str>,
}

/// What the attribute of an argument takes.
pub(crate) enum Parentheses {
    /// `#[req]`
    Nothing,
    /// `#[body(unvalidated)]`
    Keys {
        keys: &'static [Key<Source>],
        /// What is said of a value without a key.
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
    /// `function::<U>(call)` where `T` is an `Option<U>` or `Arc<U>`.
    Inside(&'static str),
    /// `function(call)`
    Handle(&'static str),
    /// The body is read, decoded and validated.
    Body,
    /// The type binds itself, as extractors do.
    ByType,
    /// Nothing is bound: the method borrows what is there.
    Lent(Lent),
}

/// What is lent to a method for its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lent {
    Request,
    ResponseHead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakesBody {
    Never,
    Always,
    /// `Json<T>` does, a `HeaderMap` does not.
    ByType,
}

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
            allow_get: None,
        }
    }
}
