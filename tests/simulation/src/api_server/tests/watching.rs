//! Watches.

use serde_json::json;

use super::*;

#[test]
fn a_watch_tells_what_happened_after_its_version() {
    let (mut server, created) = with_alice(json!({}));
    let from = version(&created) - 1;
    let mut watch = watch(&mut server, &format!("/apis/rolebridge.io/v1alpha1/bastionusers?watch=true&resourceVersion={from}"));
    assert_eq!(events(&mut watch), [json!({"type": "ADDED", "object": created})]);
    let (_, changed) = patch(&mut server, ALICE, MERGE, &json!({"metadata": {"labels": {"team": "data"}}}));
    post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}}));
    assert_eq!(events(&mut watch), [json!({"type": "MODIFIED", "object": changed})]);
    delete(&mut server, ALICE);
    let told = events(&mut watch);
    assert_eq!(brief(&told), [("DELETED".to_owned(), "alice".to_owned())]);
    assert_eq!(version(&told[0]["object"]), server.revision(), "the object is as it was, under the version of its deletion");
}

#[test]
fn a_watch_without_version_begins_with_what_there_is() {
    let (mut server, created) = with_alice(json!({}));
    for query in ["watch=true", "watch=1&resourceVersion=0"] {
        let mut watch = watch(&mut server, &format!("{USERS}?{query}"));
        assert_eq!(events(&mut watch), [json!({"type": "ADDED", "object": created})], "{query}");
    }
}

#[test]
fn a_watch_is_of_one_namespace_or_all() {
    let mut server = server();
    post(&mut server, NAMESPACES, &json!({"metadata": {"name": "other"}}));
    let from = server.revision();
    let [mut one, mut all] = [MAPS, "/api/v1/configmaps"].map(|path| watch(&mut server, &format!("{path}?watch=true&resourceVersion={from}")));
    post(&mut server, "/api/v1/namespaces/other/configmaps", &json!({"metadata": {"name": "there"}}));
    post(&mut server, MAPS, &json!({"metadata": {"name": "here"}}));
    assert_eq!(brief(&events(&mut one)), [("ADDED".to_owned(), "here".to_owned())]);
    assert_eq!(brief(&events(&mut all)).len(), 2);
}

#[test]
fn a_watch_of_metadata_tells_no_more() {
    let mut server = server();
    let from = server.revision();
    let mut watch = watch_as(&mut server, &format!("/api/v1/configmaps?watch=true&resourceVersion={from}"), METADATA);
    let (_, created) = post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}, "data": {"a": "b"}}));
    let object = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": created["metadata"]});
    assert_eq!(events(&mut watch), [json!({"type": "ADDED", "object": object})]);
}

#[test]
fn a_forgotten_version_is_told_410_in_a_watch_that_opens() {
    let (mut server, created) = with_alice(json!({}));
    patch(&mut server, ALICE, MERGE, &json!({"metadata": {"labels": {"team": "data"}}}));
    let now = server.revision();
    server.compact();
    let mut late = watch(&mut server, &format!("{USERS}?watch=true&resourceVersion={}", version(&created)));
    let told = events(&mut late);
    assert_eq!((told.len(), &told[0]["type"], &told[0]["object"]["code"]), (1, &json!("ERROR"), &json!(410)));
    assert_eq!(told[0]["object"]["reason"], "Expired");
    assert!(late.is_closed(), "the watch ends with it");
    let mut on_time = watch(&mut server, &format!("{USERS}?watch=true&resourceVersion={now}"));
    assert_eq!(events(&mut on_time), Vec::<Value>::new());
    assert!(!on_time.is_closed());
}

#[test]
fn old_changes_are_forgotten_by_themselves() {
    let mut server = server();
    let from = server.revision();
    post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}}));
    for number in 0..5000 {
        patch(&mut server, POLICIES, MERGE, &json!({"data": {"number": number.to_string()}}));
    }
    let mut late = watch(&mut server, &format!("{MAPS}?watch=true&resourceVersion={from}"));
    assert_eq!(events(&mut late)[0]["object"]["code"], 410);
    let recent = server.revision() - 4000;
    let mut on_time = watch(&mut server, &format!("{MAPS}?watch=true&resourceVersion={recent}"));
    assert_eq!(events(&mut on_time).len(), 4000);
}

#[test]
fn bookmarks_go_to_those_who_asked_for_them() {
    let mut server = server();
    let from = server.revision();
    let mut with = watch(&mut server, &format!("{MAPS}?watch=true&resourceVersion={from}&allowWatchBookmarks=true&timeoutSeconds=290"));
    let mut without = watch(&mut server, &format!("{MAPS}?watch=true&resourceVersion={from}"));
    with_alice(json!({}));
    post(&mut server, USERS, &user("alice", json!({})));
    server.bookmarks();
    let object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": server.revision().to_string()}});
    assert_eq!(events(&mut with), [json!({"type": "BOOKMARK", "object": object})]);
    assert_eq!(events(&mut without), Vec::<Value>::new());
}

#[test]
fn a_bookmark_says_where_what_there_is_ends() {
    let (mut server, created) = with_alice(json!({}));
    let mut watch = watch(&mut server, &format!("{USERS}?watch=true&allowWatchBookmarks=true"));
    let told = events(&mut watch);
    assert_eq!(told[0], json!({"type": "ADDED", "object": created}));
    assert_eq!((&told[1]["type"], &told[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"]), (&json!("BOOKMARK"), &json!("true")));
}

#[test]
fn watches_that_are_cut_end() {
    let mut server = server();
    let mut open = watch(&mut server, &format!("{MAPS}?watch=true"));
    server.cut_watches();
    post(&mut server, MAPS, &json!({"metadata": {"name": "policies"}}));
    assert_eq!(events(&mut open), Vec::<Value>::new());
    assert!(open.is_closed());
}
