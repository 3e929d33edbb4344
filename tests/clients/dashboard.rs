//! The page of the dashboard, type-checked against the document of its server, including the names and data of events.

use std::fs;
use std::path::{Path, PathBuf};

use support::folder::Folder;

use super::{dashboard, kit};

/// Strict settings, so that all types of the page are checked.
const SETTINGS: &str = r#"{
  "compilerOptions": {
    "strict": true, "allowJs": true, "noEmit": true, "types": [],
    "target": "ES2022", "lib": ["ES2022", "DOM", "DOM.Iterable"], "module": "ESNext", "moduleResolution": "bundler"
  },
  "include": ["*.js"]
}"#;

/// Compares a generated file with the one checked in beside the page.
fn is_made_anew(made: &Path, name: &str) {
    let kept = page().join(name);
    let made = fs::read_to_string(made).unwrap();
    if std::env::var_os("TYPES").is_some_and(|value| value == "overwrite") {
        fs::write(&kept, &made).unwrap();
    }
    let kept = fs::read_to_string(kept).unwrap_or_default();
    assert!(
        kept == made,
        "{name} is out of date, run the test with `TYPES=overwrite` to update it"
    );
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("page")
}

async fn succeeds(program: &[&str], folder: &Path) -> (bool, String) {
    let output = kit::program(program, folder).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), said)
}

/// Returns a folder with the page and the client's own package, with the types of both.
async fn prepared() -> PathBuf {
    let package = kit::TYPESCRIPT.ready().await;
    let folder = package.join("dashboard");
    fs::create_dir_all(&folder).unwrap();
    let state = Folder::new("dashboard-types");
    let document = dashboard::app(&state.0)
        .unwrap()
        .openapi_document()
        .unwrap();
    assert!(document.unknown().is_empty(), "{:?}", document.unknown());
    let document = format!("{:#}", document.v3_1());
    fs::write(folder.join("openapi.json"), document).unwrap();
    let generate = [
        "npx",
        "openapi-typescript",
        "openapi.json",
        "--output",
        "paths.d.ts",
    ];
    let (made, said) = succeeds(&generate, &folder).await;
    assert!(made, "{said}");
    is_made_anew(&folder.join("paths.d.ts"), "paths.d.ts");
    is_made_anew(&package.join("dist/index.js"), "helios-sse-client.js");
    let types = [
        ("index.d.ts", "helios-sse-client.d.ts"),
        ("types.d.ts", "types.d.ts"),
    ];
    for (made, name) in types {
        fs::copy(package.join("dist").join(made), folder.join(name)).unwrap();
    }
    for file in fs::read_dir(page()).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|kind| kind == "js") {
            fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
        }
    }
    fs::write(folder.join("tsconfig.json"), SETTINGS).unwrap();
    folder
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn the_page_is_checked_against_the_events_of_its_server() {
    let folder = prepared().await;
    let check = ["npx", "tsc", "-p", "."];
    let (is_right, said) = succeeds(&check, &folder).await;
    assert!(is_right, "{said}");
    // The check would find mistakes.
    for (file, right, wrong) in [
        ("connection.js", "case 'caught-up'", "case 'caught-upp'"),
        ("jobs.js", "job.percent", "job.percents"),
        ("chat.js", "'POST', '/chat'", "'POST', '/chats'"),
    ] {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(right), "{file}");
        fs::write(&path, text.replacen(right, wrong, 1)).unwrap();
        let (is_right, said) = succeeds(&check, &folder).await;
        assert!(!is_right && said.contains(file), "{file}: {said}");
        fs::write(&path, text).unwrap();
    }
}
