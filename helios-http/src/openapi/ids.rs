//! The ids of operations: the controller and the method, such as `Board.find`.
//!
//! Ids become names in generated clients. So none depends on the order of the controllers. An id says more if other
//! names could not tell two operations apart. That of a generic controller then contains its type arguments, and that of
//! a controller at several places the prefix around it.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};

use helios_core::route::Verb;
use helios_core::type_name::short_name;

use crate::error::StartupFault;
use crate::openapi::operation::{Mounted, Operation};

/// The names of an operation in the document.
pub(super) struct Names {
    pub(super) id: String,
    pub(super) tag: String,
}

/// Returns the names of all operations.
///
/// # Errors
///
/// Faults for operations with the same id.
pub(super) fn names(operations: &[Operation]) -> Result<Vec<Names>, Vec<StartupFault>> {
    let mut types: BTreeMap<&str, BTreeSet<TypeId>> = BTreeMap::new();
    let mut places: BTreeMap<TypeId, BTreeSet<&str>> = BTreeMap::new();
    for Operation { place, mounted, .. } in operations {
        let controller = mounted.controller;
        types
            .entry(place.controller)
            .or_default()
            .insert(controller);
        places
            .entry(controller)
            .or_default()
            .insert(&mounted.within);
    }
    let named = |Operation { place, mounted, .. }: &Operation| {
        let Mounted {
            controller,
            type_name,
            within,
            ..
        } = &**mounted;
        let mut tag = place.controller.to_owned();
        if types[place.controller].len() > 1 {
            tag += &arguments(type_name).map(suffix).unwrap_or_default();
        }
        let prefix = match places[controller].len() {
            1 => String::new(),
            _ => prefix(within),
        };
        let id = format!("{prefix}{tag}.{}", place.handler);
        Names { id, tag }
    };
    let names: Vec<Names> = operations.iter().map(named).collect();
    let faults = doubles(operations, &names);
    match faults.is_empty() {
        true => Ok(names),
        false => Err(faults),
    }
}

/// Returns the arguments in the name of a generic type.
fn arguments(type_name: &str) -> Option<&str> {
    let inner = type_name.strip_suffix('>')?;
    let mut depth = 1;
    for (at, c) in inner.char_indices().rev() {
        match c {
            // Not that of the arrow in `fn() -> T`.
            '>' if !inner[..at].ends_with('-') => depth += 1,
            '<' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return inner.get(at + 1..);
        }
    }
    None
}

/// Turns type arguments such as `a::Page<b::Note>, u8` into `_of_Page_of_Note_and_u8`.
fn suffix(arguments: &str) -> String {
    // Lifetimes tell no types apart.
    let types = short_name(arguments)
        .replace("'_, ", "")
        .replace("<'_>", "");
    let words = types
        .replace('<', "_of_")
        .replace(", ", "_and_")
        .replace('>', "");
    format!("_of_{}", word(&words))
}

/// Returns the beginning of an id that tells the places of a controller apart.
fn prefix(within: &str) -> String {
    let segments = within.split('/').filter(|segment| !segment.is_empty());
    let named = |segment: &str| word(segment.trim_matches(['{', '*', '}'])) + ".";
    segments.map(named).collect()
}

fn word(text: &str) -> String {
    let valid = |c: char| if c.is_alphanumeric() { c } else { '_' };
    text.chars().map(valid).collect()
}

fn doubles(operations: &[Operation], names: &[Names]) -> Vec<StartupFault> {
    let mut seen = BTreeMap::new();
    let mut faults = Vec::new();
    let all = operations.iter().zip(names);
    for (operation, Names { id, .. }) in all.filter(|(it, _)| it.meta.verb != Verb::Any) {
        let path = operation.template.as_str();
        if let Some(first) = seen.insert(id, path) {
            faults.push(StartupFault::SameOperation {
                id: id.clone(),
                place: operation.place,
                paths: [first.to_owned(), path.to_owned()],
            });
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_arguments_are_named_without_paths_and_lifetimes() {
        let named = |name| arguments(name).map(suffix);
        let cases = [
            ("app::Crud", None),
            ("app::Crud<app::Note>", Some("_of_Note")),
            (
                "app::Crud<alloc::vec::Vec<u8>, u8>",
                Some("_of_Vec_of_u8_and_u8"),
            ),
            (
                "app::Crud<alloc::borrow::Cow<'_, str>>",
                Some("_of_Cow_of_str"),
            ),
            ("app::Crud<app::Borrowed<'_>>", Some("_of_Borrowed")),
            ("app::Crud<fn(a::B) -> c::D>", Some("_of_fn_B____D")),
            ("app::Crud<app::main::{{closure}}::Note>", Some("_of_Note")),
            ("<app::G<u8> as app::Make>::make::Inner", None),
            ("<app::G<u8> as app::Make>::make::Crud<u8>", Some("_of_u8")),
            ("app::Crud<app::N\u{f6}te>", Some("_of_N\u{f6}te")),
            (">", None),
        ];
        for (name, expected) in cases {
            assert_eq!(named(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_prefix_is_named_by_its_segments() {
        assert_eq!(prefix("/"), "");
        assert_eq!(prefix("/v1.2/{tenant}/{*rest}"), "v1_2.tenant.rest.");
    }
}
