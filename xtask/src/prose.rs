//! Checks for plain English: `cargo xtask prose` reads every comment and every page, and finds two habits that make them
//! hard to read.
//!
//! The first is a sentence whose subject is a free relative clause ("Who is live is counted"). The second is a sentence
//! with more than one colon. Code, headings, tables and questions do not count.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that begin a sentence with a free relative clause, unless it is a question.
const RELATIVES: &[&str] = &[
    "Who",
    "Whoever",
    "Whom",
    "Whose",
    "What",
    "Whatever",
    "Where",
    "Wherever",
    "Whichever",
];

/// The first words of sentences that may have such a habit.
const RIGHT: &[&str] = &[];

/// Folders without prose of ours.
const SKIPPED: &[&str] = &["target", "node_modules", ".git", "bench", "ui", "snapshots"];

/// Extensions of the files with prose, and the marks that begin their comments, longer ones first. A page is all prose.
const KINDS: &[(&str, &[&str])] = &[
    ("md", &[]),
    ("rs", &["///", "//!", "//"]),
    ("ts", SCRIPT),
    ("js", SCRIPT),
    ("mjs", SCRIPT),
    ("lua", &["--"]),
    ("py", &["#"]),
];

const SCRIPT: &[&str] = &["//", "/**", "/*", "* "];

/// A sentence that has to be rewritten.
struct Finding {
    path: PathBuf,
    line: usize,
    habit: &'static str,
    sentence: String,
}

/// Paragraphs of one file, each with the line where it begins.
type Paragraphs = Vec<(usize, String)>;

/// Prints each finding, and the shares.
pub(crate) fn check() -> Result<(), String> {
    let mut files = Vec::new();
    collect(Path::new("."), &mut files);
    files.sort();
    let (mut sentences, mut findings) = (0, Vec::new());
    for path in files {
        let text = fs::read_to_string(&path).map_err(|error| format!("{path:?}: {error}"))?;
        let paragraphs = match marks(&path) {
            [] => of_page(&text),
            marks => of_code(&text, marks),
        };
        for (line, paragraph) in paragraphs {
            for sentence in sentences_of(&paragraph) {
                sentences += 1;
                findings.extend(habit_of(&sentence).map(|habit| Finding {
                    path: path.clone(),
                    line,
                    habit,
                    sentence,
                }));
            }
        }
    }
    for Finding {
        path,
        line,
        habit,
        sentence,
    } in &findings
    {
        println!("{}:{line}: {habit}: {sentence}", path.display());
    }
    for habit in [RELATIVE, COLONS] {
        let count = findings.iter().filter(|it| it.habit == habit).count();
        println!("{habit}: {count} of {sentences} sentences");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("{count} sentences have to be rewritten")),
    }
}

const RELATIVE: &str = "its subject is a relative clause";
const COLONS: &str = "it has more than one colon";

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str());
        if path.is_dir() {
            if !name.is_some_and(|name| SKIPPED.contains(&name)) {
                collect(&path, files);
            }
        } else if KINDS.iter().any(|(kind, _)| has_extension(&path, kind)) {
            files.push(path);
        }
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|it| it == extension)
}

/// Returns the marks that begin a comment in the file. A page has none.
fn marks(path: &Path) -> &'static [&'static str] {
    let kind = KINDS.iter().find(|(kind, _)| has_extension(path, kind));
    kind.map_or(&[], |(_, marks)| marks)
}

/// The paragraphs of a page, without code, headings, tables and quoted markup.
fn of_page(text: &str) -> Paragraphs {
    paragraphs(
        text.lines()
            .enumerate()
            .map(|(n, line)| (n + 1, Some(line))),
    )
}

/// The paragraphs of the comments in a file of code.
fn of_code(text: &str, marks: &[&str]) -> Paragraphs {
    paragraphs(text.lines().enumerate().map(|(n, line)| {
        let line = line.trim_start();
        let comment = marks.iter().find_map(|mark| line.strip_prefix(mark));
        (n + 1, comment.map(|it| it.trim_end_matches("*/")))
    }))
}

/// Joins lines to paragraphs. A line that is not a comment ends one.
fn paragraphs<'a>(lines: impl Iterator<Item = (usize, Option<&'a str>)>) -> Paragraphs {
    let mut all: Paragraphs = Vec::new();
    let (mut is_open, mut is_code) = (false, false);
    for (number, line) in lines {
        let line = line.map(str::trim);
        let Some(line) = line else {
            (is_open, is_code) = (false, false);
            continue;
        };
        if line.starts_with("```") {
            (is_open, is_code) = (false, !is_code);
            continue;
        }
        let is_markup = ["#", "|", "<", "[!", "---", "@"]
            .iter()
            .any(|mark| line.starts_with(mark));
        if is_code || line.is_empty() || is_markup {
            is_open = false;
            continue;
        }
        match all.last_mut().filter(|_| is_open && !begins_item(line)) {
            Some((_, paragraph)) => {
                paragraph.push(' ');
                paragraph.push_str(line);
            }
            None => all.push((number, without_bullet(line).to_owned())),
        }
        is_open = true;
    }
    all
}

/// Whether the line begins an item of a list.
fn begins_item(line: &str) -> bool {
    without_bullet(line).len() < line.len()
}

fn without_bullet(line: &str) -> &str {
    let bullet = ["- ", "* ", "> "]
        .iter()
        .find_map(|mark| line.strip_prefix(mark));
    let number = || {
        let (number, rest) = line.split_once(". ")?;
        number.parse::<u8>().is_ok().then_some(rest)
    };
    bullet.or_else(number).unwrap_or(line)
}

/// Returns the sentences of a paragraph. Code in it counts as a word.
fn sentences_of(paragraph: &str) -> Vec<String> {
    let text = without_code(paragraph);
    let mut sentences = Vec::new();
    let mut sentence = String::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        sentence.push(char);
        let ends = matches!(char, '.' | '?' | '!') && !is_short(&sentence);
        if ends && chars.peek().is_none_or(|next| next.is_whitespace()) {
            sentences.push(std::mem::take(&mut sentence).trim().to_owned());
        }
    }
    let rest = sentence.trim();
    if !rest.is_empty() {
        sentences.push(rest.to_owned());
    }
    sentences
}

/// Whether a dot ends an abbreviation here, or stands for what is left out.
fn is_short(sentence: &str) -> bool {
    [" e.g.", " i.e.", " etc.", " vs.", ".."]
        .iter()
        .any(|short| sentence.ends_with(short))
}

fn without_code(paragraph: &str) -> String {
    let parts = paragraph.split('`').enumerate();
    let parts = parts.map(|(n, part)| if n % 2 == 0 { part } else { "`x`" });
    parts.collect()
}

/// Returns the bad habit of a sentence.
fn habit_of(sentence: &str) -> Option<&'static str> {
    if RIGHT.iter().any(|right| sentence.starts_with(right)) {
        return None;
    }
    let bare = sentence.trim_start_matches(['*', '_', '(', '"', '[']);
    let first = bare
        .split(|char: char| !char.is_alphabetic())
        .next()
        .unwrap_or_default();
    if RELATIVES.contains(&first) && !bare.contains('?') {
        return Some(RELATIVE);
    }
    let colons = sentence.match_indices(':').filter(|(at, _)| {
        let rest = &sentence[at + 1..];
        rest.is_empty() || rest.starts_with(char::is_whitespace) || rest.starts_with(['*', '"'])
    });
    (colons.count() > 1).then_some(COLONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn habits(paragraph: &str) -> Vec<&'static str> {
        let sentences = sentences_of(paragraph);
        sentences
            .iter()
            .filter_map(|sentence| habit_of(sentence))
            .collect()
    }

    #[test]
    fn a_relative_clause_as_the_subject_is_found() {
        assert_eq!(habits("It ends. Who is live is counted."), [RELATIVE]);
        assert_eq!(habits("**What is sent** counts."), [RELATIVE]);
        assert_eq!(habits("Whoever waits is told."), [RELATIVE]);
    }

    #[test]
    fn a_second_colon_is_found() {
        assert_eq!(habits("One thing: this: that."), [COLONS]);
        assert!(habits("One thing: `a: b: c` at http://x:80.").is_empty());
    }

    #[test]
    fn plain_sentences_are_left_alone() {
        assert!(habits("What is a hub? It counts who is live. Somewhere else.").is_empty());
        assert!(habits("Names, e.g. `What`, are words.").is_empty());
    }

    #[test]
    fn code_and_headings_do_not_count() {
        let page = "# What it is\n\nIt is.\n\n```\n// Who cares\n```\n- What is here\n  counts.\n";
        let paragraphs = of_page(page);
        let texts: Vec<_> = paragraphs
            .iter()
            .map(|(line, text)| (*line, &**text))
            .collect();
        assert_eq!(texts, [(3, "It is."), (8, "What is here counts.")]);
        let code = "/// Returns it.\nfn f() {} // what\n    // Who is\n    // here.\n";
        let paragraphs = of_code(code, &["///", "//"]);
        let texts: Vec<_> = paragraphs
            .iter()
            .map(|(line, text)| (*line, &**text))
            .collect();
        assert_eq!(texts, [(1, "Returns it."), (3, "Who is here.")]);
    }
}
