//! Without the prelude. Each import counts as used, and any path to a macro or to the facade works.
#![deny(warnings)]
#![allow(unreachable_pub)]

mod named {
    use helios::{Injectable, controller, get, http_code, sse};

    #[derive(Injectable)]
    pub struct Named;

    #[controller(prefix = "named")]
    impl Named {
        #[get]
        #[http_code(202)]
        fn find(&self) -> &'static str {
            "found"
        }

        #[sse("time")]
        fn time(&self) -> helios::SseStream {
            helios::SseStream::new()
        }
    }
}

mod by_path {
    #[derive(helios::Injectable)]
    pub struct ByPath;

    #[helios::controller(prefix = "path")]
    impl ByPath {
        #[helios::get]
        fn find(&self) -> &'static str {
            "found"
        }

        #[::helios::post]
        fn create(&self) -> &'static str {
            "created"
        }
    }
}

mod renamed {
    use helios as framework;

    mod inner {
        pub use helios as facade;
    }

    #[derive(framework::Injectable)]
    #[inject(crate = inner::facade)]
    pub struct Renamed;

    #[framework::controller(prefix = "renamed", crate = inner::facade)]
    impl Renamed {
        #[framework::get("{id}")]
        fn find(&self, #[param] id: u64) -> String {
            id.to_string()
        }
    }

    #[framework::server(controllers = [Renamed], crate = framework)]
    pub struct App;

    #[derive(framework::SseEvents)]
    #[sse(crate = inner::facade)]
    pub enum Event {
        Tick,
    }
}

#[helios::server(controllers = [named::Named, by_path::ByPath])]
struct App;

fn main() {
    use helios::IntoSseEvent;

    let _ = (helios::Helios::new(App), helios::Helios::new(renamed::App));
    assert_eq!(renamed::Event::Tick.into_sse_event().name(), Some("Tick"));
}
