//! The cost of building an app of 50 controllers, of each controller, and of the document of an app. The apps in
//! `benches/apps` are templates, written out and built beside this program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use helios_benches::{Error, cores};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

const FEW: usize = 10;
const MANY: usize = 50;
/// Of the app with a document: ten routes and two types each.
const DESCRIBED: usize = 20;
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// An app, from its templates.
struct App {
    name: &'static str,
    manifest: &'static str,
    main: &'static str,
    controller: &'static str,
    /// The line of the main file for a controller's module.
    mounted: &'static str,
}

const APPS: [App; 3] = [
    App {
        name: "helios-app",
        manifest: include_str!("../apps/helios/Cargo.toml.in"),
        main: include_str!("../apps/helios/main.rs"),
        controller: include_str!("../apps/helios/controller.rs"),
        mounted: "::Articles",
    },
    App {
        name: "axum-app",
        manifest: include_str!("../apps/axum/Cargo.toml.in"),
        main: include_str!("../apps/axum/main.rs"),
        controller: include_str!("../apps/axum/controller.rs"),
        mounted: "::router()",
    },
    App {
        name: "described-app",
        manifest: include_str!("../apps/openapi/Cargo.toml.in"),
        main: include_str!("../apps/openapi/main.rs"),
        controller: include_str!("../apps/openapi/controller.rs"),
        mounted: "::Items",
    },
];

/// The arguments with which cargo builds an app with its OpenAPI document.
const WITH_DOCUMENT: [&str; 2] = ["--features", "openapi"];

impl App {
    fn find(name: &str) -> Result<&'static Self, Error> {
        let found = APPS.iter().find(|app| app.name == name);
        found.ok_or_else(|| format!("there is no app `{name}`").into())
    }

    fn has_document(&self) -> bool {
        self.name == "described-app"
    }

    fn write(&self, folder: &Path, controllers: usize) -> Result<(), Error> {
        let source = folder.join(self.name).join("src");
        fs::create_dir_all(&source)?;
        let manifest = self.manifest.replace("ROOT", ROOT);
        fs::write(folder.join(self.name).join("Cargo.toml"), manifest)?;
        let each = |text: &dyn Fn(usize) -> String| (0..controllers).map(text).collect::<String>();
        let main = self
            .main
            .replace("MODULES", &each(&|n| format!("mod c{n};\n")))
            .replace("CONTROLLERS", &each(&|n| format!("c{n}{}, ", self.mounted)));
        fs::write(source.join("main.rs"), main)?;
        (0..controllers).try_for_each(|n| self.write_controller(folder, n, "first"))
    }

    fn write_controller(&self, folder: &Path, number: usize, version: &str) -> Result<(), Error> {
        let controller = self
            .controller
            .replace("NUMBER", &number.to_string())
            .replace("VERSION", version);
        let file = format!("{}/src/c{number}.rs", self.name);
        Ok(fs::write(folder.join(file), controller)?)
    }
}

/// Returns whether a subject is an app.
pub(crate) fn is_app(subject: &str) -> bool {
    App::find(subject).is_ok()
}

/// Writes an app, and builds it once with all its dependencies. Keeps the release builds of both sizes.
pub(crate) fn prepare(subject: &str) -> Result<(), Error> {
    let (app, folder) = (App::find(subject)?, folder()?);
    APPS.iter().try_for_each(|app| app.write(&folder, MANY))?;
    let names = APPS.map(|app| format!("{:?}", app.name)).join(", ");
    let workspace = format!("[workspace]\nresolver = \"3\"\nmembers = [{names}]\n");
    fs::write(folder.join("Cargo.toml"), workspace)?;
    fs::copy(
        Path::new(ROOT).join("Cargo.lock"),
        folder.join("Cargo.lock"),
    )?;
    let build = ["build", "--package", subject];
    if app.has_document() {
        app.write(&folder, DESCRIBED)?;
        cargo(&build)?;
        cargo(&[&build[..], &WITH_DOCUMENT].concat())?;
        return cargo(&[&build[..], &WITH_DOCUMENT, &["--release"]].concat());
    }
    for controllers in [FEW, MANY] {
        app.write(&folder, controllers)?;
        cargo(&["build", "--release", "--package", subject])?;
        strip(app, controllers)?;
    }
    cargo(&build)
}

/// Measures the builds of an app. Returns the processor seconds for a build when only the dependencies are there, for
/// each controller, and for a build after a change to one handler. Then the MiB of the stripped release build, and the
/// KiB for each controller.
pub(crate) fn cost(subject: &str) -> Result<Vec<f64>, Error> {
    let (app, folder) = (App::find(subject)?, folder()?);
    let small = clean_build(app, FEW, &[])?;
    let large = clean_build(app, MANY, &[])?;
    app.write_controller(&folder, 0, "second")?;
    let changed = timed(&["build", "--package", subject])?;
    let (small_size, size) = (size(app, FEW)?, size(app, MANY)?);
    let each = |of_few: f64, of_many: f64| (of_many - of_few) / (MANY - FEW) as f64;
    Ok(vec![
        large,
        each(small, large),
        changed,
        size / 1024.0,
        each(small_size, size),
    ])
}

/// The seconds and the processor seconds that the document adds to a debug build; the processor seconds of the builds with and without
/// it; the milliseconds in which a release build makes it.
pub(crate) fn cost_of_document(subject: &str) -> Result<Vec<f64>, Error> {
    let (app, folder) = (App::find(subject)?, folder()?);
    let started = Instant::now();
    let without = clean_build(app, DESCRIBED, &[])?;
    let elapsed_without = started.elapsed();
    let with = clean_build(app, DESCRIBED, &WITH_DOCUMENT)?;
    let elapsed_with = started.elapsed() - elapsed_without;
    let elapsed = elapsed_with.as_secs_f64() - elapsed_without.as_secs_f64();
    let program = folder.join("target/release").join(app.name);
    let made = Command::new(program).arg("document").output()?;
    let millis = String::from_utf8(made.stdout)?.trim().parse()?;
    Ok(vec![elapsed, with - without, with, without, millis])
}

fn clean_build(app: &App, controllers: usize, features: &[&str]) -> Result<f64, Error> {
    app.write(&folder()?, controllers)?;
    cargo(&["clean", "--package", app.name, "--profile", "dev"])?;
    timed(&[&["build", "--package", app.name], features].concat())
}

/// Stores the release build without its symbols.
fn strip(app: &App, controllers: usize) -> Result<(), Error> {
    let binary = folder()?.join("target/release").join(app.name);
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(stripped(app, controllers)?).arg(binary);
    match strip.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err("strip (binutils) is needed".into()),
    }
}

fn stripped(app: &App, controllers: usize) -> Result<PathBuf, Error> {
    Ok(folder()?.join(format!("{}-{controllers}", app.name)))
}

/// Returns the KiB of the stripped release build.
fn size(app: &App, controllers: usize) -> Result<f64, Error> {
    Ok(fs::metadata(stripped(app, controllers)?)?.len() as f64 / 1024.0)
}

/// Returns the processor seconds of cargo and its child processes. Other load on the machine affects these less than
/// the elapsed time.
fn timed(args: &[&str]) -> Result<f64, Error> {
    let before = cpu_of_children()?;
    cargo(args)?;
    Ok(cpu_of_children()? - before)
}

fn cpu_of_children() -> Result<f64, Error> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Runs cargo as a developer does, on all cores, with a time limit.
fn cargo(args: &[&str]) -> Result<(), Error> {
    const SECONDS: &str = "1200";
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = cores::on_both_cores(Path::new("timeout"));
    command.arg(SECONDS).arg(cargo).args(args);
    command.args(["--target-dir", "target"]);
    let done = command.current_dir(folder()?).output()?;
    match done.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&done.stderr).into()),
    }
}

fn folder() -> Result<PathBuf, Error> {
    Ok(std::env::current_exe()?.with_file_name("compile"))
}
