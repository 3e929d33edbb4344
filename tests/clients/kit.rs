//! Packages that the clients need, installed once, from lock files, into the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// Longer than a first installation takes.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) struct Kit {
    folder: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// Commands to run in the folder whenever a file has changed.
    install: &'static [&'static [&'static str]],
    installed: OnceCell<()>,
}

macro_rules! kit {
    ($folder:literal, $files:tt, $install:expr) => {
        kit!($folder, from $folder, $files, $install)
    };
    ($folder:literal, from $source:literal, [$($file:literal),* $(,)?], $install:expr) => {
        Kit {
            folder: $folder,
            files: &[$(($file, include_str!(concat!($source, "/", $file)))),*],
            install: &$install,
            installed: OnceCell::const_new(),
        }
    };
}

pub(crate) static CURL: Kit = kit!("curl", ["curl.sh"], []);

pub(crate) static NODE: Kit = kit!(
    "node",
    [
        "package.json",
        "package-lock.json",
        "tell.mjs",
        "eventsource.mjs",
        "fetch-event-source.mjs",
        "websocket.mjs",
    ],
    [&["npm", "ci", "--no-audit", "--no-fund", "--silent"]]
);

/// The package of Helios itself, and its own tests.
pub(crate) static TYPESCRIPT: Kit = kit!(
    "typescript",
    from "../../clients/typescript",
    [
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "src/index.ts",
        "src/react.ts",
        "src/store.ts",
        "src/types.ts",
        "test/client.test.js",
        "test/follow.js",
        "test/http.test.js",
        "test/node/app.ts",
        "test/node/tsconfig.json",
        "test/openapi-3.1.json",
        "test/parser.test.js",
        "test/print.js",
        "test/react.test.js",
        "test/server.js",
        "test/size.test.js",
        "test/store.test.js",
        "test/tsconfig.json",
        "test/types.ts",
    ],
    [
        &["npm", "ci", "--no-audit", "--no-fund", "--silent"],
        &["npm", "run", "--silent", "build"],
    ]
);

pub(crate) static LLM_NODE: Kit = kit!(
    "llm-node",
    [
        "package.json",
        "package-lock.json",
        "tell.mjs",
        "openai.mjs",
        "stream-text.mjs",
        "chat.mjs",
    ],
    [&["npm", "ci", "--no-audit", "--no-fund", "--silent"]]
);

pub(crate) static HYPERMEDIA: Kit = kit!(
    "hypermedia",
    ["package.json", "package-lock.json"],
    [
        &["npm", "ci", "--no-audit", "--no-fund", "--silent"],
        // The package has modules that a browser cannot find, so they are bundled.
        &[
            "./node_modules/.bin/esbuild",
            "node_modules/@starfederation/datastar/dist/bundles/datastar.js",
            "--bundle",
            "--format=esm",
            "--log-level=error",
            "--outfile=node_modules/datastar.js",
        ],
    ]
);

const PIP: [&[&str]; 2] = [
    &["python3", "-m", "venv", "."],
    &[
        "./bin/pip",
        "install",
        "--quiet",
        "--requirement",
        "requirements.txt",
    ],
];

pub(crate) static PYTHON: Kit = kit!(
    "python",
    [
        "requirements.txt",
        "again.py",
        "with_httpx_sse.py",
        "with_sseclient.py",
    ],
    PIP
);

pub(crate) static LLM_PYTHON: Kit = kit!("llm-python", ["requirements.txt", "with_openai.py"], PIP);

#[allow(dead_code)] // for tests/mcp.rs
pub(crate) static MCP_NODE: Kit = kit!(
    "mcp-node",
    ["package.json", "package-lock.json", "client.mjs"],
    [&["npm", "ci", "--no-audit", "--no-fund", "--silent"]]
);

#[allow(dead_code)] // for tests/mcp.rs
pub(crate) static MCP_PYTHON: Kit = kit!("mcp-python", ["requirements.txt", "client.py"], PIP);

#[allow(dead_code)] // for tests/openapi.rs
pub(crate) static SCHEMATHESIS: Kit = kit!("schemathesis", ["requirements.txt"], PIP);

pub(crate) static RUST: Kit = kit!(
    "rust",
    ["Cargo.toml", "Cargo.lock", "src/main.rs"],
    [&["cargo", "build", "--locked", "--quiet", "--target-dir", "."]]
);

impl Kit {
    /// Returns its folder, with everything installed.
    pub(crate) async fn ready(&self) -> PathBuf {
        let folder = self.folder();
        self.installed.get_or_init(|| self.install(&folder)).await;
        folder
    }

    /// Returns its folder, whether it exists or not.
    pub(crate) fn folder(&self) -> PathBuf {
        let clients = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
        clients.join(self.folder)
    }

    async fn install(&self, folder: &Path) {
        let done = folder.join("installed");
        let stamp = format!("{:?} {:?}", self.files, self.install);
        if fs::read_to_string(&done).is_ok_and(|known| known == stamp) {
            return;
        }
        for (name, text) in self.files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for command in self.install {
            let status = program(command, folder).kill_on_drop(true).status();
            let status = timeout(PATIENCE, status).await.expect("installed in time");
            assert!(status.unwrap().success(), "{command:?}");
        }
        fs::write(done, stamp).unwrap();
    }
}

/// Returns a command that runs in this folder. A leading `./` refers to the folder too.
pub(crate) fn program(command: &[&str], folder: &Path) -> Command {
    let (name, args) = command.split_first().expect("a program's name");
    let mut program = match name.strip_prefix("./") {
        Some(name) => Command::new(folder.join(name)),
        None => Command::new(name),
    };
    program.args(args).current_dir(folder);
    program
}
