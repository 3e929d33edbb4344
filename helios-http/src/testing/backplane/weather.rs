//! How bad a link is.

use std::time::Duration;

/// How bad a link is. Rates are chances from 0 to 1. By default it is fine.
///
/// ```
/// use helios::testing::backplane::Weather;
///
/// let mut foggy = Weather::fine();
/// foggy.drop = 0.01;
/// assert!(!foggy.is_made_good() && Weather::windy().is_made_good());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Weather {
    /// The longest delay of an event, and of a publish.
    pub delay: Duration,
    /// Events at which nothing is handed over for a while: up to 50 times `delay`.
    pub hold: f64,
    /// Events that are lost and nobody is told.
    pub drop: f64,
    /// Events at which the link breaks for a moment: it loses some, and says so.
    pub tear: f64,
    /// Questions for history that fail.
    pub no_history: f64,
    /// The longest delay of an answer to a question for history, and to `unwatch`.
    pub slow: Duration,
    /// Publishes that fail, half of them after the event was published.
    pub no_publish: f64,
    /// Watches that fail, half of them after the topic was watched.
    pub no_watch: f64,
}

impl Weather {
    /// Nothing is delayed, and nothing fails.
    #[must_use]
    pub fn fine() -> Self {
        Self::default()
    }

    /// The link delays, holds and tears, and publishes fail. All of it can be made good: no client is told of anything.
    #[must_use]
    pub fn windy() -> Self {
        Self {
            delay: Duration::from_millis(2),
            hold: 0.001,
            tear: 0.01,
            slow: Duration::from_millis(3),
            no_publish: 0.02,
            ..Self::default()
        }
    }

    /// The link loses events silently, too.
    #[must_use]
    pub fn foggy() -> Self {
        Self {
            delay: Duration::from_millis(1),
            drop: 0.02,
            tear: 0.005,
            slow: Duration::from_millis(2),
            ..Self::default()
        }
    }

    /// Everything fails now and then, but nothing is lost silently.
    #[must_use]
    pub fn stormy() -> Self {
        Self {
            delay: Duration::from_millis(1),
            hold: 0.001,
            drop: 0.0,
            tear: 0.01,
            no_history: 0.2,
            slow: Duration::from_millis(2),
            no_publish: 0.05,
            no_watch: 0.2,
        }
    }

    /// Everything at once.
    #[must_use]
    pub fn worst() -> Self {
        Self {
            drop: 0.01,
            ..Self::stormy()
        }
    }

    /// Whether everything that is lost in it can be had from history, so that no client needs to be told.
    #[must_use]
    pub fn is_made_good(&self) -> bool {
        self.drop <= 0.0 && self.no_history <= 0.0
    }
}
