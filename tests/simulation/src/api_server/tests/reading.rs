//! GET and lists.

use serde_json::json;

use super::*;

#[test]
fn an_object_is_read_by_its_name() {
    let (mut server, created) = with_alice(json!({}));
    assert_eq!(get(&mut server, ALICE), (200, created));
    let (code, refusal) = get(&mut server, "/apis/rolebridge.io/v1alpha1/namespaces/data/bastionusers/bob");
    assert_eq!(code, 404);
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound", "code": 404,
        "message": "bastionusers.rolebridge.io \"bob\" not found",
        "details": {"name": "bob", "group": "rolebridge.io", "kind": "bastionusers"},
    });
    assert_eq!(refusal, expected);
    assert_eq!(get(&mut server, "/apis/rolebridge.io/v1alpha1/unknown").0, 404);
}

#[test]
fn metadata_is_read_by_itself() {
    let (mut server, created) = with_alice(json!({"labels": {"team": "data"}}));
    let expected = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": created["metadata"]});
    assert_eq!(ask(&mut server, "GET", ALICE, METADATA, "", &Value::Null), (200, expected.clone()));
    let (code, list) = ask(&mut server, "GET", USERS, METADATA_LIST, "", &Value::Null);
    assert_eq!((code, &list["kind"], &list["items"]), (200, &json!("PartialObjectMetadataList"), &json!([expected])));
}

#[test]
fn a_list_has_the_version_of_everything() {
    let (mut server, created) = with_alice(json!({}));
    assert_eq!(post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}})).0, 201);
    let (code, list) = get(&mut server, USERS);
    assert_eq!((code, &list["kind"], &list["items"]), (200, &json!("BastionUserList"), &json!([created])));
    assert_eq!(version(&list), server.revision());
    assert_eq!(version(&list), version(&created) + 1);
    for accepted in
        ["resourceVersion=0", "resourceVersion=0&resourceVersionMatch=NotOlderThan", "resourceVersion=3&resourceVersionMatch=NotOlderThan"]
    {
        assert_eq!(get(&mut server, &format!("{USERS}?{accepted}")).1["items"], json!([created]), "{accepted}");
    }
    let (code, refusal) = get(&mut server, &format!("{USERS}?resourceVersion=1000"));
    assert_eq!((code, &refusal["reason"], &refusal["details"]["retryAfterSeconds"]), (504, &json!("Timeout"), &json!(1)));
}

#[test]
fn a_list_has_one_namespace_or_all_in_order() {
    let mut server = server();
    post(&mut server, NAMESPACES, &json!({"metadata": {"name": "data-2"}}));
    for (namespace, name) in [("data", "b"), ("data-2", "c"), ("data", "a")] {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        assert_eq!(post(&mut server, &path, &json!({"metadata": {"name": name}})).0, 201);
    }
    let names = |list: Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(get(&mut server, MAPS).1), ["a", "b"]);
    // The order is that of keys in etcd, where data-2/ comes before data/.
    assert_eq!(names(get(&mut server, "/api/v1/configmaps").1), ["c", "a", "b"]);
    // Objects of kinds that are built in do not name their kind in lists.
    assert!(get(&mut server, MAPS).1["items"][0].get("kind").is_none());
}

#[test]
fn empty_lists_are_written_in_three_ways() {
    let mut server = server();
    assert_eq!(get(&mut server, USERS).1["metadata"]["continue"], "");
    assert!(get(&mut server, MAPS).1["metadata"].get("continue").is_none());
    assert_eq!(get(&mut server, MAPS).1["items"], json!([]));
    assert_eq!(ask(&mut server, "GET", USERS, METADATA_LIST, "", &Value::Null).1["items"], Value::Null);
}

#[test]
fn a_list_is_of_an_earlier_version_where_that_is_asked_for() {
    let (mut server, created) = with_alice(json!({}));
    let at = |server: &mut ApiServer, version: u64| get(server, &format!("{USERS}?resourceVersionMatch=Exact&resourceVersion={version}"));
    delete(&mut server, ALICE);
    post(&mut server, USERS, &user("bob", json!({})));
    let (_, before) = at(&mut server, version(&created));
    assert_eq!((&before["items"], version(&before)), (&json!([created]), version(&created)));
    assert_eq!(at(&mut server, version(&created) - 1).1["items"], json!([]));
    server.compact();
    let (code, refusal) = at(&mut server, version(&created));
    assert_eq!((code, &refusal["reason"]), (410, &json!("Expired")));
}

#[test]
fn pages_show_the_list_as_it_was_at_the_first() {
    let mut server = server();
    for name in ["a", "b", "c", "d"] {
        post(&mut server, MAPS, &json!({"metadata": {"name": name}, "data": {"is": "old"}}));
    }
    let (_, first) = get(&mut server, &format!("{MAPS}?limit=2"));
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    delete(&mut server, &format!("{MAPS}/c"));
    patch(&mut server, &format!("{MAPS}/d"), MERGE, &json!({"data": {"is": "new"}}));
    post(&mut server, MAPS, &json!({"metadata": {"name": "e"}}));
    let next = first["metadata"]["continue"].as_str().unwrap().to_owned();
    let (_, second) = get(&mut server, &format!("{MAPS}?limit=2&continue={next}"));
    let items: Vec<(&Value, &Value)> = second["items"].as_array().unwrap().iter().map(|i| (&i["metadata"]["name"], &i["data"]["is"])).collect();
    assert_eq!(items, [(&json!("c"), &json!("old")), (&json!("d"), &json!("old"))]);
    assert_eq!(version(&second), version(&first));
    assert!(second["metadata"].get("continue").is_none());

    server.compact();
    let (code, refusal) = get(&mut server, &format!("{MAPS}?limit=2&continue={next}"));
    assert_eq!((code, &refusal["reason"]), (410, &json!("Expired")));
    let next = refusal["metadata"]["continue"].as_str().unwrap().to_owned();
    let (_, now) = get(&mut server, &format!("{MAPS}?limit=2&continue={next}"));
    let names: Vec<&Value> = now["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, [&json!("d"), &json!("e")]);
}
