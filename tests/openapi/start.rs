//! The document at start-up: its faults, and the list of open items.

use std::marker::PhantomData;
use std::process::Stdio;

use helios::axum_core::response::{IntoResponse, Response};
use helios::error::{Error, StartupFault};
use helios::prelude::*;
use serde_json::{Value, json};
use support::within;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

mod v1 {
    use helios::prelude::*;

    #[derive(Injectable)]
    pub(super) struct Notes;

    #[controller(prefix = "v1/notes")]
    impl Notes {
        #[get]
        fn find(&self) {}
    }
}

mod v2 {
    use helios::prelude::*;

    #[derive(Injectable)]
    pub(super) struct Notes;

    #[controller(prefix = "v2/notes")]
    impl Notes {
        #[get]
        fn find(&self) {}
    }
}

#[server(controllers = [v1::Notes, v2::Notes])]
struct Twice;

fn told(error: Error) -> (String, [String; 2]) {
    let Error::Startup(faults) = error else {
        panic!("{error}");
    };
    let [fault] = &faults.0[..] else {
        panic!("{faults}");
    };
    let StartupFault::SameOperation { paths, .. } = fault else {
        panic!("{fault}");
    };
    (fault.to_string(), paths.clone())
}

#[test]
fn two_operations_with_one_id_prevent_the_start() {
    assert!(Helios::new(Twice).into_service().is_ok());
    let served = Helios::new(Twice).openapi("/openapi.json").into_service();
    let (text, paths) = told(served.err().unwrap());
    assert_eq!(paths, ["/v1/notes", "/v2/notes"]);
    assert!(
        text.starts_with(
            "`Notes::find` is at /v1/notes and at /v2/notes, but `Notes.find` can be the id"
        ),
        "{text}"
    );
    let written = Helios::new(Twice).openapi_document();
    assert_eq!(told(written.unwrap_err()).1, paths);
}

#[derive(Injectable)]
struct Shelf<T: Send + Sync + 'static> {
    #[inject(default)]
    kind: PhantomData<T>,
}

#[controller]
impl<T: Send + Sync + 'static> Shelf<T> {
    #[get]
    fn size(&self) -> String {
        std::any::type_name_of_val(&self.kind).to_owned()
    }
}

#[derive(Injectable)]
struct Comments;

#[controller(prefix = "comments")]
impl Comments {
    #[get("{comment}")]
    fn find(&self, #[param] comment: u64) -> String {
        comment.to_string()
    }
}

#[derive(Injectable)]
struct Posts;

#[controller(prefix = "posts", controllers = [Comments])]
impl Posts {
    #[get]
    fn all(&self) {}
}

#[derive(Injectable)]
struct Photos;

#[controller(prefix = "photos/{photo}", controllers = [Comments])]
impl Photos {
    #[get]
    fn find(&self, #[param] photo: u64) -> String {
        photo.to_string()
    }
}

#[server(prefix = "api", controllers = [Posts, Photos, Comments])]
struct Nested;

#[server(prefix = "api", controllers = [])]
struct Empty;

/// The path, id and tag of each operation.
fn operations(app: Helios) -> Vec<(String, Value, Value)> {
    let document = app.openapi_document().unwrap();
    let paths = document.v3_2()["paths"].as_object().unwrap();
    let shown = |(path, verbs): (&String, &Value)| {
        let get = &verbs["get"];
        (
            path.clone(),
            get["operationId"].clone(),
            get["tags"].clone(),
        )
    };
    paths.iter().map(shown).collect()
}

#[test]
fn the_ids_of_a_generic_controller_have_its_arguments() {
    let books = || Module::new("books").controller::<Shelf<Vec<u8>>>();
    let films = Module::new("films").controller::<Shelf<(u8, String)>>();
    // A name that is the only one says no more than before.
    let expected = [(
        "/api/books".to_owned(),
        json!("Shelf.size"),
        json!(["Shelf"]),
    )];
    assert_eq!(operations(Helios::new(Empty).module(books())), expected);

    let shown = operations(Helios::new(Empty).module(books()).module(films));
    let expected = [
        ("/api/books", "Shelf_of_Vec_of_u8"),
        ("/api/films", "Shelf_of__u8_and_String_"),
    ];
    let expected = expected.map(|(path, name)| {
        let id = format!("{name}.size");
        (path.to_owned(), json!(id), json!([name]))
    });
    assert_eq!(shown, expected);
}

#[test]
fn a_controller_mounted_twice_is_told_apart_by_its_place() {
    let expected = [
        ("/api/comments/{comment}", "Comments.find", "Comments"),
        ("/api/photos/{photo}", "Photos.find", "Photos"),
        (
            "/api/photos/{photo}/comments/{comment}",
            "photos.photo.Comments.find",
            "Comments",
        ),
        ("/api/posts", "Posts.all", "Posts"),
        (
            "/api/posts/comments/{comment}",
            "posts.Comments.find",
            "Comments",
        ),
    ];
    let expected = expected.map(|(path, id, tag)| (path.to_owned(), json!(id), json!([tag])));
    assert_eq!(operations(Helios::new(Nested)), expected);
}

#[derive(Injectable)]
struct Reports;

#[controller(prefix = "reports")]
impl Reports {
    #[get]
    fn latest(&self) -> Response {
        "all is well".into_response()
    }

    #[get("{year}")]
    fn of_year(&self, #[param] year: u16) -> Response {
        format!("{year} went well").into_response()
    }
}

#[server(controllers = [Reports], port = 0)]
struct Open;

const SERVE: &str = "SERVE_WITH_A_DOCUMENT";

/// Not a test, but the server of the next test, in a process of its own.
#[tokio::test]
async fn server() {
    if std::env::var_os(SERVE).is_some() {
        let app = Helios::new(Open).openapi("/openapi.json");
        app.listen().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_lists_what_its_document_does_not_say() {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "start::server", "--nocapture"])
        .env_remove("HELIOS_HOST")
        .env_remove("HELIOS_PORT")
        .env(SERVE, "yes")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    while printed
        .last()
        .is_none_or(|line: &String| !line.contains("listening on"))
    {
        printed.push(within(lines.next_line()).await.unwrap().unwrap());
    }
    let list = printed
        .iter()
        .position(|line| line.ends_with("the OpenAPI document does not say"));
    let list = &printed[list.unwrap()..];
    assert!(
        list[1].starts_with("  what it answers with; write `#[answers"),
        "{printed:#?}"
    );
    assert_eq!(list[2], "    GET /reports, GET /reports/{year}");
}
