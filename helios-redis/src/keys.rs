//! The names of keys and channels. All have the namespace as their hash tag, so a cluster keeps them in one slot, where one script
//! can reach them.
//!
//! | name | what |
//! | --- | --- |
//! | `{ns}:m` | the sequence: a hash of `epoch`, `seq`, `run`, `torn` and the version `v` of these names |
//! | `{ns}:k` | ticks, at most two a minute, (time, newest number), by Redis' clock |
//! | `{ns}:l:<epoch>:<topic>` | the events of a topic, a list of (number, the one before, time, bytes) |
//! | `{ns}:p:<epoch>:<topic>` | the newest number of a topic, for a day longer than its events |
//! | `{ns}:f:<epoch>:<topic>` | the event that finished a topic |
//! | `{ns}:i:<epoch>:<length>:<topic>:<key>` | the number of the event that was published with an idempotency key |
//! | `{ns}:a:<node>` | the lease of a node |
//! | `{ns}:w` | a hash on members: their `epoch` and `run`, and the newest number given out before these (`from`) and now (`newest`) |
//! | `{ns}:w:l` | the leases under which members are kept, by their ends |
//! | `{ns}:w:e`, `{ns}:w:n` | the entries of members by (topic, key), and these names in order |
//! | `{ns}:w:g` | members in their grace, by its end |
//! | `{ns}:w:r`, `{ns}:w:t` | (lease, topic, key) of all rows and of all tellers |
//! | `{ns}:t:<topic>`, `{ns}:n:<node>` | channels |
//!
//! Keys with an epoch in their name are not read in another epoch and expire. So do the keys of members, a day after the last server has
//! written to them.

use helios_core::sse::NodeId;

/// The names of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// The beginning of all names.
    pub(crate) prefix: String,
}

impl Keys {
    /// Channels are shared by all databases of a Redis, so their names have the number of the database.
    pub(crate) fn new(namespace: &str, database: i64) -> Self {
        let prefix = match database {
            0 => format!("{{{namespace}}}:"),
            _ => format!("{{{namespace}}}:{database}:"),
        };
        Self { prefix }
    }

    /// Returns whether a name can be a namespace. As a hash tag it has no braces and is not empty.
    pub(crate) fn can_be(namespace: &str) -> bool {
        !namespace.is_empty() && !namespace.contains(['{', '}'])
    }

    pub(crate) fn sequence(&self) -> String {
        format!("{}m", self.prefix)
    }

    pub(crate) fn lease(&self, node: NodeId) -> String {
        format!("{}a:{node}", self.prefix)
    }

    /// Returns the keys on the members, in the order of the script.
    pub(crate) fn members(&self) -> [String; 7] {
        ["", ":l", ":n", ":e", ":g", ":r", ":t"].map(|name| format!("{}w{name}", self.prefix))
    }

    /// Returns the channel for the marks of a node.
    pub(crate) fn marks(&self, node: NodeId) -> String {
        format!("{}n:{node}", self.prefix)
    }

    pub(crate) fn channel(&self, topic: &str) -> String {
        format!("{}t:{topic}", self.prefix)
    }

    /// Returns the topic of a channel, or `None` if it is not the channel of a topic.
    pub(crate) fn topic_of<'a>(&self, channel: &'a str) -> Option<&'a str> {
        channel.strip_prefix(&self.prefix)?.strip_prefix("t:")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_tells_its_topic_whatever_its_name() {
        let keys = Keys::new("shop", 0);
        for topic in ["x", "*", "t:{a}:b", "ü"] {
            assert_eq!(keys.topic_of(&keys.channel(topic)), Some(topic));
        }
        let node = NodeId::new(7).unwrap();
        assert_eq!(keys.topic_of(&keys.marks(node)), None);
        assert_eq!(keys.topic_of("{other}:t:x"), None);
        let of_another_database = Keys::new("shop", 3).channel("x");
        assert_eq!(keys.topic_of(&of_another_database), None);
    }
}
