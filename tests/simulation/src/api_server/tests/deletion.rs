//! Deletion, and namespaces.

use serde_json::json;

use super::*;

const FINALIZER: &str = "rolebridge.io/finalizer";

#[test]
fn what_no_finalizer_holds_goes_at_once() {
    let (mut server, created) = with_alice(json!({}));
    let (code, answer) = delete(&mut server, ALICE);
    let details = json!({"name": "alice", "group": "rolebridge.io", "kind": "bastionusers", "uid": created["metadata"]["uid"]});
    assert_eq!(code, 200);
    assert_eq!(answer, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}));
    assert_eq!((get(&mut server, ALICE).0, delete(&mut server, ALICE).0), (404, 404));
}

#[test]
fn finalizers_hold_an_object_until_the_last_is_off() {
    let (mut server, created) = with_alice(json!({"finalizers": [FINALIZER, "a.io/b"]}));
    let from = server.revision();
    let mut watch = watch(&mut server, &format!("{USERS}?watch=true&resourceVersion={from}"));
    let (code, marked) = delete(&mut server, ALICE);
    assert_eq!((code, &marked["kind"]), (200, &json!("BastionUser")));
    let metadata = &marked["metadata"];
    assert!(metadata["deletionTimestamp"].is_string());
    assert_eq!((&metadata["deletionGracePeriodSeconds"], &metadata["generation"]), (&json!(0), &json!(2)));
    assert_eq!(delete(&mut server, ALICE), (200, marked.clone()), "a second deletion changes nothing");
    let (code, refusal) = post(&mut server, USERS, &user("alice", json!({})));
    assert_eq!((code, &refusal["reason"]), (409, &json!("AlreadyExists")));
    assert!(refusal["message"].as_str().unwrap().starts_with("object is being deleted: "), "{refusal}");

    let (code, refusal) = patch(&mut server, ALICE, MERGE, &json!({"metadata": {"finalizers": [FINALIZER, "a.io/b", "c.io/d"]}}));
    assert_eq!((code, &refusal["reason"]), (422, &json!("Invalid")));
    assert!(refusal["message"].as_str().unwrap().contains("found new finalizers []string{\"c.io/d\"}"), "{refusal}");
    // Other writes still work.
    let (_, told) = patch(&mut server, APPLY_STATUS, APPLY, &status(&marked, json!({"observedGeneration": 2})));
    assert_eq!(told["status"]["observedGeneration"], 2);
    let (_, changed) = patch(&mut server, ALICE, MERGE, &json!({"metadata": {"finalizers": [FINALIZER]}, "spec": {"permissionsBoundaryARN": "a"}}));
    assert_eq!((&changed["metadata"]["generation"], &changed["spec"]["permissionsBoundaryARN"]), (&json!(3), &json!("a")));

    let (code, gone) = patch(&mut server, ALICE, MERGE, &json!({"metadata": {"finalizers": null}}));
    assert_eq!((code, gone["metadata"].get("finalizers")), (200, None));
    assert_eq!(get(&mut server, ALICE).0, 404);
    let told = events(&mut watch);
    let kinds: Vec<&Value> = told.iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds, ["MODIFIED", "MODIFIED", "MODIFIED", "DELETED"]);
    let last = &told[3]["object"];
    assert_eq!(last["metadata"]["finalizers"], json!([FINALIZER]), "the object is as it was stored last");
    assert_eq!((last["metadata"]["uid"].clone(), version(last)), (created["metadata"]["uid"].clone(), server.revision()));
}

#[test]
fn a_deletion_can_be_of_one_version_only() {
    let (mut server, created) = with_alice(json!({}));
    let uid = &created["metadata"]["uid"];
    for wrong in [json!({"uid": "another"}), json!({"resourceVersion": "1"})] {
        let (code, refusal) = ask(&mut server, "DELETE", ALICE, JSON, JSON, &json!({"preconditions": wrong}));
        assert_eq!((code, &refusal["reason"]), (409, &json!("Conflict")), "{refusal}");
    }
    let right = json!({"preconditions": {"uid": uid, "resourceVersion": created["metadata"]["resourceVersion"]}});
    assert_eq!(ask(&mut server, "DELETE", ALICE, JSON, JSON, &right).0, 200);
}

#[test]
fn kubernetes_20_a_missing_namespace_comes_first() {
    let mut server = server();
    let (code, refusal) = post(&mut server, "/api/v1/namespaces/missing/configmaps", &json!({"metadata": {"name": "policies"}}));
    assert_eq!((code, &refusal["message"]), (404, &json!("namespaces \"missing\" not found")));
}

#[test]
fn kubernetes_18_nothing_is_created_in_a_terminating_namespace_and_writes_go_on() {
    let (mut server, created) = with_alice(json!({"finalizers": [FINALIZER]}));
    let (code, terminating) = delete(&mut server, DATA);
    assert_eq!((code, &terminating["status"]["phase"]), (200, &json!("Terminating")));
    assert!(terminating["metadata"].get("deletionGracePeriodSeconds").is_none());
    let (code, refusal) = post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}}));
    assert_eq!((code, &refusal["reason"]), (403, &json!("Forbidden")));
    let message = "configmaps \"policies\" is forbidden: unable to create new content in namespace data because it is being terminated";
    assert_eq!(refusal["message"], message);
    let cause = json!({"reason": "NamespaceTerminating", "message": "namespace data is being terminated", "field": "metadata.namespace"});
    assert_eq!(refusal["details"]["causes"], json!([cause]));
    let event = json!({"metadata": {"name": "alice.1"}, "reason": "Stalled", "eventTime": "2026-01-01T00:00:00.000000Z"});
    assert_eq!(post(&mut server, "/apis/events.k8s.io/v1/namespaces/data/events", &event).0, 403);
    assert_eq!(patch(&mut server, APPLY_STATUS, APPLY, &status(&created, json!({"observedGeneration": 1}))).0, 200);
    assert_eq!(patch(&mut server, ALICE, MERGE, &json!({"metadata": {"finalizers": [FINALIZER, "a.io/b"]}})).0, 200);
}

#[test]
fn a_namespace_goes_when_it_is_empty() {
    let (mut server, _) = with_alice(json!({"finalizers": [FINALIZER]}));
    post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}}));
    server.terminate_namespaces();
    assert_eq!(get(&mut server, POLICIES).0, 200, "nothing is to be done yet");
    delete(&mut server, DATA);
    let from = server.revision();
    let mut watch = watch_as(&mut server, &format!("{NAMESPACES}?watch=true&resourceVersion={from}"), METADATA);
    server.terminate_namespaces();
    assert_eq!(get(&mut server, POLICIES).0, 404);
    assert!(get(&mut server, ALICE).1["metadata"]["deletionTimestamp"].is_string());
    let (_, namespace) = get(&mut server, DATA);
    let condition = |namespace: &Value, type_: &str| -> Value {
        namespace["status"]["conditions"].as_array().unwrap().iter().find(|condition| condition["type"] == type_).unwrap().clone()
    };
    assert_eq!(condition(&namespace, "NamespaceContentRemaining")["status"], "True");
    let message = "Some content in the namespace has finalizers remaining: rolebridge.io/finalizer in 1 resource instances";
    assert_eq!(condition(&namespace, "NamespaceFinalizersRemaining")["message"], message);
    let version = server.revision();
    server.terminate_namespaces();
    assert_eq!(server.revision(), version, "nothing has changed");
    patch(&mut server, ALICE, MERGE, &json!({"metadata": {"finalizers": []}}));
    server.terminate_namespaces();
    assert_eq!(get(&mut server, DATA).0, 404);
    let kinds: Vec<(String, String)> = brief(&events(&mut watch));
    assert_eq!(kinds.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["MODIFIED", "MODIFIED", "DELETED"]);
    assert_eq!(post(&mut server, NAMESPACES, &json!({"metadata": {"name": "data"}})).0, 201);
}

#[test]
fn some_namespaces_stay() {
    let mut server = server();
    let (code, refusal) = delete(&mut server, "/api/v1/namespaces/default");
    assert_eq!((code, &refusal["message"]), (403, &json!("namespaces \"default\" is forbidden: this namespace may not be deleted")));
}
