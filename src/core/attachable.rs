//! Which policies a user or role may attach, or have as its permissions boundary: none that is another resource's. It would give what that resource is to be
//! able to do, and keep its policy from being deleted. And none of another account or partition, which IAM takes nowhere.
//!
//! What the ARNs and the resources say is looked at first, which costs nothing. Where a policy comes on in AWS, its tags are read besides: they tell of what no resource
//! declares now.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Action;
use super::assume;
use super::guardrails::Guard;
use super::identity::{Identity, ManagedPolicy};
use super::names::{AccountID, Arn, same_name};
use super::observed::ObservedPolicy;
use super::outcome::Problem;
use super::ownership::{INSTALLATION, OWNER, Owner};
use super::placement::ResolvedAccount;
use super::source::{SourceObject, on_source};
use super::world::{Ref, World};
use rolebridge_api::Reason;
use rolebridge_api::permissions::Permissions;

/// The customer-managed policies that belong to a resource, by ARN.
type OwnPolicies = BTreeMap<Arn, ManagedPolicy>;

/// The field of the policies that a user or role attaches.
pub const ATTACHED: &str = "spec.permissions.attachedPolicies";
/// The field of the permissions boundary that a user or role declares.
pub const BOUNDARY: &str = "spec.permissionsBoundaryARN";

/// What a policy is to be to a user or role.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// One of those that it has attached.
    Attached,
    /// Its permissions boundary.
    Boundary,
}

/// What keeps a policy from users and roles of an account for ever, whatever is made in AWS: it is of another partition, or of another account. IAM takes the
/// policies of an account's own, and those of AWS in its partition (IAM user guide, "IAM ARNs" and "Managed policies and inline policies").
pub fn check_place(field: &str, arn: &Arn, at: &ResolvedAccount, to_be: Use) -> Option<Problem> {
    let (is_of_aws, is_of_account) = (arn.is_of_aws(), arn.account() == at.id.as_str());
    let is_in_partition = *arn.partition() == at.partition;
    if is_in_partition && (is_of_aws || is_of_account) {
        return None;
    }
    let wrong = if is_in_partition {
        let whose = Some(arn.account()).filter(|account| !account.is_empty()).unwrap_or("none");
        format!(
            "of the wrong account, {whose}: AWSAccount {} is {}, whose users and roles have policies of that account and of AWS only",
            at.name, at.id
        )
    } else {
        format!("of the wrong partition, {}: AWSAccount {} is in {}", arn.partition(), at.name, at.partition)
    };
    let right = format!("arn:{}:iam::{}:{}", at.partition, if is_of_aws { arn.account() } else { at.id.as_str() }, arn.resource());
    let name = arn.resource().strip_prefix("policy/").filter(|_| is_of_aws && to_be == Use::Attached);
    let advice = match (name, is_of_aws || is_of_account, to_be) {
        (Some(name), ..) => format!("write {right}, or {name} alone"),
        (None, true, _) => format!("write {right}"),
        (None, false, Use::Boundary) => format!("make that policy in account {}, and write {right}", at.id),
        (None, false, Use::Attached) => {
            format!("make that policy in account {}, and write {right}, or declare it under spec.permissions.customerManagedPolicies", at.id)
        }
    };
    Some(Problem::new(Reason::PolicyNotAttachable, format!("{field}: {arn} is {wrong}; {advice}")))
}

/// What is wrong with the permissions boundaries that an account puts on its users and roles.
pub fn check_boundaries(at: &ResolvedAccount) -> Vec<Problem> {
    let parsed = |(field, text): (&'static str, &str)| Some((field, text.parse::<Arn>().ok()?));
    let boundaries = Guard::of(at).boundaries().into_iter().filter_map(parsed);
    let wrong = boundaries.filter_map(|(field, arn)| check_place(&format!("spec.{field}"), &arn, at, Use::Boundary));
    wrong.map(|problem| Problem { reason: Reason::InvalidSpec, ..problem }).collect()
}

/// The customer-managed policies of an account that permissions attach, or that are declared as boundary, by name.
pub fn names_attached<'a>(permissions: Option<&'a Permissions>, boundary: Option<&'a str>) -> impl Iterator<Item = String> {
    let attached = permissions.into_iter().flat_map(|permissions| &permissions.attached_policies).map(String::as_str);
    attached.chain(boundary).filter_map(|policy| policy_name(&policy.parse().ok()?))
}

/// The name of a customer-managed policy as IAM tells names apart: without regard to case, and whatever its path.
fn policy_name(arn: &Arn) -> Option<String> {
    arn.account_id()?;
    arn.iam_entity().filter(|entity| entity.kind == "policy").map(|entity| entity.name.to_ascii_lowercase())
}

/// What keeps a user or role from having the policies that it is to attach, and its boundary, where these are other resources' by what those declare.
/// `own` are those of the resource itself.
pub fn check_attachable(
    world: &dyn World,
    at: &ResolvedAccount,
    of: &Ref,
    (attached, boundary): (&BTreeSet<Arn>, Option<&Arn>),
    own: &OwnPolicies,
) -> Vec<Problem> {
    let others = attached.iter().filter(|arn| !own.contains_key(*arn)).map(|arn| (ATTACHED, arn));
    let boundary = boundary.map(|arn| (BOUNDARY, arn));
    let is_assume_policy = |arn: &Arn| policy_name(arn).is_some_and(|name| assume::is_assume_policy(&name));
    let is_taken = |arn: &Arn| is_assume_policy(arn) || is_another_ones(world, at, of, arn);
    others.chain(boundary).filter(|(_, arn)| is_taken(arn)).map(|(field, arn)| taken(field, arn)).collect()
}

/// Whether another resource declares a policy and has it, as its status tells. One that merely declares it, or is in conflict in AWS, cannot keep others from a
/// policy of that name.
fn is_another_ones(world: &dyn World, at: &ResolvedAccount, of: &Ref, arn: &Arn) -> bool {
    let Some(name) = policy_name(arn).filter(|_| arn.account_id().as_ref() == Some(&at.id)) else { return false };
    let has_it = |object: SourceObject<'_>| {
        let is_told = object.reported_policies().iter().any(|policy| same_name(&policy.arn, arn.as_str()));
        is_told && object.ready().is_none_or(|ready| ready.reason != Reason::Conflict.as_str())
    };
    let declaring = world.declaring_policy(&at.name, &name);
    declaring.iter().filter(|other| *other != of).any(|other| on_source(world, other, has_it).unwrap_or(false))
}

fn taken(field: &str, arn: &Arn) -> Problem {
    let message = format!(
        "{field}: {arn} is the policy of another user or role: take it out. To share a policy, make it outside Rolebridge, or declare it here, too, under another name"
    );
    Problem::new(Reason::PolicyNotAttachable, message)
}

/// The customer-managed policies that actions put on an identity, and that are not the resource's own as it is declared. Their tags are to be read before.
pub fn coming_on<'a>(account: &AccountID, identity: &Identity, own: &OwnPolicies, actions: &'a [Action]) -> BTreeSet<&'a Arn> {
    let coming = actions.iter().filter_map(|action| match action {
        Action::AttachPolicy(_, arn) | Action::PutPermissionsBoundary(_, arn) => Some(arn),
        Action::CreateIdentity(identity) => identity.permissions_boundary.as_ref(),
        _ => None,
    });
    let is_own = |arn: &Arn| own.contains_key(arn) || assume::number(identity, arn).is_some();
    coming.filter(|arn| policy_name(arn).is_some() && arn.account_id().as_ref() == Some(account) && !is_own(arn)).collect()
}

/// Whether a policy that was read is somebody's, be it of another installation or of a resource that is gone.
pub fn is_marked(found: &ObservedPolicy) -> bool {
    found.policy.tags.keys().any(|key| [INSTALLATION, OWNER].iter().any(|mark| same_name(mark, key)))
}

/// What keeps a policy that was read from coming on: it bears owner tags, and not those of this resource.
pub fn check_tags(owner: &Owner, found: &ObservedPolicy) -> Option<Problem> {
    let is_own = || owner.check("", &found.policy.tags, &found.id, None).is_ok();
    (is_marked(found) && !is_own()).then(|| taken("spec.permissions", &found.policy.arn))
}

/// What forbids to declare a policy of this name: the account has it as the boundary of all, and who writes the one would limit nobody.
pub fn check_declared(at: &ResolvedAccount, field: &str, arn: &Arn) -> Option<Problem> {
    let is_boundary = Guard::of(at).forced_boundary().is_some_and(|boundary| policy_name(&boundary) == policy_name(arn));
    is_boundary.then(|| {
        let message = format!(
            "{field}: AWSAccount {} has a policy of this name as the boundary of all users and roles (guardrails.permissionsBoundaryARN): choose another name",
            at.name
        );
        Problem::new(Reason::GuardrailViolated, message)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn at(partition: &str, spec: Value) -> ResolvedAccount {
        let mut account = json!({
            "apiVersion": "rolebridge.io/v1alpha1", "kind": "AWSAccount", "metadata": {"name": "prod"},
            "spec": {"accountID": "222222222222", "partition": partition, "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"}},
        });
        account["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let account = Arc::new(serde_json::from_value(account).unwrap());
        ResolvedAccount { account, name: "prod".into(), id: "222222222222".parse().unwrap(), partition: partition.parse().unwrap() }
    }

    #[test]
    fn policies_are_of_the_account_or_of_aws_in_its_partition() {
        const PARTITIONS: [&str; 8] = ["aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"];
        for here in PARTITIONS {
            let at = at(here, json!({}));
            for there in PARTITIONS {
                for (account, is_ours) in [("aws", true), ("222222222222", true), ("111111111111", false)] {
                    let arn: Arn = format!("arn:{there}:iam::{account}:policy/path/p").parse().unwrap();
                    for to_be in [Use::Attached, Use::Boundary] {
                        let told = check_place("field", &arn, &at, to_be).map(|problem| problem.message);
                        let wrong = if here == there { "wrong account" } else { "wrong partition" };
                        let right = format!("arn:{here}:iam::{}:policy/path/p", if account == "aws" { "aws" } else { "222222222222" });
                        match told {
                            None => assert!(here == there && is_ours, "{arn} in {here}"),
                            Some(told) => {
                                assert!(here != there || !is_ours, "{told}");
                                assert!(told.starts_with(&format!("field: {arn} is of the {wrong}")) && told.contains(&right), "{told}");
                                assert_eq!(told.contains(", or path/p alone"), account == "aws" && to_be == Use::Attached, "{told}");
                                assert_eq!(told.contains("make that policy"), !is_ours, "{told}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn both_boundaries_that_an_account_puts_on_are_looked_at() {
        let boundary = |arn: &str| json!({"permissionsBoundaryARN": arn});
        let there = |partition: &str| boundary(&format!("arn:{partition}:iam::222222222222:policy/b"));
        let told = |at: &ResolvedAccount| check_boundaries(at).into_iter().map(|problem| (problem.reason, problem.message)).collect::<Vec<_>>();
        let wrong = told(&at("aws-cn", json!({"guardrails": there("aws"), "defaults": boundary("arn:aws-cn:iam::111111111111:policy/b")})));
        assert!(wrong.iter().all(|(reason, _)| *reason == Reason::InvalidSpec) && wrong.len() == 2, "{wrong:?}");
        assert!(wrong[0].1.starts_with("spec.guardrails.permissionsBoundaryARN: ") && wrong[0].1.contains("wrong partition"), "{wrong:?}");
        assert!(wrong[1].1.starts_with("spec.defaults.permissionsBoundaryARN: ") && wrong[1].1.contains("wrong account"), "{wrong:?}");
        assert_eq!(told(&at("aws-cn", json!({"guardrails": there("aws-cn"), "defaults": boundary("arn:aws-cn:iam::aws:policy/b")}))), []);
    }
}
