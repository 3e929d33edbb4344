//! Compares the guide's quotations with the real messages, and follows its links.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Errors of rustc itself, which no test here covers.
const RUSTC: [&str; 5] = ["E0119", "E0271", "E0521", "E0658", "E0700"];

#[test]
fn compile_errors_in_the_guide_match_the_compilers() {
    let guide = include_str!("../src/guide/troubleshooting.md");
    let quoted = guide
        .lines()
        .filter(|line| line.starts_with("error") || line.starts_with("note"));
    let is_ours = |line: &&str| !RUSTC.iter().any(|code| line.contains(code));
    let ours: Vec<_> = quoted.filter(is_ours).collect();
    let said = messages();
    assert!(ours.len() > 8);
    for line in ours {
        assert!(
            said.contains(line),
            "no test in helios-macros/tests/ui says: {line}"
        );
    }
}

fn messages() -> String {
    let files = fs::read_dir("../helios-macros/tests/ui")
        .unwrap()
        .map(|file| file.unwrap().path());
    let errors = files.filter(|file| file.extension().is_some_and(|end| end == "stderr"));
    errors
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

/// rustdoc checks that a page exists, but not that it has the section.
#[test]
fn links_to_a_section_of_the_guide_lead_to_its_heading() {
    let pages = pages();
    let mut links = 0;
    for (page, text) in &pages {
        for target in targets(text) {
            let Some((to, section)) = target.split_once('#') else {
                continue;
            };
            let to = to.trim_start_matches("crate::guide::");
            let to = if to.is_empty() { page } else { to };
            let Some(there) = pages.get(to) else {
                continue; // an item, or another site
            };
            links += 1;
            assert!(
                headings(there).contains(section),
                "`{page}` links to `{to}#{section}`, a section that is not there"
            );
        }
    }
    assert!(links > 100);
}

#[test]
fn the_index_by_task_names_every_chapter() {
    let pages = pages();
    let index = pages["guide"].split_once("# By task").unwrap().1;
    let named: BTreeSet<_> = targets(index)
        .map(|target| target.split('#').next().unwrap().to_owned())
        .collect();
    for chapter in pages.keys().filter(|page| *page != "guide") {
        assert!(
            named.contains(chapter),
            "no task leads to chapter `{chapter}`"
        );
    }
}

/// The pages of the guide by their names, as links write them. The front page is `guide`.
fn pages() -> BTreeMap<String, String> {
    let front = fs::read_to_string("../src/guide.rs").unwrap();
    let front = front.lines().filter_map(|line| line.strip_prefix("//!"));
    let front = front.map(str::trim_start).collect::<Vec<_>>().join("\n");
    let chapters = chapters("../src/guide", "");
    let coming_from = self::chapters("../src/guide/coming_from", "coming_from::");
    let all = chapters.into_iter().chain(coming_from);
    all.chain([("guide".to_owned(), front)]).collect()
}

fn chapters(folder: &str, prefix: &str) -> Vec<(String, String)> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let pages = files.filter(|file| file.extension().is_some_and(|end| end == "md"));
    pages
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap();
            (
                format!("{prefix}{name}"),
                fs::read_to_string(&file).unwrap(),
            )
        })
        .collect()
}

/// Returns the targets of the links of a page.
fn targets(page: &str) -> impl Iterator<Item = &str> {
    let links = page.split("](").skip(1);
    links.filter_map(|link| link.split(')').next())
}

/// The ids that rustdoc gives to the headings of a page.
fn headings(page: &str) -> BTreeSet<String> {
    let mut in_code = false;
    let lines = page.lines().filter(|line| {
        in_code ^= line.starts_with("```");
        !in_code && line.starts_with('#')
    });
    lines
        .map(|line| line.trim_start_matches('#').trim())
        .map(|title| title.chars().filter_map(in_an_id).collect())
        .collect()
}

fn in_an_id(letter: char) -> Option<char> {
    match letter {
        '-' | '_' => Some(letter),
        _ if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
        _ if letter.is_whitespace() => Some('-'),
        _ => None,
    }
}
