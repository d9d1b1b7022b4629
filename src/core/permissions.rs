//! What an identity is declared to be able to do, and what of it is taken off or stays: the same for users and roles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::action::Action;
use super::assume;
use super::attachable::{ATTACHED, Use, check_declared, check_place};
use super::called_via::{Assuming, assuming};
use super::document::{Document, DocumentKind, DocumentProblem, MAX_TEXT_BYTES, VERSION_2012};
use super::guardrails::Guard;
use super::identity::{CUT_OFF_POLICY, EXTERNAL_ROLES_POLICY, ManagedPolicy, REVOKE_SESSIONS_POLICY};
use super::names::{Arn, Path, PolicyName, same_name};
use super::outcome::Problem;
use super::ownership::Tags;
use super::placement::ResolvedAccount;
use super::source::parse;
use rolebridge_api::Reason;
use rolebridge_api::common::ConfigMapKeyReference;
use rolebridge_api::guardrails::PolicyDocumentSource;
use rolebridge_api::permissions::{CustomerManagedPolicy, DocumentSource, InlinePolicy, Permissions};

/// What a resource takes from ConfigMaps, by the name of the ConfigMap and the key; None where the ConfigMap does not exist.
pub type ConfigTexts = BTreeMap<(String, String), Option<ConfigText>>;

/// What a ConfigMap has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigText {
    /// There is no ConfigMap of this name, but one with a hash behind it, as kustomize makes names.
    Hashed,
    /// Nothing: it has no such key.
    Absent,
    /// Bytes, in `binaryData`: where kubectl and kustomize put a file that is not UTF-8, without a word. They are not kept.
    Binary,
    /// A text that may be a document.
    Text(Arc<str>),
    /// The length in bytes of one that is too long to be read as a document. It is not kept: a ConfigMap may hold a megabyte, and anybody who may write
    /// one may write many.
    TooLarge(usize),
}

impl ConfigText {
    /// What is under a key of which the ConfigMap has this in `data`, and something or nothing in `binaryData`.
    #[must_use]
    pub fn of(text: Option<String>, is_binary: bool) -> Self {
        match text {
            Some(text) if text.len() > MAX_TEXT_BYTES => Self::TooLarge(text.len()),
            Some(text) => Self::Text(text.into()),
            None if is_binary => Self::Binary,
            None => Self::Absent,
        }
    }
}

/// What is under the keys of a ConfigMap that does not exist, where these are the names of all in its namespace; None where nothing is to be said of it.
pub fn missing<'n>(name: &str, mut names: impl Iterator<Item = &'n str>) -> Option<ConfigText> {
    names.any(|other| is_with_hash(name, other)).then_some(ConfigText::Hashed)
}

/// Whether kustomize has made a name of `name`: with ten letters and digits behind it, none of which can be taken for another or make a word
/// (kustomize, `api/hasher`).
fn is_with_hash(name: &str, other: &str) -> bool {
    let hash = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    hash.is_some_and(|hash| hash.len() == 10 && hash.chars().all(|c| "bcdfghkmt2456789".contains(c)))
}

/// The entries of ConfigMaps that permissions take documents from.
pub fn config_references(permissions: Option<&Permissions>) -> BTreeSet<(String, String)> {
    let Some(permissions) = permissions else { return BTreeSet::new() };
    let managed = permissions.customer_managed_policies.iter().filter_map(|p| p.config_map_key_ref.as_ref());
    let inline = permissions.inline_policies.iter().filter_map(|p| p.config_map_key_ref.as_ref());
    managed.chain(inline).map(|r| (r.name.clone(), r.key.clone())).collect()
}

/// Where the policies of a resource are made, and what they are marked with.
pub struct Place<'a> {
    /// The account.
    pub at: &'a ResolvedAccount,
    /// The path of the identity, which its policies share.
    pub path: &'a Path,
    /// The tags of the identity, which its policies share.
    pub tags: &'a Tags,
}

/// The declared policies of an identity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// Inline policies by name.
    pub inline: BTreeMap<PolicyName, Document>,
    /// ARNs of the policies to attach, those of `managed` among them.
    pub attached: BTreeSet<Arn>,
    /// The customer-managed policies that belong to the resource, by ARN.
    pub managed: BTreeMap<Arn, ManagedPolicy>,
}

/// Reads the declaration. What is wrong with it is added to `problems`, and left out.
pub fn declared(permissions: Option<&Permissions>, place: &Place<'_>, texts: &ConfigTexts, problems: &mut Vec<Problem>) -> Declared {
    let mut declared = Declared::default();
    let Some(permissions) = permissions else { return declared };
    declared.attached = permissions.attached_policies.iter().filter_map(|policy| attached(problems, policy, place.at)).collect();
    for policy in &permissions.inline_policies {
        let field = format!("spec.permissions.inlinePolicies[{}]", policy.name);
        let name = keep(problems, policy_name(&field, &policy.name));
        if let (Some(name), Some(document)) = (name, document(problems, &field, policy.source(), (texts, place.at))) {
            declared.inline.insert(name, document);
        }
    }
    for policy in &permissions.customer_managed_policies {
        let field = format!("spec.permissions.customerManagedPolicies[{}]", policy.name);
        let name = keep(problems, policy_name(&field, &policy.name));
        if let (Some(name), Some(document)) = (name, document(problems, &field, policy.source(), (texts, place.at))) {
            let arn = Arn::policy(&place.at.partition, &place.at.id, place.path, &name);
            let (path, tags) = (place.path.clone(), place.tags.clone());
            problems.extend(check_declared(place.at, &format!("{field}.name"), &arn));
            declared.attached.insert(arn.clone());
            let description = policy.description.clone().unwrap_or_default();
            declared.managed.insert(arn.clone(), ManagedPolicy { arn, name, path, description, document, tags });
        }
    }
    declared
}

fn keep<T>(problems: &mut Vec<Problem>, result: Result<T, Problem>) -> Option<T> {
    result.map_err(|p| problems.push(p)).ok()
}

/// Some names are spoken for: by Rolebridge itself, and by AWS's console for revoking sessions, which no declaration may undo.
fn policy_name(field: &str, name: &str) -> Result<PolicyName, Problem> {
    let name: PolicyName = parse(&format!("{field}.name"), name)?;
    if is_reserved(name.as_str()) {
        return Err(Problem::new(Reason::InvalidSpec, format!("{field}.name: {name} is reserved; choose another name")));
    }
    Ok(name)
}

fn is_reserved(name: &str) -> bool {
    assume::is_assume_policy(name) || [EXTERNAL_ROLES_POLICY, CUT_OFF_POLICY, REVOKE_SESSIONS_POLICY].iter().any(|reserved| same_name(reserved, name))
}

fn attached(problems: &mut Vec<Problem>, policy: &str, at: &ResolvedAccount) -> Option<Arn> {
    let arn = if policy.starts_with("arn:") {
        parse(ATTACHED, policy)
    } else {
        Arn::aws_managed_policy(&at.partition, policy).map_err(|e| Problem::new(Reason::InvalidSpec, format!("{ATTACHED}: {e}")))
    };
    let arn = keep(problems, arn)?;
    let of_a_service = is_of_a_service(&arn).then(|| {
        let message = format!("{ATTACHED}: {arn} is for a service of AWS, which attaches it to its own service roles; take it out");
        Problem::new(Reason::PolicyNotAttachable, message)
    });
    let wrong = of_a_service.or_else(|| check_place(ATTACHED, &arn, at, Use::Attached));
    let wrong: Vec<Problem> = wrong.into_iter().chain(Guard::of(at).policy(ATTACHED, &arn)).collect();
    if wrong.is_empty() {
        return Some(arn);
    }
    problems.extend(wrong);
    None
}

/// Whether a policy is one of those that AWS keeps for service-linked roles, all of which lie in a path of their own (IAM user guide, "Create a
/// service-linked role").
fn is_of_a_service(policy: &Arn) -> bool {
    policy.is_of_aws() && policy.iam_entity().is_some_and(|entity| entity.path.starts_with("/aws-service-role/"))
}

/// Whether all that an action sends to AWS stands in the resource itself, or is made by Rolebridge. A document that does not may come from a ConfigMap, now or
/// before, which those who read the resource may not be able to read.
pub fn is_stated(permissions: Option<&Permissions>, action: &Action) -> bool {
    let Some((name, sent)) = action.permissions() else { return true };
    let inline = permissions.into_iter().flat_map(|permissions| &permissions.inline_policies).filter_map(InlinePolicy::source);
    let managed = permissions.into_iter().flat_map(|permissions| &permissions.customer_managed_policies).filter_map(CustomerManagedPolicy::source);
    let no_config_maps = ConfigTexts::new();
    is_reserved(name) || inline.chain(managed).any(|source| read(source, &no_config_maps).is_ok_and(|stated| stated == *sent))
}

/// Why there is no document where it is written.
enum Unread {
    /// There is no text: why, and what to do.
    Missing(Reason, String),
    /// It is none.
    Invalid(Vec<DocumentProblem>),
}

fn read(source: DocumentSource<'_>, texts: &ConfigTexts) -> Result<Document, Unread> {
    let read = match source {
        DocumentSource::Document(value) => value.text().map_or_else(|bytes| Err(vec![DocumentProblem::too_large(bytes)]), Document::from_structure),
        DocumentSource::Json(text) => Document::parse(text),
        DocumentSource::ConfigMap(reference) => match texts.get(&(reference.name.clone(), reference.key.clone())) {
            Some(Some(ConfigText::Text(text))) => Document::parse(text),
            Some(Some(ConfigText::TooLarge(bytes))) => Err(vec![DocumentProblem::too_large(*bytes)]),
            Some(Some(ConfigText::Hashed)) => return Err(hashed(reference)),
            Some(Some(ConfigText::Absent)) => return Err(absent(reference)),
            Some(Some(ConfigText::Binary)) => return Err(binary(reference)),
            Some(None) | None => return Err(no_config_map(reference)),
        },
    };
    read.map_err(Unread::Invalid)
}

fn no_config_map(ConfigMapKeyReference { name, key }: &ConfigMapKeyReference) -> Unread {
    Unread::Missing(Reason::ConfigMapNotFound, format!("there is no ConfigMap {name} with the key {key} in this namespace; create it"))
}

/// The hash is not told: it follows from what the ConfigMap says.
fn hashed(ConfigMapKeyReference { name, .. }: &ConfigMapKeyReference) -> Unread {
    let message = format!(
        "there is no ConfigMap {name} in this namespace, but one of that name with a hash: kustomize puts such names into resources of Rolebridge by a nameReference, \
         which examples/hashed-config-map has; or set disableNameSuffixHash: true"
    );
    Unread::Missing(Reason::ConfigMapNotFound, message)
}

/// Which keys it has instead is not told: who may read the resource may not be able to read the ConfigMap.
fn absent(ConfigMapKeyReference { name, key }: &ConfigMapKeyReference) -> Unread {
    let message =
        format!("ConfigMap {name} is there and has no key {key}; name one that it has, which kubectl describe configmap {name} lists, or add it");
    Unread::Missing(Reason::ConfigMapNotFound, message)
}

fn binary(ConfigMapKeyReference { name, key }: &ConfigMapKeyReference) -> Unread {
    let message = format!(
        "ConfigMap {name} has the key {key} in binaryData, where kubectl and kustomize put a file that is not UTF-8; save the file as UTF-8 and make the \
         ConfigMap again"
    );
    Unread::Missing(Reason::InvalidDocument, message)
}

fn document(
    problems: &mut Vec<Problem>,
    field: &str,
    source: Option<DocumentSource<'_>>,
    (texts, at): (&ConfigTexts, &ResolvedAccount),
) -> Option<Document> {
    let Some(source) = source else {
        problems.push(Problem::new(Reason::InvalidSpec, format!("{field}: set exactly one of document, json and configMapKeyRef")));
        return None;
    };
    let kind = match source {
        DocumentSource::Document(_) | DocumentSource::Json(_) => PolicyDocumentSource::Spec,
        DocumentSource::ConfigMap(_) => PolicyDocumentSource::ConfigMap,
    };
    if let Some(problem) = Guard::of(at).document_source(field, kind) {
        problems.push(problem);
        return None;
    }
    let place = match source {
        DocumentSource::Document(_) => format!("{field}.document"),
        DocumentSource::Json(_) => format!("{field}.json"),
        DocumentSource::ConfigMap(reference) => format!("{field}: ConfigMap {} key {}", reference.name, reference.key),
    };
    let found = match read(source, texts) {
        Ok(document) => {
            let mut wrong = document.lint(DocumentKind::Permissions);
            if matches!(source, DocumentSource::Document(_)) {
                wrong.extend(document.changed_by_yaml());
            }
            wrong.extend(document.elsewhere(&at.partition));
            match (wrong.is_empty(), misleading(&document)) {
                (true, None) => return Some(document),
                (true, Some(message)) => {
                    problems.push(Problem::new(Reason::InvalidDocument, format!("{place}{message}")));
                    return None;
                }
                (false, _) => wrong,
            }
        }
        Err(Unread::Invalid(wrong)) => wrong,
        Err(Unread::Missing(reason, message)) => {
            problems.push(Problem::new(reason, format!("{field}: {message}. What is in AWS stays as it is.")));
            return None;
        }
    };
    // Who may write the resource may not be able to read the ConfigMap.
    let told = |problem: &DocumentProblem| match source {
        DocumentSource::ConfigMap(_) => problem.without_quotes(),
        DocumentSource::Document(_) | DocumentSource::Json(_) => problem.to_string(),
    };
    problems.extend(found.iter().map(|problem| Problem::new(Reason::InvalidDocument, format!("{place}: {}", told(problem)))));
    None
}

/// Why a sound document is not taken all the same.
fn misleading(document: &Document) -> Option<&'static str> {
    match assuming(document) {
        Some(Assuming::ByHand) => {
            return Some(
                " allows sts:AssumeRole: who may assume which role is told in the spec.trust of that role, and for roles that are not Rolebridge's in \
                 spec.permissions.externalRoles, not in a policy",
            );
        }
        Some(Assuming::ByServices) => {
            return Some(
                " allows sts:AssumeRole through services of AWS. Nobody can use that by hand, but some services show the credentials, also behind CloudFormation: leave it \
                 out, by NotAction: \"sts:Assume*\" in place of Action: \"*\", or let it count where CloudFormation itself makes the call, by StringEquals on \
                 aws:CalledViaLast",
            );
        }
        None => {}
    }
    // IAM takes no older one in a customer-managed policy, and there a variable in an inline policy would stand for itself (IAM user guide, "Version").
    let is_current = document.version() == Some(VERSION_2012);
    (!is_current).then_some(": Version: write \"2012-10-17\". Older documents, and those without one, take `${...}` for plain text, and managed policies cannot have them")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::{ASSUME_POLICY, IdentityName};

    #[test]
    fn what_a_resource_states_is_told_from_what_a_config_map_has() {
        let text = |action: &str| json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}});
        let permissions = json!({
            "inlinePolicies": [
                {"name": "structured", "document": text("s3:*")},
                {"name": "mapped", "configMapKeyRef": {"name": "policies", "key": "p.json"}},
            ],
            "customerManagedPolicies": [{"name": "written", "json": text("ec2:*").to_string()}],
        });
        let permissions: Permissions = serde_json::from_value(permissions).unwrap();
        let document = |action: &str| Document::from_value(text(action)).unwrap();
        let put = |name: &str, action: &str| {
            Action::PutInlinePolicy(IdentityName::Role("reader".parse().unwrap()), name.parse().unwrap(), document(action))
        };
        let version = |action: &str| Action::CreatePolicyVersion("arn:aws:iam::111111111111:policy/a/written".parse().unwrap(), document(action));
        for stated in [
            put("structured", "s3:*"),
            version("ec2:*"),
            put(ASSUME_POLICY, "sts:AssumeRole"),
            put(EXTERNAL_ROLES_POLICY, "sts:AssumeRole"),
            put(CUT_OFF_POLICY, "iam:*"),
        ] {
            assert!(is_stated(Some(&permissions), &stated), "{stated:?}");
        }
        // What is written on the way from one document to another may have something of a ConfigMap that was named before.
        for other in [put("mapped", "iam:*"), put("structured", "iam:*"), version("iam:*")] {
            assert!(!is_stated(Some(&permissions), &other), "{other:?}");
        }
        assert!(!is_stated(None, &put("structured", "s3:*")));
    }
}
