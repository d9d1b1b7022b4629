//! Where the operator lives, and where it is led through, nobody has permissions without a forced boundary.

use serde_json::{Value, json};

use super::lab::Lab;
use crate::api::Reason;
use crate::core::document::Document;
use crate::core::failure::Failure;
use crate::core::identity::ManagedPolicy;
use crate::core::names::{Arn, Path};
use crate::core::observed::ObservedPolicy;
use crate::core::world::{ObjectKey, Ref};

const UTILS: &str = "111111111111";
const BOUNDARY: &str = "arn:aws:iam::111111111111:policy/limits";

fn account(name: &str, id: &str, access: &Value, guardrails: &Value) -> Value {
    json!({"kind": "AWSAccount", "metadata": {"name": name}, "spec": {
        "accountID": id, "access": access, "allowedNamespaces": {"from": "All"}, "guardrails": guardrails,
    }})
}

/// The account `utils`, which forces this boundary if any.
fn utils(boundary: Option<&str>) -> Value {
    let guardrails = boundary.map_or(json!({}), |boundary| json!({"permissionsBoundaryARN": boundary}));
    account("utils", UTILS, &json!({"ambient": {}}), &guardrails)
}

/// A role that is somebody's way to become administrator of `utils`.
fn admin() -> Value {
    json!({"kind": "CrossAccountRole", "metadata": {"name": "admin"}, "spec": {"accountRef": {"name": "utils"},
        "trust": [{"from": [{"service": "lambda.amazonaws.com"}]}], "permissions": {"attachedPolicies": ["AdministratorAccess"]}}})
}

fn harmless() -> Value {
    json!({"kind": "BastionUser", "metadata": {"name": "alice"}, "spec": {"accountRef": {"name": "utils"}}})
}

fn lives_in(lab: &Lab, account: &str) {
    *lab.aws.own.lock() = Ok(format!("arn:aws:sts::{account}:assumed-role/operator/pod").parse().unwrap());
}

/// Lets an administrator make a policy.
fn policy(lab: &Lab, arn: &str, actions: &Value) {
    let arn: Arn = arn.parse().unwrap();
    let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}});
    let name = arn.resource().trim_start_matches("policy/").parse().unwrap();
    let policy = ManagedPolicy {
        arn: arn.clone(),
        name,
        path: Path::root(),
        description: String::new(),
        document: Document::from_value(document).unwrap(),
        tags: Default::default(),
    };
    let id = "ANPAEXAMPLEEXAMPLE00".parse().unwrap();
    lab.aws.policies.lock().insert(arn, ObservedPolicy { id, policy, default_version: "v1".into(), other_versions: vec![] });
}

fn told(lab: &Lab) -> (String, String) {
    lab.ready("CrossAccountRole", "admin")
}

fn is_made(lab: &Lab) -> bool {
    lab.aws.get(UTILS, "role admin").is_some()
}

fn used_by(lab: &Lab, account: &str) -> Value {
    lab.get("AWSAccount", account)["status"]["usedBy"].clone()
}

/// Before the next pass over the accounts may ask again who the operator is.
async fn pass_over_accounts(lab: &Lab) {
    tokio::time::advance(std::time::Duration::from_secs(3600)).await;
    for name in ["utils", "prod"] {
        lab.pass(&Ref::Account(ObjectKey::new("", name))).await;
    }
    lab.settle().await;
}

#[tokio::test(start_paused = true)]
async fn where_the_operator_lives_powers_are_refused_before_anything_is_made() {
    let lab = Lab::before_its_first_pass(|lab| lives_in(lab, UTILS)).await;
    lab.apply(admin());
    lab.apply(harmless());
    lab.settle().await;
    let (reason, message) = told(&lab);
    assert_eq!(reason, "BoundaryRequired", "{message}");
    assert!(message.contains("utils") && !message.contains("operator"), "{message}");
    assert!(!is_made(&lab));
    assert_eq!(lab.ready("BastionUser", "alice").0, "Ready", "what has no powers is none of this");
    assert_eq!(used_by(&lab, "utils"), json!(["Operator"]));
    let (reason, message) = lab.ready("AWSAccount", "utils");
    assert!(reason == "Ready" && message.contains("assumed-role/operator/pod"), "{message}");
    assert!(used_by(&lab, "prod").is_null() && !lab.ready("AWSAccount", "prod").1.contains("boundary"));
    assert_eq!(*lab.aws.asked_own.lock(), 1, "STS is asked once for all");
}

#[tokio::test(start_paused = true)]
async fn while_nobody_can_tell_who_the_operator_is_powers_wait_and_what_is_there_stays() {
    let lab = Lab::before_its_first_pass(|lab| {
        *lab.aws.own.lock() = Err(Failure::refused(Reason::AWSUnavailable, "sts:GetCallerIdentity: Throttling"));
    })
    .await;
    lab.apply(admin());
    lab.apply(harmless());
    lab.run(5).await;
    let (reason, message) = told(&lab);
    assert!(reason == "AccountNotReady" && message.contains("who it is itself"), "{reason} {message}");
    assert!(!is_made(&lab));
    assert_eq!(lab.ready("BastionUser", "alice").0, "Ready");
    lab.pass(&Ref::Account(ObjectKey::new("", "prod"))).await;
    let (reason, message) = lab.ready("AWSAccount", "prod");
    assert!(reason == "AWSUnavailable" && message.contains("Throttling"), "{reason} {message}");
    assert_eq!(*lab.aws.asked_own.lock(), 1, "not once for each pass");

    lives_in(&lab, "999999999999");
    pass_over_accounts(&lab).await;
    assert_eq!(told(&lab).0, "Ready", "it is woken once that is known");

    // What is there stays while it is not known, and so do its permissions.
    *lab.aws.own.lock() = Err(Failure::refused(Reason::AWSUnavailable, "sts:GetCallerIdentity: Throttling"));
    pass_over_accounts(&lab).await;
    lab.run(5).await;
    assert_eq!(told(&lab).0, "AccountNotReady");
    assert_eq!(lab.aws.get(UTILS, "role admin").unwrap().identity.attached_policies.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_account_is_a_hub_for_as_long_as_another_is_reached_through_it() {
    let lab = Lab::new().await;
    lab.apply(admin());
    lab.settle().await;
    assert_eq!(told(&lab).0, "Ready");
    let through = json!({"assumeRole": {"roleARN": "arn:aws:iam::333333333333:role/rolebridge", "via": {"name": "utils"}}});
    lab.apply(account("stage", "333333333333", &through, &json!({})));
    lab.settle().await;
    assert_eq!(told(&lab).0, "BoundaryRequired");
    assert!(is_made(&lab), "what is there stays");
    assert_eq!(used_by(&lab, "utils"), json!(["AWSAccount/stage"]));
    assert!(lab.ready("AWSAccount", "utils").1.contains("through this account into 1 more"));
    // Nothing is added to what is there.
    let mut more = admin();
    more["spec"]["permissions"]["attachedPolicies"] = json!(["AdministratorAccess", "ReadOnlyAccess"]);
    lab.aws.take_done();
    lab.apply(more);
    lab.settle().await;
    assert!(lab.aws.take_done().is_empty());

    lab.apply(account("stage", "333333333333", &json!({"ambient": {}}), &json!({})));
    lab.settle().await;
    assert_eq!(told(&lab).0, "Ready");
    assert!(used_by(&lab, "utils").is_null());
    lab.apply(account("stage", "333333333333", &through, &json!({})));
    lab.settle().await;
    assert_eq!(told(&lab).0, "BoundaryRequired");
    lab.delete("AWSAccount", "stage");
    lab.settle().await;
    assert!(lab.get("AWSAccount", "stage").is_null());
    assert_eq!(told(&lab).0, "Ready", "the account that was behind it is gone");
}

#[tokio::test(start_paused = true)]
async fn a_forced_boundary_counts_once_it_was_read_and_limits_iam() {
    let lab = Lab::before_its_first_pass(|lab| lives_in(lab, UTILS)).await;
    policy(&lab, BOUNDARY, &json!("*"));
    lab.apply(admin());
    lab.apply(utils(Some(BOUNDARY)));
    lab.settle().await;
    assert_eq!(told(&lab).0, "BoundaryRequired");
    let message = lab.ready("AWSAccount", "utils").1;
    assert!(message.contains(BOUNDARY) && message.contains("allows iam:") && message.contains("does not count"), "{message}");

    // Another one is read at once, and not only with the next sweep.
    let sound = "arn:aws:iam::111111111111:policy/sound";
    policy(&lab, sound, &json!("s3:*"));
    lab.apply(utils(Some(sound)));
    lab.settle().await;
    assert_ne!(told(&lab).0, "BoundaryRequired");
    assert!(is_made(&lab));
    lab.apply(utils(Some("arn:aws:iam::111111111111:policy/none")));
    lab.settle().await;
    assert_eq!(told(&lab).0, "BoundaryRequired");
    assert!(lab.ready("AWSAccount", "utils").1.contains("there is no policy"));

    // What becomes of the policy is seen with a sweep.
    policy(&lab, "arn:aws:iam::111111111111:policy/none", &json!("s3:*"));
    pass_over_accounts(&lab).await;
    assert_ne!(told(&lab).0, "BoundaryRequired");
    policy(&lab, "arn:aws:iam::111111111111:policy/none", &json!("iam:CreateUser"));
    pass_over_accounts(&lab).await;
    assert_eq!(told(&lab).0, "BoundaryRequired");
}

#[tokio::test(start_paused = true)]
async fn a_boundary_that_may_be_escaped_by_a_new_management_role_counts_no_more() {
    let lab = Lab::before_its_first_pass(|lab| lives_in(lab, UTILS)).await;
    policy(&lab, BOUNDARY, &json!(["s3:*"]));
    lab.aws.policies.lock().values_mut().for_each(|found| {
        let statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::333333333333:role/teams/*"});
        found.policy.document = Document::from_value(json!({"Version": "2012-10-17", "Statement": statement})).unwrap();
    });
    lab.apply(utils(Some(BOUNDARY)));
    lab.apply(admin());
    lab.settle().await;
    assert_ne!(told(&lab).0, "BoundaryRequired");
    let by_role = |role: &str| json!({"assumeRole": {"roleARN": format!("arn:aws:iam::333333333333:role/{role}")}});
    lab.apply(account("stage", "333333333333", &by_role("rolebridge"), &json!({})));
    lab.settle().await;
    assert_ne!(told(&lab).0, "BoundaryRequired");
    lab.apply(account("stage", "333333333333", &by_role("teams/rolebridge"), &json!({})));
    lab.settle().await;
    assert_eq!(told(&lab).0, "BoundaryRequired");
    let message = lab.ready("AWSAccount", "utils").1;
    assert!(message.contains("sts:AssumeRole on arn:aws:iam::333333333333:role/teams/rolebridge"), "{message}");
}
