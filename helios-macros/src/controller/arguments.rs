//! The arguments of routes and hooks.

use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{
    Attribute, FnArg, Ident, Lifetime, Pat, PatType, Path, Signature, Type, parse_quote_spanned,
};

use super::model::{Argument, Binding, Passed, Source, SourceKind};
use super::parentheses;
use super::sources::{SOURCES, UNMARKED};
use crate::attribute::refuse_cfg_attr;
use crate::diagnostics::{Errors, similar};
use crate::types;

/// The attributes that rustc itself allows on an argument.
const BUILT_IN: [&str; 7] = [
    "allow", "expect", "warn", "deny", "forbid", "doc", "cfg_attr",
];

/// Reads an argument and removes its attributes.
pub(super) fn parse(item: &mut PatType, lifetimes: &[Lifetime], errors: &mut Errors) -> Argument {
    let (attributes, is_refused) = take(item, errors);
    if let Some(found) = types::impl_trait(&item.ty) {
        errors.at(
            &found,
            "Helios calls this method itself, so it needs the type: write it out",
        );
    }
    for (second, _) in attributes.iter().skip(1) {
        let name = item.pat.to_token_stream();
        errors.at(
            second.path(),
            format_args!("`{name}` can come from one place: keep one of its attributes"),
        );
    }
    refuse_static(&item.ty, errors);
    let mut declared = (*item.ty).clone();
    types::erase_lifetimes(&mut declared, lifetimes);
    let (bound, passed) = bound_type(&declared);
    let mut argument = Argument {
        name: name_of(&item.pat),
        attribute: attributes
            .first()
            .map(|(attribute, _)| attribute.path().clone()),
        is_refused,
        declared,
        bound,
        passed,
        source: Source::of(&UNMARKED),
    };
    if let Some((attribute, kind)) = attributes.first() {
        argument.source = parentheses::read(&argument, attribute, kind, errors);
        refuse_mutable(&argument, errors);
    }
    refuse_borrowing(&argument, errors);
    argument
}

/// Refuses the attributes of Helios on the arguments of an ordinary method, because Helios does not call it.
pub(super) fn refuse(sig: &mut Signature, errors: &mut Errors) {
    for input in &mut sig.inputs {
        let FnArg::Typed(item) = input else { continue };
        item.attrs.retain(|attribute| {
            let ours = kind_of(attribute.path()).is_some();
            if ours {
                let (path, name) = (attribute.path(), attribute.path().to_token_stream());
                let message = format!(
                    "`#[{name}]` does nothing here: `{}` has no route attribute such as `#[get]`",
                    sig.ident
                );
                errors.at(path, message);
            }
            !ours
        });
    }
}

/// The kind of source that an attribute names.
fn kind_of(path: &Path) -> Option<&'static SourceKind> {
    let found = SOURCES.iter().find(|(name, _)| path.is_ident(name));
    found.map(|(_, kind)| kind)
}

/// Removes the attributes of Helios from an argument. Also returns whether another attribute was refused.
fn take(item: &mut PatType, errors: &mut Errors) -> (Vec<(Attribute, &'static SourceKind)>, bool) {
    let (mut ours, mut is_refused) = (Vec::new(), false);
    for attribute in std::mem::take(&mut item.attrs) {
        match kind_of(attribute.path()) {
            Some(kind) => ours.push((attribute, kind)),
            None => is_refused |= !keep(item, attribute, errors),
        }
    }
    (ours, is_refused)
}

/// Leaves an attribute on its argument, or refuses it and returns false.
fn keep(item: &mut PatType, attribute: Attribute, errors: &mut Errors) -> bool {
    if attribute.path().is_ident("cfg") {
        errors.at(
            attribute.path(),
            "an argument cannot be conditional: put `#[cfg]` on the method",
        );
    } else if BUILT_IN.iter().any(|name| attribute.path().is_ident(name)) {
        refuse_cfg_attr(&attribute, |path| kind_of(path).is_some(), errors);
        item.attrs.push(attribute);
        return true;
    } else {
        errors.at(attribute.path(), unknown(attribute.path()));
    }
    false
}

/// Names that other frameworks use, and the names that Helios uses.
const FOREIGN: [(&str, &str); 12] = [
    ("path", "param"),
    ("params", "param"),
    ("headers", "header"),
    ("cookies", "cookie"),
    ("json", "body"),
    ("payload", "body"),
    ("form", "body(form)"),
    ("request", "req"),
    ("response", "res"),
    ("state", "inject"),
    ("data", "inject"),
    ("sse", "inject_sse"),
];

fn unknown(path: &Path) -> String {
    let name = path.to_token_stream().to_string();
    let known = SOURCES.each_ref().map(|(known, _)| *known);
    let foreign = FOREIGN.iter().find(|(foreign, _)| *foreign == name);
    let meant = foreign.map(|(_, meant)| *meant);
    match meant.or_else(|| similar(&name, &known)) {
        Some(similar) => format!("unknown attribute `#[{name}]`: did you mean `#[{similar}]`?"),
        None => format!(
            "unknown attribute `#[{name}]`: an argument takes `#[{}]`",
            known.join("]`, `#[")
        ),
    }
}

fn name_of(pattern: &Pat) -> Option<Ident> {
    match pattern {
        Pat::Ident(pattern) => Some(pattern.ident.clone()),
        _ => None,
    }
}

/// Returns the type to bind for an argument. For a reference, that is its target, which is then borrowed.
fn bound_type(declared: &Type) -> (Type, Passed) {
    match types::bare(declared) {
        Type::Reference(reference) => {
            let passed = if reference.mutability.is_some() {
                Passed::Mutable
            } else {
                Passed::Shared
            };
            (owned(&reference.elem), passed)
        }
        owned => (owned.clone(), Passed::Owned),
    }
}

/// Refuses `&'static`, because the argument is borrowed only for the call.
fn refuse_static(declared: &Type, errors: &mut Errors) {
    let Type::Reference(reference) = types::bare(declared) else {
        return;
    };
    let lifetime = reference.lifetime.iter();
    for lifetime in lifetime.filter(|lifetime| lifetime.ident == "static") {
        errors.at(
            lifetime,
            "the argument is borrowed only for the call: leave `'static` out, or take an owned value",
        );
    }
}

/// Refuses references inside of a type that is deserialised, because the value does not borrow from the request.
fn refuse_borrowing(argument: &Argument, errors: &mut Errors) {
    if !is_deserialised(argument) {
        return;
    }
    let (reference, ty) = match types::bare(&argument.declared) {
        Type::Reference(reference) => ("&", &*reference.elem),
        owned => ("", owned),
    };
    if let Some(owning) = types::owning(ty) {
        let owning = types::shown(owning);
        errors.at(
            &argument.declared,
            format_args!(
                "an argument cannot borrow inside of its type: write `{reference}{owning}`"
            ),
        );
    }
}

fn is_deserialised(argument: &Argument) -> bool {
    let is_in = |extractor| types::mentions(&argument.bound, extractor);
    match argument.source.kind.binding {
        Binding::Value(_) | Binding::Body => true,
        Binding::ByType => ["Json", "Form", "Query", "Path"].into_iter().any(is_in),
        Binding::Inside(_) | Binding::Handle(_) | Binding::Lent(_) => false,
    }
}

fn owned(target: &Type) -> Type {
    let span = target.span();
    match types::bare(target) {
        Type::Slice(slice) => {
            let element = &slice.elem;
            parse_quote_spanned!(span=> ::std::vec::Vec<#element>)
        }
        text if types::is_named(text, "str") => parse_quote_spanned!(span=> ::std::string::String),
        other => other.clone(),
    }
}

fn refuse_mutable(argument: &Argument, errors: &mut Errors) {
    if argument.passed == Passed::Mutable && !argument.is_lent() {
        errors.at(
            &argument.declared,
            "take it by value: the method can declare it `mut` itself",
        );
    }
}
