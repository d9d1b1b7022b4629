//! Creating and changing.

use serde_json::json;

use super::*;

fn ready(reason: &str) -> Value {
    json!({"type": "Ready", "status": "True", "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

#[test]
fn kubernetes_13_a_fresh_object_has_the_default_status() {
    let (mut server, created) = with_alice(json!({}));
    let (code, account) = post(
        &mut server,
        "/apis/rolebridge.io/v1alpha1/awsaccounts",
        &json!({"metadata": {"name": "utils"}, "spec": {"accountID": "123456789012", "guardrails": {}, "unknown": 1}, "status": {"orphansTotal": 3}}),
    );
    assert_eq!(code, 201);
    assert_eq!(account["status"], json!({"observedGeneration": -1, "conditions": [], "orphansTotal": 0, "shadowGrantsTotal": 0}));
    assert_eq!(account["spec"], json!({"accountID": "123456789012", "partition": "aws", "guardrails": {"accountRootTrust": false}}));
    assert_eq!(created["status"]["observedGeneration"], -1);
    assert_eq!((&created["metadata"]["generation"], &created["metadata"]["namespace"]), (&json!(1), &json!("data")));
    assert_eq!(get(&mut server, ALICE).1, created);
}

#[test]
fn names_are_given_and_must_be_new() {
    let (mut server, created) = with_alice(json!({}));
    let (code, refusal) = post(&mut server, USERS, &user("alice", json!({})));
    assert_eq!((code, &refusal["reason"]), (409, &json!("AlreadyExists")));
    assert_eq!(refusal["message"], "bastionusers.rolebridge.io \"alice\" already exists");
    let body = json!({"metadata": {"generateName": "policies-"}});
    let [one, two] = [(); 2].map(|()| post(&mut server, MAPS, &body).1["metadata"]["name"].as_str().unwrap().to_owned());
    assert_ne!(one, two);
    assert!(one.starts_with("policies-") && one.len() == "policies-".len() + 5, "{one}");
    let (code, refusal) = post(&mut server, MAPS, &json!({"metadata": {}}));
    assert_eq!((code, &refusal["reason"]), (422, &json!("Invalid")));
    assert_eq!(refusal["message"], "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required");
    delete(&mut server, ALICE);
    let (_, again) = post(&mut server, USERS, &user("alice", json!({})));
    assert_ne!(again["metadata"]["uid"], created["metadata"]["uid"]);
}

#[test]
fn generation_grows_with_what_is_declared() {
    let (mut server, _) = with_alice(json!({}));
    let generation = |object: &Value| object["metadata"]["generation"].as_i64();
    let (_, labelled) = patch(&mut server, ALICE, MERGE, &json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}));
    assert_eq!(generation(&labelled), Some(1), "kubernetes_3");
    let (_, changed) = patch(&mut server, ALICE, MERGE, &json!({"spec": {"path": "/people/"}}));
    assert_eq!(generation(&changed), Some(2));
    let (_, told) = patch(&mut server, APPLY_STATUS, APPLY, &status(&changed, json!({"observedGeneration": 2})));
    assert_eq!(generation(&told), Some(2));
    post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}}));
    let (_, map) = patch(&mut server, POLICIES, MERGE, &json!({"data": {"a": "b"}}));
    assert_eq!((generation(&map), generation(&get(&mut server, DATA).1)), (None, None));
}

#[test]
fn nobody_writes_the_part_that_the_path_does_not_name() {
    let (mut server, created) = with_alice(json!({}));
    let both = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"path": "/people/"}, "status": {"userARN": "arn"}});
    let (_, main) = patch(&mut server, ALICE, MERGE, &both);
    assert_eq!((&main["spec"]["path"], &main["status"]), (&json!("/people/"), &created["status"]));
    let both = json!({"metadata": {"labels": {"a": "c"}, "finalizers": ["x.io/y"]}, "spec": {"path": "/other/"}, "status": {"userARN": "arn"}});
    let (code, part) = patch(&mut server, STATUS, MERGE, &both);
    assert_eq!((code, &part["spec"], &part["status"]["userARN"]), (200, &main["spec"], &json!("arn")));
    assert_eq!((&part["metadata"]["labels"], part["metadata"].get("finalizers")), (&json!({"a": "b"}), None));
    let mut whole = part.clone();
    whole["status"]["userARN"] = "another".into();
    whole["spec"]["path"] = "/third/".into();
    let (_, put_main) = put(&mut server, ALICE, &whole);
    assert_eq!((&put_main["spec"]["path"], &put_main["status"]["userARN"]), (&json!("/third/"), &json!("arn")));
    whole["metadata"]["resourceVersion"] = put_main["metadata"]["resourceVersion"].clone();
    whole["spec"]["path"] = "/fourth/".into();
    let (_, put_status) = put(&mut server, STATUS, &whole);
    assert_eq!((&put_status["spec"]["path"], &put_status["status"]["userARN"]), (&json!("/third/"), &json!("another")));
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

#[test]
fn an_unchanged_write_keeps_the_version() {
    let (mut server, _) = with_alice(json!({}));
    // The defaults that are not stored yet are stored with the first write, whatever it says.
    let (_, first) = patch(&mut server, ALICE, MERGE, &json!({}));
    let (_, second) = patch(&mut server, ALICE, MERGE, &json!({"spec": {"accountRef": {"name": "utils"}}}));
    assert_eq!(second, first);
    assert_eq!(put(&mut server, ALICE, &first), (200, first.clone()));
    let (_, created) = post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}, "data": {"a": "b"}}));
    assert_eq!(patch(&mut server, POLICIES, MERGE, &json!({"data": {"a": "b"}})), (200, created));
}

#[test]
fn a_put_names_the_version_it_replaces() {
    let (mut server, created) = with_alice(json!({}));
    let (code, refusal) = put(&mut server, ALICE, &user("alice", json!({})));
    assert_eq!((code, &refusal["reason"]), (422, &json!("Invalid")));
    patch(&mut server, ALICE, MERGE, &json!({"spec": {"path": "/people/"}}));
    let (code, refusal) = put(&mut server, ALICE, &created);
    assert_eq!((code, &refusal["reason"]), (409, &json!("Conflict")));
    // ConfigMaps need none.
    post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}, "data": {"a": "b"}}));
    let (code, replaced) = put(&mut server, POLICIES, &json!({"metadata": {"name": "policies"}, "data": {"c": "d"}}));
    assert_eq!((code, &replaced["data"]), (200, &json!({"c": "d"})));
    assert_eq!(put(&mut server, &format!("{MAPS}/missing"), &json!({"metadata": {"name": "missing"}})).0, 404);
    assert_eq!(put(&mut server, POLICIES, &json!({"metadata": {"name": "other"}})).0, 400);
}

#[test]
fn a_finalizer_is_put_on_the_object_that_was_read() {
    let (mut server, created) = with_alice(json!({}));
    let body = |of: &Value, uid: &str| json!({"metadata": {"resourceVersion": of["metadata"]["resourceVersion"], "uid": uid, "finalizers": ["rolebridge.io/finalizer"]}});
    let uid = created["metadata"]["uid"].as_str().unwrap().to_owned();
    let (code, finalized) = patch(&mut server, ALICE, MERGE, &body(&created, &uid));
    assert_eq!((code, &finalized["metadata"]["finalizers"]), (200, &json!(["rolebridge.io/finalizer"])));
    assert_eq!(finalized["metadata"]["generation"], 1);
    let (code, refusal) = patch(&mut server, ALICE, MERGE, &body(&created, &uid));
    assert_eq!((code, &refusal["reason"]), (409, &json!("Conflict")));
    // Of another object of the same version, which there cannot be.
    let (code, refusal) = patch(&mut server, ALICE, MERGE, &body(&finalized, "another"));
    assert_eq!((code, &refusal["reason"]), (422, &json!("Invalid")));
    let mut other = finalized;
    other["metadata"]["uid"] = "another".into();
    let (code, refusal) = put(&mut server, ALICE, &other);
    assert_eq!((code, &refusal["reason"]), (409, &json!("Conflict")));
}

#[test]
fn kubernetes_12_a_json_patch_tests_first() {
    let (mut server, _) = with_alice(json!({"finalizers": ["a.io/b"]}));
    let body = |expected: &str| json!([{"op": "test", "path": "/metadata/finalizers/0", "value": expected}, {"op": "remove", "path": "/metadata/finalizers/0"}]);
    let (code, refusal) = patch(&mut server, ALICE, JSON_PATCH, &body("c.io/d"));
    assert_eq!((code, &refusal["reason"]), (422, &json!("Invalid")));
    let (code, patched) = patch(&mut server, ALICE, JSON_PATCH, &body("a.io/b"));
    assert_eq!((code, patched["metadata"].get("finalizers")), (200, None));
    assert_eq!(patch(&mut server, ALICE, "application/strategic-merge-patch+json", &json!({})).0, 415);
}

#[test]
fn some_metadata_does_not_change() {
    let (mut server, created) = with_alice(json!({}));
    let same = json!({"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z", "generation": 7, "uid": null}});
    let (_, patched) = patch(&mut server, ALICE, MERGE, &same);
    for field in ["creationTimestamp", "generation", "uid"] {
        assert_eq!(patched["metadata"][field], created["metadata"][field], "{field}");
    }
    let (code, _) = patch(&mut server, ALICE, MERGE, &json!({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}}));
    assert_eq!(code, 422);
    assert_eq!(patch(&mut server, ALICE, MERGE, &json!({"metadata": {"name": "bob"}})).0, 400);
    assert_eq!(patch(&mut server, ALICE, MERGE, &json!({"metadata": {"namespace": "other"}})).0, 400);
}
