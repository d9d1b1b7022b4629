//! Guardrails that change under what is there, policies of other resources, and boundaries that an account puts on.

use serde_json::{Value, json};

use super::lab::{Lab, trusting};
use crate::api::{ANNOUNCED, Reason};
use crate::core::action::Action;
use crate::core::canonical::same;
use crate::core::identity::CUT_OFF_POLICY;

const UTILS: &str = "111111111111";
const PROD: &str = "222222222222";
const ALICE: &str = "arn:aws:iam::111111111111:user/alice";
const BOUNDARY: &str = "arn:aws:iam::222222222222:policy/boundary";

fn account(name: &str, id: &str, guardrails: &Value) -> Value {
    json!({"kind": "AWSAccount", "metadata": {"name": name}, "spec": {
        "accountID": id, "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"}, "guardrails": guardrails,
        "limits": {"requestsPerSecond": 100, "burst": 1000, "concurrency": 64},
    }})
}

fn alice(tags: &Value) -> Value {
    json!({"kind": "BastionUser", "metadata": {"name": "alice"}, "spec": {"accountRef": {"name": "utils"}, "tags": tags}})
}

fn reader(description: &str, permissions: &Value) -> Value {
    json!({"kind": "CrossAccountRole", "metadata": {"name": "reader"}, "spec": {
        "accountRef": {"name": "prod"}, "description": description, "trust": [{"from": [{"user": {"name": "alice"}}]}], "permissions": permissions,
    }})
}

/// Alice may assume the role reader.
async fn granted() -> Lab {
    let lab = Lab::new().await;
    lab.apply(alice(&json!({"team": "data"})));
    lab.apply(reader("", &json!({"attachedPolicies": ["ReadOnlyAccess"]})));
    lab.run(130).await;
    assert_eq!(states(&lab), ["Ready", "Ready"]);
    assert!(lets_in(&lab, ALICE));
    lab.aws.take_done();
    lab
}

fn states(lab: &Lab) -> [String; 2] {
    [lab.ready("BastionUser", "alice").0, lab.ready("CrossAccountRole", "reader").0]
}

fn lets_in(lab: &Lab, principal: &str) -> bool {
    lab.aws
        .get(PROD, "role reader")
        .is_some_and(|found| found.identity.role.is_some_and(|role| same(&role.trust_policy, &trusting(&[principal.to_owned()]))))
}

fn is_cut_off(lab: &Lab) -> bool {
    let alice = lab.aws.get(UTILS, "user alice").unwrap();
    alice.identity.inline_policies.keys().any(|name| name.as_str() == CUT_OFF_POLICY)
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_tightened_freezes_what_is_there_and_one_that_is_lifted_lets_it_go_on() {
    let lab = granted().await;
    lab.apply(account("prod", PROD, &json!({"allowedPolicies": []})));
    lab.apply(reader("changed", &json!({"attachedPolicies": ["ReadOnlyAccess", "AdministratorAccess"]})));
    lab.settle().await;
    assert_eq!(states(&lab)[1], "GuardrailViolated");
    assert_eq!(lab.aws.take_done(), [] as [&str; 0], "nothing is widened, and nothing else is changed");
    assert!(lets_in(&lab, ALICE), "what stands stays");
    // Withdrawal goes on.
    lab.delete("BastionUser", "alice");
    lab.run(130).await;
    assert!(!lets_in(&lab, ALICE) && lab.aws.get(UTILS, "user alice").is_none());
    lab.aws.take_done();
    lab.apply(account("prod", PROD, &json!({})));
    lab.settle().await;
    let done = lab.aws.take_done();
    assert!(done.iter().any(|done| done.contains("AdministratorAccess")), "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn what_breaks_a_rule_is_cut_off_where_its_account_wants_that_and_comes_back_when_it_is_lifted() {
    let lab = granted().await;
    lab.apply(account("utils", UTILS, &json!({"allowedTagKeys": [], "onViolation": "Disable"})));
    lab.settle().await;
    assert!(is_cut_off(&lab) && states(&lab)[0] == "GuardrailViolated");
    lab.run(30).await;
    let (reason, message) = lab.ready("CrossAccountRole", "reader");
    assert!(reason == "SourceNotReady" && message.contains("is cut off"), "{reason} {message}");
    lab.apply(account("prod", PROD, &json!({"allowedPolicies": [], "onViolation": "Disable"})));
    lab.settle().await;
    assert!(!lets_in(&lab, ALICE) && states(&lab)[1] == "GuardrailViolated");
    let grant = &lab.get("CrossAccountRole", "reader")["status"]["grants"][0];
    assert_eq!(grant["state"], "Refused", "{grant}");
    lab.apply(account("utils", UTILS, &json!({"onViolation": "Disable"})));
    lab.apply(account("prod", PROD, &json!({"onViolation": "Disable"})));
    lab.run(5).await;
    assert!(!is_cut_off(&lab) && lets_in(&lab, ALICE));
    assert_eq!(states(&lab), ["Ready", "Ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_not_allowed_any_more_is_cut_off_where_the_account_wants_that() {
    let lab = granted().await;
    let mut closed = account("prod", PROD, &json!({"onViolation": "Disable"}));
    closed["spec"]["allowedNamespaces"] = json!({"from": "Names", "names": ["other"]});
    lab.apply(closed);
    lab.settle().await;
    assert_eq!(states(&lab)[1], "NamespaceNotAllowed");
    assert!(!lets_in(&lab, ALICE));
    lab.apply(account("prod", PROD, &json!({"onViolation": "Disable"})));
    lab.run(5).await;
    assert!(lets_in(&lab, ALICE));
}

#[tokio::test(start_paused = true)]
async fn the_boundary_of_an_account_comes_on_at_once_stays_when_it_is_let_go_and_goes_by_hand() {
    let lab = granted().await;
    let boundary = |lab: &Lab| lab.aws.get(PROD, "role reader").unwrap().identity.permissions_boundary.map(|arn| arn.to_string());
    // Another rule is broken at the same time: a boundary narrows all the same.
    lab.apply(account("prod", PROD, &json!({"permissionsBoundaryARN": BOUNDARY, "allowedPolicies": []})));
    lab.run(1).await;
    assert_eq!((states(&lab)[1].as_str(), boundary(&lab).as_deref()), ("GuardrailViolated", Some(BOUNDARY)));
    lab.apply(account("prod", PROD, &json!({"permissionsBoundaryARN": BOUNDARY})));
    lab.run(1).await;
    assert_eq!(lab.get("CrossAccountRole", "reader")["status"]["permissionsBoundaryARN"], BOUNDARY);
    lab.apply(account("prod", PROD, &json!({})));
    lab.run(1).await;
    assert_eq!((states(&lab)[1].as_str(), boundary(&lab).as_deref()), ("Ready", Some(BOUNDARY)));
    lab.aws.change(PROD, "role reader", |found| found.identity.permissions_boundary = None);
    lab.run(2000).await;
    assert_eq!((states(&lab)[1].as_str(), boundary(&lab)), ("Ready", None));
    assert!(lab.get("CrossAccountRole", "reader")["status"]["permissionsBoundaryARN"].is_null());
}

#[tokio::test(start_paused = true)]
async fn the_boundary_of_an_account_is_told_before_it_comes_on() {
    let lab = granted().await;
    lab.aws.refuse(|action| matches!(action, Action::PutPermissionsBoundary(..)), Reason::AWSUnavailable, "no reply");
    lab.apply(account("prod", PROD, &json!({"permissionsBoundaryARN": BOUNDARY})));
    lab.run(130).await;
    let told = |lab: &Lab| lab.get("CrossAccountRole", "reader")["status"]["permissionsBoundaryARN"].clone();
    assert_eq!(told(&lab), BOUNDARY, "while it is about to come");
    // It came on all the same, and the process that asked for it is gone.
    lab.aws.change(PROD, "role reader", |found| found.identity.permissions_boundary = Some(BOUNDARY.parse().unwrap()));
    lab.apply(account("prod", PROD, &json!({})));
    lab.run(2000).await;
    let there = lab.aws.get(PROD, "role reader").unwrap().identity.permissions_boundary;
    assert_eq!((states(&lab)[1].as_str(), there.unwrap().as_str()), ("Ready", BOUNDARY));
    assert_eq!(told(&lab), BOUNDARY);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_under_the_boundary_of_its_account_announces_that() {
    let lab = Lab::new().await;
    let boundary = BOUNDARY.replace(PROD, UTILS);
    lab.apply(account("utils", UTILS, &json!({"permissionsBoundaryARN": boundary})));
    lab.apply(alice(&json!({})));
    lab.settle().await;
    let alice = lab.get("BastionUser", "alice");
    assert_eq!(alice["metadata"]["annotations"][ANNOUNCED], boundary);
    assert_eq!(alice["status"]["permissionsBoundaryARN"], boundary);
}

#[tokio::test(start_paused = true)]
async fn what_is_withdrawn_does_not_wait_for_a_boundary_that_does_not_exist() {
    let lab = granted().await;
    let is_boundary = |action: &Action| matches!(action, Action::PutPermissionsBoundary(..));
    lab.aws.refuse(is_boundary, Reason::PolicyNotFound, "no such policy");
    lab.apply(account("prod", PROD, &json!({"permissionsBoundaryARN": BOUNDARY, "allowedPolicies": []})));
    lab.settle().await;
    lab.delete("BastionUser", "alice");
    lab.run(130).await;
    assert!(!lets_in(&lab, ALICE) && lab.aws.get(UTILS, "user alice").is_none());
}

#[tokio::test(start_paused = true)]
async fn who_breaks_a_rule_is_cut_off_though_the_boundary_of_its_account_does_not_exist() {
    let lab = granted().await;
    let is_boundary = |action: &Action| matches!(action, Action::PutPermissionsBoundary(..));
    lab.aws.refuse(is_boundary, Reason::PolicyNotFound, "no such policy");
    lab.apply(account(
        "utils",
        UTILS,
        &json!({"permissionsBoundaryARN": "arn:aws:iam::111111111111:policy/boundary", "allowedTagKeys": [], "onViolation": "Disable"}),
    ));
    lab.apply(account("prod", PROD, &json!({"permissionsBoundaryARN": BOUNDARY, "allowedPolicies": [], "onViolation": "Disable"})));
    lab.settle().await;
    assert!(is_cut_off(&lab), "{:?}", lab.ready("BastionUser", "alice"));
    assert!(!lets_in(&lab, ALICE), "{:?}", lab.ready("CrossAccountRole", "reader"));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_bears_the_tags_of_another_resource_does_not_come_on() {
    let lab = granted().await;
    let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}).to_string();
    lab.apply(json!({"kind": "CrossAccountRole", "metadata": {"name": "owner"}, "spec": {
        "accountRef": {"name": "prod"}, "trust": [{"from": [{"service": "lambda.amazonaws.com"}]}],
        "permissions": {"customerManagedPolicies": [{"name": "powers", "json": document}]},
    }}));
    lab.settle().await;
    assert_eq!(lab.ready("CrossAccountRole", "owner").0, "Ready");
    let powers = json!({"attachedPolicies": ["ReadOnlyAccess", "arn:aws:iam::222222222222:policy/powers"]});
    let is_attached =
        |lab: &Lab| lab.aws.get(PROD, "role reader").unwrap().identity.attached_policies.iter().any(|arn| arn.as_str().ends_with("/powers"));
    lab.aws.take_done();
    lab.apply(reader("", &powers));
    lab.settle().await;
    let (reason, message) = lab.ready("CrossAccountRole", "reader");
    assert!(reason == "PolicyNotAttachable" && !message.contains("owner"), "{reason} {message}");
    // Nobody declares it any more, and it is still there, as what an earlier installation has left.
    lab.apply(reader("", &json!({"attachedPolicies": ["ReadOnlyAccess"]})));
    let left = lab.aws.policies.lock().clone();
    lab.delete("CrossAccountRole", "owner");
    lab.run(130).await;
    assert!(lab.get("CrossAccountRole", "owner").is_null());
    lab.aws.policies.lock().extend(left);
    lab.apply(reader("again", &powers));
    lab.settle().await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "PolicyNotAttachable");
    assert!(!is_attached(&lab));
    lab.aws.policies.lock().values_mut().for_each(|policy| policy.policy.tags.clear());
    lab.apply(reader("once more", &powers));
    lab.settle().await;
    assert!(is_attached(&lab), "who makes a policy outside may have it attached: {:?}", lab.ready("CrossAccountRole", "reader"));
}

#[tokio::test(start_paused = true)]
async fn who_attaches_a_policy_is_woken_when_another_resource_comes_to_have_it_and_when_that_goes() {
    let lab = granted().await;
    let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}).to_string();
    lab.aws.refuse(
        |action| matches!(action, Action::AttachPolicy(_, arn) if arn.as_str().ends_with("/Powers")),
        Reason::PolicyNotFound,
        "no such policy",
    );
    lab.apply(reader("", &json!({"attachedPolicies": ["arn:aws:iam::222222222222:policy/Powers"]})));
    lab.settle().await;
    assert_eq!(states(&lab)[1], "PolicyNotFound");
    let owner = |name: &str| {
        json!({"kind": "BastionUser", "metadata": {"name": "owner"}, "spec": {
            "accountRef": {"name": "prod"}, "permissions": {"customerManagedPolicies": [{"name": name, "json": document}]},
        }})
    };
    lab.apply(owner("powers"));
    lab.settle().await;
    assert_eq!(states(&lab)[1], "PolicyNotAttachable");
    lab.apply(owner("other"));
    lab.settle().await;
    assert_eq!(states(&lab)[1], "PolicyNotFound", "it is tried again at once");
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_a_group_is_not_cut_off_for_roles() {
    let lab = Lab::new().await;
    lab.apply(account("utils", UTILS, &json!({"onViolation": "Disable"})));
    let mut member = alice(&json!({}));
    member["spec"]["groups"] = json!(["admins"]);
    lab.apply(member);
    lab.run(5).await;
    assert_eq!(lab.ready("BastionUser", "alice").0, "GroupNotAllowed");
    lab.apply(reader("", &json!({})));
    lab.run(130).await;
    assert!(lets_in(&lab, ALICE), "{:?}", lab.ready("CrossAccountRole", "reader"));
    assert_eq!(states(&lab), ["GroupNotAllowed", "Ready"]);
}

#[tokio::test(start_paused = true)]
async fn who_breaks_a_rule_comes_into_no_further_role_of_its_account() {
    let lab = granted().await;
    lab.apply(account("utils", UTILS, &json!({"allowedTagKeys": []})));
    lab.settle().await;
    lab.apply(json!({"kind": "CrossAccountRole", "metadata": {"name": "local"}, "spec": {
        "accountRef": {"name": "utils"}, "trust": [{"from": [{"user": {"name": "alice"}}, {"service": "lambda.amazonaws.com"}]}],
    }}));
    lab.run(130).await;
    // Within one account a trust policy that names a user is enough.
    let trust = lab.aws.get(UTILS, "role local").unwrap().identity.role.unwrap().trust_policy;
    assert!(!trust.to_string().contains("alice"), "{trust}");
    assert!(lets_in(&lab, ALICE) && states(&lab) == ["GuardrailViolated", "Ready"], "what stands stays as it is");
    lab.apply(account("utils", UTILS, &json!({})));
    lab.run(30).await;
    let trust = lab.aws.get(UTILS, "role local").unwrap().identity.role.unwrap().trust_policy;
    assert!(trust.to_string().contains("alice"), "{trust}");
}
