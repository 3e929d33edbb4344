//! The names of keys and channels. All have one hash tag, the namespace: a cluster keeps them in one slot, where one script can
//! reach them.
//!
//! | name | what |
//! | --- | --- |
//! | `{ns}:m` | the sequence: a hash of `epoch`, `seq`, `run`, `torn` and `v` |
//! | `{ns}:k` | ticks, one a second: (time, newest number), by Redis' clock |
//! | `{ns}:l:<epoch>:<topic>` | a topic's list of (number, the one before, time, bytes) |
//! | `{ns}:p:<epoch>:<topic>` | a topic's newest number |
//! | `{ns}:f:<epoch>:<topic>` | what has finished a topic |
//! | `{ns}:i:<epoch>:<topic>:<key>` | the number of what was published with a key |
//! | `{ns}:a:<node>` | a node's lease |
//! | `{ns}:w` | members: a hash of the `epoch` and `run` that they are bound to, `from`, behind which incarnations count, and `newest` |
//! | `{ns}:w:l` | leases of members, by their ends |
//! | `{ns}:w:e`, `{ns}:w:n` | members by (topic, key), and their names in order |
//! | `{ns}:w:g` | members without a row, by the ends of their graces |
//! | `{ns}:w:r`, `{ns}:w:t` | (lease, topic, key) of the rows and of the tellers |
//! | `{ns}:t:<topic>`, `{ns}:n:<node>` | channels |
//!
//! Names with an epoch are never asked for in another one, and go by themselves.

use helios_core::sse::NodeId;

/// The names of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// What all of them begin with.
    pub(crate) prefix: String,
}

impl Keys {
    /// Channels know no databases, so that these are told apart by name.
    pub(crate) fn new(namespace: &str, database: i64) -> Self {
        let prefix = match database {
            0 => format!("{{{namespace}}}:"),
            _ => format!("{{{namespace}}}:{database}:"),
        };
        Self { prefix }
    }

    /// Whether a name can be a namespace: as a hash tag it is neither empty nor has braces.
    pub(crate) fn can_be(namespace: &str) -> bool {
        !namespace.is_empty() && !namespace.contains(['{', '}'])
    }

    pub(crate) fn sequence(&self) -> String {
        format!("{}m", self.prefix)
    }

    pub(crate) fn lease(&self, node: NodeId) -> String {
        format!("{}a:{node}", self.prefix)
    }

    /// The channel of a node's marks.
    pub(crate) fn marks(&self, node: NodeId) -> String {
        format!("{}n:{node}", self.prefix)
    }

    pub(crate) fn channel(&self, topic: &str) -> String {
        format!("{}t:{topic}", self.prefix)
    }

    /// The topic of a channel; `None` for another one.
    pub(crate) fn topic_of<'a>(&self, channel: &'a str) -> Option<&'a str> {
        channel.strip_prefix(&self.prefix)?.strip_prefix("t:")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_tells_its_topic_whatever_that_is_called() {
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
