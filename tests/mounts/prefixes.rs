//! Which mount handles a request, and which paths stay with the app.

use axum_core::response::IntoResponse;
use helios::error::{Error, StartupFault};
use helios::prelude::*;
use http::Method;
use support::TestServer;

use super::service::says;

#[derive(Injectable)]
struct Users;

#[controller(prefix = "api/users")]
impl Users {
    #[get("{id}")]
    fn find(&self, #[param] id: u64) -> String {
        id.to_string()
    }
}

#[derive(Injectable)]
struct Bare;

#[controller]
impl Bare {
    #[get("about/us")]
    fn about(&self) -> &str {
        "about us"
    }
}

#[derive(Injectable)]
struct Tenants;

#[controller(prefix = "{tenant}/pages")]
impl Tenants {
    #[get]
    fn pages(&self, #[param] tenant: &str) -> String {
        format!("pages of {tenant}")
    }
}

#[server(controllers = [Users, Bare, Tenants])]
struct App;

async fn server() -> TestServer {
    let app = Helios::new(App)
        .mount("/", says("root"))
        .mount("/static", says("static"))
        .mount("/static/js/", says("js"))
        .mount("/api/docs", says("docs"));
    TestServer::start(app).await
}

#[tokio::test]
async fn the_longest_prefix_answers_though_the_root_was_mounted_first() {
    let server = server().await;
    for (path, seen) in [
        ("/static/a.css?v=1", "static /a.css?v=1"),
        ("/static/js", "js /"),
        ("/static/js/a.js", "js /a.js"),
        ("/static/jsx", "static /jsx"),
        ("/st%61tic/js/a%2Fb", "js /a%2Fb"),
        ("/statics", "root /statics"),
        ("/api/docs/x", "docs /x"),
        ("/", "root /"),
    ] {
        assert_eq!(server.get(path).await.text(), seen, "{path}");
    }
}

#[tokio::test]
async fn below_a_controllers_prefix_404_and_405_are_the_apps() {
    let server = server().await;
    for path in [
        "/api",
        "/api/",
        "/api/none",
        "/%61pi/users",
        "/api/users/7/x",
    ] {
        assert_eq!(server.get(path).await.problem()["status"], 404, "{path}");
    }
    let refused = server.post("/api/users/7", "text/plain", "x").await;
    assert_eq!(refused.problem()["status"], 405);
    assert_eq!(server.get("/api/users/7").await.text(), "7");
}

#[tokio::test]
async fn a_controller_without_its_own_prefix_owns_only_its_routes() {
    let server = server().await;
    assert_eq!(server.get("/about/us").await.text(), "about us");
    assert_eq!(server.get("/about/them").await.text(), "root /about/them");
    assert_eq!(server.get("/acme/pages").await.text(), "pages of acme");
    assert_eq!(server.get("/acme/none").await.text(), "root /acme/none");
    let post = server.post("/about/us", "text/plain", "x").await;
    assert_eq!(post.problem()["status"], 405);
}

#[tokio::test]
async fn the_apps_404_beside_a_root_mount_is_formatted() {
    let app = Helios::new(App)
        .mount("/", says("root"))
        .error_format(|error| (error.status(), "in our words").into_response());
    let server = TestServer::start(app).await;
    let missed = server.get("/api/none").await;
    assert_eq!(
        (missed.status, missed.text().as_str()),
        (404, "in our words")
    );
}

#[tokio::test]
async fn a_controllers_prefix_includes_the_servers_and_modules() {
    #[server(prefix = "v1", controllers = [Bare])]
    struct Prefixed;

    #[server(controllers = [])]
    struct Empty;

    let apps = [
        Helios::new(Prefixed),
        Helios::new(Empty).module(Module::new("v1").controller::<Bare>()),
    ];
    for app in apps {
        let server = TestServer::start(app.mount("/", says("root"))).await;
        assert_eq!(server.get("/v1/about/us").await.text(), "about us");
        assert_eq!(server.get("/v1/none").await.problem()["status"], 404);
        assert_eq!(server.get("/about/us").await.text(), "root /about/us");
    }
}

#[tokio::test]
async fn every_method_reaches_a_mount_with_its_authority() {
    let server = server().await;
    for method in [Method::DELETE, Method::OPTIONS, "PURGE".parse().unwrap()] {
        let answer = server.send(method, "/static/x", &[], "").await;
        assert_eq!(answer.text(), "static /x");
    }
    let whole = server.get("http://a.example/static/x?q").await;
    assert_eq!(whole.text(), "static http://a.example/x?q");
}

fn faults(app: Helios) -> Vec<(String, String)> {
    let Err(Error::Startup(faults)) = app.into_service() else {
        panic!("it starts");
    };
    let unreachable = |fault| match fault {
        StartupFault::UnreachableMount { prefix, reason } => (prefix, reason),
        other => panic!("{other}"),
    };
    faults.0.into_iter().map(unreachable).collect()
}

#[test]
fn a_second_mount_at_one_prefix_is_a_fault() {
    for (first, second) in [
        ("/", ""),
        ("/a", "a/"),
        ("/café", "/caf%c3%A9"),
        ("/a", "/%61"),
    ] {
        let app = Helios::new(App).mount(first, says("first"));
        let faults = faults(app.mount(second, says("second")));
        assert!(faults[0].1.contains("another prefix"), "{faults:?}");
        assert_eq!(faults.len(), 1);
    }
}

#[test]
fn a_mount_hidden_by_a_catch_all_is_a_fault() {
    #[derive(Injectable)]
    struct Files;

    #[controller(prefix = "files")]
    impl Files {
        #[get("{kind}/{*rest}")]
        fn file(&self, #[param] kind: String, #[param] rest: String) -> String {
            kind + &rest
        }
    }

    #[server(controllers = [Files])]
    struct Site;

    let app = Helios::new(Site)
        .mount("/files", says("beside"))
        .mount("/files/images", says("hidden"))
        .mount("/files/images/old", says("hidden, too"));
    let faults = faults(app);
    let prefixes: Vec<_> = faults.iter().map(|(prefix, _)| prefix.as_str()).collect();
    assert_eq!(prefixes, ["/files/images", "/files/images/old"]);
    assert!(faults[0].1.contains("`Files::file`"), "{faults:?}");
}

#[test]
fn a_root_mount_beside_a_catch_all_is_a_fault() {
    #[derive(Injectable)]
    struct All;

    #[controller]
    impl All {
        #[any("{*rest}")]
        fn all(&self, #[param] rest: String) -> String {
            rest
        }
    }

    #[server(controllers = [All])]
    struct Site;

    let faults = faults(Helios::new(Site).mount("/", says("hidden")));
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].0, "/");
}

#[test]
fn a_prefix_that_no_request_can_have_is_a_fault() {
    for prefix in [
        "/a/../b",
        "/a?b",
        "/users/{id}/files",
        "/a//b",
        "/a%2Fb",
        "/100%",
    ] {
        let faults = faults(Helios::new(App).mount(prefix, says("never")));
        assert_eq!(faults[0].0, prefix);
        assert!(!faults[0].1.is_empty());
    }
}
