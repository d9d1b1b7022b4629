//! Server-side apply.

use serde_json::json;

use super::*;

fn ready(reason: &str) -> Value {
    json!({"type": "Ready", "status": "True", "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

#[test]
fn kubernetes_12_a_status_does_not_land_on_another_version() {
    let (mut server, created) = with_alice(json!({}));
    let (code, told) = patch(&mut server, APPLY_STATUS, APPLY, &status(&created, json!({"observedGeneration": 1})));
    assert_eq!((code, &told["status"]["observedGeneration"]), (200, &json!(1)));
    let (code, refusal) = patch(&mut server, APPLY_STATUS, APPLY, &status(&created, json!({"observedGeneration": 2})));
    assert_eq!((code, &refusal["reason"]), (409, &json!("Conflict")));
    let message = "Operation cannot be fulfilled on bastionusers.rolebridge.io \"alice\": the object has been modified; please apply your changes \
                   to the latest version and try again";
    assert_eq!(refusal["message"], message);
    // The UID alone protects from nothing there.
    let mut other = status(&told, json!({"observedGeneration": 1}));
    other["metadata"] = json!({"name": "alice", "namespace": "data", "uid": "another"});
    assert_eq!(patch(&mut server, APPLY_STATUS, APPLY, &other).0, 200);
    delete(&mut server, ALICE);
    let (code, refusal) = patch(&mut server, APPLY_STATUS, APPLY, &status(&told, json!({"observedGeneration": 1})));
    assert_eq!((code, &refusal["reason"]), (404, &json!("NotFound")));
}

#[test]
fn kubernetes_12_an_identical_apply_keeps_the_version() {
    let (mut server, created) = with_alice(json!({}));
    let content = json!({"observedGeneration": 1, "conditions": [ready("Ready")], "userARN": "arn"});
    let (_, first) = patch(&mut server, APPLY_STATUS, APPLY, &status(&created, content.clone()));
    assert_ne!(version(&first), version(&created));
    let (code, second) = patch(&mut server, APPLY_STATUS, APPLY, &status(&first, content));
    assert_eq!((code, &second), (200, &first));
}

#[test]
fn what_is_not_applied_any_more_goes() {
    let (mut server, created) = with_alice(json!({}));
    let others = json!([ready("A"), {"type": "Synced", "status": "True", "reason": "B", "message": "", "lastTransitionTime": "x"}]);
    let full = json!({"observedGeneration": 1, "conditions": others, "userARN": "arn", "roles": [{"name": "reader"}]});
    let (_, first) = patch(&mut server, APPLY_STATUS, APPLY, &status(&created, full));
    assert_eq!(first["status"]["conditions"], others);
    // Somebody else adds a field and a condition.
    let mut by_people = first.clone();
    by_people["status"]["userID"] = "AIDA".into();
    by_people["status"]["conditions"].as_array_mut().unwrap().push(json!({"type": "Seen"}));
    let (_, second) = put(&mut server, &format!("{STATUS}?fieldManager=people"), &by_people);
    let (_, third) = patch(&mut server, APPLY_STATUS, APPLY, &status(&second, json!({"observedGeneration": 2, "conditions": [ready("A")]})));
    assert_eq!(third["status"]["conditions"], json!([ready("A"), {"type": "Seen"}]));
    assert_eq!((third["status"].get("userARN"), third["status"].get("roles")), (None, None));
    assert_eq!((&third["status"]["userID"], &third["status"]["rolesTotal"]), (&json!("AIDA"), &json!(0)));
    // A field that goes and has a default, has the default.
    let (_, fourth) = patch(&mut server, APPLY_STATUS, APPLY, &status(&third, json!({"userARN": "arn"})));
    assert_eq!((&fourth["status"]["observedGeneration"], &fourth["status"]["conditions"]), (&json!(0), &json!([{"type": "Seen"}])));
}

#[test]
fn people_apply_whole_objects() {
    let mut server = server();
    let target = format!("{POLICIES}?fieldManager=people&force=true");
    let body = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "policies"}, "data": data});
    let (code, created) = patch(&mut server, &target, APPLY, &body(json!({"a": "1", "b": "2"})));
    assert_eq!((code, &created["data"]), (201, &json!({"a": "1", "b": "2"})));
    patch(&mut server, &format!("{POLICIES}?fieldManager=others"), MERGE, &json!({"data": {"c": "3"}}));
    let (code, changed) = patch(&mut server, &target, APPLY, &body(json!({"a": "4"})));
    assert_eq!((code, &changed["data"]), (200, &json!({"a": "4", "c": "3"})));
    // Without force, what others own stays theirs.
    let (code, refusal) = patch(&mut server, &format!("{POLICIES}?fieldManager=others"), APPLY, &body(json!({"a": "5"})));
    assert_eq!((code, &refusal["reason"]), (409, &json!("Conflict")));
}

/// Applies this to alice, in the name of somebody.
fn apply(server: &mut ApiServer, manager: &str, metadata: Value, spec: Value) -> (u16, Value) {
    let mut body = json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "metadata": metadata, "spec": spec});
    body["metadata"]["name"] = "alice".into();
    patch(server, &format!("{ALICE}?fieldManager={manager}&force=true"), APPLY, &body)
}

#[test]
fn what_is_applied_empty_is_stored_and_not_seen() {
    let (mut server, _) = with_alice(json!({}));
    let spec = json!({"accountRef": {"name": "utils"}});
    let (_, first) = apply(&mut server, "people", json!({"annotations": {}}), spec.clone());
    assert!(first["metadata"].get("annotations").is_none());
    assert_eq!(apply(&mut server, "people", json!({"annotations": {}}), spec), (200, first.clone()), "the same is stored already");
    // To write what is seen is a change.
    let (_, second) = patch(&mut server, ALICE, MERGE, &json!({}));
    assert_ne!(version(&second), version(&first));
    assert_eq!(patch(&mut server, ALICE, MERGE, &json!({})), (200, second));
}

#[test]
fn what_nobody_owned_is_not_taken_out() {
    let mut server = server();
    post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}}));
    // Nobody owns anything, so it stays that way.
    let (_, changed) = patch(&mut server, POLICIES, MERGE, &json!({"data": {"a": "1"}}));
    let nothing = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "policies"}});
    let (_, owned) = patch(&mut server, &format!("{POLICIES}?fieldManager=people&force=true"), APPLY, &nothing);
    assert_eq!(owned["data"], changed["data"]);
    assert_ne!(version(&owned), version(&changed), "what is there has an owner now");
    let (_, again) = patch(&mut server, &format!("{POLICIES}?fieldManager=people&force=true"), APPLY, &nothing);
    assert_eq!(again, owned);
}

#[test]
fn what_two_own_stays_until_both_let_go() {
    let (mut server, _) = with_alice(json!({}));
    let (account, tags) = (json!({"name": "utils"}), json!({"team": "data"}));
    let with = json!({"accountRef": account, "tags": tags});
    for manager in ["people", "others"] {
        assert_eq!(apply(&mut server, manager, json!({}), with.clone()).0, 200);
    }
    let without = json!({"accountRef": account});
    assert_eq!(apply(&mut server, "people", json!({}), without.clone()).1["spec"]["tags"], tags);
    assert!(apply(&mut server, "others", json!({}), without).1["spec"].get("tags").is_none());
}

#[test]
fn an_object_that_somebody_else_owns_is_not_emptied() {
    let mut server = server();
    let body = json!({"metadata": {"name": "alice"}, "spec": {"accountRef": {"name": "utils"}, "tags": {}}});
    post(&mut server, &format!("{USERS}?fieldManager=creator"), &body);
    apply(&mut server, "people", json!({}), json!({"accountRef": {"name": "utils"}, "tags": {"team": "data"}}));
    let (code, refusal) = apply(&mut server, "people", json!({}), json!({"accountRef": {"name": "utils"}}));
    assert_eq!((code, &refusal["reason"]), (422, &json!("Invalid")));
    assert_eq!(refusal["details"]["causes"][0]["message"], "Invalid value: \"null\": spec.tags in body must be of type object: \"null\"");
}

#[test]
fn a_field_that_is_not_declared_is_not_applied() {
    let (mut server, created) = with_alice(json!({}));
    let (code, refusal) = patch(&mut server, APPLY_STATUS, APPLY, &status(&created, json!({"conditions": [], "unknown": 1})));
    let message = "failed to create typed patch object (data/alice; rolebridge.io/v1alpha1, Kind=BastionUser): .status.unknown: field not \
                   declared in schema";
    assert_eq!((code, &refusal["message"]), (500, &json!(message)));
}

#[test]
fn whoever_applies_has_a_name_and_does_not_take_from_others_in_passing() {
    let (mut server, created) = with_alice(json!({}));
    let (code, refusal) = patch(&mut server, &format!("{STATUS}?force=true"), APPLY, &status(&created, json!({})));
    assert_eq!((code, &refusal["details"]["causes"][0]["field"]), (422, &json!("fieldManager")));
    patch(&mut server, APPLY_STATUS, APPLY, &status(&created, json!({"conditions": [ready("A")], "userARN": "arn"})));
    let theirs = json!({"conditions": [ready("B")], "userARN": "other"});
    let mut body = status(&created, theirs);
    body["metadata"] = json!({"name": "alice"});
    let (code, refusal) = patch(&mut server, &format!("{STATUS}?fieldManager=others"), APPLY, &body);
    let message = "Apply failed with 2 conflicts: conflicts with \"rolebridge\" with subresource \"status\":\n- .status.userARN\n- \
                   .status.conditions[type=\"Ready\"].reason";
    assert_eq!((code, &refusal["message"]), (409, &json!(message)));
}

#[test]
fn lists_are_merged_item_by_item_in_the_order_of_who_applies() {
    let (mut server, created) = with_alice(json!({}));
    let condition = |type_: &str| json!({"type": type_, "status": "True", "reason": "A", "message": "", "lastTransitionTime": "x"});
    let of = |types: &[&str]| json!({"conditions": types.iter().map(|type_| condition(type_)).collect::<Vec<_>>()});
    let types = |object: &Value| -> Vec<String> {
        object["status"]["conditions"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap().to_owned()).collect()
    };
    let (_, theirs) = patch(&mut server, &format!("{STATUS}?fieldManager=others"), MERGE, &json!({"status": of(&["X", "A", "Y"])}));
    assert_ne!(version(&theirs), version(&created));
    let (_, merged) = patch(&mut server, APPLY_STATUS, APPLY, &status(&theirs, of(&["B", "A", "C"])));
    assert_eq!(types(&merged), ["X", "B", "A", "Y", "C"]);
    let (_, merged) = patch(&mut server, APPLY_STATUS, APPLY, &status(&merged, of(&["C", "B"])));
    assert_eq!(types(&merged), ["X", "A", "Y", "C", "B"], "the condition that others own too stays");
}
