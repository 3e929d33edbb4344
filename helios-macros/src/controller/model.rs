//! The parsed controller.

mod argument;
mod stream;

pub(crate) use argument::{
    Argument, Binding, Lent, Metadata, Name, Naming, Parentheses, Passed, Source, SourceKind,
    TakesBody,
};
use proc_macro2::{Ident, Span};
pub(crate) use stream::{Setting, StreamOptions};
use syn::{Attribute, Generics, LitStr, Path, Type};

use super::hooks::HookKind;
use crate::path::{Param, Template};
use crate::pipeline::Pipeline;
use crate::runtime::Runtime;
use crate::types;

/// An impl marked `#[controller]`.
pub(crate) struct Controller {
    pub(crate) runtime: Runtime,
    /// The `#[cfg]`s of the impl, for everything that is generated beside it.
    pub(crate) cfgs: Vec<Attribute>,
    /// The lints that the impl allows, for the code that is generated from it.
    pub(crate) allowed: Vec<Attribute>,
    /// The doc comment of the impl.
    pub(crate) docs: String,
    pub(crate) generics: Generics,
    pub(crate) self_ty: Type,
    pub(crate) prefix: TemplateLiteral,
    pub(crate) controllers: Vec<Type>,
    pub(crate) pipeline: Pipeline,
    pub(crate) routes: Vec<Route>,
    pub(crate) hooks: Vec<Hook>,
    /// The attributes to touch, so that their imports count as used.
    pub(crate) used: Vec<Used>,
}

/// An attribute that is also a macro, as the user wrote its path.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) path: Path,
    pub(crate) cfgs: Vec<Attribute>,
}

/// A path template and its position.
pub(crate) struct TemplateLiteral {
    /// `None` if it was refused. Then no conclusions are drawn from what is missing.
    pub(crate) template: Option<Template>,
    /// The span of the literal, or of its attribute if there is none.
    pub(crate) span: Span,
}

impl TemplateLiteral {
    /// An empty template.
    pub(crate) fn absent(span: Span) -> Self {
        Self {
            template: Some(Template::default()),
            span,
        }
    }

    pub(crate) fn text(&self) -> &str {
        self.template
            .as_ref()
            .map_or("", |template| template.text.trim_matches('/'))
    }

    pub(crate) fn params(&self) -> &[Param] {
        self.template
            .as_ref()
            .map_or(&[], |template| &template.params)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.params().iter().any(|param| param.name == name)
    }

    pub(crate) fn lacks(&self, name: &str) -> bool {
        self.template.is_some() && !self.has(name)
    }
}

/// A method marked `#[get]`, `#[sse]`, ..
pub(crate) struct Route {
    pub(crate) attribute: Path,
    pub(crate) verb: Verb,
    pub(crate) path: TemplateLiteral,
    pub(crate) kind: RouteKind,
    pub(crate) extras: Extras,
    pub(crate) method: Method,
}

#[derive(Clone, Debug)]
pub(crate) enum RouteKind {
    Http,
    Sse(StreamOptions),
}

/// Settings from the additional attributes of a route.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) status: Option<Status>,
    pub(crate) pipeline: Pipeline,
    pub(crate) headers: Vec<ResponseHeader>,
    pub(crate) answers: Vec<Described>,
    pub(crate) accepts: Option<Described>,
}

/// `#[answers(201, "media/type", T)]`, or `#[accepts("media/type", T)]`
pub(crate) struct Described {
    /// The status of a response.
    pub(crate) status: u16,
    pub(crate) media: Option<LitStr>,
    pub(crate) ty: Option<Type>,
}

/// `#[http_code(201)]`
#[derive(Clone, Copy)]
pub(crate) struct Status {
    pub(crate) code: u16,
    pub(crate) span: Span,
}

/// `#[header("name", "value")]` on a method.
pub(crate) struct ResponseHeader {
    pub(crate) name: LitStr,
    pub(crate) value: LitStr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Head,
    Options,
    Any,
}

impl Verb {
    pub(crate) const ALL: [Self; 8] = [
        Self::Get,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Head,
        Self::Options,
        Self::Any,
    ];

    /// The name of the runtime's variant.
    pub(crate) fn variant(self) -> &'static str {
        match self {
            Self::Get => "Get",
            Self::Post => "Post",
            Self::Put => "Put",
            Self::Patch => "Patch",
            Self::Delete => "Delete",
            Self::Head => "Head",
            Self::Options => "Options",
            Self::Any => "Any",
        }
    }

    pub(crate) fn method(self) -> String {
        self.variant().to_uppercase()
    }

    pub(crate) fn attribute(self) -> String {
        self.variant().to_lowercase()
    }

    pub(crate) fn has_body(self) -> bool {
        !matches!(self, Self::Get | Self::Head)
    }
}

/// A method marked `#[on_sse_..]`.
pub(crate) struct Hook {
    pub(crate) attribute: Path,
    pub(crate) kind: &'static HookKind,
    pub(crate) method: Method,
}

/// The common part of routes and hooks.
pub(crate) struct Method {
    pub(crate) name: Ident,
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) allowed: Vec<Attribute>,
    /// The doc comment.
    pub(crate) docs: String,
    /// Whether the method may be deprecated, by itself or with the impl.
    pub(crate) is_deprecated: bool,
    pub(crate) is_async: bool,
    pub(crate) output: Option<Type>,
    pub(crate) arguments: Vec<Argument>,
}

impl Method {
    /// Returns the arguments that are parameters of the path, and whether they are marked `outer`.
    pub(crate) fn params(&self) -> impl Iterator<Item = (&Name, bool)> {
        let arguments = self.arguments.iter().map(|argument| &argument.source);
        arguments
            .filter(|source| source.kind.metadata == Metadata::PathParam)
            .filter_map(|source| Some((source.name.as_ref()?, source.outer)))
    }

    /// Whether it returns `()`.
    pub(crate) fn gives_nothing(&self) -> bool {
        is_nothing(self.output.as_ref())
    }

    /// Whether it returns `()`, or a `Result` of it.
    pub(crate) fn gives_unit(&self) -> bool {
        is_nothing(self.output.as_ref().map(types::in_result))
    }

    /// Whether an argument borrows `lent`.
    pub(crate) fn borrows(&self, lent: Lent) -> bool {
        let mut arguments = self.arguments.iter();
        arguments.any(|argument| argument.source.kind.binding == Binding::Lent(lent))
    }
}

fn is_nothing(output: Option<&Type>) -> bool {
    match output {
        None => true,
        Some(Type::Tuple(tuple)) => tuple.elems.is_empty(),
        Some(_) => false,
    }
}
