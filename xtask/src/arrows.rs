//! Imports run downward. `cargo xtask arrows` finds which file of a crate names which other, and checks that against
//! the rules.
//!
//! An arrow leads from the file that names an item to the file that defines it, even through re-exports. Tests do not
//! count, and neither does a re-export itself. Names inside a macro call are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemUse, UseTree, VisRestricted, Visibility};

/// The rules for a crate's arrows.
struct Rule {
    krate: &'static str,
    /// Folders from the top. A file may name files of its own floor and of lower ones. All other files are below them.
    floors: &'static [&'static str],
    /// Files above all floors.
    roof: &'static [&'static str],
    /// The most files in one circle.
    circle: usize,
}

const RULES: [Rule; 5] = [
    Rule {
        krate: "helios-core",
        floors: &[],
        roof: &[],
        circle: 1,
    },
    Rule {
        krate: "helios-macros",
        floors: &[],
        roof: &[],
        circle: 1,
    },
    Rule {
        krate: "helios-log",
        floors: &[],
        roof: &[],
        circle: 1,
    },
    Rule {
        krate: "helios-redis",
        floors: &[],
        roof: &[],
        circle: 1,
    },
    Rule {
        krate: "helios-http",
        floors: &["testing", "server", "app", "openapi", "routing", "sse"],
        roof: &["rt"],
        circle: 8,
    },
];

/// A module's path in its crate, such as `["sse", "hub"]`. The crate's root is empty.
type Module = Vec<String>;

/// The names in one file.
#[derive(Default)]
struct Names {
    /// Paths that it names, from the root of the crate.
    paths: BTreeSet<Vec<String>>,
    /// Its re-exports: a name, and the path of the item.
    exports: BTreeMap<String, Vec<String>>,
    /// Its modules that are only compiled for tests.
    tests: Vec<Module>,
}

type Arrows = BTreeMap<Module, BTreeSet<Module>>;

/// Returns an error with all forbidden arrows of the workspace.
pub(crate) fn check() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut faults = Vec::new();
    for rule in &RULES {
        let arrows = arrows(&root.join(rule.krate).join("src"))?;
        faults.extend(upward(rule, &arrows));
        faults.extend(circles(rule, &arrows));
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "imports must run downward:\n  {}",
            faults.join("\n  ")
        )),
    }
}

fn upward(rule: &Rule, arrows: &Arrows) -> Vec<String> {
    let floor = |module: &Module| match module.first().map(String::as_str) {
        Some(name) if rule.roof.contains(&name) => 0,
        Some(name) => {
            let floor = rule.floors.iter().position(|floor| *floor == name);
            floor.map_or(usize::MAX, |floor| floor + 1)
        }
        None => 0,
    };
    let all = arrows
        .iter()
        .flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let up = all.filter(|(from, to)| floor(to) < floor(from));
    let fault = |(from, to)| {
        format!(
            "{}: {} names {}, which is above it",
            rule.krate,
            name(from),
            name(to)
        )
    };
    up.map(fault).collect()
}

/// Returns the circles that are too large. Two files are in one circle if each leads to the other.
fn circles(rule: &Rule, arrows: &Arrows) -> Vec<String> {
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = arrows
        .keys()
        .map(|from| (from, reachable(from, arrows)))
        .collect();
    let mut found = BTreeSet::new();
    for (from, reached) in &reach {
        let back = |to: &&&Module| reach.get(**to).is_some_and(|back| back.contains(*from));
        let circle: BTreeSet<_> = reached.iter().filter(back).copied().collect();
        if circle.len() > rule.circle {
            found.insert(circle);
        }
    }
    let fault = |circle: BTreeSet<&Module>| {
        let files: Vec<_> = circle.iter().map(|module| name(module)).collect();
        let (size, most) = (files.len(), rule.circle);
        format!(
            "{}: {size} files form a circle, at most {most} are allowed: {}",
            rule.krate,
            files.join(", ")
        )
    };
    found.into_iter().map(fault).collect()
}

fn reachable<'a>(from: &Module, arrows: &'a Arrows) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&Module> = arrows.get(from).into_iter().flatten().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(arrows.get(module).into_iter().flatten());
        }
    }
    reached
}

fn name(module: &Module) -> String {
    match module.is_empty() {
        true => "lib".to_owned(),
        false => module.join("::"),
    }
}

/// Returns the arrows between the files of this folder.
fn arrows(src: &Path) -> Result<Arrows, String> {
    let mut names = BTreeMap::new();
    read(src, &mut Vec::new(), &mut names)?;
    Ok(between(names))
}

/// Returns the arrows between files with these names.
fn between(mut names: BTreeMap<Module, Names>) -> Arrows {
    without_tests(&mut names);
    let mut arrows = Arrows::new();
    for (from, said) in &names {
        let to = said.paths.iter().filter_map(|path| home(path, &names));
        arrows.insert(from.clone(), to.filter(|to| to != from).collect());
    }
    arrows
}

fn without_tests(names: &mut BTreeMap<Module, Names>) {
    let tests: Vec<Module> = names.values().flat_map(|said| said.tests.clone()).collect();
    names.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
}

/// Returns the module that defines an item, through re-exports.
fn home(path: &[String], names: &BTreeMap<Module, Names>) -> Option<Module> {
    let depth = (0..=path.len())
        .rev()
        .find(|depth| names.contains_key(&path[..*depth]))?;
    let (module, rest) = path.split_at(depth);
    let exported = rest
        .first()
        .and_then(|item| names[module].exports.get(item));
    match exported {
        Some(item) if item != path => home(item, names),
        _ => Some(module.to_vec()),
    }
}

fn read(
    folder: &Path,
    module: &mut Module,
    names: &mut BTreeMap<Module, Names>,
) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let is_file = path.extension().is_some_and(|kind| kind == "rs");
        let is_root = module.is_empty() && stem == "lib";
        if !is_root {
            module.push(stem.into_owned());
        }
        if path.is_dir() {
            read(&path, module, names)?;
        } else if is_file {
            let text = fs::read_to_string(&path).map_err(|error| failed(&error))?;
            let file = syn::parse_file(&text).map_err(|error| failed(&error))?;
            names.insert(module.clone(), said(module, &file));
        }
        if !is_root {
            module.pop();
        }
    }
    Ok(())
}

fn said(module: &Module, file: &File) -> Names {
    let mut reader = Reader {
        module: module.clone(),
        names: Names::default(),
    };
    reader.visit_file(file);
    reader.names
}

struct Reader {
    module: Module,
    names: Names,
}

impl Reader {
    /// Returns the path from the crate's root, or `None` if it belongs to another crate or does not tell its place.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let up = path.iter().take_while(|part| *part == "super").count();
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (&[][..], &path[1..]),
            "self" => (&self.module[..], &path[1..]),
            "super" => (
                &self.module[..self.module.len().checked_sub(up)?],
                &path[up..],
            ),
            _ => return None,
        };
        Some([base, rest].concat())
    }

    fn named(&mut self, path: &[String]) {
        self.names.paths.extend(self.absolute(path));
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    };
    attributes.iter().any(is_test)
}

/// Visits all paths of a `use`.
fn leaves(tree: &UseTree, path: &mut Vec<String>, each: &mut impl FnMut(&[String], String)) {
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            leaves(&inner.tree, path, each);
            path.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, path, each)),
        UseTree::Glob(_) => each(path, "*".to_owned()),
        UseTree::Name(name) => leaf(&name.ident, name.ident.to_string(), path, each),
        UseTree::Rename(rename) => leaf(&rename.ident, rename.rename.to_string(), path, each),
    }
}

fn leaf(
    ident: &syn::Ident,
    name: String,
    path: &mut Vec<String>,
    each: &mut impl FnMut(&[String], String),
) {
    path.push(ident.to_string());
    each(path, name);
    path.pop();
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if is_test(attributes) {
            if let Item::Mod(test) = item {
                let test = [&self.module[..], &[test.ident.to_string()]].concat();
                self.names.tests.push(test);
            }
            return;
        }
        match item {
            // Its items belong to this file, one level further down.
            Item::Mod(inner) if inner.content.is_some() => {
                self.module.push(inner.ident.to_string());
                visit::visit_item(self, item);
                self.module.pop();
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let exports = !matches!(item.vis, Visibility::Inherited);
        let mut found = Vec::new();
        leaves(&item.tree, &mut Vec::new(), &mut |path, name| {
            found.push((path.to_vec(), name));
        });
        for (path, name) in found {
            // A path without a keyword begins with a child of this module, or with a crate.
            let known = self.absolute(&path);
            let path = known.unwrap_or_else(|| [&self.module[..], &path].concat());
            match exports {
                true => drop(self.names.exports.insert(name, path)),
                false => drop(self.names.paths.insert(path)),
            }
        }
    }

    /// `pub(crate)` names no item.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        self.named(&parts);
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str) -> Module {
        path.split("::").map(str::to_owned).collect()
    }

    fn arrows_of(files: &[(&str, &str)]) -> Arrows {
        let names = files.iter().map(|(path, text)| {
            let (module, file) = (module(path), syn::parse_file(text).unwrap());
            let said = said(&module, &file);
            (module, said)
        });
        between(names.collect())
    }

    const RULE: Rule = Rule {
        krate: "x",
        floors: &["app", "sse"],
        roof: &[],
        circle: 1,
    };

    #[test]
    fn only_an_arrow_that_leads_up_is_found() {
        let down = arrows_of(&[("app", "use crate::sse::hub::Hub;"), ("sse::hub", "")]);
        assert!(upward(&RULE, &down).is_empty());
        let up = arrows_of(&[("app", ""), ("sse::hub", "fn f() { crate::app::g(); }")]);
        assert_eq!(
            upward(&RULE, &up),
            ["x: sse::hub names app, which is above it"]
        );
    }

    #[test]
    fn a_name_leads_to_its_definition_through_re_exports() {
        let files = [
            ("sse", "pub use hub::Hub; mod hub;"),
            ("sse::hub", "pub struct Hub;"),
            ("sse::call", "use crate::sse::Hub;"),
        ];
        let arrows = arrows_of(&files);
        assert!(arrows[&module("sse")].is_empty());
        let to: Vec<_> = arrows[&module("sse::call")].iter().map(name).collect();
        assert_eq!(to, ["sse::hub"]);
    }

    #[test]
    fn two_files_that_name_each_other_are_a_circle() {
        let circle = arrows_of(&[("a", "use crate::b::B;"), ("b", "use super::a::A;")]);
        assert_eq!(circles(&RULE, &circle).len(), 1);
        let test = "#[cfg(test)] mod tests { use crate::a::A; }";
        let no_circle = arrows_of(&[("a", "use crate::b::B;"), ("b", test)]);
        assert!(circles(&RULE, &no_circle).is_empty());
        let file = [("a", "use crate::b::B;"), ("b", "#[cfg(test)] mod tests;")];
        let tests = arrows_of(&[&file[..], &[("b::tests", "use crate::a::A;")]].concat());
        assert!(!tests.contains_key(&module("b::tests")));
    }
}
