//! The timer for the heads that one connection reads.
//!
//! hyper requests a new timer before each head, and drops it as soon as the head has arrived. With tokio's timers,
//! every request would add an entry to the timer wheel and remove it again. Here all heads of a connection share one
//! timer. It is reset only when it expires for a head that has already arrived.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::server::takeover::handover::Handover;

type TimerState = Arc<Mutex<Option<Pin<Box<Sleep>>>>>;

/// Notifies the handover when hyper waits for a head.
pub(super) struct HeadTimer {
    shared: TimerState,
    handover: Arc<Handover>,
}

impl HeadTimer {
    pub(super) fn new(handover: Arc<Handover>) -> Self {
        Self {
            shared: TimerState::default(),
            handover,
        }
    }
}

impl rt::Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        self.handover.awaits_head();
        Box::pin(HeadDeadline {
            shared: Arc::clone(&self.shared),
            deadline: deadline.into(),
        })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

struct HeadDeadline {
    shared: TimerState,
    deadline: Instant,
}

impl rt::Sleep for HeadDeadline {}

impl Future for HeadDeadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = shared.get_or_insert_with(|| Box::pin(sleep_until(self.deadline)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::rt::Timer;
    use tokio::time::{advance, timeout};

    use super::*;

    const TIME: Duration = Duration::from_secs(30);

    async fn goes_off_within(sleep: &mut Pin<Box<dyn rt::Sleep>>, time: Duration) -> bool {
        timeout(time, sleep).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn each_head_has_its_whole_time() {
        let timer = HeadTimer::new(Arc::default());
        let second = Duration::from_secs(1);
        let mut first = timer.sleep(TIME);
        assert!(!goes_off_within(&mut first, TIME - second).await);
        drop(first);
        let mut next = timer.sleep(TIME);
        assert!(!goes_off_within(&mut next, TIME - second).await);
        assert!(goes_off_within(&mut next, second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_head_has_its_whole_time_too() {
        let timer = HeadTimer::new(Arc::default());
        assert!(goes_off_within(&mut timer.sleep(TIME), TIME).await);
        advance(TIME).await;
        let mut next = timer.sleep(TIME);
        assert!(!goes_off_within(&mut next, TIME / 2).await);
        assert!(goes_off_within(&mut next, TIME / 2).await);
    }
}
