//! Compares the guide's quotations with the real messages.
#![allow(clippy::unwrap_used)]

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
