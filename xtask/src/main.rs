//! Development tasks: `cargo xtask test` runs every check that a change must pass.

mod examples;
mod tools;

use std::env;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// One command of a task, with the environment that it needs.
struct Step {
    name: &'static str,
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

const fn step(name: &'static str, args: &'static [&'static str]) -> Step {
    Step {
        name,
        args,
        env: &[],
    }
}

const TEST: &[Step] = &[
    step("format", &["fmt", "--all", "--check"]),
    step(
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    Step {
        name: "documentation",
        args: &["doc", "--workspace", "--no-deps"],
        env: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    step("examples", &["xtask", "examples"]),
    Step {
        name: "tests",
        args: &["test", "--workspace"],
        env: &[("INSTA_UPDATE", "no")],
    },
    step(
        "browsers",
        &["test", "--test", "browser", "--", "--ignored"],
    ),
];

const USAGE: &str = "\
usage: cargo xtask test        run every check, as CI does
       cargo xtask examples    after `cargo doc`: does every public item have an example?";

fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        Some("test") => test(),
        Some("examples") => match examples::check() {
            Ok(()) => ExitCode::SUCCESS,
            Err(missing) => fail(&missing),
        },
        _ => fail(USAGE),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}

fn test() -> ExitCode {
    if let Err(missing) = tools::ensure() {
        return fail(&missing);
    }
    for step in TEST {
        println!("\n== {} ==", step.name);
        let started = Instant::now();
        if !run(step) {
            return fail(&format!(
                "\n{} failed: cargo {}",
                step.name,
                step.args.join(" ")
            ));
        }
        println!("== {}: {} s ==", step.name, started.elapsed().as_secs());
    }
    ExitCode::SUCCESS
}

fn run(step: &Step) -> bool {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(step.args).envs(step.env.iter().copied());
    command.status().is_ok_and(|status| status.success())
}
