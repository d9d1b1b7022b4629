//! Creating and changing.

use serde_json::json;

use super::*;

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
    assert_eq!(account["spec"], json!({"accountID": "123456789012", "partition": "aws", "guardrails": {}}));
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
    let (_, changed) = patch(&mut server, ALICE, MERGE, &json!({"spec": {"permissionsBoundaryARN": "a"}}));
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
    let both = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"permissionsBoundaryARN": "a"}, "status": {"userARN": "arn"}});
    let (_, main) = patch(&mut server, ALICE, MERGE, &both);
    assert_eq!((&main["spec"]["permissionsBoundaryARN"], &main["status"]), (&json!("a"), &created["status"]));
    let both =
        json!({"metadata": {"labels": {"a": "c"}, "finalizers": ["x.io/y"]}, "spec": {"permissionsBoundaryARN": "b"}, "status": {"userARN": "arn"}});
    let (code, part) = patch(&mut server, STATUS, MERGE, &both);
    assert_eq!((code, &part["spec"], &part["status"]["userARN"]), (200, &main["spec"], &json!("arn")));
    assert_eq!((&part["metadata"]["labels"], part["metadata"].get("finalizers")), (&json!({"a": "b"}), None));
    let mut whole = part.clone();
    whole["status"]["userARN"] = "another".into();
    whole["spec"]["permissionsBoundaryARN"] = "c".into();
    let (_, put_main) = put(&mut server, ALICE, &whole);
    assert_eq!((&put_main["spec"]["permissionsBoundaryARN"], &put_main["status"]["userARN"]), (&json!("c"), &json!("arn")));
    whole["metadata"]["resourceVersion"] = put_main["metadata"]["resourceVersion"].clone();
    whole["spec"]["permissionsBoundaryARN"] = "d".into();
    let (_, put_status) = put(&mut server, STATUS, &whole);
    assert_eq!((&put_status["spec"]["permissionsBoundaryARN"], &put_status["status"]["userARN"]), (&json!("c"), &json!("another")));
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
    patch(&mut server, ALICE, MERGE, &json!({"spec": {"permissionsBoundaryARN": "a"}}));
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
fn a_json_patch_takes_a_missing_field_for_null() {
    let (mut server, _) = with_alice(json!({"labels": {"a": "b"}}));
    let mut patched = |patch: Value| patch_of(&mut server, patch);
    assert_eq!(patched(json!([{"op": "replace", "path": "/metadata/labels/c", "value": "d"}])), Ok(json!({"a": "b", "c": "d"})));
    assert_eq!(
        patched(
            json!([{"op": "test", "path": "/metadata/labels/e", "value": null}, {"op": "move", "from": "/metadata/labels/c", "path": "/metadata/labels/e"}])
        ),
        Ok(json!({"a": "b", "e": "d"}))
    );
    for refused in [
        json!([{"op": "remove", "path": "/metadata/labels/c"}]),
        json!([{"op": "add", "path": "/metadata/annotations/c", "value": "d"}]),
        json!([{"op": "move", "from": "/metadata/labels/c", "path": "/metadata/labels/f"}]),
        json!([{"op": "add", "path": "/spec/groups/0", "value": "d"}]),
        json!([{"op": "test", "path": "/metadata/labels/a", "value": "c"}]),
    ] {
        assert_eq!(patched(refused.clone()), Err(422), "{refused}");
    }
}

/// The labels of alice after a JSON patch, or the code of the refusal.
fn patch_of(server: &mut ApiServer, body: Value) -> Result<Value, u16> {
    match patch(server, ALICE, JSON_PATCH, &body) {
        (200, object) => Ok(object["metadata"]["labels"].clone()),
        (code, _) => Err(code),
    }
}

#[test]
fn kinds_that_are_built_in_drop_what_is_empty() {
    let mut server = server();
    let body = json!({"metadata": {"name": "policies", "labels": {}, "finalizers": [], "unknown": 1, "generation": 7}, "data": {}, "unknown": 1});
    let (_, map) = post(&mut server, MAPS, &body);
    assert_eq!((map.get("data"), map.get("unknown")), (None, None));
    let fields: Vec<&String> = map["metadata"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["creationTimestamp", "generation", "name", "namespace", "resourceVersion", "uid"]);
    assert_eq!(map["metadata"]["generation"], 7, "whoever makes it may give it one");
    let (_, secret) = post(&mut server, "/api/v1/namespaces/data/secrets", &json!({"metadata": {"name": "keys"}, "data": {"a": "MQ=="}}));
    assert_eq!(secret["type"], "Opaque");
    // What is empty in a resource of ours stays, but for metadata.
    let (_, user) =
        post(&mut server, USERS, &json!({"metadata": {"name": "bob", "labels": {}}, "spec": {"accountRef": {"name": "utils"}, "tags": {}}}));
    assert_eq!((&user["spec"]["tags"], user["metadata"].get("labels")), (&json!({}), None));
}

#[test]
fn a_request_says_where_an_object_is() {
    let mut server = server();
    let (code, _) = post(&mut server, MAPS, &json!({"metadata": {"name": "policies", "namespace": "elsewhere"}}));
    assert_eq!(code, 400);
    let spec = json!({"accountID": "123456789012"});
    let (code, account) =
        post(&mut server, "/apis/rolebridge.io/v1alpha1/awsaccounts", &json!({"metadata": {"name": "utils", "namespace": "data"}, "spec": spec}));
    assert_eq!((code, account["metadata"].get("namespace")), (201, None));
    let (code, refusal) = post(&mut server, MAPS, &json!({"metadata": {"name": "policies", "resourceVersion": "5"}}));
    assert_eq!((code, &refusal["message"]), (500, &json!("resourceVersion should not be set on objects to be created")));
    assert_eq!(post(&mut server, MAPS, &json!({"kind": "Secret", "metadata": {"name": "policies"}})).0, 400);
}

#[test]
fn nobody_but_the_controllers_writes_the_parts_of_a_namespace() {
    let mut server = server();
    let body = json!({"metadata": {"labels": {"team": "data", "kubernetes.io/metadata.name": null}}, "spec": {"finalizers": []}, "status": {"phase": "Odd"}});
    let (_, namespace) = patch(&mut server, DATA, MERGE, &body);
    assert_eq!(namespace["metadata"]["labels"], json!({"team": "data", "kubernetes.io/metadata.name": "data"}));
    assert_eq!((&namespace["spec"], &namespace["status"]), (&json!({"finalizers": ["kubernetes"]}), &json!({"phase": "Active"})));
}

#[test]
fn what_this_model_does_not_know_is_refused() {
    let mut server = server();
    assert_eq!(get(&mut server, &format!("{MAPS}?labelSelector=a%3Db")).0, 400);
    assert_eq!(post(&mut server, &format!("{MAPS}?dryRun=All"), &json!({"metadata": {"name": "policies"}})).0, 400);
    assert_eq!(ask(&mut server, "POST", POLICIES, JSON, JSON, &json!({})).0, 405);
    post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}}));
    assert_eq!(ask(&mut server, "DELETE", POLICIES, JSON, JSON, &json!({"propagationPolicy": "Foreground"})).0, 400);
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
