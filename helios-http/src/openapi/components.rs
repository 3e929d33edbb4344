//! Merges the components of values that are sent and of values that are received, and names them. Until then a name
//! belongs to its set.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// The path of components in the document.
const PATH: &str = "#/components/schemas/";

/// The suffix of a received component that differs from the sent one.
const SUFFIX: &str = "Input";

/// The components that the values of one direction refer to.
#[derive(Clone, Copy)]
pub(super) struct Set {
    /// The path of its components until they are merged.
    pub(super) path: &'static str,
}

/// The components of values that are sent.
pub(super) const SENT: Set = Set { path: "#/sent/" };

/// The components of values that are received.
pub(super) const TAKEN: Set = Set { path: "#/taken/" };

impl Set {
    /// Returns the name that a reference to this set contains. schemars encodes it for a JSON pointer in a URI (RFC 6901, section 6).
    pub(super) fn name(self, reference: &str) -> Option<String> {
        let encoded = reference.strip_prefix(self.path)?;
        let name = percent_decode_str(encoded).decode_utf8().ok()?;
        Some(name.replace("~1", "/").replace("~0", "~"))
    }
}

/// Returns a reference to a component of Helios.
pub(super) fn component(name: &str) -> Value {
    json!({ "$ref": format!("{PATH}{name}") })
}

/// Puts the components into the document, and makes every reference point to them. Components without a reference are
/// left out. The components of Helios itself keep their names.
pub(super) fn merge(
    document: &mut Value,
    sent: Map<String, Value>,
    taken: Map<String, Value>,
    own: Map<String, Value>,
) {
    let names = Names::new(&sent, &taken, &own);
    each_reference(document, &|reference| names.settle(reference));
    let mut all = own;
    for (schemas, names_of_set) in [(sent, &names.sent), (taken, &names.taken)] {
        for (name, mut schema) in schemas {
            each_reference(&mut schema, &|reference| names.settle(reference));
            all.insert(names_of_set[&name].clone(), schema);
        }
    }
    let needed = needed(document, &all);
    all.retain(|name, _| needed.contains(name));
    if !all.is_empty() {
        document["components"]["schemas"] = Value::Object(all);
    }
}

/// The final name of each component of both sets.
struct Names {
    sent: BTreeMap<String, String>,
    taken: BTreeMap<String, String>,
}

impl Names {
    /// Types have their own names first. The received shape of a type that is also sent gets one of those that are
    /// left, because the name with the suffix may be that of another type.
    fn new(
        sent: &Map<String, Value>,
        taken: &Map<String, Value>,
        own: &Map<String, Value>,
    ) -> Self {
        let mut used: BTreeSet<String> = own.keys().cloned().collect();
        let mut free = |wanted: String| {
            let mut name = wanted.clone();
            let mut number = 1;
            while !used.insert(name.clone()) {
                number += 1;
                name = format!("{wanted}{number}");
            }
            name
        };
        let apart = told_apart(sent, taken);
        let mut names = Self {
            sent: BTreeMap::new(),
            taken: BTreeMap::new(),
        };
        for name in sent.keys() {
            names.sent.insert(name.clone(), free(valid(name)));
        }
        for name in taken.keys().filter(|name| !apart.contains(*name)) {
            let shared = names.sent.get(name).cloned();
            let settled = shared.unwrap_or_else(|| free(valid(name)));
            names.taken.insert(name.clone(), settled);
        }
        for name in apart {
            let settled = free(format!("{}{SUFFIX}", valid(&name)));
            names.taken.insert(name, settled);
        }
        names
    }

    /// Makes a reference to a component of a set point to where it is in the document.
    fn settle(&self, reference: &mut String) {
        for (set, names) in [(SENT, &self.sent), (TAKEN, &self.taken)] {
            let name = set.name(reference);
            if let Some(name) = name.and_then(|name| names.get(&name)) {
                *reference = format!("{PATH}{name}");
                return;
            }
        }
    }
}

/// Returns a name with only the characters that a component's name may have (OpenAPI 3.2, section 4.7.1).
pub(super) fn valid(name: &str) -> String {
    let valid = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => c,
        _ => '_',
    };
    match name {
        "" => "_".to_owned(),
        name => name.chars().map(valid).collect(),
    }
}

/// Returns the names whose schemas differ between the two sets, directly or through a reference.
fn told_apart(sent: &Map<String, Value>, taken: &Map<String, Value>) -> BTreeSet<String> {
    let both: Vec<_> = taken
        .iter()
        .filter_map(|(name, taken)| Some((name, sent.get(name)?, taken)))
        .collect();
    let differ = both.iter().filter(|(_, sent, taken)| !is_same(sent, taken));
    let mut apart: BTreeSet<String> = differ.map(|(name, ..)| (*name).clone()).collect();
    loop {
        let leads = |schema| {
            references(schema, TAKEN)
                .iter()
                .any(|it| apart.contains(it))
        };
        let more = both
            .iter()
            .filter(|(name, _, taken)| !apart.contains(*name) && leads(taken));
        let more: Vec<_> = more.map(|(name, ..)| (*name).clone()).collect();
        if more.is_empty() {
            return apart;
        }
        apart.extend(more);
    }
}

/// Returns whether two schemas are equal, if references to one name are.
fn is_same(sent: &Value, taken: &Value) -> bool {
    match (sent, taken) {
        (Value::Object(sent), Value::Object(taken)) => {
            let of_both = |(name, sent): (&String, &Value)| {
                taken.get(name).is_some_and(|taken| is_same(sent, taken))
            };
            sent.len() == taken.len() && sent.iter().all(of_both)
        }
        (Value::Array(sent), Value::Array(taken)) => {
            let mut pairs = sent.iter().zip(taken);
            sent.len() == taken.len() && pairs.all(|(sent, taken)| is_same(sent, taken))
        }
        (Value::String(sent), Value::String(taken)) => {
            let name = SENT.name(sent);
            sent == taken || name.is_some() && name == TAKEN.name(taken)
        }
        _ => sent == taken,
    }
}

fn needed(document: &Value, components: &Map<String, Value>) -> BTreeSet<String> {
    let all = Set { path: PATH };
    let mut needed = BTreeSet::new();
    let mut open: Vec<_> = references(document, all).into_iter().collect();
    while let Some(name) = open.pop() {
        if let Some(schema) = components.get(&name)
            && needed.insert(name)
        {
            open.extend(references(schema, all));
        }
    }
    needed
}

/// Returns the components of a set that a schema refers to.
fn references(schema: &Value, set: Set) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(object) => {
                let reference = object.get("$ref").and_then(Value::as_str);
                found.extend(reference.and_then(|it| set.name(it)));
                open.extend(object.values());
            }
            Value::Array(values) => open.extend(values),
            _ => {}
        }
    }
    found
}

fn each_reference(value: &mut Value, change: &impl Fn(&mut String)) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref") {
                change(reference);
            }
            object
                .values_mut()
                .for_each(|value| each_reference(value, change));
        }
        Value::Array(values) => {
            values
                .iter_mut()
                .for_each(|value| each_reference(value, change));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    /// Names that are easily confused, each with the shape of its type and the name to which it refers.
    fn types() -> impl Strategy<Value = BTreeMap<String, (u8, usize)>> {
        let name = prop_oneof!["[aö~/_]{0,2}", "a(Input)?[2-3]?", Just("own".to_owned())];
        btree_map(name, (0..2_u8, any::<usize>()), 1..6)
    }

    fn reference(set: Set, name: &str) -> Value {
        let name = name.replace('~', "~0").replace('/', "~1");
        let name = utf8_percent_encode(&name, NON_ALPHANUMERIC);
        json!({ "$ref": format!("{}{name}", set.path) })
    }

    fn at<T>(types: &BTreeMap<String, T>, index: usize) -> &String {
        types.keys().nth(index % types.len()).unwrap()
    }

    fn schemas(set: Set, types: &BTreeMap<String, (u8, usize)>) -> Map<String, Value> {
        let schema = |(name, (shape, next)): (&String, &(u8, usize))| {
            let next = reference(set, at(types, *next));
            let schema = json!({ "type": name, "shape": shape, "next": next });
            (name.clone(), schema)
        };
        types.iter().map(schema).collect()
    }

    proptest! {
        #[test]
        fn a_reference_leads_to_the_same_type_as_before(
            sent in types(),
            taken in types(),
            asked in vec((any::<bool>(), any::<usize>()), 0..6),
        ) {
            let asked = asked.into_iter().map(|(is_sent, index)| match is_sent {
                true => (SENT, &sent, at(&sent, index)),
                false => (TAKEN, &taken, at(&taken, index)),
            });
            let asked: Vec<_> = asked.collect();
            let paths: Vec<_> = asked.iter().map(|(set, _, name)| reference(*set, name)).collect();
            let mut document = json!({ "paths": paths, "components": {} });
            let own = Map::from_iter([("own".to_owned(), json!({ "type": "of Helios" }))]);
            merge(&mut document, schemas(SENT, &sent), schemas(TAKEN, &taken), own);
            let all = &document["components"]["schemas"];
            for name in all.as_object().into_iter().flatten().map(|(name, _)| name) {
                prop_assert_eq!(name, &valid(name));
            }
            for (at_path, (_, types, name)) in asked.into_iter().enumerate() {
                let (mut name, mut reached) = (name, &document["paths"][at_path]);
                for _ in 0..types.len() {
                    reached = &all[reached["$ref"].as_str().unwrap().strip_prefix(PATH).unwrap()];
                    let (shape, next) = types[name];
                    prop_assert_eq!((&reached["type"], &reached["shape"]), (&json!(name), &json!(shape)));
                    (name, reached) = (at(types, next), &reached["next"]);
                }
            }
        }
    }
}
