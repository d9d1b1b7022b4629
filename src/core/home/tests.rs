use serde_json::{Value, json};

use super::*;
use crate::access::tests::{Accounts, account};
use crate::document::Document;
use crate::placement::lookup_account;

const BOUNDARY: &str = "arn:aws:iam::111111111111:policy/limits";

/// `utils`, which leads to `prod`, where a boundary is forced with `forced`; and `apart`, to which nothing is behind. The operator is in `home`.
fn world(forced: bool, boundary: Boundary) -> Accounts {
    let mut all = [account("home", None), account("utils", None), account("prod", Some("utils")), account("apart", None)];
    if forced {
        for account in &mut all[..2] {
            account["spec"]["guardrails"] = json!({"permissionsBoundaryARN": BOUNDARY});
        }
    }
    let home = all[0]["spec"]["accountID"].as_str().unwrap();
    let operator = Operator::Is(format!("arn:aws:sts::{home}:assumed-role/operator/pod").parse().unwrap());
    Accounts { operator, boundary, ..Accounts::of(&all) }
}

fn check(world: &Accounts, name: &str, permissions: &Value, groups: &[String]) -> Result<(), (Reason, String)> {
    let permissions: Permissions = serde_json::from_value(permissions.clone()).unwrap();
    let at = lookup_account(world, name).unwrap();
    check_powers(world, &at, Some(&permissions), Some(groups)).map_err(|problem| (problem.reason, problem.message))
}

fn admin() -> Value {
    json!({"attachedPolicies": ["AdministratorAccess"]})
}

fn document(statements: &Value) -> Boundary {
    Boundary::Read(Document::from_value(json!({"Version": "2012-10-17", "Statement": statements})).unwrap())
}

fn sound() -> Boundary {
    document(&json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}))
}

#[test]
fn without_a_forced_boundary_nobody_has_permissions_at_home_or_in_a_hub() {
    let world = world(false, Boundary::Unread);
    let inline = json!({"inlinePolicies": [{"name": "a", "json": "{}"}]});
    let managed = json!({"customerManagedPolicies": [{"name": "a", "json": "{}"}]});
    let external = json!({"externalRoles": ["arn:aws:iam::222222222222:role/cdk-*"]});
    for name in ["home", "utils"] {
        for permissions in [&admin(), &inline, &managed, &external] {
            let (reason, told) = check(&world, name, permissions, &[]).unwrap_err();
            assert_eq!(reason, Reason::BoundaryRequired);
            for word in ["spec.permissions: ", name, "guardrails.permissionsBoundaryARN", "leave spec.permissions out", "another account"] {
                assert!(told.contains(word), "{told}");
            }
            assert!(!told.contains("operator") && !told.contains("prod"), "{told}");
        }
        let (_, told) = check(&world, name, &json!({}), &["admins".into()]).unwrap_err();
        assert!(told.starts_with("spec.groups: "), "{told}");
        let (_, told) = check(&world, name, &admin(), &["admins".into()]).unwrap_err();
        assert!(told.starts_with("spec.permissions and spec.groups: "), "{told}");
        assert_eq!(check(&world, name, &json!({"unmanaged": "Report"}), &[]), Ok(()), "what says nothing of powers has none");
    }
    for name in ["prod", "apart"] {
        assert_eq!(check(&world, name, &admin(), &["admins".into()]), Ok(()), "{name} leads nowhere");
    }
}

#[test]
fn defaults_force_nothing() {
    let mut utils = account("utils", None);
    utils["spec"]["defaults"] = json!({"permissionsBoundaryARN": BOUNDARY});
    let world = Accounts { operator: Operator::Nobody, boundary: sound(), ..Accounts::of(&[utils, account("prod", Some("utils"))]) };
    assert_eq!(check(&world, "utils", &admin(), &[]).unwrap_err().0, Reason::BoundaryRequired);
}

#[test]
fn a_forced_boundary_counts_once_it_is_known_to_limit_iam_and_the_operators_roles() {
    assert_eq!(check(&world(true, sound()), "home", &admin(), &["a".into()]), Ok(()));
    assert_eq!(check(&world(true, sound()), "utils", &admin(), &[]), Ok(()));
    let (reason, told) = check(&world(true, Boundary::Unread), "utils", &admin(), &[]).unwrap_err();
    assert_eq!((reason, told.contains("not read yet")), (Reason::AccountNotReady, true), "{told}");
    let into_prod = document(&json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/rolebridge"}));
    let into_operator = document(&json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::*:role/operator"}));
    let all = document(&json!({"Effect": "Allow", "Action": "*", "Resource": "*"}));
    for (boundary, why) in [
        (Boundary::Missing, "there is no policy"),
        (into_prod, "allows sts:AssumeRole on arn:aws:iam::"),
        (into_operator, "role/operator"),
        (all, "allows iam:AddClientIDToOpenIDConnectProvider"),
        (Boundary::Read(Document::unreadable("")), "cannot be read"),
    ] {
        let world = world(true, boundary);
        let (reason, told) = check(&world, "home", &admin(), &[]).unwrap_err();
        assert!(reason == Reason::BoundaryRequired && told.contains("does not limit IAM and STS"), "{told}");
        assert!(!told.contains(BOUNDARY) && !told.contains("allows"), "what the policy says is not for tenants: {told}");
        let standing = Layout::of(&world).standing(&world.account("home").unwrap());
        let told = told_of(&world, &standing);
        assert!(told.contains(why) && told.contains("does not count") && told.contains(BOUNDARY), "{told}");
    }
}

fn told_of(world: &Accounts, standing: &Standing) -> String {
    told(world, standing).unwrap()
}

#[test]
fn while_the_operator_does_not_know_itself_powers_wait_everywhere_and_nothing_is_refused() {
    let mut world = world(false, Boundary::Unread);
    world.operator = Operator::Unknown;
    for name in ["home", "utils", "prod", "apart"] {
        assert_eq!(check(&world, name, &admin(), &[]).unwrap_err().0, Reason::AccountNotReady);
        assert_eq!(check(&world, name, &json!({}), &[]), Ok(()), "what has no powers waits for nothing");
        let standing = Layout::of(&world).standing(&world.account(name).unwrap());
        assert!(told_of(&world, &standing).contains("wait"));
    }
}

#[test]
fn an_identity_that_opens_no_account_is_nobodys_home() {
    let mut keys = account("home", None);
    keys["spec"]["access"] = json!({"secretRef": {"name": "keys"}});
    let home = keys["spec"]["accountID"].as_str().unwrap().to_owned();
    let arn = format!("arn:aws:iam::{home}:user/operator").parse().unwrap();
    for operator in [Operator::Unknown, Operator::Is(arn), Operator::Nobody] {
        let world = Accounts { operator, ..Accounts::of(std::slice::from_ref(&keys)) };
        assert!(!is_asked_for(&world));
        assert_eq!(check(&world, "home", &admin(), &[]), Ok(()));
    }
}

#[test]
fn an_account_tells_who_depends_on_it() {
    let world = world(false, Boundary::Unread);
    let standings = Layout::of(&world).standings();
    let used_by = |name: &str| standings[name].used_by.clone();
    assert_eq!(used_by("home"), ["Operator"]);
    assert_eq!(used_by("utils"), ["AWSAccount/prod"]);
    assert!(used_by("prod").is_empty() && used_by("apart").is_empty());
    assert!(told(&world, &standings["apart"]).is_none());
    let home = told_of(&world, &standings["home"]);
    assert!(home.contains("assumed-role/operator/pod") && home.contains("guardrails.permissionsBoundaryARN"), "{home}");
    let hub = told_of(&world, &standings["utils"]);
    assert!(hub.contains("through this account into 1 more") && !hub.contains("assumed-role"), "{hub}");
}

#[test]
fn an_account_of_the_same_number_in_another_partition_is_another() {
    let mut world = world(false, Boundary::Unread);
    let home = world.account("home").unwrap();
    world.operator = Operator::Is(format!("arn:aws-cn:iam::{}:user/operator", home.spec.account_id).parse().unwrap());
    assert_eq!(check(&world, "home", &admin(), &[]), Ok(()));
}
