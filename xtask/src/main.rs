//! Development tasks. `cargo xtask test` runs every check that a change must pass, `cargo xtask bench` measures
//! performance, and `cargo xtask soak` runs a long stress test.

mod against;
mod arrows;
mod examples;
mod prose;
mod tools;

use std::env;
use std::ffi::{OsStr, OsString};
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

/// All steps but one use the same features, so that nothing is built twice.
const TEST: &[Step] = &[
    step("format", &["fmt", "--all", "--check"]),
    step(
        "lints",
        &[
            "clippy",
            "--workspace",
            PEERS,
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    step(
        "without features",
        &[
            "clippy",
            "--package",
            "helios-rs",
            "--package",
            "helios-rs-http",
            "--no-default-features",
            "--",
            "-D",
            "warnings",
        ],
    ),
    Step {
        name: "documentation",
        args: &["doc", "--workspace", PEERS, "--no-deps"],
        env: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    step("examples", &["xtask", "examples"]),
    step("arrows", &["xtask", "arrows"]),
    step("prose", &["xtask", "prose"]),
    Step {
        name: "tests",
        args: &["test", "--workspace", PEERS],
        env: &[("INSTA_UPDATE", "no")],
    },
    step("browsers", &ignored("browser")),
    step("clients", &ignored("clients")),
    step("a cluster", &ignored("cluster")),
    step("a dashboard", &ignored("dashboard")),
    step("MCP clients", &ignored("mcp")),
    step("OpenAPI's programs", &ignored("openapi")),
    step("proxies", &ignored("proxies")),
    step("a full disk", &ignored("log")),
    step(
        "Redis",
        &[
            "test",
            "--package",
            "helios-rs-redis",
            "--features",
            "tls",
            "--tests",
            "--",
            "--include-ignored",
            // Each test has servers of its own, and some measure time.
            "--test-threads=2",
        ],
    ),
];

/// Other frameworks, with which Helios is compared.
const PEERS: &str = "--features=helios-benches/peers";

/// Returns the arguments that run the ignored tests of a test binary.
const fn ignored(test: &'static str) -> [&'static str; 7] {
    [
        "test",
        "--workspace",
        PEERS,
        "--test",
        test,
        "--",
        "--ignored",
    ]
}

/// Advisories are left out. They need a database from the network, and they change while a commit does not.
const DENY: Step = step(
    "dependencies",
    &["deny", "check", "licenses", "bans", "sources"],
);

const USAGE: &str = "\
usage: cargo xtask test                              run every check, as CI does
       cargo xtask bench [SCENARIO].. [--rounds N] [--save]
                                                     measure Helios beside its peers; write docs/bench
       cargo xtask bench log [--rounds N]            measure the log beside its store and a file
       cargo xtask bench redis [--rounds N]          measure Redis behind a hub beside a client that calls the same script
       cargo xtask bench openapi [--rounds N]        measure what an OpenAPI document adds to a build, and how long it takes to make
       cargo xtask bench --against REV SCENARIO.. [--rounds N] [--bound R]
                                                     measure it beside an older revision; fail where it is worse
       cargo xtask soak [--minutes N] [--clients N] [--hostile N] [--seed N]
                                                     thousands of unruly clients, none of which may miss an event or an end
       cargo xtask soak --backplane [--forgetful] [--minutes N] [--seed N]
                                                     servers behind a backplane in all weathers, and one that loses its memory
       cargo xtask soak --log [--minutes N] [--seed N]
                                                     a server on a log, killed every 20 s: no Ok is lost, nobody is reset
       cargo xtask arrows                            do imports run downward?
       cargo xtask examples                          after `cargo doc`: has every public item an example?
       cargo xtask prose                             is the English plain?";

/// Builds all programs of the package first, because one of them calls the others.
const BENCH: [Step; 2] = [
    step(
        "build",
        &[
            "build",
            "--release",
            "--package",
            "helios-benches",
            "--features",
            "peers",
        ],
    ),
    step(
        "bench",
        &[
            "run",
            "--release",
            "--package",
            "helios-benches",
            "--features",
            "peers",
            "--bin",
            "helios-benches",
            "--",
        ],
    ),
];

/// Leaves out the peers. They take long to build, and their features would change how Helios itself is built. The first
/// step also builds an older revision.
const BENCH_ALONE: [Step; 2] = [
    step(
        "build",
        &["build", "--release", "--package", "helios-benches"],
    ),
    step(
        "bench",
        &[
            "run",
            "--release",
            "--package",
            "helios-benches",
            "--bin",
            "helios-benches",
            "--",
        ],
    ),
];

const SOAK: [Step; 1] = [step(
    "soak",
    &[
        "run",
        "--release",
        "--package",
        "helios-benches",
        "--bin",
        "soak",
        "--",
    ],
)];

fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        Some("test") => test(),
        Some("arrows") => checked(arrows::check()),
        Some("examples") => checked(examples::check()),
        Some("prose") => checked(prose::check()),
        Some("bench") => bench(),
        Some("soak") => program(&SOAK, env::args().skip(2)),
        _ => fail(USAGE),
    }
}

fn checked(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}

fn test() -> ExitCode {
    if let Err(missing) = tools::ensure(tools::TESTS) {
        return fail(&missing);
    }
    let deny = tools::is_installed("cargo-deny").then_some(&DENY);
    if deny.is_none() {
        println!("dependencies are not checked; run `cargo install cargo-deny` to check them");
    }
    for step in TEST.iter().chain(deny) {
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

/// Leaves out peers that are missing.
fn bench() -> ExitCode {
    let (revision, args) = against::asked(env::args().skip(2).collect());
    if let Some(revision) = revision {
        return bench_against(&revision, &args);
    }
    if args
        .first()
        .is_some_and(|name| ["log", "redis", "openapi"].contains(&&**name))
    {
        return program(&BENCH_ALONE, args);
    }
    if let Err(missing) = tools::ensure(tools::PEERS) {
        eprintln!("{missing}");
    }
    program(&BENCH, args)
}

fn bench_against(revision: &str, args: &[String]) -> ExitCode {
    let before = match against::build(revision) {
        Ok(before) => before,
        Err(why) => return fail(&why),
    };
    let against = [
        "against".into(),
        before.revision.into(),
        before.folder.into_os_string(),
    ];
    let args = args.iter().map(OsString::from);
    program(&BENCH_ALONE, against.into_iter().chain(args))
}

/// Runs a program of this workspace with these arguments.
fn program<A: AsRef<OsStr>>(steps: &[Step], args: impl IntoIterator<Item = A>) -> ExitCode {
    let Some((program, before)) = steps.split_last() else {
        return ExitCode::SUCCESS;
    };
    let mut command = cargo(program);
    command.args(args);
    match before.iter().all(run) && succeeds(&mut command) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn run(step: &Step) -> bool {
    succeeds(&mut cargo(step))
}

fn cargo(step: &Step) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(step.args).envs(step.env.iter().copied());
    command
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}
