//! Tests of the attribute and the variable that name a log.

use std::env;
use std::path::Path;
use std::process::Command;

use helios::log::Log;
use helios::prelude::*;
use helios::sse::EventId;
use helios::testing::TestApp;

/// The variable that selects the child's app.
const APP: &str = "HELIOS_LOG_APP";

const VARIABLE: &str = "HELIOS_SSE_LOG";

#[derive(Injectable)]
struct News {
    sse: SseService,
}

#[controller]
impl News {
    #[post("news")]
    async fn publish(&self) -> Result<String, SseError> {
        Ok(self.sse.publish("news", "it rains").await?.to_string())
    }
}

#[server(controllers = [News], sse(log = "data/sse"))]
struct Named;

#[server(controllers = [News], sse(enabled = true))]
struct Bare;

/// Publishes one event, prints its id, and ends.
#[tokio::test]
async fn the_child_is_an_app() {
    let app = match env::var(APP) {
        Err(_) => return,
        Ok(app) if app == "named" => Helios::new(Named),
        Ok(app) if app == "set" => Helios::new(Named).backplane(Log::open("set")),
        Ok(_) => Helios::new(Bare),
    };
    let sse = app.sse();
    // An event published before the start must not go elsewhere.
    let early = sse.publish("news", "too early").await;
    let has_log = sse.stats().backplane.is_some();
    assert_eq!(early.is_err(), has_log);
    let app = TestApp::start(app).unwrap();
    app.service().start().await.unwrap();
    let id = app.post("/news").await.text();
    println!("\nid {id}");
    app.service().shutdown(Duration::ZERO).await;
}

fn run(app: &str, variable: Option<&str>, folder: &Path) -> EventId {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "app::the_child_is_an_app", "--nocapture"])
        .env(APP, app)
        .env_remove(VARIABLE)
        .envs(variable.map(|value| (VARIABLE, value)))
        .current_dir(folder);
    let said = command.output().unwrap();
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8(said.stdout).unwrap();
    let id = said.lines().find_map(|line| line.strip_prefix("id "));
    id.unwrap().parse().unwrap()
}

#[test]
fn the_variable_wins_over_the_attribute() {
    for (app, variable, expected) in [
        ("named", None, Some("data/sse")),
        ("named", Some("other"), Some("other")),
        ("named", Some(""), None),
        // A log set in code has priority over both.
        ("set", Some("other"), Some("set")),
        ("bare", Some("other"), Some("other")),
        ("bare", None, None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let first = run(app, variable, folder.path());
        let second = run(app, variable, folder.path());
        let goes_on = second.is_after(first) == Some(true);
        assert_eq!(goes_on, expected.is_some(), "{app} {variable:?}");
        for log in ["data/sse", "other", "set"] {
            let is_there = folder.path().join(log).exists();
            assert_eq!(is_there, expected == Some(log), "{app} {variable:?} {log}");
        }
    }
}
