//! Scenarios of watching.

use super::super::report::Found;
use super::Scene;
use crate::sse::backplane::Backplane;

impl<B: Backplane> Scene<B> {
    /// The audits find answers that are out of place.
    pub(super) async fn watch_place(&self) -> Result<(), Found> {
        let topics: Vec<_> = (0..4).map(|n| self.topic(&n.to_string())).collect();
        let topics: Vec<_> = topics.iter().map(|topic| &**topic).collect();
        let publish = async {
            let mut ids = Vec::new();
            for n in 0..400 {
                let topic = topics[n % topics.len()];
                let peer = if n % 3 == 0 { &self.one } else { &self.two };
                ids.push((topic, peer.publish(topic, "text").await?));
                tokio::task::yield_now().await;
            }
            Ok::<_, Found>(ids)
        };
        let watch = async {
            for n in 0..100 {
                self.one.watch(&topics[..1 + n % topics.len()]).await?;
                tokio::task::yield_now().await;
            }
            self.one.watch(&topics).await
        };
        let (ids, watched) = tokio::join!(publish, watch);
        watched?;
        for (topic, id) in ids? {
            self.until_handed(&self.one, topic, id).await?;
        }
        // After this answer, no event up to it may come any more.
        self.one.watch(&topics).await.map(drop)
    }

    pub(super) async fn unwatch(&self) -> Result<(), Found> {
        let [a, b, never] = ["a", "b", "never"].map(|name| self.topic(name));
        self.one.watch(&[&a, &b]).await?;
        let seen = self.two.publish(&a, "1").await?;
        self.until_handed(&self.one, &a, seen).await?;
        self.one.unwatch(&[&a, &never]).await?;
        self.two.publish(&a, "2").await?;
        let other = self.two.publish(&b, "3").await?;
        // It comes after the event that must not be handed over.
        self.until_handed(&self.one, &b, other).await?;
        self.one.watch(&[&a]).await?;
        let again = self.two.publish(&a, "4").await?;
        self.until_handed(&self.one, &a, again).await
    }
}
