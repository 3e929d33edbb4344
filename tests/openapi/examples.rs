//! The documents of all examples in the shared package. The list of open items in them is known. The dashboard has a
//! test of its own.

#![allow(dead_code, unused_imports)]

use helios::Helios;

macro_rules! examples {
    ($($name:ident $path:literal)*) => {
        $(
            #[path = $path]
            mod $name;
        )*
    };
}

examples! {
    auth "../../examples/auth.rs"
    chat "../../examples/chat.rs"
    danet "../../examples/danet.rs"
    dwex "../../examples/dwex/main.rs"
    heliosjs "../../examples/heliosjs/main.rs"
    htmx "../../examples/htmx.rs"
    llm "../../examples/llm/main.rs"
    mount "../../examples/mount.rs"
    nestjs "../../examples/nestjs.rs"
    providers "../../examples/providers.rs"
    s42core "../../examples/s42core.rs"
    tracing_ "../../examples/tracing.rs"
    upload "../../examples/upload.rs"
    user "../../examples/user.rs"
    websocket "../../examples/websocket.rs"
}

pub(crate) fn apps() -> [(&'static str, Helios); 15] {
    [
        ("auth", Helios::new(auth::App)),
        ("chat", Helios::new(chat::App)),
        ("danet", Helios::new(danet::App)),
        ("dwex", Helios::new(dwex::App)),
        ("heliosjs", Helios::new(heliosjs::App)),
        ("htmx", Helios::new(htmx::App)),
        ("llm", Helios::new(llm::App)),
        ("mount", Helios::new(mount::App)),
        ("nestjs", Helios::new(nestjs::App)),
        ("providers", providers::app()),
        ("s42core", Helios::new(s42core::App)),
        ("tracing", Helios::new(tracing_::App)),
        ("upload", Helios::new(upload::App)),
        ("user", Helios::new(user::App)),
        ("websocket", Helios::new(websocket::App)),
    ]
}

#[test]
fn every_example_has_a_document_with_known_gaps() {
    let mut told = Vec::new();
    for (name, app) in apps() {
        let document = app.openapi_document().unwrap();
        for unknown in document.unknown() {
            told.push(format!(
                "{name}: {} {}: {}",
                unknown.verb, unknown.path, unknown.what
            ));
        }
    }
    let known: Vec<_> = include_str!("examples.txt").lines().collect();
    assert_eq!(told, known, "{}", told.join("\n"));
}
