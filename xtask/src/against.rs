//! Builds an older revision's programs for `cargo xtask bench --against REVISION`, in a checkout of their own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// One checkout for all revisions, so that only the differences from the last one are built again.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/against");

const OPTION: &str = "--against";

/// The programs of a revision.
pub(crate) struct Programs {
    /// The short name of its commit.
    pub(crate) revision: String,
    pub(crate) folder: PathBuf,
}

/// Returns the requested revision, if there is one, and all other arguments.
pub(crate) fn asked(mut args: Vec<String>) -> (Option<String>, Vec<String>) {
    let Some(place) = args.iter().position(|arg| arg == OPTION) else {
        return (None, args);
    };
    let revision = args.drain(place..).skip(1);
    let mut rest: Vec<_> = revision.collect();
    let revision = match rest.is_empty() {
        true => String::new(),
        false => rest.remove(0),
    };
    args.append(&mut rest);
    (Some(revision), args)
}

/// Checks the revision out, and builds the programs to measure. Output of cargo goes to the terminal.
pub(crate) fn build(revision: &str) -> Result<Programs, String> {
    let commit = format!("{revision}^{{commit}}");
    let commit = git(
        ROOT,
        &["rev-parse", "--verify", "--end-of-options", &commit],
    )?;
    let name = git(ROOT, &["rev-parse", "--short", &commit])?;
    check_out(&commit)?;
    let target = Path::new(CHECKOUT).join("target");
    let folder = target.join("release");
    // If this revision lacks a program, the file of another revision must not remain.
    forget(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut cargo = crate::cargo(&crate::BENCH_ALONE[0]);
    cargo.arg("--target-dir").arg(target).current_dir(CHECKOUT);
    match crate::succeeds(&mut cargo) {
        true => Ok(Programs {
            revision: name,
            folder,
        }),
        false => Err(format!("{name} does not build")),
    }
}

fn check_out(commit: &str) -> Result<String, String> {
    // git still knows a worktree that was deleted together with `target`.
    git(ROOT, &["worktree", "prune"])?;
    match Path::new(CHECKOUT).join(".git").exists() {
        true => git(
            CHECKOUT,
            &["checkout", "--quiet", "--force", "--detach", commit],
        ),
        false => git(
            ROOT,
            &["worktree", "add", "--quiet", "--detach", CHECKOUT, commit],
        ),
    }
}

/// Removes the programs of a folder. If cargo has them up to date, it restores them.
fn forget(folder: &Path) -> io::Result<()> {
    let files = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files?,
    };
    for file in files {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// Runs git and returns its output, which is one line.
fn git(folder: &str, args: &[&str]) -> Result<String, String> {
    let said = Command::new("git").args(["-C", folder]).args(args).output();
    let said = said.map_err(|error| format!("git: {error}"))?;
    match said.status.success() {
        true => Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&said.stderr).trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::asked;

    fn parsed(line: &str) -> (Option<String>, String) {
        let (revision, rest) = asked(line.split_whitespace().map(str::to_owned).collect());
        (revision, rest.join(" "))
    }

    #[test]
    fn a_revision_is_taken_from_wherever_it_stands() {
        let expected = (Some("HEAD~1".to_owned()), "hello idle".to_owned());
        assert_eq!(parsed("--against HEAD~1 hello idle"), expected);
        assert_eq!(parsed("hello --against HEAD~1 idle"), expected);
        assert_eq!(parsed("hello idle --against HEAD~1"), expected);
    }

    #[test]
    fn without_the_option_nothing_changes() {
        let all = "hello --rounds 3 --save";
        assert_eq!(parsed(all), (None, all.to_owned()));
    }

    #[test]
    fn an_option_without_its_revision_is_no_revision() {
        assert_eq!(parsed("hello --against").0.as_deref(), Some(""));
    }
}
