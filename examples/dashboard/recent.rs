//! A list that cannot grow.

use std::collections::VecDeque;
use std::collections::vec_deque::Iter;

use serde::{Deserialize, Serialize};

/// The newest items, at most `KEPT`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Recent<T, const KEPT: usize>(VecDeque<T>);

impl<T, const KEPT: usize> Default for Recent<T, KEPT> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T, const KEPT: usize> Recent<T, KEPT> {
    pub(crate) fn push(&mut self, item: T) {
        self.0.push_back(item);
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    pub(crate) fn newest(&self) -> Option<&T> {
        self.0.back()
    }

    pub(crate) fn iter(&self) -> Iter<'_, T> {
        self.0.iter()
    }
}
