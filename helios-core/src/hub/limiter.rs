//! Limiters for streams: how many a key may have, and how many may open in a second.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Limits how many streams each key has.
#[derive(Debug)]
pub struct KeyedLimiter<K> {
    counts: HashMap<K, usize>,
}

impl<K> Default for KeyedLimiter<K> {
    fn default() -> Self {
        Self {
            counts: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash + Clone> KeyedLimiter<K> {
    /// Counts one more stream of `key`. Returns false, and counts nothing, if the key has `limit` streams already.
    pub fn acquire(&mut self, key: &K, limit: usize) -> bool {
        let count = self.counts.get(key).copied().unwrap_or(0);
        let fits = count < limit;
        if fits {
            self.counts.insert(key.clone(), count + 1);
        }
        fits
    }

    /// Counts one stream less. A key without streams uses no memory.
    pub fn release(&mut self, key: &K) {
        if let Some(count) = self.counts.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(key);
            }
        }
    }

    /// Returns how many keys have a stream.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Returns whether no key has a stream.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

/// A token bucket, which lets a rate be exceeded for a moment. It holds the tokens of one second, and at least one.
#[derive(Debug)]
pub struct TokenBucket {
    tokens: f64,
    at: Duration,
}

impl TokenBucket {
    /// Creates a bucket that is full at time `now`.
    #[must_use]
    pub fn full(per_second: f64, now: Duration) -> Self {
        Self {
            tokens: per_second.max(1.0),
            at: now,
        }
    }

    /// Takes a token. Returns false if there is none.
    pub fn take(&mut self, per_second: f64, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * per_second).min(per_second.max(1.0));
        self.at = now;
        let any = self.tokens >= 1.0;
        if any {
            self.tokens -= 1.0;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_at_its_limit_is_refused_until_a_release() {
        let mut limiter = KeyedLimiter::default();
        assert!(limiter.acquire(&"a", 2));
        assert!(limiter.acquire(&"a", 2));
        assert!(!limiter.acquire(&"a", 2));
        assert!(limiter.acquire(&"b", 2));
        limiter.release(&"a");
        assert!(limiter.acquire(&"a", 2));
        for key in ["a", "a", "b", "never there"] {
            limiter.release(&key);
        }
        assert!(limiter.is_empty());
    }

    #[test]
    fn a_bucket_gives_one_second_at_once_then_its_rate() {
        let mut bucket = TokenBucket::full(3.0, Duration::ZERO);
        let mut take = |millis| bucket.take(3.0, Duration::from_millis(millis));
        assert_eq!([0, 0, 0, 0].map(&mut take), [true, true, true, false]);
        assert!(!take(300));
        assert!(take(340));
        assert!(!take(350));
    }

    #[test]
    fn a_rate_below_one_per_second_still_gives_tokens() {
        let mut bucket = TokenBucket::full(0.5, Duration::ZERO);
        assert!(bucket.take(0.5, Duration::ZERO));
        assert!(!bucket.take(0.5, Duration::from_secs(1)));
        assert!(bucket.take(0.5, Duration::from_secs(2)));
    }
}
