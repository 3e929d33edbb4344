//! The JSON schemas of Helios' own types that apps send, for the OpenAPI document.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::presence::{MemberStatus, PresentMember};
use crate::sse::ClientId;

impl JsonSchema for ClientId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ClientId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uuid" })
    }
}

impl JsonSchema for MemberStatus {
    fn schema_name() -> Cow<'static, str> {
        "MemberStatus".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["here", "away", "unconfirmed"] })
    }
}

impl JsonSchema for PresentMember {
    fn schema_name() -> Cow<'static, str> {
        "PresentMember".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["key", "data", "since", "status"],
            "properties": {
                "key": { "type": "string" },
                "data": {},
                "since": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Milliseconds since 1970.",
                },
                "status": generator.subschema_for::<MemberStatus>(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use schemars::schema_for;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_schema_of_a_member_has_the_keys_of_its_json() {
        let since = SystemTime::UNIX_EPOCH;
        for status in [
            MemberStatus::Here,
            MemberStatus::Away { since },
            MemberStatus::Unconfirmed { since },
        ] {
            let member = PresentMember::new("ann".into(), Value::Null, since, status);
            let (member, schema) = (json!(member), schema_for!(PresentMember));
            let keys = |object: &Value| -> Vec<String> {
                object.as_object().unwrap().keys().cloned().collect()
            };
            assert_eq!(keys(&member), keys(&schema.as_value()["properties"]));
            let statuses = &schema.as_value()["$defs"]["MemberStatus"]["enum"];
            assert!(statuses.as_array().unwrap().contains(&member["status"]));
        }
    }
}
