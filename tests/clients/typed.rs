//! Pages of examples that use the TypeScript client without a build step. `tsc` checks them against the document of their own server.

use std::fs;
use std::path::{Path, PathBuf};

use helios::openapi::OpenApiDocument;

use super::kit;

/// Strict, with the types that the pages give in comments.
const SETTINGS: &str = r#"{
  "compilerOptions": {
    "strict": true, "allowJs": true, "noEmit": true, "types": [],
    "target": "ES2022", "lib": ["ES2022", "DOM", "DOM.Iterable"], "module": "ESNext", "moduleResolution": "bundler"
  },
  "include": ["*.js"]
}"#;

/// The copy of the client that the pages load.
const CLIENT: &str = "helios-sse-client.js";

/// A page, and mistakes that the check has to find in it: a file, the right text and the wrong one.
pub(crate) struct Page<'a> {
    pub(crate) name: &'a str,
    pub(crate) folder: PathBuf,
    pub(crate) document: OpenApiDocument,
    pub(crate) mistakes: &'a [(&'a str, &'a str, &'a str)],
}

impl Page<'_> {
    pub(crate) async fn is_checked(&self) {
        let folder = self.prepared().await;
        let check = ["npx", "tsc", "-p", "."];
        let (is_right, said) = succeeds(&check, &folder).await;
        assert!(is_right, "{said}");
        for (file, right, wrong) in self.mistakes {
            let path = folder.join(file);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(right), "{file}: {right}");
            fs::write(&path, text.replacen(right, wrong, 1)).unwrap();
            let (is_right, said) = succeeds(&check, &folder).await;
            assert!(!is_right && said.contains(file), "{file}, {wrong}: {said}");
            fs::write(&path, text).unwrap();
        }
    }

    /// The page beside the client's own package, with the types of both.
    async fn prepared(&self) -> PathBuf {
        let package = kit::TYPESCRIPT.ready().await;
        let folder = package.join(self.name);
        fs::create_dir_all(&folder).unwrap();
        let unknown = self.document.unknown();
        assert!(unknown.is_empty(), "{unknown:?}");
        let document = format!("{:#}", self.document.v3_1());
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
        is_current(&folder.join("paths.d.ts"), &self.folder.join("paths.d.ts"));
        let client = package.join("dist/index.js");
        is_current(&client, &examples().join(CLIENT));
        fs::copy(client, folder.join(CLIENT)).unwrap();
        let types = [
            ("index.d.ts", "helios-sse-client.d.ts"),
            ("types.d.ts", "types.d.ts"),
        ];
        for (made, name) in types {
            fs::copy(package.join("dist").join(made), folder.join(name)).unwrap();
        }
        for file in fs::read_dir(&self.folder).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|kind| kind == "js") {
                fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
            }
        }
        fs::write(folder.join("tsconfig.json"), SETTINGS).unwrap();
        folder
    }
}

pub(crate) fn examples() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = package.ancestors().find(|it| it.join("xtask").exists());
    workspace.unwrap().join("examples")
}

/// Compares a file that is checked in with what a program makes of its source.
fn is_current(made: &Path, kept: &Path) {
    let made = fs::read_to_string(made).unwrap();
    if std::env::var_os("TYPES").is_some_and(|value| value == "overwrite") {
        fs::write(kept, &made).unwrap();
    }
    let is_same = fs::read_to_string(kept).is_ok_and(|kept| kept == made);
    let kept = kept.display();
    assert!(
        is_same,
        "{kept} is out of date: `TYPES=overwrite` updates it"
    );
}

async fn succeeds(program: &[&str], folder: &Path) -> (bool, String) {
    let output = kit::program(program, folder).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), said)
}
