//! Guards before mounts, and attempts to get around them.

use axum_core::response::IntoResponse;
use helios::prelude::*;
use http::Method;
use support::TestServer;
use support::folder::Folder;
use support::journal::Journal;
use tower_http::services::ServeDir;

use super::service::says;

/// Lets in requests with the key, which the container provides.
struct Key(&'static str);

impl Guard for Key {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        match request.header("x-key") {
            Some(key) if key == self.0 => Ok(()),
            _ => Err(HttpError::forbidden("the key, please")),
        }
    }
}

#[derive(Clone)]
struct User(String);

/// Built by the container.
#[derive(Injectable)]
struct SignedIn {
    journal: Arc<Journal>,
}

impl Guard for SignedIn {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        let (route, path) = (request.route(), request.uri().path());
        self.journal.note(format!("{route} {path}"));
        let user = match request.header("x-user") {
            Some("broken") => return Err(HttpError::internal("the secret cause")),
            Some("panics") => panic!("in a guard"),
            Some(user) => User(user.to_owned()),
            None => return Err(Stranger.into()),
        };
        request.extensions_mut().insert(user);
        Ok(())
    }
}

#[derive(Injectable)]
struct Pages;

#[controller(prefix = "pages")]
impl Pages {
    #[get]
    fn pages(&self) -> &str {
        "pages"
    }
}

#[server(controllers = [Pages])]
struct Open;

#[server(controllers = [Pages], guards = [SignedIn], filters = [AtTheDoor])]
struct Closed;

/// Answers clients that are not signed in.
#[derive(Injectable)]
struct AtTheDoor;

#[derive(Debug, thiserror::Error)]
#[error("a stranger")]
struct Stranger;

impl From<Stranger> for HttpError {
    fn from(stranger: Stranger) -> Self {
        Self::unauthorized("sign in first").with_source(stranger)
    }
}

impl Filter for AtTheDoor {
    type Error = Stranger;

    async fn catch(&self, _: &Stranger, request: &RequestContext) -> Reply {
        let path = request.uri().path();
        Ok((StatusCode::SEE_OTHER, [("location", format!("/in?{path}"))]).into_response())
    }
}

fn app<S>(server: S) -> (Helios, Journal)
where
    Helios: From<S>,
{
    let journal = Journal::default();
    let app = Helios::from(server)
        .provide(journal.clone())
        .provide(Key("k1"));
    (app, journal)
}

const SIGNED_IN: [(&str, &str); 1] = [("x-user", "ann")];

#[tokio::test]
async fn guards_run_in_order_and_refuse_before_the_service() {
    let (app, journal) = app(Open);
    let served = Journal::default();
    let seen = served.clone();
    let admin = axum::Router::new().fallback(async move |request: axum::extract::Request| {
        let user = request.extensions().get::<User>().unwrap();
        seen.note(format!("{} {}", user.0, request.uri()));
        "admin"
    });
    let app = app.mount_guarded("/admin", guards![SignedIn, Key], admin);
    let server = TestServer::start(app.mount("/", says("root"))).await;

    assert_eq!(
        server.get("/admin/x").await.problem()["detail"],
        "sign in first"
    );
    let keyless = server.send(Method::GET, "/admin/x", &SIGNED_IN, "").await;
    assert_eq!(keyless.problem()["detail"], "the key, please");
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    let upgrade = server.send(Method::GET, "/admin", &upgrade, "").await;
    assert_eq!(upgrade.status, 401);
    assert_eq!(
        server.send(Method::HEAD, "/admin", &[], "").await.status,
        401
    );
    assert_eq!(served.notes(), [""; 0]);

    let both = [("x-user", "ann"), ("x-key", "k1")];
    let inside = server.send(Method::POST, "/%61dmin/x?q", &both, "").await;
    assert_eq!(inside.text(), "admin");
    assert_eq!(served.notes(), ["ann /x?q"]);
    assert_eq!(journal.notes().last().unwrap(), "/admin /%61dmin/x");
    assert_eq!(server.get("/pages").await.text(), "pages");
    assert_eq!(server.get("/other").await.text(), "root /other");
}

#[tokio::test]
async fn no_spelling_of_a_path_bypasses_a_mounts_guards() {
    // The worst case, in which the folder of the guarded mount is also below the open one.
    let folder = Folder::new("guarded");
    let secret = folder.0.join("admin");
    std::fs::create_dir_all(&secret).unwrap();
    std::fs::write(secret.join("secret.txt"), "the secret").unwrap();
    let (app, _) = app(Open);
    let app = app.mount("/", ServeDir::new(&folder.0)).mount_guarded(
        "/admin",
        guards![Key],
        ServeDir::new(&secret),
    );
    let server = TestServer::start(app).await;
    for path in [
        "/admin/secret.txt",
        "/%61dmin/secret.txt",
        "/%61%64%6D%69%6e/secret.txt",
        "/admin//secret.txt",
        "//admin/secret.txt",
        "///admin///secret.txt",
        "/admin%2Fsecret.txt",
        "/admin%2fsecret.txt",
        "/%2Fadmin/secret.txt",
        "/admin%5Csecret.txt",
        "/./admin/secret.txt",
        "/x/../admin/secret.txt",
        "/x/%2e%2e/admin/secret.txt",
        "/x/..%2Fadmin/secret.txt",
        "/x%2F..%2Fadmin/secret.txt",
        "/pages/../admin/secret.txt",
        "/admin/../admin/secret.txt",
        "http://a.example//admin/secret.txt",
        "http://a.example/admin/secret.txt",
        "/admin/",
        "/admin",
    ] {
        let answer = server.get(path).await;
        assert!([400, 403].contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.text().contains("the secret"), "{path}");
    }
    let key = [("x-key", "k1")];
    let file = server
        .send(Method::GET, "/%61dmin/secret.txt", &key, "")
        .await;
    assert_eq!(file.text(), "the secret");
}

#[tokio::test]
async fn the_servers_guards_cover_mounts_except_public_ones() {
    let (app, journal) = app(Closed);
    let app = app
        .mount("/reports", says("reports"))
        .mount_guarded("/admin", guards![Key], says("admin"))
        .mount_public("/in", says("in"));
    let server = TestServer::start(app).await;
    for path in ["/reports/1", "/admin/1", "/pages"] {
        let refused = server.get(path).await;
        assert_eq!(refused.status, 303, "{path}");
        assert_eq!(refused.header("location"), format!("/in?{path}"));
    }
    assert_eq!(server.get("/in").await.text(), "in /");
    let asked = journal.notes().len();
    assert_eq!(asked, 3);
    let get = |path| server.send(Method::GET, path, &SIGNED_IN, "");
    assert_eq!(get("/reports/1").await.text(), "reports /1");
    assert_eq!(get("/admin/1").await.problem()["status"], 403);
}

#[tokio::test]
async fn a_guard_that_fails_or_panics_refuses_and_tells_nothing() {
    let (app, _) = app(Open);
    let server = TestServer::start(app.mount_guarded("/a", guards![SignedIn], says("a"))).await;
    for user in ["broken", "panics"] {
        let refused = server
            .send(Method::GET, "/a", &[("x-user", user)], "")
            .await;
        assert_eq!(refused.status, 500);
        assert!(!refused.text().contains("secret"), "{refused:?}");
        assert_eq!(refused.problem()["title"], "Internal Server Error");
    }
}

#[tokio::test]
async fn a_refusal_before_a_mount_uses_the_error_format() {
    let (app, _) = app(Open);
    let app = app
        .mount_guarded("/a", guards![SignedIn], says("a"))
        .error_format(|error| {
            let path = error.request().uri().path().to_owned();
            (error.status(), format!("{path}: {}", error.title())).into_response()
        });
    let server = TestServer::start(app).await;
    let refused = server.get("/a/b").await;
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (401, "/a/b: Unauthorized")
    );
}

#[test]
fn a_guard_that_nothing_provides_is_a_fault() {
    let app = Helios::new(Open).mount_guarded("/a", guards![Key], says("a"));
    let error = app.into_service().err().unwrap().to_string();
    assert!(
        error.contains("nothing provides `Key`, needed by `the mount at /a`"),
        "{error}"
    );
}
