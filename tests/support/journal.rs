//! A record of what happens on the server, which tests can wait for.

use std::sync::{Arc, Mutex};

use super::eventually;

/// A list of notes from handlers and hooks.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    pub fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    pub fn notes(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn count(&self, text: &str) -> usize {
        self.notes().iter().filter(|note| *note == text).count()
    }

    pub async fn wait_for(&self, text: &str) {
        eventually(|| self.count(text) > 0).await;
    }
}
