//! A service behind a trait. The program provides the real one, and its test provides another.
//!
//! ```text
//! cargo run --example providers
//! cargo test --example providers
//! ```

use helios::prelude::*;

trait Mailer: Send + Sync {
    fn send(&self, to: &str, text: &str);
}

struct Stdout;

impl Mailer for Stdout {
    fn send(&self, to: &str, text: &str) {
        println!("to {to}: {text}");
    }
}

/// Built once, on demand, with what the container provides.
#[derive(Injectable)]
struct Invitations {
    mailer: Arc<dyn Mailer>,
}

#[derive(Injectable)]
struct Team {
    invitations: Arc<Invitations>,
}

#[controller(prefix = "team")]
impl Team {
    #[post("{name}/invitation")]
    #[http_code(202)]
    fn invite(&self, #[param] name: &str) {
        self.invitations.mailer.send(name, "join us");
    }
}

#[server(controllers = [Team])]
struct App;

pub(crate) fn app() -> Helios {
    Helios::new(App).provide_as::<dyn Mailer>(Arc::new(Stdout))
}

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    app().listen().await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use helios::testing::TestApp;

    use super::*;

    #[derive(Default)]
    struct Outbox(Mutex<Vec<String>>);

    impl Mailer for Outbox {
        fn send(&self, to: &str, text: &str) {
            self.0.lock().unwrap().push(format!("{to}: {text}"));
        }
    }

    #[tokio::test]
    async fn an_invitation_is_mailed() {
        let outbox = Arc::new(Outbox::default());
        let app = TestApp::builder(app())
            .override_provider::<dyn Mailer>(outbox.clone())
            .start()
            .unwrap();
        assert_eq!(app.post("/team/ann/invitation").await.status(), 202);
        assert_eq!(*outbox.0.lock().unwrap(), ["ann: join us"]);
    }
}
