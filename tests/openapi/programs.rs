//! Other programs that read the documents: a linter, and generators of types.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use helios::openapi::OpenApiDocument;

use super::{examples, kinds, merged, names, streams};

const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("programs/package.json")),
    (
        "package-lock.json",
        include_str!("programs/package-lock.json"),
    ),
    ("lint.yaml", include_str!("programs/redocly.yaml")),
];

fn documents() -> Vec<(&'static str, OpenApiDocument)> {
    let of_examples = examples::apps().into_iter();
    let of_examples = of_examples.map(|(name, app)| (name, app.openapi_document().unwrap()));
    of_examples
        .chain([
            ("kinds", kinds::document()),
            ("merged", merged::document()),
            ("names", names::document()),
            ("streams", streams::document()),
        ])
        .collect()
}

/// Installed once, from the lock file, into the target directory.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi");
    fs::create_dir_all(&folder).unwrap();
    let is_there = |(name, text): &(&str, &str)| {
        fs::read_to_string(folder.join(name)).is_ok_and(|found| found == *text)
    };
    if !FILES.iter().all(is_there) || !folder.join("node_modules").exists() {
        run(&folder, "npm", ["init", "-y"]);
        for (name, text) in FILES {
            fs::write(folder.join(name), text).unwrap();
        }
        run(
            &folder,
            "npm",
            ["ci", "--no-audit", "--no-fund", "--silent"],
        );
    }
    folder
}

fn run<'a>(folder: &Path, program: &str, args: impl IntoIterator<Item = &'a str>) {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{program}: {out}\n{err}");
}

#[test]
#[ignore = "installs npm packages"]
fn a_linter_is_content_and_generated_types_compile() {
    let folder = folder();
    let mut names = Vec::new();
    for (name, document) in documents() {
        for (version, text) in [("3.2", document.v3_2()), ("3.1", document.v3_1())] {
            let file = format!("{name}-{version}.json");
            fs::write(folder.join(&file), format!("{text:#}")).unwrap();
            names.push(file);
        }
    }
    let lint = ["redocly", "lint", "--config", "lint.yaml"];
    run(
        &folder,
        "npx",
        lint.into_iter().chain(names.iter().map(String::as_str)),
    );
    let mut types = Vec::new();
    for name in names.iter().filter(|name| name.ends_with("3.1.json")) {
        let made = name.replace("-3.1.json", ".ts");
        run(
            &folder,
            "npx",
            ["openapi-typescript", name, "--output", &made],
        );
        types.push(made);
    }
    let said = r#"import type { paths } from "./streams";
type Items = paths["/chat/told"]["get"]["responses"][200]["content"]["text/event-stream"];
type Said = Extract<Items, { event: "said" }>;
export const text = (said: Said): string => said.data.text;
"#;
    fs::write(folder.join("use.ts"), said).unwrap();
    types.push("use.ts".to_owned());
    types.extend(client(&folder));
    let compile = [
        "tsc",
        "--strict",
        "--noEmit",
        "--skipLibCheck",
        "--moduleResolution",
        "bundler",
        "--module",
        "esnext",
        "--target",
        "es2022",
    ];
    run(
        &folder,
        "npx",
        compile.into_iter().chain(types.iter().map(String::as_str)),
    );
}

/// Runs another generator, which writes functions too.
fn client(folder: &Path) -> [String; 2] {
    let generate = [
        "openapi-ts",
        "--input",
        "streams-3.1.json",
        "--output",
        "client",
        "--silent",
    ];
    run(folder, "npx", generate);
    let told = r#"import { chatTold } from "./client";
export async function texts(): Promise<string[]> {
  const texts: string[] = [];
  const { stream } = await chatTold({ baseUrl: "http://127.0.0.1" });
  for await (const data of stream) texts.push(JSON.stringify(data));
  return texts;
}
"#;
    fs::write(folder.join("told.ts"), told).unwrap();
    ["told.ts".to_owned(), "client/index.ts".to_owned()]
}
