//! What the API server refuses, and what it says: mistakes that are answered by `kubectl apply` itself. "Row" is a row of the table of
//! bad inputs that the project keeps.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::support::{Tenant, World, manifest};

/// An AWSAccount whose spec is good but for `fields`, which come first.
fn account(fields: &str) -> String {
    manifest("AWSAccount", "prod", &format!("{{{fields}}}"))
}

/// An AWSAccount with this access.
fn access(access: &str) -> String {
    account(&format!("accountID: '222222222222', access: {access}, allowedNamespaces: {{from: All}}"))
}

/// An AWSAccount with these allowed namespaces.
fn allowing(namespaces: &str) -> String {
    account(&format!("accountID: '222222222222', access: {{ambient: {{}}}}, allowedNamespaces: {namespaces}"))
}

/// A BastionUser with these fields besides the necessary ones.
fn user(fields: &str) -> String {
    manifest("BastionUser", "alice", &format!("{{accountRef: {{name: utils}}, {fields}}}"))
}

/// A CrossAccountRole with these fields besides the necessary ones.
fn role(fields: &str) -> String {
    manifest("CrossAccountRole", "reader", &format!("{{accountRef: {{name: prod}}, trust: [], {fields}}}"))
}

/// A CrossAccountRole with this trust.
fn trust(trust: &str) -> String {
    manifest("CrossAccountRole", "reader", &format!("{{accountRef: {{name: prod}}, trust: {trust}}}"))
}

/// A CrossAccountRole with these permissions.
fn permissions(permissions: &str) -> String {
    role(&format!("permissions: {{{permissions}}}"))
}

/// Makes a manifest of a value for one of its fields.
type Make<'m> = &'m dyn Fn(&str) -> String;

/// A sequence of this many names as YAML.
fn names(count: usize) -> String {
    (0..count).map(|n| format!("ns-{n}")).collect::<Vec<_>>().join(", ")
}

/// Asserts that each manifest is refused with an error that holds all of its words; tells of all that are not.
async fn refused(cases: &[(String, &[&str])]) -> Result<()> {
    let tenant = World::shared().await?.tenant().await?;
    let mut wrong = Vec::new();
    for (manifest, words) in cases {
        wrong.extend(tenant.refused(manifest, words).await.err().map(|error| format!("{error:#}")));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Asserts that each manifest is accepted; tells of all that are not.
async fn accepted(tenant: &Tenant<'_>, manifests: &[String]) -> Result<()> {
    let mut wrong = Vec::new();
    for manifest in manifests {
        wrong.extend(tenant.stored(manifest).await.err().map(|error| format!("{error:#}")));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn row_01_account_ids_are_twelve_digits_in_quotes() -> Result<()> {
    let with = |id: &str| account(&format!("accountID: {id}, access: {{ambient: {{}}}}, allowedNamespaces: {{from: All}}"));
    refused(&[
        (with("'22222222222'"), &["spec.accountID", "12 digits in quotes"]),
        (with("'2222222222222'"), &["spec.accountID", "12 digits in quotes"]),
        (with("'22222222222a'"), &["spec.accountID", "12 digits in quotes"]),
        (with("222222222222"), &["spec.accountID", "must be of type string"]),
    ])
    .await
}

/// The other tests ask the API server itself, which is faster; this is what people see.
#[tokio::test]
async fn kubectl_apply_says_what_is_wrong_and_what_to_do() -> Result<()> {
    let tenant = World::shared().await?.tenant().await?;
    let with = |id: &str| account(&format!("accountID: {id}, access: {{ambient: {{}}}}, allowedNamespaces: {{from: All}}"));
    let cases: [(String, &[&str]); 6] = [
        (with("'22222222222'"), &["The AWSAccount \"prod\" is invalid", "spec.accountID", "12 digits in quotes"]),
        // A number to YAML: the leading zero would be lost, or the digits taken for octal ones.
        (with("012345670123"), &["spec.accountID", "must be of type string"]),
        (role("roleName: two words, path: teams/"), &["The CrossAccountRole \"reader\" is invalid", "* spec.roleName", "* spec.path"]),
        (role("maxSessionDuration: 3600"), &["spec.maxSessionDuration", "must be of type string"]),
        (user("userNames: Alice"), &["strict decoding error", "unknown field \"spec.userNames\""]),
        (trust("[{from: [{user: {}}]}]"), &["spec.trust[0].from[0].user.name", "Required value"]),
    ];
    for (manifest, words) in &cases {
        tenant.kubectl_refuses(manifest, words).await?;
    }
    Ok(())
}

#[tokio::test]
async fn statement_18_rows_08_and_09_names_are_those_of_iam() -> Result<()> {
    let long = "r".repeat(65);
    let characters = "letters, digits and _+=,.@- and no spaces or slashes";
    refused(&[
        (role(&format!("roleName: {long}")), &["spec.roleName", "may not be more than 64"]),
        (user(&format!("userName: {long}")), &["spec.userName", "may not be more than 64"]),
        (role("roleName: two words"), &["spec.roleName", characters]),
        (role("roleName: teams/reader"), &["spec.roleName", characters, "path"]),
        (role("roleName: \"reader\\U0001F600\""), &["spec.roleName", characters]),
        (user("userName: two words"), &["spec.userName", characters]),
        (user("userName: ''"), &["spec.userName"]),
        (permissions("inlinePolicies: [{name: two words, document: {}}]"), &["inlinePolicies[0].name", "a policy name has"]),
        (permissions("customerManagedPolicies: [{name: a/b, document: {}}]"), &["customerManagedPolicies[0].name", "a policy name has"]),
        (permissions("inlinePolicies: [{name: Rolebridge-Assume-Roles, document: {}}]"), &["inlinePolicies[0].name", "choose another name"]),
        (
            user("permissions: {customerManagedPolicies: [{name: rolebridge-assume-roles-alice-1, document: {}}]}"),
            &["customerManagedPolicies[0].name", "choose another name"],
        ),
        (user("permissions: {inlinePolicies: [{name: RolebridgeCutOff, document: {}}]}"), &["inlinePolicies[0].name", "choose another name"]),
        (permissions("inlinePolicies: [{name: Rolebridge-External-Roles, document: {}}]"), &["inlinePolicies[0].name", "choose another name"]),
        (user("permissions: {inlinePolicies: [{name: AWSRevokeOlderSessions, document: {}}]}"), &["inlinePolicies[0].name", "choose another name"]),
        (
            permissions(&format!("customerManagedPolicies: [{{name: {}, document: {{}}}}]", "p".repeat(129))),
            &["customerManagedPolicies[0].name", "may not be more than 128"],
        ),
    ])
    .await
}

#[tokio::test]
async fn statements_18_and_34_rows_12_and_13_paths_have_slashes_at_both_ends_and_leave_those_of_aws_alone() -> Result<()> {
    let form = "begins and ends with a slash, for example /teams/data/";
    let reserved = "belong to AWS; choose another";
    refused(&[
        (role("path: /teams/data"), &["spec.path", form]),
        (role("path: teams/"), &["spec.path", form]),
        (user("path: teams"), &["spec.path", form]),
        (role("path: /teams/*/"), &["spec.path", form]),
        (role("path: //"), &["spec.path", form]),
        (role("path: /aws-service-role/ec2.amazonaws.com/"), &["spec.path", reserved]),
        (role("path: /aws-reserved/sso.amazonaws.com/"), &["spec.path", reserved]),
        (user("path: /aws-service-role/x/"), &["spec.path", reserved]),
    ])
    .await
}

#[tokio::test]
async fn statement_21_row_14_durations_are_within_those_of_aws() -> Result<()> {
    let range = "from 1h to 12h";
    let session = |duration: &str| access(&format!("{{assumeRole: {{roleARN: 'arn:aws:iam::222222222222:role/rolebridge', duration: {duration}}}}}"));
    refused(&[
        (role("maxSessionDuration: 3599s"), &["spec.maxSessionDuration", range]),
        (role("maxSessionDuration: 43201s"), &["spec.maxSessionDuration", range]),
        (role("maxSessionDuration: 59m59s"), &["spec.maxSessionDuration", range]),
        (role("maxSessionDuration: 1d"), &["spec.maxSessionDuration", "for example 1h, 90m or 1h30m"]),
        (role("maxSessionDuration: '3600'"), &["spec.maxSessionDuration", "for example 1h, 90m or 1h30m"]),
        (role("maxSessionDuration: 3600"), &["spec.maxSessionDuration", "must be of type string"]),
        (session("14m"), &["spec.access.assumeRole.duration", "from 15m to 12h"]),
        (session("13h"), &["spec.access.assumeRole.duration", "from 15m to 12h"]),
    ])
    .await
}

#[tokio::test]
async fn statement_18_row_16_external_ids_and_session_names_are_those_of_sts() -> Result<()> {
    let with = |field: &str| access(&format!("{{assumeRole: {{roleARN: 'arn:aws:iam::222222222222:role/rolebridge', {field}}}}}"));
    refused(&[
        (with("externalID: x"), &["spec.access.assumeRole.externalID", "at least 2"]),
        (with("externalID: two words"), &["spec.access.assumeRole.externalID", "2 to 1224 letters, digits", "no spaces"]),
        (with("sessionName: x"), &["spec.access.assumeRole.sessionName", "at least 2"]),
        (with("sessionName: two words"), &["spec.access.assumeRole.sessionName", "2 to 64 letters, digits", "no spaces"]),
        (access("{assumeRole: {roleARN: rolebridge}}"), &["spec.access.assumeRole.roleARN", "at least 20"]),
        (
            access("{assumeRole: {roleARN: 'arn:aws:iam::222222222222:user/rolebridge'}}"),
            &["spec.access.assumeRole.roleARN", "looks like arn:aws:iam::123456789012:role/rolebridge"],
        ),
    ])
    .await
}

#[tokio::test]
async fn statements_18_and_20_rows_17_to_19_tags_are_those_of_iam() -> Result<()> {
    let many = |count| (0..count).map(|n| format!("k{n}: v")).collect::<Vec<_>>().join(", ");
    let mut cases: Vec<(String, &[&str])> = Vec::new();
    for with in [user, role] {
        cases.extend([
            (with("tags: {'aws:cloudformation:stack-name': x}"), ["spec.tags", "begin with aws: or rolebridge.io/ are reserved"].as_slice()),
            (with("tags: {'AWS:x': x}"), &["spec.tags", "begin with aws: or rolebridge.io/ are reserved"]),
            (with("tags: {'Rolebridge.IO/owner': x}"), &["spec.tags", "begin with aws: or rolebridge.io/ are reserved"]),
            // With the three owner tags these are IAM's 50 and one more.
            (with(&format!("tags: {{{}}}", many(48))), &["spec.tags", "at most 47"]),
            (with("tags: {Team: a, team: b}"), &["spec.tags", "differ only in case"]),
            (with("tags: {team: 'a*b'}"), &["spec.tags", "IAM takes letters, digits, spaces and"]),
            (with(&format!("tags: {{{}: x}}", "k".repeat(129))), &["spec.tags", "1 to 128 characters"]),
            (with(&format!("tags: {{team: {}}}", "v".repeat(257))), &["spec.tags.team", "may not be more than 256"]),
        ]);
    }
    refused(&cases).await
}

#[tokio::test]
async fn statement_18_row_20_descriptions_have_the_characters_that_iam_stores() -> Result<()> {
    let quotes = "write straight quotes";
    refused(&[
        (role("description: \"the \u{201c}reader\u{201d}\""), &["spec.description", quotes]),
        (role("description: \"reader \u{2013} of all\""), &["spec.description", quotes]),
        (
            permissions("customerManagedPolicies: [{name: p, description: \"the \u{201c}p\u{201d}\", document: {}}]"),
            &["customerManagedPolicies[0].description", quotes],
        ),
        (role(&format!("description: {}", "d".repeat(1001))), &["spec.description", "may not be more than 1000"]),
    ])
    .await
}

#[tokio::test]
async fn a_brake_for_deletions_has_a_share_and_a_number() -> Result<()> {
    let braked = |brake: &str| {
        account(&format!("accountID: '222222222222', deletionBrake: {brake}, access: {{ambient: {{}}}}, allowedNamespaces: {{from: All}}"))
    };
    refused(&[
        (braked("{share: 0, number: 1}"), &["spec.deletionBrake.share", "greater than or equal to 1"]),
        (braked("{share: 101, number: 1}"), &["spec.deletionBrake.share", "less than or equal to 100"]),
        (braked("{share: 1, number: 0}"), &["spec.deletionBrake.number", "greater than or equal to 1"]),
        (braked("{share: 1, number: 10001}"), &["spec.deletionBrake.number", "less than or equal to 10000"]),
        (braked("{share: 1}"), &["spec.deletionBrake.number", "Required value"]),
        (braked("{number: 1}"), &["spec.deletionBrake.share", "Required value"]),
    ])
    .await
}

#[tokio::test]
async fn guardrails_are_patterns_that_can_match_and_agree_with_the_defaults() -> Result<()> {
    let with = |fields: &str| account(&format!("accountID: '222222222222', access: {{ambient: {{}}}}, allowedNamespaces: {{from: All}}, {fields}"));
    let guarded = |guardrail: &str| with(&format!("guardrails: {{{guardrail}}}"));
    let (here, elsewhere) = ("arn:aws:iam::222222222222:policy/boundary", "arn:aws:iam::333333333333:policy/boundary");
    let in_china = "arn:aws-cn:iam::222222222222:policy/boundary";
    let of_the_account = "a permissions boundary is a policy of the account itself or of AWS";
    let another_partition = "a pattern of another partition than the account's allows nothing";
    refused(&[
        (guarded("requiredPathPrefix: teams"), &["spec.guardrails.requiredPathPrefix", "begins and ends with a slash"]),
        (guarded("permissionsBoundaryARN: boundary"), &["spec.guardrails.permissionsBoundaryARN", "at least 20"]),
        (guarded(&format!("permissionsBoundaryARN: '{elsewhere}'")), &["spec.guardrails.permissionsBoundaryARN", of_the_account]),
        (with(&format!("defaults: {{permissionsBoundaryARN: '{elsewhere}'}}")), &["spec.defaults.permissionsBoundaryARN", of_the_account]),
        (guarded(&format!("permissionsBoundaryARN: '{in_china}'")), &["spec.guardrails.permissionsBoundaryARN", of_the_account]),
        (
            with("defaults: {permissionsBoundaryARN: 'arn:aws-us-gov:iam::aws:policy/PowerUserAccess'}"),
            &["spec.defaults.permissionsBoundaryARN", of_the_account],
        ),
        (
            with(&format!("guardrails: {{permissionsBoundaryARN: '{here}'}}, defaults: {{permissionsBoundaryARN: '{here}-2'}}")),
            &["spec.defaults.permissionsBoundaryARN", "leave defaults.permissionsBoundaryARN out"],
        ),
        (
            with("guardrails: {maxSessionDuration: 2h}, defaults: {maxSessionDuration: 2h1m}"),
            &["spec.defaults.maxSessionDuration", "longer than guardrails.maxSessionDuration allows"],
        ),
        (guarded("allowedPolicies: [ReadOnlyAccess]"), &["spec.guardrails.allowedPolicies[0]", "a pattern is the ARN of a policy"]),
        (guarded("allowedPolicies: ['*', 'arn:aws-cn:iam::aws:policy/*']"), &["spec.guardrails.allowedPolicies", another_partition]),
        (guarded("allowedPrincipals: ['arn:aws-us-gov:iam::111111111111:role/ci']"), &["spec.guardrails.allowedPrincipals", another_partition]),
        (
            guarded("allowedIdentityProviders: ['cognito-identity.amazonaws.com/*', 'arn:aws-cn:iam::*:oidc-provider/oidc.eks.*']"),
            &["spec.guardrails.allowedIdentityProviders", another_partition],
        ),
        (guarded("policyDocumentSources: [Secret]"), &["spec.guardrails.policyDocumentSources[0]", "supported values", "ConfigMap"]),
        (guarded("allowedExternalRoles: ['arn:aws:iam::*:user/x']"), &["spec.guardrails.allowedExternalRoles[0]", "should match"]),
        (guarded("allowedServices: [Lambda]"), &["spec.guardrails.allowedServices[0]", "for example lambda.amazonaws.com"]),
        (guarded("allowedIdentityProviders: [github]"), &["spec.guardrails.allowedIdentityProviders[0]", "a pattern is the ARN of a provider"]),
        (guarded("allowedTagKeys: ['a,b']"), &["spec.guardrails.allowedTagKeys[0]", "a pattern of tag keys"]),
        (guarded("allowedRoleNames: ['a b']"), &["spec.guardrails.allowedRoleNames[0]", "a pattern of names"]),
        (guarded("reservedNames: ['/a']"), &["spec.guardrails.reservedNames[0]", "a pattern of names"]),
        (guarded("maxSessionDuration: 13h"), &["spec.guardrails.maxSessionDuration", "from 1h to 12h"]),
        (guarded("onViolation: Delete"), &["spec.guardrails.onViolation", "supported values", "Disable"]),
        (with("defaults: {tags: {'rolebridge.io/owner': me}}"), &["spec.defaults.tags", "reserved"]),
    ])
    .await?;
    // What the documentation shows is taken.
    let taken = format!(
        "guardrails: {{podIdentityWithoutTags: true, allowedPolicies: ['arn:aws:iam::aws:policy/*ReadOnlyAccess', '*'], allowedServices: ['*.amazonaws.com'], allowedExternalRoles: ['arn:aws:iam::*:role/cdk-*'], allowedTagKeys: ['team', 'app/*'], \
         allowedIdentityProviders: ['arn:aws:iam::*:oidc-provider/oidc.eks.*', 'cognito-identity.amazonaws.com/eu-central-1:*', 'cognito-identity.amazonaws.com/*:unauthenticated'], reservedNames: [], permissionsBoundaryARN: '{here}', maxSessionDuration: 2h}}, \
         defaults: {{permissionsBoundaryARN: '{here}', maxSessionDuration: 1h30m}}"
    );
    World::shared().await?.tenant().await?.stored(&with(&taken)).await.map(drop)
}

#[tokio::test]
async fn an_account_has_one_kind_of_access() -> Result<()> {
    let one = "set exactly one of ambient, assumeRole and secretRef";
    let in_the_account = "the management role is in the account itself";
    let through = |via: &str, fields: &str| {
        access(&format!("{{assumeRole: {{roleARN: 'arn:aws:iam::222222222222:role/rolebridge', via: {{name: {via}}}, {fields}}}}}"))
    };
    let aliased = |alias: &str| {
        account(&format!("accountID: '222222222222', consoleAlias: {alias}, access: {{ambient: {{}}}}, allowedNamespaces: {{from: All}}"))
    };
    refused(&[
        (access("{}"), &["spec.access", one]),
        (access("{ambient: {}, assumeRole: {roleARN: 'arn:aws:iam::222222222222:role/rolebridge'}}"), &["spec.access", one]),
        (account("accountID: '222222222222', allowedNamespaces: {from: All}"), &["spec.access", "Required value"]),
        (account("accountID: '222222222222', access: {ambient: {}}"), &["spec.allowedNamespaces", "Required value"]),
        (access("{ambient: {}, secretRef: {name: keys}}"), &["spec.access", one]),
        (access("{secretRef: {name: Keys}}"), &["spec.access.secretRef.name", "lower-case letters"]),
        (access("{secretRef: {name: keys, namespace: default}}"), &["unknown field", "namespace"]),
        (through("hub", "duration: 61m"), &["spec.access.assumeRole.duration", "with via, choose 1h or less"]),
        (through("hub", "duration: soon"), &["spec.access.assumeRole.duration", "a duration is hours, minutes and seconds"]),
        (access("{assumeRole: {roleARN: 'arn:aws:iam::333333333333:role/rolebridge'}}"), &["spec.access.assumeRole.roleARN", in_the_account]),
        (access("{assumeRole: {roleARN: 'arn:aws-cn:iam::222222222222:role/rolebridge'}}"), &["spec.access.assumeRole.roleARN", in_the_account]),
        (through("Hub", ""), &["spec.access.assumeRole.via.name", "lower-case letters"]),
        (through("prod", ""), &["an account cannot be reached through itself"]),
        (
            account("accountID: '222222222222', partition: gcp, access: {ambient: {}}, allowedNamespaces: {from: All}"),
            &["spec.partition", "a partition is aws, aws-us-gov, aws-cn"],
        ),
        (
            account("accountID: '222222222222', region: Frankfurt, access: {ambient: {}}, allowedNamespaces: {from: All}"),
            &["spec.region", "looks like us-east-1"],
        ),
        (aliased("ab"), &["spec.consoleAlias", "at least 3 chars"]),
        (aliased("'-prod'"), &["spec.consoleAlias", "3 to 63 lower-case letters"]),
        (aliased("Prod"), &["spec.consoleAlias", "3 to 63 lower-case letters"]),
        (aliased("pro--d"), &["spec.consoleAlias", "single dashes"]),
        (aliased("'222222222222'"), &["spec.consoleAlias", "an account ID is no alias"]),
        (
            account("accountID: '222222222222', limits: {requestsPerSecond: 0}, access: {ambient: {}}, allowedNamespaces: {from: All}"),
            &["spec.limits.requestsPerSecond", "greater than or equal to 1"],
        ),
    ])
    .await
}

#[tokio::test]
async fn namespaces_are_told_in_one_way_and_selectors_are_neither_empty_nor_unbounded() -> Result<()> {
    let pairs = "names goes with from: Names, selector with from: Selector";
    let everything = "an empty selector would select everything";
    let sharing = |namespaces: &str| user(&format!("allowRolesFrom: {namespaces}"));
    let kinds: [(Make, _, _, _); 2] = [
        (
            &allowing,
            ["spec.allowedNamespaces", pairs],
            ["spec.allowedNamespaces.selector", everything],
            ["spec.allowedNamespaces.names", "at most 100 items"],
        ),
        (&sharing, ["spec.allowRolesFrom", pairs], ["spec.allowRolesFrom.selector", everything], ["spec.allowRolesFrom.names", "at most 100 items"]),
    ];
    let mut cases: Vec<(String, &[&str])> = Vec::new();
    for (with, unpaired, empty, unbounded) in &kinds {
        cases.extend([
            (with("{from: All, names: [team]}"), unpaired.as_slice()),
            (with("{from: Names}"), unpaired.as_slice()),
            (with("{from: Names, names: [team], selector: {matchLabels: {a: b}}}"), unpaired.as_slice()),
            (with("{from: Selector}"), unpaired.as_slice()),
            (with("{from: Selector, selector: {}}"), empty),
            (with("{from: Selector, selector: {matchLabels: {}}}"), empty),
            (with("{from: Selector, selector: {matchLabels: {}, matchExpressions: []}}"), empty),
            (with(&format!("{{from: Names, names: [{}]}}", names(101))), unbounded),
        ]);
    }
    cases.extend([
        (allowing("{from: Names, names: []}"), ["spec.allowedNamespaces.names", "at least 1 items"].as_slice()),
        (allowing("{from: Same}"), &["spec.allowedNamespaces.from", "supported values: \"All\", \"Names\", \"Selector\""]),
        (allowing("{from: Names, names: [Team]}"), &["spec.allowedNamespaces.names[0]", "lower-case letters"]),
        (allowing("{from: Names, names: [team, team]}"), &["spec.allowedNamespaces.names[1]", "Duplicate value"]),
        (
            allowing("{from: Selector, selector: {matchExpressions: [{key: a, operator: In}]}}"),
            &["spec.allowedNamespaces.selector.matchExpressions[0]", "In and NotIn take values"],
        ),
        (
            allowing("{from: Selector, selector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}"),
            &["spec.allowedNamespaces.selector.matchExpressions[0]", "Exists and DoesNotExist take none"],
        ),
    ]);
    refused(&cases).await
}

#[tokio::test]
async fn a_source_is_one_thing_by_name() -> Result<()> {
    let one = "set exactly one of user, users, role, account, awsPrincipal, service, serviceAccount, podIdentity, githubActions, pipeline, oidc, saml and cognitoIdentityPool";
    let sources = |count: usize| (0..count).map(|n| format!("{{user: {{name: u{n}}}}}")).collect::<Vec<_>>().join(", ");
    refused(&[
        (trust("[{from: [{account: 123456789012}]}]"), &["spec.trust[0].from[0].account", "must be of type string"]),
        (trust("[{from: [{user: {name: 123456789012}}]}]"), &["spec.trust[0].from[0].user.name", "must be of type string"]),
        (trust("[{from: [{}]}]"), &["spec.trust[0].from[0]", one]),
        (trust("[{from: [{user: {name: alice}, account: utils}]}]"), &["spec.trust[0].from[0]", one]),
        (trust("[{from: []}]"), &["spec.trust[0].from", "at least 1 items"]),
        (trust(&format!("[{{from: [{}]}}]", sources(101))), &["spec.trust[0].from", "at most 100 items"]),
        (trust(&format!("[{}]", ["{from: [{account: utils}]}"; 33].join(", "))), &["spec.trust", "at most 32 items"]),
        (trust("[{from: [{account: utils}], principal: Root}]"), &["spec.trust[0].principal", "supported values: \"Named\", \"AccountRoot\""]),
        // Neither everyone nor a pattern is the name of an object (rows 5 and 6).
        (trust("[{from: [{account: '*'}]}]"), &["spec.trust[0].from[0].account", "lower-case letters"]),
        (trust("[{from: [{user: {name: 'user/*'}}]}]"), &["spec.trust[0].from[0].user.name", "lower-case letters"]),
        (trust("[{from: [{role: {name: ops}, users: {selector: {matchLabels: {team: data}}}}]}]"), &["spec.trust[0].from[0]", one]),
        (trust("[{from: [{service: lambda.amazonaws.com, oidc: {providerARN: x}}]}]"), &["spec.trust[0].from[0]"]),
        (trust("[{from: [{users: {}}]}]"), &["spec.trust[0].from[0].users.selector", "Required value"]),
        (trust("[{from: [{users: {selector: {}}}]}]"), &["spec.trust[0].from[0].users.selector", "an empty selector would select everything"]),
        (
            trust(&format!("[{{from: [{{users: {{selector: {{matchLabels: {{team: data}}}}, namespaces: [{}]}}}}]}}]", names(11))),
            &["spec.trust[0].from[0].users.namespaces", "at most 10 items"],
        ),
        (trust("[{from: [{groups: [admins]}]}]"), &["unknown field", "groups"]),
        (manifest("CrossAccountRole", "reader", "{accountRef: {name: prod}}"), &["spec.trust", "Required value"]),
        (manifest("CrossAccountRole", "reader", "{trust: []}"), &["spec.accountRef", "Required value"]),
    ])
    .await
}

#[tokio::test]
async fn statement_9_rows_05_and_06_principals_are_whole_arns() -> Result<()> {
    let with = |principal: &str| trust(&format!("[{{from: [{{awsPrincipal: '{principal}'}}]}}]"));
    let field = "spec.trust[0].from[0].awsPrincipal";
    let wildcard: &[&str] = &[field, "IAM takes no wildcard in a principal"];
    refused(&[
        // The API server answers with the form that an ARN has to have.
        (with("*"), &[field, "should match", "arn:aws"]),
        (with("123456789012"), &[field, "should match", "arn:aws"]),
        (with("arn:aws:s3:::bucket"), &[field, "should match", "arn:aws"]),
        (with("arn:aws:iam::123456789012:group/admins"), &[field, "should match", "arn:aws"]),
        (with("arn:aws:iam::*:root"), &[field, "should match", "arn:aws"]),
        (with("arn:aws:iam::123456789012:user/*"), wildcard),
        (with("arn:aws:iam::123456789012:role/deploy-*"), wildcard),
        (with("arn:aws:sts::123456789012:assumed-role/deploy/*"), wildcard),
    ])
    .await?;
    let guardrail = |pattern: &str| {
        account(&format!(
            "accountID: '222222222222', access: {{ambient: {{}}}}, allowedNamespaces: {{from: All}}, guardrails: {{allowedPrincipals: ['{pattern}']}}"
        ))
    };
    let pattern: &[&str] = &["spec.guardrails.allowedPrincipals[0]", "an ARN with the account written out"];
    refused(&[(guardrail("arn:aws:iam::*:role/deploy/*"), pattern), (guardrail("****************************"), pattern)]).await
}

#[tokio::test]
async fn workloads_are_told_apart_by_what_vouches_for_them() -> Result<()> {
    let source = |source: &str| trust(&format!("[{{from: [{{{source}}}]}}]"));
    let github = |fields: &str| source(&format!("githubActions: {{{fields}}}"));
    let provider = "providerARN: 'arn:aws:iam::222222222222:oidc-provider/gitlab.example.com'";
    let oidc = |fields: &str| source(&format!("oidc: {{{provider}, {fields}}}"));
    let one_of_both = "set exactly one of environment and ref: without them every pull request could assume the role";
    let pipeline = |fields: &str| source(&format!("pipeline: {{{fields}}}"));
    let gitlab = |fields: &str| pipeline(&format!("issuer: GitLab, organization: group, project: app, {fields}"));
    let both_ids = "set both repositoryOwnerID and repositoryID, or neither";
    refused(&[
        (github("repository: example/app"), &["spec.trust[0].from[0].githubActions", one_of_both]),
        (github("repository: example/app, environment: production, ref: refs/heads/main"), &["spec.trust[0].from[0].githubActions", one_of_both]),
        (github("repository: 'example/*', environment: production"), &["githubActions.repository", "owner/name, without wildcards"]),
        (github("repository: example, environment: production"), &["githubActions.repository", "owner/name, without wildcards"]),
        (github("repository: example/app, environment: '*'"), &["githubActions.environment", "without wildcards"]),
        (
            github("repository: 'example@123456/app@456789', environment: production"),
            &["githubActions.repository", "repositoryOwnerID and repositoryID"],
        ),
        (github("repository: example/app, environment: production, repositoryID: '1'"), &["from[0].githubActions", both_ids]),
        (github("repository: example/app, environment: production, repositoryOwnerID: '1'"), &["from[0].githubActions", both_ids]),
        (
            github("repository: example/app, environment: production, repositoryOwnerID: '1*', repositoryID: '1'"),
            &["githubActions.repositoryOwnerID", "should match"],
        ),
        (github("repository: example/app, environment: production, repositoryOwnerID: '1', repositoryID: 1"), &["must be of type string"]),
        (github("repository: example/app, environment: production, subjects: Both"), &["githubActions.subjects", "Named have IDs in them"]),
        (github("repository: example/app, environment: production, subjects: New"), &["githubActions.subjects", "supported values: \"Named\""]),
        (github("repository: example/app, environment: production, claims: {sub: x}"), &["unknown field", "claims.sub"]),
        (
            github("repository: example/app, environment: production, claims: {job_workflow_ref: '*/x/.github/workflows/y.yaml@*'}"),
            &["claims.job_workflow_ref", "should match"],
        ),
        (github("repository: example/app, environment: production, claims: {actor: '${aws:username}'}"), &["claims.actor", "should match"]),
        (pipeline("issuer: GitHub, organization: example, project: app"), &["pipeline.issuer", "supported values: \"GitLab\", \"HCPTerraform\""]),
        (pipeline("issuer: GitLab, project: app"), &["pipeline.organization", "Required value"]),
        (pipeline("issuer: GitLab, organization: group"), &["pipeline.project", "Required value"]),
        (pipeline("issuer: GitLab, organization: '*', project: app"), &["pipeline.organization", "should match"]),
        (pipeline("issuer: GitLab, organization: group, project: 'a:b'"), &["pipeline.project", "should match"]),
        (gitlab("ref: release-main"), &["pipeline.ref", "should match"]),
        (gitlab("workspace: 'a*'"), &["pipeline.workspace", "should match"]),
        (gitlab("environment: production"), &["pipeline.environment", "at least 36"]),
        (gitlab("runPhase: Plan"), &["pipeline.runPhase", "supported values: \"plan\", \"apply\""]),
        (gitlab("audience: '*'"), &["pipeline.audience", "should match"]),
        (github("repository: example/app, ref: main"), &["githubActions.ref", "at least 6"]),
        (github("repository: example/app, ref: heads/main"), &["githubActions.ref", "looks like refs/heads/main"]),
        (github("repository: example/app, ref: 'refs/heads/*'"), &["githubActions.ref", "all branches are not meant here"]),
        (github("repository: example/app, ref: 'refs/heads/**'"), &["githubActions.ref", "all branches are not meant here"]),
        (github("repository: example/app, ref: 'refs/heads/*/*'"), &["githubActions.ref", "all branches are not meant here"]),
        (oidc("audience: sts.amazonaws.com"), &["spec.trust[0].from[0].oidc.subject", "Required value"]),
        (oidc("subject: 'project_path:group/app:*'"), &["spec.trust[0].from[0].oidc.audience", "Required value"]),
        (oidc("audience: '*', subject: app"), &["spec.trust[0].from[0].oidc.audience", "no *, ?, $ or space"]),
        (
            source("oidc: {providerARN: 'https://gitlab.example.com', audience: a, subject: b}"),
            &["oidc.providerARN", "looks like arn:aws:iam::123456789012:oidc-provider/"],
        ),
        (
            source("serviceAccount: {oidcProviderARN: 'arn:aws:eks:eu-central-1:222222222222:cluster/main', namespace: build, name: deployer}"),
            &["serviceAccount.oidcProviderARN", "looks like arn:aws:iam::123456789012:oidc-provider/"],
        ),
        (
            source("serviceAccount: {oidcProviderARN: 'arn:aws:iam::222222222222:oidc-provider/x', namespace: '*', name: deployer}"),
            &["serviceAccount.namespace", "lower-case letters"],
        ),
        (
            source("podIdentity: {clusterARN: 'arn:aws:iam::222222222222:role/main', namespace: build, name: deployer}"),
            &["podIdentity.clusterARN", "looks like arn:aws:eks:"],
        ),
        (
            source("podIdentity: {clusterARN: 'arn:aws:eks:eu-central-1:222222222222:cluster/main', namespace: build}"),
            &["podIdentity.name", "Required value"],
        ),
        (source("saml: {providerARN: 'arn:aws:iam::222222222222:role/example'}"), &["saml.providerARN", "saml-provider/example"]),
        (source("service: lambda"), &["spec.trust[0].from[0].service", "for example lambda.amazonaws.com"]),
        (source("service: '*.amazonaws.com'"), &["spec.trust[0].from[0].service", "for example lambda.amazonaws.com"]),
        (source("service: ec2.c2s.ic.gov.example"), &["spec.trust[0].from[0].service", "for example lambda.amazonaws.com"]),
        (source("service: cognito-identity.amazonaws.com"), &["spec.trust[0].from[0].service", "an identity provider", "write cognitoIdentityPool"]),
        (source("service: www.amazon.com"), &["spec.trust[0].from[0].service", "an identity provider", "Login with Amazon"]),
        (source("service: accounts.google.com"), &["spec.trust[0].from[0].service", "an identity provider", "oidc"]),
        (source("service: graph.facebook.com"), &["spec.trust[0].from[0].service", "an identity provider", "Facebook"]),
        (
            source("cognitoIdentityPool: {identityPoolID: 00000000-1111-2222-3333-444444444444}"),
            &["cognitoIdentityPool.identityPoolID", "at least 40"],
        ),
        (
            source("cognitoIdentityPool: {identityPoolID: 'eu-central-1:00000000-1111-2222-3333-44444444444*'}"),
            &["cognitoIdentityPool.identityPoolID", "looks like eu-central-1:"],
        ),
    ])
    .await
}

#[tokio::test]
async fn row_16_what_is_required_has_the_form_that_aws_gives_it() -> Result<()> {
    let with = |require: &str| trust(&format!("[{{from: [{{user: {{name: alice}}}}], require: {{{require}}}}}]"));
    let networks = (0..65).map(|n| format!("'10.0.{n}.0/24'")).collect::<Vec<_>>().join(", ");
    let tags = (0..17).map(|n| format!("k{n}: v")).collect::<Vec<_>>().join(", ");
    let values = (0..65).map(|n| format!("v{n}")).collect::<Vec<_>>().join(", ");
    let network: &[&str] = &["require.sourceIPs[0]", "write a network such as 203.0.113.0/24 or 2001:db8::/32, or one address"];
    let time = "a time is written in UTC, for example 2026-01-31T23:59:59Z";
    refused(&[
        (with("externalID: x"), &["require.externalID", "at least 2"]),
        (with("externalID: two words"), &["require.externalID", "2 to 1224 letters, digits", "no spaces"]),
        (with(&format!("externalID: {}", "x".repeat(1225))), &["require.externalID", "may not be more than 1224"]),
        (with("sourceIPs: ['203.0.113.0/33']"), network),
        (with("sourceIPs: ['203.0.113']"), network),
        (with("sourceIPs: [anywhere]"), network),
        (with(&format!("sourceIPs: [{networks}]")), &["require.sourceIPs", "at most 64 items"]),
        (with("mfa: {maxAge: 59s}"), &["require.mfa.maxAge", "from 1m to 36h"]),
        (with("mfa: {maxAge: 37h}"), &["require.mfa.maxAge", "from 1m to 36h"]),
        (with("mfa: true"), &["require.mfa", "must be of type object"]),
        (with("notBefore: '2026-01-31'"), &["require.notBefore", "at least 20"]),
        (with("notBefore: '2026-01-31 23:59:59Z'"), &["require.notBefore", time]),
        (with("notAfter: '2026-01-31T23:59:59+01:00'"), &["require.notAfter", "may not be more than 20"]),
        (with("sourceIdentity: two words"), &["require.sourceIdentity", "a variable such as ${aws:username}"]),
        (with("sessionName: '${aws:username'"), &["require.sessionName", "a variable such as ${aws:username}"]),
        (with("organizationID: example"), &["require.organizationID", "at least 12"]),
        (with("organizationID: 123456789012"), &["require.organizationID", "must be of type string"]),
        (with("organizationID: x-a1b2c3d4e5"), &["require.organizationID", "looks like o-a1b2c3d4e5"]),
        (with(&format!("principalTags: {{{tags}}}")), &["require.principalTags", "at most 16"]),
        (with("sessionTags: {'a*b': v}"), &["require.sessionTags", "in the keys of tags"]),
        (with("conditions: {StringEquals: {}}"), &["require.conditions.StringEquals", "at least 1"]),
        (with(&format!("conditions: {{StringEquals: {{'aws:username': [{values}]}}}}")), &["aws:username", "at most 64 items"]),
    ])
    .await
}

#[tokio::test]
async fn a_policy_has_one_document_and_a_policy_to_attach_is_a_name_or_an_arn() -> Result<()> {
    let one = "set exactly one of document, json and configMapKeyRef";
    let attach = "write the name of an AWS-managed policy, for example ReadOnlyAccess";
    let attached = |count: usize| (0..count).map(|n| format!("Policy{n}")).collect::<Vec<_>>().join(", ");
    refused(&[
        (permissions("inlinePolicies: [{name: p}]"), &["spec.permissions.inlinePolicies[0]", one]),
        (permissions("inlinePolicies: [{name: p, document: {}, json: '{}'}]"), &["spec.permissions.inlinePolicies[0]", one]),
        (permissions("customerManagedPolicies: [{name: p}]"), &["spec.permissions.customerManagedPolicies[0]", one]),
        (
            permissions("customerManagedPolicies: [{name: p, json: '{}', configMapKeyRef: {name: a, key: b}}]"),
            &["spec.permissions.customerManagedPolicies[0]", one],
        ),
        (permissions("inlinePolicies: [{name: p, document: '{}'}]"), &["spec.permissions.inlinePolicies[0].document", "must be of type object"]),
        (permissions("inlinePolicies: [{name: p, json: '{}'}, {name: p, json: '{}'}]"), &["spec.permissions.inlinePolicies[1]", "Duplicate value"]),
        (permissions("inlinePolicies: [{name: p, configMapKeyRef: {name: a, key: 'b c'}}]"), &["configMapKeyRef.key", "a key of a ConfigMap has"]),
        (permissions("attachedPolicies: ['Read Only']"), &["spec.permissions.attachedPolicies[0]", attach]),
        (permissions("attachedPolicies: ['arn:aws:iam::aws:role/x']"), &["spec.permissions.attachedPolicies[0]", attach]),
        (permissions("attachedPolicies: ['arn:aws:iam::123:policy/x']"), &["spec.permissions.attachedPolicies[0]", attach]),
        (permissions("attachedPolicies: ['']"), &["spec.permissions.attachedPolicies[0]"]),
        (permissions("attachedPolicies: [A, A]"), &["spec.permissions.attachedPolicies[1]", "Duplicate value"]),
        (permissions(&format!("attachedPolicies: [{}]", attached(26))), &["spec.permissions.attachedPolicies", "at most 25 items"]),
        (role("permissionsBoundaryARN: boundary"), &["spec.permissionsBoundaryARN"]),
        (
            user("permissionsBoundaryARN: 'arn:aws:iam::222222222222:role/boundary'"),
            &["spec.permissionsBoundaryARN", "looks like arn:aws:iam::123456789012:policy/name"],
        ),
    ])
    .await
}

#[tokio::test]
async fn names_of_resources_have_at_most_63_characters() -> Result<()> {
    let name = "n".repeat(64);
    let words: &[&str] = &["metadata.name has at most 63 characters"];
    refused(&[
        (manifest("AWSAccount", &name, "{accountID: '222222222222', access: {ambient: {}}, allowedNamespaces: {from: All}}"), words),
        (manifest("BastionUser", &name, "{accountRef: {name: utils}}"), words),
        (manifest("CrossAccountRole", &name, "{accountRef: {name: prod}, trust: []}"), words),
    ])
    .await
}

#[tokio::test]
async fn statement_45_immutable_fields_cannot_be_changed_set_later_or_unset() -> Result<()> {
    let tenant = World::shared().await?.tenant().await?;
    // No AWSAccount bears these names, so an operator that is running has nothing to do for these.
    let nowhere = tenant.unique("nowhere");
    let user = |name: &str, fields: &str| manifest("BastionUser", name, &format!("{{accountRef: {{name: {nowhere}}}, {fields}}}"));
    let role = |name: &str, fields: &str| manifest("CrossAccountRole", name, &format!("{{accountRef: {{name: {nowhere}}}, trust: [], {fields}}}"));
    let policy = |description: &str| {
        role(
            "described",
            &format!("permissions: {{customerManagedPolicies: [{{name: p, document: {{}}, {description}}}, {{name: q, document: {{}}}}]}}"),
        )
    };
    let account_name = tenant.unique("immutable");
    let account = |id: &str, partition: &str| {
        manifest(
            "AWSAccount",
            &account_name,
            &format!("{{accountID: '{id}', {partition} access: {{ambient: {{}}}}, allowedNamespaces: {{from: Names, names: [none]}}}}"),
        )
    };
    for existing in [
        user("bare", ""),
        user("full", "userName: Alice, path: /teams/"),
        role("bare", ""),
        role("full", "roleName: Reader, path: /teams/"),
        policy("description: first"),
        account("999999999999", ""),
    ] {
        tenant.apply(&existing).await?;
    }
    let new = "make another";
    let description = "IAM cannot change a policy's description: give the policy another name";
    let cases: [(String, &[&str]); 20] = [
        (user("full", "userName: Bob, path: /teams/"), &["userName cannot be changed, set later or unset", new]),
        (user("full", "path: /teams/"), &["userName cannot be changed, set later or unset", new]),
        (user("bare", "userName: bare"), &["userName cannot be changed, set later or unset", new]),
        (user("full", "userName: Alice, path: /others/"), &["path cannot be changed, set later or unset", new]),
        (user("full", "userName: Alice"), &["path cannot be changed, set later or unset", new]),
        (user("bare", "path: /"), &["path cannot be changed, set later or unset", new]),
        (manifest("BastionUser", "bare", "{accountRef: {name: another}}"), &["spec.accountRef", "accountRef is immutable", new]),
        (role("full", "roleName: Writer, path: /teams/"), &["roleName cannot be changed, set later or unset", new]),
        (role("full", "path: /teams/"), &["roleName cannot be changed, set later or unset", new]),
        (role("bare", "roleName: bare"), &["roleName cannot be changed, set later or unset", new]),
        (role("full", "roleName: Reader, path: /others/"), &["path cannot be changed, set later or unset", new]),
        (role("full", "roleName: Reader"), &["path cannot be changed, set later or unset", new]),
        (role("bare", "path: /"), &["path cannot be changed, set later or unset", new]),
        (manifest("CrossAccountRole", "bare", "{accountRef: {name: another}, trust: []}"), &["spec.accountRef", "accountRef is immutable", new]),
        (policy("description: second"), &[description]),
        (policy(""), &[description]),
        (
            role(
                "described",
                "permissions: {customerManagedPolicies: [{name: p, document: {}, description: first}, {name: q, document: {}, description: late}]}",
            ),
            &[description],
        ),
        (account("999999999998", ""), &["spec.accountID", "accountID is immutable", new]),
        (account("999999999999", "partition: aws-cn,"), &["spec.partition", "partition is immutable", new]),
        (account("999999999998", "partition: aws-cn,"), &["accountID is immutable", "partition is immutable"]),
    ];
    let mut wrong = Vec::new();
    for (manifest, words) in &cases {
        wrong.extend(tenant.refused(manifest, words).await.err().map(|error| format!("{error:#}")));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));

    // What is not immutable can be changed; a policy that comes or goes takes its description along.
    accepted(
        &tenant,
        &[
            user("full", "userName: Alice, path: /teams/, tags: {team: data}"),
            role("full", "roleName: Reader, path: /teams/, description: new, maxSessionDuration: 2h"),
            role("described", "permissions: {customerManagedPolicies: [{name: another, document: {}, description: new}]}"),
            account("999999999999", "region: eu-central-1, guardrails: {accountRootTrust: true},"),
        ],
    )
    .await
}

#[tokio::test]
async fn roles_of_others_are_arns_and_patterns_that_do_not_cover_everything() -> Result<()> {
    let refused_entry = |entry: &str| permissions(&format!("externalRoles: ['arn:aws:iam::{entry}']"));
    let many = (0..26).map(|n| format!("'arn:aws:iam::222222222222:role/role-{n}'")).collect::<Vec<_>>().join(", ");
    let told: &[&str] = &["spec.permissions.externalRoles[0]", "should match"];
    refused(&[
        (refused_entry("222222222222:role/*"), told),
        (refused_entry("222222222222:role/cd*"), told),
        (refused_entry("222222222222:role/a/*"), told),
        (refused_entry("222222222222:role//dk-*"), told),
        (refused_entry("222222222222:role/folder/"), told),
        (refused_entry("222222222222:role/cdk-?"), told),
        (refused_entry("222222222222:role/${aws:username}"), told),
        (refused_entry("*:role/cdk-deploy"), told),
        (refused_entry("22222222222*:role/cdk-deploy"), told),
        (refused_entry("222222222222:user/cdk-deploy"), told),
        (permissions("externalRoles: ['arn:*:iam::222222222222:role/cdk-deploy']"), told),
        (permissions(&format!("externalRoles: [{many}]")), &["spec.permissions.externalRoles", "at most 25 items"]),
    ])
    .await
}

#[tokio::test]
async fn everything_that_is_valid_is_accepted() -> Result<()> {
    let tenant = World::shared().await?.tenant().await?;
    let long = "n".repeat(63);
    let tags = (0..47).map(|n| format!("k{n}: v")).collect::<Vec<_>>().join(", ");
    let all_sources = (0..100).map(|n| format!("{{user: {{name: u{n}, namespace: people}}}}")).collect::<Vec<_>>().join(", ");
    accepted(
        &tenant,
        &[
            access("{ambient: {}}"),
            access("{secretRef: {name: keys.of-prod}}"),
            access("{assumeRole: {roleARN: 'arn:aws:iam::222222222222:role/rolebridge', via: {name: hub}, duration: 60m}}"),
            account("accountID: '012345678901', partition: aws, access: {ambient: {}}, allowedNamespaces: {from: All}, guardrails: {}, limits: {}"),
            account(
                "accountID: '222222222222', partition: aws-us-gov, region: us-gov-west-1, allowedNamespaces: {from: Names, names: [team-a, team-b]}, \
                 access: {assumeRole: {roleARN: 'arn:aws-us-gov:iam::222222222222:role/ops/rolebridge', externalID: 'a:b/c=d,e.f@g-h+i_j', \
                 sessionName: rolebridge@test, duration: 15m}}, guardrails: {accountRootTrust: true}, \
                 limits: {requestsPerSecond: 100, burst: 1000, concurrency: 64}, consoleAlias: gov-2-prod, deletionBrake: {share: 100, number: 10000}",
            ),
            allowing("{from: Selector, selector: {matchLabels: {team: data}}}"),
            allowing("{from: Selector, selector: {matchExpressions: [{key: team, operator: In, values: [a, b]}, {key: x, operator: Exists}]}}"),
            allowing(&format!("{{from: Names, names: [{}]}}", names(100))),
            manifest("BastionUser", &long, "{accountRef: {name: utils}}"),
            user("userName: 'random_user+=,.@-', path: /teams/data/, tags: {Name: 'Random User', empty: '', 'a:b/c=d+e-f@g': 'ünïcode'}"),
            user(&format!("tags: {{{tags}}}")),
            user("permissionsBoundaryARN: 'arn:aws:iam::aws:policy/ReadOnlyAccess'"),
            user("allowRolesFrom: {from: Same}"),
            user("allowRolesFrom: {from: All}"),
            user("allowRolesFrom: {from: Names, names: [team-a]}"),
            user("allowRolesFrom: {from: Selector, selector: {matchLabels: {team: data}}}"),
            role(&format!("roleName: {}", "r".repeat(64))),
            role(
                "roleName: s3-list-role, path: /, description: \"Lists: tab\\t, ümläuts and 'quotes'\", tags: {team: data}, maxSessionDuration: 1h, \
                 permissionsBoundaryARN: 'arn:aws:iam::222222222222:policy/boundaries/one'",
            ),
            role("maxSessionDuration: 12h"),
            role("maxSessionDuration: 3600s"),
            role("maxSessionDuration: 1h30m"),
            trust("[]"),
            trust("[{from: [{user: {name: alice}}, {user: {name: bob, namespace: people}}]}, {from: [{account: utils}], principal: AccountRoot}]"),
            trust("[{from: [{user: {name: alice}}], principal: Named}, {from: [{user: {name: alice}}], principal: AccountRoot}]"),
            trust(&format!("[{{from: [{all_sources}]}}]")),
            trust(
                "[{from: [{users: {selector: {matchLabels: {team: data}}, namespaces: [people, teams]}}, {role: {name: ops, namespace: people}}, \
                 {awsPrincipal: 'arn:aws:iam::333333333333:role/deploy/pipeline'}, {awsPrincipal: 'arn:aws:sts::333333333333:assumed-role/a/b'}], \
                 require: {externalID: 'a:b/c=d,e.f@g-h+i_j', sourceIPs: [203.0.113.0/24, '2001:db8::1'], sourceIdentity: '${aws:username}', \
                 sessionName: '${aws:PrincipalTag/team}-*', sessionTags: {team: '*'}, organizationID: o-a1b2c3d4e5, principalTags: {'a/b': 'c*'}, \
                 notBefore: '2026-01-01T00:00:00Z', notAfter: '2026-12-31T23:59:59Z', \
                 conditions: {'ForAnyValue:StringLike': {'aws:PrincipalOrgPaths': ['o-a1b2c3d4e5/*']}, Bool: {'aws:SecureTransport': 'true'}}}}]",
            ),
            trust("[{from: [{user: {name: alice}}], require: {mfa: {}}}, {from: [{user: {name: bob}}], require: {mfa: {maxAge: 36h}}}]"),
            trust(
                "[{from: [{service: ec2.amazonaws.com.cn}, {service: ec2.c2s.ic.gov}, {service: ec2.sc2s.sgov.gov}, {service: ec2.csp.hci.ic.gov}, \
                 {service: ec2.cloud.adc-e.uk}, {cognitoIdentityPool: {identityPoolID: 'us-gov-west-1:00000000-1111-2222-3333-444444444444'}}, \
                 {cognitoIdentityPool: {identityPoolID: 'eu-central-1:00000000-1111-2222-3333-444444444444', authenticated: false}}]}]",
            ),
            trust(
                "[{from: [{service: lambda.amazonaws.com}, {service: pods.eks.amazonaws.com}, \
                 {githubActions: {repository: example/app, ref: 'refs/tags/v*'}}, {githubActions: {repository: example/app, environment: a b/c}}, \
                 {oidc: {providerARN: 'arn:aws:iam::222222222222:oidc-provider/gitlab.example.com', audience: 'https://x', subject: 'a:*'}}, \
                 {saml: {providerARN: 'arn:aws:iam::222222222222:saml-provider/example'}}, \
                 {serviceAccount: {oidcProviderARN: 'arn:aws:iam::222222222222:oidc-provider/x/id/A', namespace: build, name: deployer}}, \
                 {podIdentity: {clusterARN: 'arn:aws:eks:eu-central-1:222222222222:cluster/main', namespace: build, name: deployer}}, \
                 {podIdentity: {clusterARN: 'arn:aws:eks:eu-central-1:222222222222:cluster/main', namespace: build, name: deployer, sessionTags: false}}, \
                 {role: {name: ops, podIdentityTarget: true}}]}]",
            ),
            trust(
                "[{from: [{githubActions: {repository: example/app, ref: 'refs/heads/release/**'}}, \
                 {oidc: {providerARN: 'arn:aws:iam::222222222222:oidc-provider/gitlab.example.com', audience: a, subject: 'repo:example/*'}}, \
                 {oidc: {providerARN: 'arn:aws:iam::222222222222:oidc-provider/gitlab.example.com', audience: a, subject: 'reports-*'}}, \
                 {oidc: {providerARN: 'arn:aws:iam::222222222222:oidc-provider/gitlab.example.com', audience: a, subject: '*'}}, \
                 {oidc: {providerARN: 'arn:aws:iam::222222222222:oidc-provider/gitlab.example.com', audience: a, subject: '{b}'}}]}]",
            ),
            trust(
                "[{from: [{githubActions: {repository: example/app, repositoryOwnerID: '123456', repositoryID: '456789', environment: 'a:b', \
                 claims: {job_workflow_ref: 'example/x/.github/workflows/y.yaml@*', ref: refs/heads/main, actor_id: '1', environment: 'a*'}}}, \
                 {githubActions: {repository: example/app, repositoryOwnerID: '123456', repositoryID: '456789', ref: refs/heads/main, subjects: Immutable}}, \
                 {githubActions: {repository: example/app, ref: refs/heads/main, subjects: Named}}, \
                 {oidc: {providerARN: 'arn:aws:iam::222222222222:oidc-provider/token.actions.githubusercontent.com', audience: a, \
                 subject: 'repo:example@*/app@*:environment:production'}}, \
                 {pipeline: {issuer: GitLab, organization: group/sub, project: app, ref: 'refs/tags/v*', audience: 'https://gitlab.com'}}, \
                 {pipeline: {issuer: HCPTerraform, organization: example, project: Default Project, workspace: prod, runPhase: apply}}, \
                 {pipeline: {issuer: Buildkite, organization: example, project: app, ref: 'refs/heads/*'}}, \
                 {pipeline: {issuer: CircleCI, organization: 0190046e-e199-453b-a302-a21a4d649d31, project: 5f30ebd3-0312-4313-ae7f-17948aabbccd}}, \
                 {pipeline: {issuer: Bitbucket, organization: example, project: '{0190046e-e199-453b-a302-a21a4d649d31}', \
                 workspace: '{5f30ebd3-0312-4313-ae7f-17948aabbccd}', environment: '{64de5cd4-7626-4b3c-a134-e760a1122334}'}}]}]",
            ),
            permissions("externalRoles: ['arn:aws:iam::222222222222:role/cdk-hnb659fds-*-222222222222-eu-central-1', 'arn:aws-cn:iam::222222222222:role/x', 'arn:aws:iam::222222222222:role/ci/*']"),
            permissions("attachedPolicies: [ReadOnlyAccess, job-function/ViewOnlyAccess, 'arn:aws:iam::222222222222:policy/own/one']"),
            permissions(
                "inlinePolicies: [{name: a, document: {Version: '2012-10-17', Statement: [{Effect: Allow, Action: 's3:*', Resource: '*'}]}}, \
                 {name: b, json: '{}'}, {name: c, configMapKeyRef: {name: policies, key: c.json}}]",
            ),
            permissions(
                "customerManagedPolicies: [{name: a, description: the first, document: {Version: '2012-10-17'}}, {name: b, json: '{}'}, \
                 {name: c, configMapKeyRef: {name: policies, key: c.json}}]",
            ),
        ],
    )
    .await
}

/// Tools that follow kstatus take an object without a status for finished.
#[tokio::test]
async fn a_fresh_object_is_in_progress() -> Result<()> {
    let tenant = World::shared().await?.tenant().await?;
    for manifest in [access("{ambient: {}}"), user(""), role("")] {
        let stored = tenant.stored(&manifest).await?;
        ensure!(stored["status"]["observedGeneration"] == -1, "{stored:#}");
    }
    Ok(())
}

#[tokio::test]
async fn kubectl_explains_the_fields() -> Result<()> {
    let testbed = &World::shared().await?.testbed;
    for (field, words) in [
        ("awsaccount.spec.access.assumeRole.externalID", "External ID that the role's trust policy asks for"),
        ("buser.spec.allowRolesFrom", "Which namespaces may name this user"),
        ("car.spec.trust.from", "Who may assume the role"),
        ("car.spec.permissions.externalRoles", "Roles that Rolebridge does not manage and that the user or role may assume"),
        ("awsaccount.spec.guardrails.allowedExternalRoles", "Which roles that Rolebridge does not manage"),
        ("car.spec.permissions.customerManagedPolicies.configMapKeyRef", "The entry of a ConfigMap in this namespace"),
    ] {
        let explained = testbed.kubectl(&["explain", field]).await?;
        let text = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(text.contains(words), "{explained}");
    }
    Ok(())
}

/// What cannot be decoded would stop the list of all roles, so it is not let in.
#[tokio::test]
async fn row_29_documents_nest_no_deeper_than_iam_has_use_for() -> Result<()> {
    let nested = |levels: usize| format!("{}{}", "{a: ".repeat(levels), "1".to_owned() + &"}".repeat(levels));
    let lists = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let document = |document: &str| permissions(&format!("inlinePolicies: [{{name: read, document: {document}}}]"));
    let tenant = World::shared().await?.tenant().await?;
    let cases: [(String, &[&str]); 4] = [
        (document(&nested(200)), &["unknown field", "inlinePolicies[0].document.a"]),
        (document(&format!("{{Statement: {}}}", nested(200))), &["document.Statement.a.a.a", "must have at most 0"]),
        (document(&format!("{{Statement: {}}}", lists(200))), &["inlinePolicies[0].document", "must have at most 0"]),
        (document(&format!("{{Statement: [{{Condition: {}}}]}}", nested(200))), &["document.Statement[0].Condition", "must have at most 0"]),
    ];
    for (manifest, words) in &cases {
        tenant.kubectl_refuses(manifest, words).await?;
    }

    let full = json!({
        "Version": "2012-10-17", "Id": "all-forms",
        "Statement": [
            {
                "Sid": "Lists", "Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": ["*"],
                "Condition": {"StringLike": {"aws:PrincipalTag/team": ["a*", "b*"]}, "Bool": {"aws:SecureTransport": "true"}},
            },
            {"Effect": "Deny", "NotAction": "s3:*", "NotResource": "arn:aws:s3:::b", "Principal": {"AWS": ["111111111111"], "Service": "s3.amazonaws.com"}},
        ],
    });
    let stored = tenant.stored(&document(&full.to_string())).await?;
    ensure!(stored["spec"]["permissions"]["inlinePolicies"][0]["document"] == full, "{stored:#}");
    let one =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"Null": {"a": "true"}}}});
    let stored = tenant.stored(&document(&one.to_string())).await?;
    ensure!(stored["spec"]["permissions"]["inlinePolicies"][0]["document"] == one, "{stored:#}");
    Ok(())
}

/// Where a name stands in an ARN, a link or a condition, it must be a name and nothing that is read in another way there.
#[tokio::test]
async fn row_32_names_have_no_quotes_variables_wildcards_or_lines() -> Result<()> {
    const PROVIDER: &str = "arn:aws:iam::222222222222:oidc-provider/x";
    let spec = |kind: &str, spec: Value| json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec});
    let mut cases: Vec<(String, &[&str])> = Vec::new();
    for hostile in [r#"a"b"#, "a'b", r"a\b", "${aws:username}", "a*", "a?", "a\nb", "a\n", "a\u{0}b", "a%2Fb", "a<b", "a#b"] {
        let path = format!("/{hostile}/");
        let user = json!({"accountRef": {"name": "utils"}, "userName": hostile, "path": path, "groups": [hostile]});
        let sources = json!([
            {"serviceAccount": {"oidcProviderARN": PROVIDER, "namespace": hostile, "name": hostile}},
            {"githubActions": {"repository": format!("x/{hostile}"), "environment": hostile}},
        ]);
        let role = json!({
            "accountRef": {"name": "prod"}, "roleName": hostile, "path": path,
            "trust": [{"from": sources, "require": {"externalID": hostile}}],
            "permissions": {"inlinePolicies": [{"name": hostile, "json": "{}"}], "customerManagedPolicies": [{"name": hostile, "json": "{}"}]},
        });
        cases.extend([
            (spec("BastionUser", user).to_string(), ["spec.userName", "spec.path", "spec.groups[0]"].as_slice()),
            (
                spec("CrossAccountRole", role).to_string(),
                &[
                    "spec.roleName",
                    "spec.path",
                    "from[0].serviceAccount.namespace",
                    "from[0].serviceAccount.name",
                    "from[1].githubActions.repository",
                    "from[1].githubActions.environment",
                    "require.externalID",
                    "inlinePolicies[0].name",
                    "customerManagedPolicies[0].name",
                ],
            ),
        ]);
    }
    let variable = "a variable such as ${aws:username}";
    let broken_words = ["require.principalTags", "require.sourceIdentity", variable, "in the keys of tags", "oidc.audience", "oidc.subject"];
    for broken in ["${aws:username", "a${", "${aws:user*}", "a$b", "a\"b", "a{b}"] {
        let require = json!({"principalTags": {"team": broken}, "sessionTags": {broken: "x"}, "sourceIdentity": broken});
        let oidc = json!({"oidc": {"providerARN": PROVIDER, "audience": format!("{broken}$"), "subject": format!("{broken}$")}});
        let role = json!({"accountRef": {"name": "prod"}, "trust": [{"from": [oidc], "require": require}]});
        cases.push((spec("CrossAccountRole", role).to_string(), &broken_words));
    }
    refused(&cases).await
}
