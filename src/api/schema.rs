//! Schemas of single fields, shared by the kinds.
//!
//! A rule is written in CEL with a message that says what to write, rather than as a bare pattern, because the API server
//! answers a pattern with the pattern. Every string, list and map has a bound: without one, the cost of a rule has none either and
//! the API server refuses the CustomResourceDefinition.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

mod patterns;
mod services;
mod workloads;

pub use patterns::*;
pub use services::*;
pub use workloads::*;

/// Longest ARN that IAM knows, in characters (IAM's `arnType`).
const ARN_LENGTH: u32 = 2048;
/// Tags that a manifest may set: IAM's 50 for each object, less the three that say whom the object belongs to.
pub const TAGS: u32 = 47;

/// A string of bounded length with rules of `(CEL expression, message)`.
fn string(min: u32, max: u32, rules: &[(&str, &str)]) -> Schema {
    let rules: Vec<Value> = rules.iter().map(|(rule, message)| json!({"rule": rule, "message": message})).collect();
    json_schema!({"type": "string", "minLength": min, "maxLength": max, "x-kubernetes-validations": rules})
}

/// A string of bounded length and of a form that costs the API server nothing.
fn pattern(min: u32, max: u32, pattern: &str) -> Schema {
    json_schema!({"type": "string", "minLength": min, "maxLength": max, "pattern": pattern})
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

/// An account alias (IAM API reference, CreateAccountAlias). Twelve digits alone would read as the ID of an account.
pub fn console_alias(_: &mut SchemaGenerator) -> Schema {
    string(
        3,
        63,
        &[
            ("self.matches('^[a-z0-9]+(-[a-z0-9]+)*$')", "a console alias has 3 to 63 lower-case letters, digits and single dashes between them"),
            ("!self.matches('^[0-9]{12}$')", "an account ID is no alias: leave consoleAlias out"),
        ],
    )
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

/// The name of a policy in IAM that a manifest may declare: not one of those that the operator writes, nor that by which AWS's console revokes sessions.
pub fn policy_name(_: &mut SchemaGenerator) -> Schema {
    string(
        1,
        128,
        &[
            ("self.matches('^[A-Za-z0-9_+=,.@-]+$')", "a policy name has 1 to 128 letters, digits and _+=,.@- and no spaces or slashes"),
            (
                "!self.lowerAscii().matches('^rolebridge-(assume-roles|role-assumes)') && !(self.lowerAscii() in ['rolebridge-external-roles', 'rolebridgecutoff', 'awsrevokeoldersessions'])",
                "policies named rolebridge-assume-roles..., rolebridge-role-assumes..., rolebridge-external-roles, RolebridgeCutOff and AWSRevokeOlderSessions are written by Rolebridge and by AWS's console; choose another name",
            ),
        ],
    )
}

/// Names of IAM groups, which IAM compares without regard to case.
pub fn groups(_: &mut SchemaGenerator) -> Schema {
    let item = string(
        1,
        128,
        &[("self.matches('^[A-Za-z0-9_+=,.@-]+$')", "a group name has 1 to 128 letters, digits and _+=,.@- and no spaces or slashes")],
    );
    json_schema!({
        "type": "array", "maxItems": 10, "x-kubernetes-list-type": "set", "items": item,
        "x-kubernetes-validations": [{
            "rule": "self.all(a, self.exists_one(b, a.lowerAscii() == b.lowerAscii()))",
            "message": "IAM compares group names without regard to case: keep one of those that differ only in case"
        }]
    })
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

/// The ARN of a principal that can be trusted: a user, role, session or account root.
///
/// IAM takes no wildcard within a principal (IAM user guide, "Principal").
pub fn aws_principal(_: &mut SchemaGenerator) -> Schema {
    // The form is a bare pattern, since a rule of that length for each source of each entry is beyond what the API server spends on rules.
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 640,
        "pattern": "^arn:aws(-[a-z]+)*:(iam::[0-9]{12}:(root|(user|role)/[A-Za-z0-9_+=,.@/*-]+)|sts::[0-9]{12}:(assumed-role|federated-user)/[A-Za-z0-9_+=,.@/*-]+)$",
        "x-kubernetes-validations": [
            {"rule": "!self.contains('*')", "message": "IAM takes no wildcard in a principal: name one user, role, session or account, or use account with require.conditions"}
        ]
    })
}

/// The ARN of an OIDC provider in IAM.
pub fn oidc_provider_arn(_: &mut SchemaGenerator) -> Schema {
    string(
        20,
        320,
        &[(
            "self.matches('^arn:aws(-[a-z]+)*:iam::[0-9]{12}:oidc-provider/[A-Za-z0-9._~:/-]+$')",
            "the ARN of an OIDC provider looks like arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE",
        )],
    )
}

/// The ARN of a SAML provider in IAM.
pub fn saml_provider_arn(_: &mut SchemaGenerator) -> Schema {
    string(
        20,
        200,
        &[(
            "self.matches('^arn:aws(-[a-z]+)*:iam::[0-9]{12}:saml-provider/[A-Za-z0-9._-]+$')",
            "the ARN of a SAML provider looks like arn:aws:iam::123456789012:saml-provider/example",
        )],
    )
}

/// A pattern for session names and source identities.
pub fn session_pattern(_: &mut SchemaGenerator) -> Schema {
    string(
        2,
        128,
        &[(
            r"self.matches('^([A-Za-z0-9_+=,.@*-]|\\$\\{aws:[A-Za-z]+(/[A-Za-z0-9_+=,.@-]+)?\\})+$')",
            "write letters, digits and _+=,.@-, a * for any text, or a variable such as ${aws:username}",
        )],
    )
}

/// The ID of an organization of AWS.
pub fn organization_id(_: &mut SchemaGenerator) -> Schema {
    string(12, 34, &[("self.matches('^o-[a-z0-9]{10,32}$')", "the ID of an organization looks like o-a1b2c3d4e5")])
}

/// A time as RFC 3339 has it, in UTC.
pub fn time(_: &mut SchemaGenerator) -> Schema {
    string(
        20,
        20,
        &[("self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$')", "a time is written in UTC, for example 2026-01-31T23:59:59Z")],
    )
}

/// Networks in CIDR notation, or single addresses.
pub fn networks(_: &mut SchemaGenerator) -> Schema {
    let item = string(2, 49, &[("isCIDR(self) || isIP(self)", "write a network such as 203.0.113.0/24 or 2001:db8::/32, or one address")]);
    json_schema!({"type": "array", "maxItems": 64, "x-kubernetes-list-type": "set", "items": item})
}

/// Tags that a caller must have or set, with patterns of their values.
pub fn required_tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 256},
        "x-kubernetes-validations": [
            {
                "rule": r"self.all(k, k.matches(r'^[\p{L}\p{Z}\p{N}_.:/=+@-]{1,128}$'))",
                "message": "IAM takes letters, digits, spaces and _.:/=+-@ in the keys of tags, 128 at most"
            },
            {
                // What no tag can have would never match; and what is cut off of a variable is none.
                "rule": r"self.all(k, self[k].matches(r'^([\p{L}\p{Z}\p{N}_.:/=+@*?-]|\$\{aws:[A-Za-z]+(/[\p{L}\p{Z}\p{N}_.:/=+@-]+)?\})*$'))",
                "message": "IAM takes letters, digits, spaces and _.:/=+-@ in the values of tags: write those, a * for any text, or a variable such as ${aws:username}"
            }
        ]
    })
}

/// Conditions of the policy language: operator, key, and a value or several.
pub fn free_conditions(_: &mut SchemaGenerator) -> Schema {
    // IAM takes numbers and booleans without quotes, and people write them so. A value that may be of several types, or a list of such, has none in a schema, and
    // no rule either: which of them may have been a text is told in the status.
    let value = json!({"x-kubernetes-preserve-unknown-fields": true, "maxProperties": 0, "maxItems": 0, "maxLength": 1024});
    let values = json!({"x-kubernetes-preserve-unknown-fields": true, "maxProperties": 0, "maxItems": 64, "maxLength": 1024, "items": value});
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "object", "minProperties": 1, "maxProperties": 16, "additionalProperties": values}
    })
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

/// How long ago a second factor may have been shown.
pub fn mfa_age(_: &mut SchemaGenerator) -> Schema {
    duration("1m", "36h")
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

/// Names or ARNs of policies, as a status lists them.
pub fn listed_policies(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 100, "items": {"type": "string", "maxLength": ARN_LENGTH}})
}

/// Who depends on an account, as an AWSAccount's status tells it: a kind and a name.
pub fn used_by(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 100, "items": {"type": "string", "maxLength": 128}})
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

/// Names of the few namespaces that a role looks for users in.
pub fn searched_namespaces(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "minItems": 1, "maxItems": 10, "x-kubernetes-list-type": "set", "items": namespace(generator)})
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
