//! Schemas of single fields, shared by the kinds.
//!
//! A rule is written in CEL with a message that says what to write, rather than as a bare pattern, because the API server
//! answers a pattern with the pattern. Every string, list and map has a bound: without one, the cost of a rule has none either and
//! the API server refuses the CustomResourceDefinition.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// Longest ARN that IAM knows, in characters (IAM's `arnType`).
const ARN_LENGTH: u32 = 2048;
/// Tags that a manifest may set: IAM's 50 for each object, less the three that say whom the object belongs to.
pub const TAGS: u32 = 47;

/// A string of bounded length with rules of `(CEL expression, message)`.
fn string(min: u32, max: u32, rules: &[(&str, &str)]) -> Schema {
    let rules: Vec<Value> = rules.iter().map(|(rule, message)| json!({"rule": rule, "message": message})).collect();
    json_schema!({"type": "string", "minLength": min, "maxLength": max, "x-kubernetes-validations": rules})
}

/// An AWS account id: twelve digits, as a string, since YAML would drop a leading zero of a number.
pub fn account_id(_: &mut SchemaGenerator) -> Schema {
    string(0, 32, &[("self.matches('^[0-9]{12}$')", "an account ID is 12 digits in quotes, for example \"012345678901\"")])
}

/// A partition of AWS: `aws`, `aws-us-gov`, `aws-cn`, `aws-eusc` and the like.
pub fn partition(_: &mut SchemaGenerator) -> Schema {
    string(1, 32, &[("self.matches('^aws(-[a-z]+)*$')", "a partition is aws, aws-us-gov, aws-cn, aws-eusc or another that AWS names in its ARNs")])
}

/// A region of AWS.
pub fn region(_: &mut SchemaGenerator) -> Schema {
    string(1, 32, &[("self.matches('^[a-z]+(-[a-z]+)+-[0-9]+$')", "a region looks like us-east-1 or eu-central-1")])
}

/// The name of a user or role in IAM.
pub fn identity_name(_: &mut SchemaGenerator) -> Schema {
    string(
        1,
        64,
        &[(
            "self.matches('^[A-Za-z0-9_+=,.@-]+$')",
            "an IAM name has 1 to 64 letters, digits and _+=,.@- and no spaces or slashes (a folder goes into path)",
        )],
    )
}

/// The name of a policy in IAM.
pub fn policy_name(_: &mut SchemaGenerator) -> Schema {
    string(1, 128, &[("self.matches('^[A-Za-z0-9_+=,.@-]+$')", "a policy name has 1 to 128 letters, digits and _+=,.@- and no spaces or slashes")])
}

/// The path of a user or role in IAM: `/` or `/segment/.../`.
pub fn path(_: &mut SchemaGenerator) -> Schema {
    string(
        1,
        512,
        &[
            (
                "self.matches('^/([A-Za-z0-9_+=,.@-]+/)*$')",
                "a path is / or begins and ends with a slash, for example /teams/data/, of letters, digits and _+=,.@-",
            ),
            (
                "!self.lowerAscii().startsWith('/aws-service-role/') && !self.lowerAscii().startsWith('/aws-reserved/')",
                "paths under /aws-service-role/ and /aws-reserved/ belong to AWS; choose another",
            ),
        ],
    )
}

/// The ARN of a managed policy.
pub fn policy_arn(_: &mut SchemaGenerator) -> Schema {
    string(
        20,
        ARN_LENGTH,
        &[(
            "self.matches('^arn:aws(-[a-z]+)*:iam::([0-9]{12}|aws):policy/[!-~]+$')",
            "a policy ARN looks like arn:aws:iam::123456789012:policy/name",
        )],
    )
}

/// The ARN of a role.
pub fn role_arn(_: &mut SchemaGenerator) -> Schema {
    string(
        20,
        ARN_LENGTH,
        &[("self.matches('^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[!-~]+$')", "a role ARN looks like arn:aws:iam::123456789012:role/rolebridge")],
    )
}

/// An external ID as STS takes it.
pub fn external_id(_: &mut SchemaGenerator) -> Schema {
    string(2, 1224, &[("self.matches('^[A-Za-z0-9_+=,.@:/-]+$')", "an external ID has 2 to 1224 letters, digits and _+=,.@:/- and no spaces")])
}

/// A session name as STS takes it.
pub fn session_name(_: &mut SchemaGenerator) -> Schema {
    string(2, 64, &[("self.matches('^[A-Za-z0-9_+=,.@-]+$')", "a session name has 2 to 64 letters, digits and _+=,.@- and no spaces")])
}

/// The description of a role or policy: the characters that IAM stores.
pub fn description(_: &mut SchemaGenerator) -> Schema {
    string(
        0,
        1000,
        &[(
            r"self.matches(r'^[\t\n\r\x20-\x7E\x{A1}-\x{FF}]*$')",
            "IAM stores Latin-1 only: write straight quotes and plain dashes instead of typographic ones",
        )],
    )
}

/// How long a session may last: 1 to 12 hours for a role.
pub fn max_session_duration(_: &mut SchemaGenerator) -> Schema {
    duration("1h", "12h")
}

/// How long the operator's own session may last: 15 minutes to 12 hours.
pub fn session_duration(_: &mut SchemaGenerator) -> Schema {
    duration("15m", "12h")
}

/// How often an account is read in bulk.
pub fn sweep_interval(_: &mut SchemaGenerator) -> Schema {
    duration("10s", "24h")
}

fn duration(min: &str, max: &str) -> Schema {
    // The range is checked only for what is a duration at all: `duration()` fails on anything else.
    let form = "self.matches('^([0-9]{1,5}(h|m|s)){1,3}$')";
    string(
        1,
        18,
        &[
            (form, "a duration is hours, minutes and seconds, for example 1h, 90m or 1h30m"),
            (
                &format!("!{form} || (duration(self) >= duration('{min}') && duration(self) <= duration('{max}'))"),
                &format!("choose a duration from {min} to {max}"),
            ),
        ],
    )
}

/// Tags of an IAM object.
///
/// IAM compares the keys of user and role tags without regard to case and keeps `aws:` to itself (IAM user guide, "Tags for IAM
/// resources").
pub fn tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": TAGS,
        "additionalProperties": {"type": "string", "maxLength": 256},
        "x-kubernetes-validations": [
            {"rule": "self.all(k, self.exists_one(j, j.lowerAscii() == k.lowerAscii()))", "message": "IAM compares tag keys without regard to case: keep one of the keys that differ only in case"},
            {"rule": "self.all(k, !k.lowerAscii().startsWith('aws:') && !k.lowerAscii().startsWith('rolebridge.io/'))", "message": "tag keys that begin with aws: or rolebridge.io/ are reserved; choose another key"},
            {"rule": "self.all(k, k.size() >= 1 && k.size() <= 128)", "message": "a tag key has 1 to 128 characters"},
            {
                "rule": r"self.all(k, k.matches(r'^[\p{L}\p{Z}\p{N}_.:/=+@-]+$') && self[k].matches(r'^[\p{L}\p{Z}\p{N}_.:/=+@-]*$'))",
                "message": "IAM takes letters, digits, spaces and _.:/=+-@ in the keys and values of tags"
            }
        ]
    })
}

/// A policy document as structured YAML. Its statements are left open for IAM to define, and it is owned as a whole by whoever applies it.
///
/// Only how deep a statement may nest is bounded, to what IAM's grammar of policies needs (list, `Condition`, operator, key, list): an object
/// of a hundred levels could not be decoded, and with it not the list that it is in.
pub fn document(_: &mut SchemaGenerator) -> Schema {
    let open = |bounds: Value| {
        let mut schema = json!({"x-kubernetes-preserve-unknown-fields": true});
        if let (Value::Object(schema), Value::Object(bounds)) = (&mut schema, bounds) {
            schema.extend(bounds);
        }
        schema
    };
    let scalar = open(json!({"maxProperties": 0, "maxItems": 0}));
    let values = open(json!({"maxProperties": 0, "items": scalar}));
    let in_operator = open(json!({"additionalProperties": values, "items": scalar}));
    let element = open(json!({"additionalProperties": in_operator, "items": scalar}));
    let statement = open(json!({"additionalProperties": element, "maxItems": 0}));
    let statements = open(json!({
        "description": "One statement, or a list of them: Sid, Effect, Action or NotAction, Resource or NotResource, Condition.",
        "additionalProperties": element,
        "items": statement,
    }));
    json_schema!({
        "type": "object",
        "properties": {
            "Version": {"type": "string", "maxLength": 32, "description": "Version of the policy language: \"2012-10-17\"."},
            "Id": {"type": "string", "maxLength": 1024, "description": "A name of the policy's own, which means nothing to IAM."},
            "Statement": statements,
        },
        "x-kubernetes-map-type": "atomic",
    })
}

/// A policy to attach: the name of an AWS-managed policy, or the ARN of any.
pub fn attached_policies(_: &mut SchemaGenerator) -> Schema {
    let item = string(
        1,
        ARN_LENGTH,
        &[(
            "self.startsWith('arn:') ? self.matches('^arn:aws(-[a-z]+)*:iam::([0-9]{12}|aws):policy/[!-~]+$') : self.matches('^([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,128}$')",
            "write the name of an AWS-managed policy, for example ReadOnlyAccess or job-function/ViewOnlyAccess, or the ARN of any policy",
        )],
    );
    json_schema!({"type": "array", "maxItems": 25, "x-kubernetes-list-type": "set", "items": item})
}

/// The name of a resource of Rolebridge's.
pub fn resource_name(_: &mut SchemaGenerator) -> Schema {
    string(
        1,
        63,
        &[("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')", "the name of a resource has lower-case letters, digits, - and ., 63 at most")],
    )
}

/// The name of another Kubernetes object.
pub fn object_name(_: &mut SchemaGenerator) -> Schema {
    string(1, 253, &[("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')", "the name of a Kubernetes object has lower-case letters, digits, - and .")])
}

/// The name of a namespace.
pub fn namespace(_: &mut SchemaGenerator) -> Schema {
    string(1, 63, &[("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')", "the name of a namespace has lower-case letters, digits and -")])
}

/// The key of an entry in a ConfigMap.
pub fn config_map_key(_: &mut SchemaGenerator) -> Schema {
    string(1, 253, &[("self.matches('^[-._a-zA-Z0-9]+$')", "a key of a ConfigMap has letters, digits, -, _ and .")])
}

/// Names of namespaces.
pub fn namespaces(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "minItems": 1, "maxItems": 100, "x-kubernetes-list-type": "set", "items": namespace(generator)})
}

/// Labels that must match exactly.
pub fn match_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 16, "additionalProperties": {"type": "string", "maxLength": 63}})
}

/// Values of a label in a selector.
pub fn label_values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 32, "x-kubernetes-list-type": "atomic", "items": {"type": "string", "maxLength": 63}})
}

/// The conditions of a status, a list-map by type.
pub fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let item = generator.subschema_for::<super::Condition>();
    json_schema!({"type": "array", "maxItems": 16, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"], "items": item})
}

/// The generation that a status speaks of. The default, -1, makes a fresh object "in progress" for tools that follow kstatus.
pub fn observed_generation(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "default": -1})
}
