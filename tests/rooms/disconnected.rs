//! A user who is disconnected while a stream of theirs is being opened.

use std::sync::Arc;

use helios::prelude::*;
use helios::testing::TestApp;
use tokio::sync::Semaphore;

/// A place at which a request waits for the test.
struct Gate {
    reached: Semaphore,
    opened: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            reached: Semaphore::new(0),
            opened: Semaphore::new(0),
        }
    }
}

impl Gate {
    async fn wait(&self) {
        self.reached.add_permits(1);
        self.opened.acquire().await.unwrap().forget();
    }
}

#[derive(Injectable)]
struct SlowGuard {
    gate: Arc<Gate>,
}

impl Guard for SlowGuard {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        if request.route() == "/guarded" {
            self.gate.wait().await;
        }
        Ok(())
    }
}

#[derive(Injectable)]
struct Rooms {
    sse: SseService,
    gate: Arc<Gate>,
}

#[controller(guards = [SlowGuard])]
impl Rooms {
    #[sse("guarded")]
    async fn guarded(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["x"]).await
    }

    #[sse("slow")]
    async fn slow(&self) -> Result<SseStream, SseError> {
        self.gate.wait().await;
        self.sse.subscribe(["x"]).await
    }

    #[sse("kept")]
    async fn kept(&self) -> Result<SseStream, SseError> {
        let stream = self.sse.create_connection();
        let own = stream.clone();
        let gate = Arc::clone(&self.gate);
        tokio::spawn(async move {
            own.closed().await;
            gate.reached.add_permits(1);
        });
        self.gate.wait().await;
        Ok(stream)
    }

    /// One stream for each user.
    #[sse("alone")]
    async fn alone(&self) -> Result<SseStream, SseError> {
        self.sse.disconnect_user("ann").await?;
        self.sse.subscribe(["x"]).await
    }
}

#[server(controllers = [Rooms], sse(enabled = true))]
struct App;

fn start(gate: &Arc<Gate>) -> TestApp {
    let app = Helios::new(App).provide_as(Arc::clone(gate));
    let app = app.sse_options(|sse| {
        sse.connections.user = Some(Arc::new(|request| request.cookie("user")));
    });
    TestApp::start(app).unwrap()
}

/// Opens a stream as ann, and returns the name of its first event.
async fn first(app: &TestApp, path: &str) -> String {
    let mut stream = app.sse(path).header("cookie", "user=ann").await;
    stream.next().await.unwrap().event
}

/// The same. While the request waits, another task disconnects these users.
async fn first_after(app: &TestApp, gate: &Arc<Gate>, path: &str, users: &[&str]) -> String {
    let users: Vec<String> = users.iter().copied().map(str::to_owned).collect();
    let (gate, sse) = (Arc::clone(gate), app.sse_service().clone());
    let disconnecting = tokio::spawn(async move {
        gate.reached.acquire().await.unwrap().forget();
        for user in users {
            sse.disconnect_user(user).await.unwrap();
        }
        gate.opened.add_permits(1);
    });
    let first = first(app, path).await;
    disconnecting.await.unwrap();
    first
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_passed_its_guards_before_is_not_let_in() {
    let gate = Arc::default();
    let app = start(&gate);
    for path in ["/guarded", "/slow"] {
        let refused = first_after(&app, &gate, path, &["bob", "ann"]).await;
        assert_eq!(refused, "helios:overloaded", "{path}");
        let other = first_after(&app, &gate, path, &["bob"]).await;
        assert_eq!(other, "helios:ready", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_of_a_refused_stream_learns_of_its_end() {
    let gate = Arc::default();
    let app = start(&gate);
    let refused = first_after(&app, &gate, "/kept", &["ann"]).await;
    assert_eq!(refused, "helios:overloaded");
    gate.reached.acquire().await.unwrap().forget();
}

#[tokio::test(start_paused = true)]
async fn a_request_may_disconnect_its_own_user() {
    let app = start(&Arc::default());
    let mut before = app.sse("/alone").header("cookie", "user=ann").await;
    assert_eq!(before.next().await.unwrap().event, "helios:ready");
    assert_eq!(first(&app, "/alone").await, "helios:ready");
    assert_eq!(before.next().await.unwrap().event, "helios:end");
}

#[tokio::test(start_paused = true)]
async fn after_more_than_are_remembered_everybody_has_to_ask_again() {
    let gate = Arc::default();
    let app = start(&gate);
    let refused = first_after(&app, &gate, "/slow", &["bob"; 5_000]).await;
    assert_eq!(refused, "helios:overloaded");
}
