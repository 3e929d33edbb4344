//! Impossible requests are errors that explain themselves.

use helios::prelude::*;
use helios::sse::{Member, PresenceError};

use super::app::{alone, member};

fn presence(error: SseError) -> PresenceError {
    match error {
        SseError::Presence(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn presence_is_off_by_default_and_the_error_says_so() {
    let app = alone(|_| {});
    let sse = app.sse_service();
    let stream = sse.create_connection();
    let error = stream.appear("kitchen", Member::new(7)).await.unwrap_err();
    assert!(error.to_string().contains("add the topic"), "{error}");
    assert_eq!(presence(error), PresenceError::NotEnabled("kitchen".into()));
    let error = sse.present("kitchen").await.unwrap_err();
    assert!(matches!(presence(error), PresenceError::NotEnabled(_)));
}

#[tokio::test(start_paused = true)]
async fn keys_data_members_and_topics_are_bounded() {
    let app = alone(|sse| {
        sse.max_members = 1;
        sse.max_topics_per_connection = 2;
    });
    let sse = app.sse_service();
    let (ann, bob) = (sse.create_connection(), sse.create_connection());
    for key in ["", &"k".repeat(257)] {
        let error = ann.appear("room:tea", Member::new(key)).await;
        assert_eq!(presence(error.unwrap_err()), PresenceError::InvalidKey);
    }
    let much = Member::new(7).with("x".repeat(4_095));
    let error = ann.appear("room:tea", much).await.unwrap_err();
    let too_large = PresenceError::DataTooLarge {
        size: 4_097,
        limit: 4_096,
    };
    assert_eq!(presence(error), too_large);

    ann.appear("room:tea", member("ann", "1")).await.unwrap();
    let error = bob
        .appear("room:tea", member("bob", "1"))
        .await
        .unwrap_err();
    assert_eq!(presence(error), PresenceError::TooManyMembers { limit: 1 });
    // A member can appear again, and a refused one can appear elsewhere.
    bob.appear("room:tea", member("ann", "2")).await.unwrap();
    bob.appear("room:milk", member("bob", "1")).await.unwrap();
    let error = bob.appear("room:coffee", member("bob", "1")).await;
    assert!(
        matches!(error, Err(SseError::TooManyJoined { limit: 2 })),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_no_hub_knows_cannot_appear() {
    let error = SseStream::new().appear("room:tea", Member::new(7)).await;
    assert_eq!(presence(error.unwrap_err()), PresenceError::Detached);
}

#[tokio::test(start_paused = true)]
async fn a_backplane_without_tables_says_so_where_somebody_appears() {
    let log = support::backplane::Log::new(100);
    let app = super::app::node(log.link(1)).await;
    let stream = app.sse_service().create_connection();
    let error = stream.appear("room:tea", Member::new(7)).await.unwrap_err();
    assert_eq!(presence(error), PresenceError::NoTables("in memory"));
}
