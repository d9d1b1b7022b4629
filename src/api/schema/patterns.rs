//! Schemas of the patterns by which an AWSAccount says what is allowed.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{ARN_LENGTH, pattern, string};

/// Most patterns in a list.
const MOST: u32 = 100;

fn list(item: Schema, most: u32) -> Schema {
    json_schema!({"type": "array", "maxItems": most, "x-kubernetes-list-type": "set", "items": item})
}

/// Patterns of principals.
pub fn principal_patterns(_: &mut SchemaGenerator) -> Schema {
    let item = string(
        20,
        ARN_LENGTH,
        &[(
            "self.matches('^arn:aws(-[a-z]+)*:(iam|sts)::[0-9]{12}:[A-Za-z0-9_+=,.@/*-]+$')",
            "a pattern is an ARN with the account written out, for example arn:aws:iam::123456789012:role/deploy/*",
        )],
    );
    list(item, MOST)
}

/// Longest ARN of a role: a path of 512 characters, a name of 64, and what comes before.
const ROLE_ARN_LENGTH: u32 = 640;

/// Roles of others: ARNs, and patterns that write out the account and the beginning of path and name. The form is a bare pattern, as the API server spends nothing on
/// that.
pub fn external_roles(_: &mut SchemaGenerator) -> Schema {
    const NAME: &str = "[A-Za-z0-9_+=,.@-]";
    let form =
        format!("^arn:aws(-[a-z]+)*:iam::[0-9]{{12}}:role/({NAME}{{1,3}}|{NAME}[A-Za-z0-9_+=,.@/-]{{2}}[A-Za-z0-9_+=,.@/*-]*[A-Za-z0-9_+=,.@*-])$");
    list(pattern(20, ROLE_ARN_LENGTH, &form), 25)
}

/// Patterns of roles of others, in one account or in all.
pub fn external_role_patterns(_: &mut SchemaGenerator) -> Schema {
    list(pattern(1, ROLE_ARN_LENGTH, r"^arn:aws(-[a-z]+)*:iam::([0-9]{12}|\*):role/[A-Za-z0-9_+=,.@/*-]+$"), MOST)
}

/// Patterns of the names of IAM groups.
pub fn group_patterns(_: &mut SchemaGenerator) -> Schema {
    let item = string(
        1,
        128,
        &[("self.matches('^[A-Za-z0-9_+=,.@*-]+$')", "a pattern of group names has letters, digits, _+=,.@- and *, which stands for any characters")],
    );
    list(item, 32)
}

/// Patterns of the ARNs of managed policies.
pub fn policy_patterns(_: &mut SchemaGenerator) -> Schema {
    let item = string(
        1,
        ARN_LENGTH,
        &[(
            r"self.matches(r'^(arn:aws(-[a-z]+)*:iam::([0-9]{12}|aws|\*):policy/[!-~]+|\*)$')",
            "a pattern is the ARN of a policy, in which a * stands for any text, for example arn:aws:iam::aws:policy/*ReadOnlyAccess, or * for all",
        )],
    );
    list(item, MOST)
}

/// Places where the documents of policies may stand.
pub fn policy_document_sources(generator: &mut SchemaGenerator) -> Schema {
    list(generator.subschema_for::<crate::guardrails::PolicyDocumentSource>(), 2)
}

/// Patterns of services of AWS.
pub fn service_patterns(_: &mut SchemaGenerator) -> Schema {
    let item = string(
        1,
        255,
        &[(
            "self.matches('^[a-z0-9.*?-]+$')",
            "a pattern is a service as in IAM's documentation, in which a * stands for any text, for example lambda.amazonaws.com",
        )],
    );
    list(item, MOST)
}

/// Patterns of identity providers: ARNs of OIDC and SAML providers, and Cognito's identity pools, which have none.
pub fn provider_patterns(_: &mut SchemaGenerator) -> Schema {
    let item = string(
        1,
        320,
        &[(
            r"self.matches(r'^(arn:aws(-[a-z]+)*:iam::([0-9]{12}|\*):(oidc-provider|saml-provider)/[!-~]+|cognito-identity[a-z0-9.-]*/[a-z0-9:*-]+|\*)$')",
            "a pattern is the ARN of a provider, in which a * stands for any text, for example arn:aws:iam::*:oidc-provider/oidc.eks.*, or \
             * for all; or of an identity pool, for example cognito-identity.amazonaws.com/eu-central-1:ID",
        )],
    );
    list(item, MOST)
}

/// Patterns of the keys of tags.
pub fn tag_key_patterns(_: &mut SchemaGenerator) -> Schema {
    let item = string(
        1,
        128,
        &[(
            r"self.matches(r'^[\p{L}\p{Z}\p{N}_.:/=+@*?-]+$')",
            "a pattern of tag keys has letters, digits, spaces, _.:/=+-@, and * and ?, which stand for others",
        )],
    );
    list(item, MOST)
}

/// Patterns of the names of users and roles.
pub fn identity_name_patterns(_: &mut SchemaGenerator) -> Schema {
    let item = string(
        1,
        64,
        &[("self.matches('^[A-Za-z0-9_+=,.@*?-]+$')", "a pattern of names has letters, digits, _+=,.@-, and * and ?, which stand for others")],
    );
    list(item, MOST)
}
