//! The ids of operations: the controller and the method, such as `Board.find`.
//!
//! Ids become names in generated clients. So none may depend on the order of the controllers.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use helios_core::route::Verb;
use helios_core::type_name::short_name;

use crate::error::StartupFault;
use crate::openapi::components::valid;
use crate::openapi::operation::{Mounted, Operation};

/// Returns the ids of all operations.
///
/// # Errors
///
/// Faults for operations with the same id.
pub(super) fn ids(operations: &[Operation]) -> Result<Vec<String>, Vec<StartupFault>> {
    let mut places: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for Mounted {
        controller, within, ..
    } in operations.iter().map(|it| &it.mounted)
    {
        places.entry(*controller).or_default().insert(within);
    }
    let id = |operation: &Operation| {
        let is_alone = places[&operation.mounted.controller].len() == 1;
        let place = match is_alone {
            true => String::new(),
            false => prefix(&operation.mounted.within),
        };
        format!("{place}{}.{}", name(operation), operation.place.handler)
    };
    let ids: Vec<String> = operations.iter().map(id).collect();
    let faults = doubles(operations, &ids);
    match faults.is_empty() {
        true => Ok(ids),
        false => Err(faults),
    }
}

/// Returns the controller's name, with its type arguments, such as `Crud_of_Note`.
pub(super) fn name(operation: &Operation) -> Cow<'static, str> {
    let short = short_name(operation.mounted.type_name);
    match short.contains('<') {
        true => {
            let named = short.replace('<', "_of_").replace(", ", "_and_");
            valid(&named.replace('>', "")).into()
        }
        false => operation.place.controller.into(),
    }
}

/// Returns the beginning of an id that tells the places of a controller apart.
fn prefix(within: &str) -> String {
    let segments = within.split('/').filter(|segment| !segment.is_empty());
    let named = |segment: &str| valid(segment.trim_matches(['{', '*', '}'])) + ".";
    segments.map(named).collect()
}

fn doubles(operations: &[Operation], ids: &[String]) -> Vec<StartupFault> {
    let mut seen = BTreeMap::new();
    let mut faults = Vec::new();
    let all = operations.iter().zip(ids);
    for (operation, id) in all.filter(|(it, _)| it.meta.verb != Verb::Any) {
        let path = operation.template.as_str();
        if let Some(first) = seen.insert(id, path) {
            faults.push(StartupFault::SameOperation {
                place: operation.place,
                paths: [first.to_owned(), path.to_owned()],
            });
        }
    }
    faults
}
