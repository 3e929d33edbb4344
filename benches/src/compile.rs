//! What an app of 50 controllers costs to build: `benches/apps`, written out and built beside this program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use helios_benches::Error;

const CONTROLLERS: usize = 50;
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// An app, from its templates.
struct App {
    name: &'static str,
    manifest: &'static str,
    main: &'static str,
    controller: &'static str,
    /// What the main file makes of a controller's module.
    mounted: &'static str,
}

const APPS: [App; 2] = [
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
];

impl App {
    fn find(name: &str) -> Result<&'static Self, Error> {
        let found = APPS.iter().find(|app| app.name == name);
        found.ok_or_else(|| format!("there is no app `{name}`").into())
    }

    fn write(&self, folder: &Path) -> Result<(), Error> {
        let source = folder.join(self.name).join("src");
        fs::create_dir_all(&source)?;
        let manifest = self.manifest.replace("ROOT", ROOT);
        fs::write(folder.join(self.name).join("Cargo.toml"), manifest)?;
        let each = |text: &dyn Fn(usize) -> String| (0..CONTROLLERS).map(text).collect::<String>();
        let main = self
            .main
            .replace("MODULES", &each(&|n| format!("mod c{n};\n")))
            .replace("CONTROLLERS", &each(&|n| format!("c{n}{}, ", self.mounted)));
        fs::write(source.join("main.rs"), main)?;
        (0..CONTROLLERS).try_for_each(|n| self.write_controller(folder, n, "first"))
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

/// Whether a subject is an app.
pub(crate) fn is_app(subject: &str) -> bool {
    App::find(subject).is_ok()
}

/// Writes an app, and builds it once with all that it depends on.
pub(crate) fn prepare(subject: &str) -> Result<(), Error> {
    let folder = folder()?;
    APPS.iter().try_for_each(|app| app.write(&folder))?;
    let names = APPS.map(|app| format!("{:?}", app.name)).join(", ");
    let workspace = format!("[workspace]\nresolver = \"3\"\nmembers = [{names}]\n");
    fs::write(folder.join("Cargo.toml"), workspace)?;
    fs::copy(
        Path::new(ROOT).join("Cargo.lock"),
        folder.join("Cargo.lock"),
    )?;
    cargo(&["build", "--package", subject])?;
    cargo(&["build", "--release", "--package", subject])
}

/// Seconds to build it from nothing but its dependencies, seconds to build it when a handler was changed, and MiB of the
/// release build, as it is and stripped.
pub(crate) fn cost(subject: &str) -> Result<Vec<f64>, Error> {
    const BUILD: &[&str] = &["build", "--package"];
    let (app, folder) = (App::find(subject)?, folder()?);
    cargo(&["clean", "--package", subject, "--profile", "dev"])?;
    let build = || timed(&[BUILD, &[subject]].concat());
    let clean = build()?;
    app.write_controller(&folder, 0, "second")?;
    let changed = build()?;
    app.write_controller(&folder, 0, "first")?;
    let binary = folder.join("target/release").join(subject);
    let stripped = folder.join("stripped");
    let done = Command::new("strip")
        .arg("-o")
        .args([&stripped, &binary])
        .status();
    match done {
        Ok(status) if status.success() => {}
        _ => return Err("strip (binutils) is needed".into()),
    }
    Ok(vec![
        clean,
        changed,
        mebibytes(&binary)?,
        mebibytes(&stripped)?,
    ])
}

fn timed(args: &[&str]) -> Result<f64, Error> {
    let start = Instant::now();
    cargo(args)?;
    Ok(start.elapsed().as_secs_f64())
}

fn mebibytes(file: &Path) -> Result<f64, Error> {
    Ok(fs::metadata(file)?.len() as f64 / 1_048_576.0)
}

fn cargo(args: &[&str]) -> Result<(), Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let folder = folder()?;
    let mut command = Command::new(cargo);
    command.args(args).arg("--target-dir").arg("target");
    let done = command.current_dir(&folder).output()?;
    match done.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&done.stderr).into()),
    }
}

fn folder() -> Result<PathBuf, Error> {
    Ok(std::env::current_exe()?.with_file_name("compile"))
}
