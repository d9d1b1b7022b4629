//! Handing back while IAM is behind, or does not answer. The controller stands still meanwhile.

use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::lab::Lab;
use crate::api::{FINALIZER, Reason};
use crate::controller::hand_back::{HandedBack, Order, hand_back};
use crate::core::action::{Action, Tagged};

const PROD: &str = "222222222222";

/// A user, and a role that trusts it.
async fn lab() -> Lab {
    let lab = Lab::new().await;
    lab.apply(json!({"kind": "BastionUser", "metadata": {"name": "alice"}, "spec": {"accountRef": {"name": "utils"}}}));
    lab.apply(json!({"kind": "CrossAccountRole", "metadata": {"name": "reader"}, "spec": {
        "accountRef": {"name": "prod"}, "trust": [{"from": [{"user": {"name": "alice"}}]}],
    }}));
    lab.run(3).await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "Ready");
    lab
}

/// What came of it, what was told, and how long it took.
async fn run(lab: &Lab) -> (HandedBack, String, Duration) {
    let (began, told) = (Instant::now(), Mutex::new(vec![]));
    let tell = |line: &str| told.lock().push(line.to_owned());
    let order = Order { installation: "main".into(), is_dry_run: false, tell: &tell };
    let handed_back = hand_back(lab.context.client.clone(), lab.aws.clone().base(), order).await.unwrap();
    (handed_back, told.into_inner().join("\n"), began.elapsed())
}

fn is_held(lab: &Lab, kind: &str, name: &str) -> bool {
    lab.get(kind, name)["metadata"]["finalizers"] == json!([FINALIZER])
}

fn has_owner_tags(lab: &Lab, account: &str, name: &str) -> bool {
    lab.aws.get(account, name).unwrap().identity.tags.keys().any(|key| key.starts_with("rolebridge.io/"))
}

#[tokio::test(start_paused = true)]
async fn what_iam_does_not_show_yet_is_waited_for() {
    let lab = lab().await;
    let reader = lab.aws.get(PROD, "role reader").unwrap();
    lab.aws.remove(PROD, "role reader");
    let aws = lab.aws.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(40)).await;
        aws.show(PROD, reader);
    });
    let (handed_back, told, took) = run(&lab).await;
    assert_eq!(handed_back.left, []);
    assert!(told.contains("CrossAccountRole/data/reader: waits: IAM does not show"), "{told}");
    assert!(took > Duration::from_secs(40) && took < Duration::from_secs(120), "{took:?}");
    assert!(!has_owner_tags(&lab, PROD, "role reader") && !has_owner_tags(&lab, "111111111111", "user alice"));
}

#[tokio::test(start_paused = true)]
async fn what_is_absent_for_certain_is_let_go() {
    let lab = lab().await;
    lab.aws.remove(PROD, "role reader");
    let (handed_back, told, took) = run(&lab).await;
    assert_eq!(handed_back.left, []);
    assert!(told.contains("CrossAccountRole/data/reader: find no role reader in AWS"), "{told}");
    assert!(took > Duration::from_secs(100), "{took:?}");
    assert!(!is_held(&lab, "CrossAccountRole", "reader") && !is_held(&lab, "AWSAccount", "prod"));
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_for_a_while_and_then_told() {
    for passes in [true, false] {
        let lab = lab().await;
        lab.aws.refuse(|action| matches!(action, Action::Untag(..)), Reason::AWSUnavailable, "throttled");
        let aws = lab.aws.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(60)).await;
            if passes {
                aws.refused.lock().clear();
            }
        });
        let (handed_back, told, took) = run(&lab).await;
        // Users come first, and the roles have their turn after that.
        assert_eq!(told.matches("waits: throttled").count(), if passes { 1 } else { 2 }, "each is told once: {told}");
        assert!(took < Duration::from_secs(400), "{took:?}");
        for (kind, name) in [("CrossAccountRole", "reader"), ("BastionUser", "alice"), ("AWSAccount", "prod"), ("AWSAccount", "utils")] {
            assert_eq!(is_held(&lab, kind, name), !passes, "{kind} {name}");
        }
        assert_eq!(handed_back.left.len(), if passes { 0 } else { 4 });
        assert_eq!(handed_back.left.iter().filter(|(_, why)| why == "AWSUnavailable: throttled").count(), if passes { 0 } else { 2 });
        assert_eq!(has_owner_tags(&lab, PROD, "role reader"), !passes);
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_stays_while_something_is_left_in_it_or_behind_it() {
    let lab = lab().await;
    lab.apply(json!({"kind": "AWSAccount", "metadata": {"name": "behind"}, "spec": {
        "accountID": "333333333333", "allowedNamespaces": {"from": "All"},
        "access": {"assumeRole": {"roleARN": "arn:aws:iam::333333333333:role/rolebridge", "via": {"name": "prod"}}},
    }}));
    lab.apply(json!({"kind": "BastionUser", "metadata": {"name": "bob"}, "spec": {"accountRef": {"name": "behind"}}}));
    lab.run(3).await;
    assert_eq!(lab.ready("BastionUser", "bob").0, "Ready");
    let is_of_bob = |action: &Action| matches!(action, Action::Untag(Tagged::Identity(who), _) if who.as_str() == "bob");
    lab.aws.refuse(is_of_bob, Reason::AccessDenied, "not allowed to untag");
    let (handed_back, _, _) = run(&lab).await;
    let left: Vec<String> = handed_back.left.iter().map(|(of, _)| of.to_string()).collect();
    assert_eq!(left, ["BastionUser/data/bob", "AWSAccount/behind", "AWSAccount/prod", "AWSAccount/utils"]);
    assert!(handed_back.left[0].1.contains("AccessDenied: not allowed to untag. A platform administrator can give up"), "{:?}", handed_back.left);
    // The operator may come back, and goes by the statuses.
    let all_held = |held: bool| {
        ["behind", "prod", "utils"].into_iter().all(|name| is_held(&lab, "AWSAccount", name) == held)
            && is_held(&lab, "CrossAccountRole", "reader") == held
            && is_held(&lab, "BastionUser", "bob") == held
    };
    assert!(all_held(true));
    lab.aws.refused.lock().clear();
    let (handed_back, _, _) = run(&lab).await;
    assert!(handed_back.left.is_empty() && all_held(false), "{:?}", handed_back.left);
}
