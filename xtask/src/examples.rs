//! Checks that every public item of the facade has a compiled example, by reading the pages of `cargo doc`.

use std::path::PathBuf;
use std::{env, fs, io};

/// Returns an error that names the items without an example.
pub(crate) fn check() -> Result<(), String> {
    let bare = bare_items().map_err(|error| format!("{error}: run `cargo doc` first"))?;
    if bare.is_empty() {
        return Ok(());
    }
    let message = "write an example that compiles in the documentation of";
    Err(format!("{message}:\n  {}", bare.join("\n  ")))
}

fn bare_items() -> io::Result<Vec<String>> {
    let pages = pages()?;
    let index = fs::read_to_string(pages.join("all.html"))?;
    let mut bare = Vec::new();
    for name in index.split("<li><a href=\"").filter_map(page) {
        if !is_exempt(name) && !has_example(&fs::read_to_string(pages.join(name))?) {
            bare.push(name.to_owned());
        }
    }
    Ok(bare)
}

/// Returns the folder of pages, `target/doc` if this program is `target/debug/xtask`.
fn pages() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2).map(PathBuf::from);
    Ok(target.unwrap_or_default().join("doc/helios"))
}

/// Returns the page of an entry in the index. Headings within the index have none.
fn page(entry: &str) -> Option<&str> {
    entry
        .split('"')
        .next()
        .filter(|page| page.ends_with(".html"))
}

/// Exempts the prelude, which repeats the items of the root and of other crates.
fn is_exempt(page: &str) -> bool {
    page.starts_with("prelude/")
}

fn has_example(page: &str) -> bool {
    page.contains("rust-example-rendered") && !page.contains("example-wrap ignore")
}
