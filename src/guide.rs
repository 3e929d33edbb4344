//! The guide: how to use Helios, chapter by chapter. Every piece of code in it is compiled and run as a test.
//!
//! ```
//! use helios::prelude::*;
//! use helios::testing::TestApp;
//!
//! #[derive(Injectable)]
//! struct Hello;
//!
//! #[controller(prefix = "hello")] // chapter `controllers`
//! impl Hello {
//!     #[get("{name}")]
//!     fn hello(&self, #[param] name: &str) -> String {
//!         format!("hello {name}")
//!     }
//! }
//!
//! #[server(controllers = [Hello])] // chapter `serving`
//! struct App;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let app = TestApp::new(App).start().unwrap(); // chapter `testing`
//! assert_eq!(app.get("/hello/ann").await.text(), "hello ann");
//! # }
//! ```

macro_rules! chapters {
    ($($name:ident $file:literal)*) => {
        $(
            #[doc = include_str!($file)]
            pub mod $name {}
        )*
    };
}

chapters! {
    controllers "guide/controllers.md"
    streams "guide/streams.md"
    rooms "guide/rooms.md"
    pipeline "guide/pipeline.md"
    services "guide/services.md"
    serving "guide/serving.md"
    deployment "guide/deployment.md"
    testing "guide/testing.md"
}
